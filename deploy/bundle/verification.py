"""Every check of a bundle that needs no training, one by one, for `robo-rl verify`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deploy.bundle.golden import Golden
from deploy.bundle.manifest import Manifest
from deploy.bundle.reader import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    POLICY_FILE,
    STATIC_FILE,
    Replay,
    check_hashes,
    check_replay,
    compare,
    drift,
    parse_manifest,
    read_files,
    replay,
)
from deploy.bundle.runtime import PolicySession
from deploy.errors import BundleError


@dataclass(frozen=True)
class Check:
    """One check: whether it passed, and what was found."""

    name: str
    ok: bool
    detail: str


@dataclass
class VerifyReport:
    """All checks made, and the figures of the golden replay.

    `parity` gives for each output the largest |golden - replayed| as a share of its range, `parity_si` in its unit;
    `drift` is the largest deviation of the commands, as a share of their range, when the policy carries its own state
    through the whole episode.
    """

    path: str
    checks: list[Check] = field(default_factory=list)
    parity: dict[str, float] = field(default_factory=dict)
    parity_si: dict[str, float] = field(default_factory=dict)
    drift: float = 0.0
    operators: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)


def verify_bundle(path: Path | str) -> VerifyReport:
    """Check a bundle one thing at a time. A check that fails is in the report, with how to fix it; later checks
    that need its result are left out. Raises BundleError when `path` is not a folder."""
    folder = Path(path)
    if not folder.is_dir():
        read_files(folder)  # Raises with the right message.
    report = VerifyReport(str(folder))
    files = _attempt(report, "files", lambda: read_files(folder), lambda f: f"{sum(map(len, f.values()))} bytes")
    if files is None:
        return report
    manifest = _attempt(report, "manifest", lambda: parse_manifest(files[MANIFEST_FILE]), _described)
    if manifest is None:
        return report
    _attempt(report, "hashes", lambda: check_hashes(files, manifest), lambda _: "network and golden episode are intact")
    golden = _attempt(
        report, "golden episode", lambda: Golden.from_bytes(files[GOLDEN_FILE], manifest), lambda g: f"{len(g)} steps"
    )
    session = _attempt(
        report, "network", lambda: PolicySession(files[POLICY_FILE], manifest), lambda s: _signature(manifest)
    )
    _check_graph(report, files[POLICY_FILE])
    if golden is not None and session is not None:
        _check_replays(report, session, golden)
    if golden is not None and (folder / STATIC_FILE).exists():
        _attempt(report, "static network", lambda: _replay_static(folder / STATIC_FILE, manifest, golden), _as_static)
    return report


def _attempt(report: VerifyReport, name: str, action: Callable[[], Any], describe: Callable[[Any], str]) -> Any:
    try:
        result = action()
    except BundleError as error:
        report.checks.append(Check(name, False, str(error)))
        return None
    report.checks.append(Check(name, True, describe(result)))
    return result


def _described(manifest: Manifest) -> str:
    needs = f", for onnxruntime {manifest.runtime.onnxruntime}" if manifest.runtime else ""
    return f"kind {manifest.kind}, sealed{needs}"


def _signature(manifest: Manifest) -> str:
    return f"{', '.join(manifest.input_names)} -> {', '.join(manifest.output_names)}"


def _check_graph(report: VerifyReport, data: bytes) -> None:
    try:
        from deploy.bundle import onnx_graph
    except ModuleNotFoundError:
        # A robot's computer has no onnx: there the hashes and the golden replay cover the weights.
        report.checks.append(Check("weights", True, "not checked: install robo-rl[train] to check each weight"))
        return

    def check() -> dict[str, int]:
        model = onnx_graph.load(data)
        onnx_graph.check(model)
        return onnx_graph.operators(model)

    def describe(found: dict[str, int]) -> str:
        others = ", ".join(sorted(set(found) - onnx_graph.OPERATORS))
        used = ", ".join(f"{name} {count}" for name, count in found.items())
        return f"finite float32; operators: {used}" + (f"; no export uses {others}" if others else "")

    report.operators = _attempt(report, "weights", check, describe) or {}


def _check_replays(report: VerifyReport, session: PolicySession, golden: Golden) -> None:
    def single_steps() -> Replay:
        result = replay(session, golden)
        report.parity, report.parity_si = dict(result.normalised), dict(result.si)
        report.drift = drift(session, golden)
        check_replay(result, session.manifest)
        return result

    def describe(result: Replay) -> str:
        found = f"{result.steps} steps, off by at most {result.worst:.2g} of the range"
        return f"{found}; with its own state carried on by {report.drift:.2g}"

    _attempt(report, "golden replay", single_steps, describe)
    _attempt(
        report,
        "batch",
        lambda: _check_batch(session, golden),
        lambda result: f"{result.steps} steps as one batch are off by at most {result.worst:.2g} of the range",
    )
    _attempt(
        report,
        "limits",
        lambda: _check_limits(session.manifest, golden),
        lambda _: "every golden command lies within its limits",
    )


def _check_batch(session: PolicySession, golden: Golden) -> Replay:
    """All golden steps as one batch must give what single steps give: the batch is dynamic, rows do not mix."""
    commands, following = session.evaluate(golden.sensors, golden.states)
    outputs = commands | {f"next_state.{name}": values for name, values in following.items()}
    result = compare(session.manifest, golden, outputs)
    check_replay(result, session.manifest)
    return result


def _replay_static(path: Path, manifest: Manifest, golden: Golden) -> tuple[int, Replay]:
    """The batch of the network for a fixed batch, and its golden replay."""
    try:
        session = PolicySession(path.read_bytes(), manifest, static=True)
    except OSError as error:
        raise BundleError(f"{path.name} can't be read ({error.strerror}); export the policy again") from None
    if session.batch is None:
        raise BundleError(f"{path.name} has no fixed batch; export the policy again with --batch")
    result = replay(session, golden)
    check_replay(result, manifest)
    return session.batch, result


def _as_static(found: tuple[int, Replay]) -> str:
    batch, result = found
    return f"for a batch of {batch}; {result.steps} steps, off by at most {result.worst:.2g} of the range"


def _check_limits(manifest: Manifest, golden: Golden) -> None:
    for entry in manifest.commands:
        values, span = golden.commands[entry.name].astype(np.float64), np.subtract(entry.high, entry.low)
        # Float32 rounds a bound such as 2272.6 by up to 6e-8 of it: such a command is within its limits.
        slack = 1e-6 * span
        if (values < entry.low - slack).any() or (values > entry.high + slack).any():
            raise BundleError(
                f"command {entry.name!r} spans {values.min():.6g} to {values.max():.6g} {entry.unit}, beyond its "
                f"limits {min(entry.low):.6g} to {max(entry.high):.6g}; bound it in the action term and export again"
            )
