"""The bundle's reader: a folder of policy.onnx, manifest.json and golden.npz, refused unless all of it is consistent.

Needs only numpy and onnxruntime. `load_bundle` reads each file once and checks and loads the very same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.bundle.golden import TOLERANCE, Floats, Golden, largest_difference
from deploy.bundle.manifest import Manifest
from deploy.bundle.runtime import PolicyRuntime, PolicySession
from deploy.errors import BundleError

POLICY_FILE = "policy.onnx"
MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.npz"
FILES = (POLICY_FILE, MANIFEST_FILE, GOLDEN_FILE)
STATIC_FILE = "policy_static.onnx"
"""The same network for a fixed batch, which an export may add for runtimes that need one; no robot here reads it."""
ROBOT_FOLDER = "robot"
"""For simulators, the model of a robot of the user's own as the policy was trained with it."""
OWN = frozenset({*FILES, STATIC_FILE, ROBOT_FOLDER})
"""Everything that an export writes, and so may replace."""
_COPY_AGAIN = "copy the bundle again, or export the policy again"


@dataclass(frozen=True)
class Bundle:
    """A verified policy: its folder, its manifest and the runtime that steps it."""

    path: Path
    manifest: Manifest
    policy: PolicyRuntime


@dataclass(frozen=True)
class Replay:
    """The differences of a golden replay: the largest |d| of each output, as a share of its range and in its own unit.

    Outputs are commands and `next_state.<name>`; states are normalised, both of their figures are the same.
    """

    steps: int
    normalised: dict[str, float]
    si: dict[str, float]

    @property
    def worst(self) -> float:
        return max(self.normalised.values())


def load_bundle(path: Path | str) -> Bundle:
    """Read and verify a bundle. Raises BundleError, one line that says how to fix it, unless all of these hold:

    files, manifest digest and schema, hashes of network and golden episode, names and shapes, and a golden replay whose
    commands stay within 1e-5 of their range, and whose states within 1e-5.
    """
    folder = Path(path)
    files = read_files(folder)
    manifest = parse_manifest(files[MANIFEST_FILE])
    check_hashes(files, manifest)
    session = PolicySession(files[POLICY_FILE], manifest)
    golden = Golden.from_bytes(files[GOLDEN_FILE], manifest)
    check_replay(replay(session, golden), manifest)
    return Bundle(folder, manifest, PolicyRuntime(session))


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes of a bundle's three files by name."""
    if not folder.exists():
        raise BundleError(f"{folder} does not exist; expected the folder that `robo-rl export` wrote")
    if not folder.is_dir():
        raise BundleError(f"{folder} is a file; expected the folder that `robo-rl export` wrote")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise BundleError(f"{folder} is not a bundle: it lacks {', '.join(missing)}; {_COPY_AGAIN}")
    try:
        return {name: (folder / name).read_bytes() for name in FILES}
    except OSError as error:
        raise BundleError(
            f"{folder} can't be read ({error.strerror}); correct its permissions, or {_COPY_AGAIN}"
        ) from None


def parse_manifest(data: bytes) -> Manifest:
    """The manifest of manifest.json's bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BundleError(f"{MANIFEST_FILE} is no UTF-8 text; {_COPY_AGAIN}") from None
    return Manifest.from_json(text)


def check_hashes(files: dict[str, bytes], manifest: Manifest) -> None:
    """Refuse a network or golden episode that is not the one the manifest was written for."""
    wanted = {POLICY_FILE: manifest.identity.policy_sha256, GOLDEN_FILE: manifest.identity.golden_sha256}
    for name, digest in wanted.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise BundleError(
                f"{name} is damaged or of another bundle, its SHA-256 is not the manifest's; {_COPY_AGAIN}"
            )


def replay(session: PolicySession, golden: Golden) -> Replay:
    """Replay every golden step alone, from the state it was recorded with, as a batch of one robot, or of as many equal
    ones as the session is made for.

    Compared are all commands, and each next state with the state of the following step, except where that was reset.
    """
    outputs: dict[str, list[Floats]] = {name: [] for name in session.manifest.output_names}
    for t in range(len(golden)):
        now = [t] * (session.batch or 1)
        commands, following = session.evaluate(
            {name: values[now] for name, values in golden.sensors.items()},
            {name: values[now] for name, values in golden.states.items()},
        )
        for name, value in commands.items():
            outputs[name].append(value[-1:])
        for name, value in following.items():
            outputs[f"next_state.{name}"].append(value[-1:])
    return compare(session.manifest, golden, {name: np.concatenate(rows) for name, rows in outputs.items()})


def compare(manifest: Manifest, golden: Golden, outputs: Mapping[str, Floats]) -> Replay:
    """The differences between `outputs` [T, dim] by ONNX name and the golden episode."""
    continued = ~golden.reset[1:]
    pairs = {name: (outputs[name], values) for name, values in golden.commands.items()}
    for name, values in golden.states.items():
        output = f"next_state.{name}"
        pairs[output] = (outputs[output][:-1][continued], values[1:][continued])
    spans = manifest.spans()
    return Replay(
        len(golden),
        {name: largest_difference(*pair, spans.get(name, (1.0,))) for name, pair in pairs.items()},
        {name: largest_difference(*pair) for name, pair in pairs.items()},
    )


def drift(session: PolicySession, golden: Golden) -> float:
    """The largest deviation of a runtime with its own state from the golden commands, as a share of their range.

    For information: a policy that feeds its actions back may amplify rounding where no robot closes the loop.
    """
    runtime, spans, worst = PolicyRuntime(session), session.manifest.spans(), 0.0
    for t in range(len(golden)):
        if golden.reset[t]:
            runtime.reset()
        for name, value in runtime.step({k: v[t] for k, v in golden.sensors.items()}).items():
            worst = max(worst, largest_difference(value, golden.commands[name][t], spans[name]))
    return worst


def check_replay(result: Replay, manifest: Manifest) -> None:
    """Refuse a policy whose commands are not those of its export."""
    if result.worst > TOLERANCE:
        name = max(result.normalised, key=lambda key: result.normalised[key])
        unit = next((f" {c.unit}" for c in manifest.commands if c.name == name), "")
        raise BundleError(
            f"golden replay failed: {name} is off by {result.si[name]:.3g}{unit}, {result.worst:.2g} of its range, "
            f"allowed is {TOLERANCE:.0e}; try another onnxruntime version, or export the policy again"
        )
