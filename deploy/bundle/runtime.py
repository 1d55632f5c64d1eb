"""Runs a policy with only numpy and onnxruntime: whole batches for verification, one robot for control."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# onnxruntime reads this when it is imported. Without it, onnxruntime keeps a database of usage events in the user's
# cache and sends it to its maker, in a thread beside the control loop.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from deploy.bundle.golden import Floats
from deploy.bundle.manifest import Manifest
from deploy.errors import BundleError, PolicyInputError, first_line

_QUIET = 4
"""onnxruntime's log level "fatal": a model that it can't load is reported once, as an exception."""


class PolicySession:
    """The ONNX graph behind its manifest's names; every array [batch, dim] float32.

    `static` is for a graph whose batch is fixed; `batch` is then that batch, else None. Raises BundleError when
    onnxruntime can't load `model`, or when its inputs and outputs are not those of `manifest`.
    """

    def __init__(self, model: bytes, manifest: Manifest, static: bool = False) -> None:
        self.manifest = manifest
        options = ort.SessionOptions()
        # One thread and no spinning: a policy of some ten thousand weights is computed before a second thread wakes up,
        # and a control loop must not share its core with a spinning pool.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _QUIET
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception.
            fix = f"install onnxruntime{manifest.runtime.onnxruntime}" if manifest.runtime else "update onnxruntime"
            raise BundleError(
                f"policy.onnx can't be loaded by onnxruntime {ort.__version__} ({first_line(error)}); "
                f"{fix}, or export the policy again"
            ) from None
        sizes = [size for node in self._session.get_inputs() for size in node.shape[:1] if isinstance(size, int)]
        self.batch: int | None = sizes[0] if static and sizes else None
        _check_signature("input", self._session.get_inputs(), _input_dims(manifest), self.batch)
        _check_signature("output", self._session.get_outputs(), _output_dims(manifest), self.batch)
        self._outputs = list(manifest.output_names)

    def evaluate(
        self, sensors: Mapping[str, Floats], state: Mapping[str, Floats]
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Commands and next state by name for sensors and state by name, every array [batch, dim] float32."""
        feeds = {s.name: sensors[s.name] for s in self.manifest.sensors}
        feeds |= {f"state.{s.name}": state[s.name] for s in self.manifest.states}
        results = self._session.run(self._outputs, feeds)
        split = len(self.manifest.commands)
        commands = {c.name: value for c, value in zip(self.manifest.commands, results[:split], strict=True)}
        following = {s.name: value for s, value in zip(self.manifest.states, results[split:], strict=True)}
        return commands, following

    def initial_state(self, batch: int) -> dict[str, Floats]:
        """The state after a reset, every array [batch, dim] float32."""
        return {s.name: np.tile(np.asarray(s.reset, np.float32), (batch, 1)) for s in self.manifest.states}


class PolicyRuntime:
    """A policy that controls one robot and carries its state from step to step.

    It is called `substeps` times a control period, 1 by default. All calls of a period read the same state, which then
    becomes what the state's `between` says: docs/bundle.md, "Calling faster".
    """

    def __init__(self, session: PolicySession, substeps: int = 1) -> None:
        if substeps < 1:
            raise BundleError(f"a policy is called at least once a control period, got {substeps} times")
        self.session = session
        self.manifest = session.manifest
        self.substeps = substeps
        self.reset()

    def with_substeps(self, substeps: int) -> PolicyRuntime:
        """The same policy, reset, to be called `substeps` times a control period."""
        return PolicyRuntime(self.session, substeps)

    def reset(self) -> None:
        """Set every state to its reset value and begin a period; call it whenever the policy takes over."""
        self._state = self.session.initial_state(1)
        self._pooled: dict[str, Floats] = {}
        self.substep = 0
        """The calls made so far in the current period."""

    @property
    def state(self) -> dict[str, Floats]:
        """A copy of the state that the next step starts from, every array [dim]."""
        return {name: value[0].copy() for name, value in self._state.items()}

    def step(self, sensors: Mapping[str, NDArray[np.floating]]) -> dict[str, Floats]:
        """One call: commands by name [dim] float32 for sensors by name [dim], in the manifest's units.

        Sensors that the policy does not read are ignored. Raises PolicyInputError, and leaves the state as it was, when
        a sensor is missing, of the wrong shape or not finite. Commands are not limited here: the safety supervisor
        does that.
        """
        row = {s.name: _row(sensors, s.name, s.dim) for s in self.manifest.sensors}
        commands, following = self.session.evaluate(row, self._state)
        self._carry(following)
        return {name: value[0] for name, value in commands.items()}

    def _carry(self, following: dict[str, Floats]) -> None:
        """Pool a call's next states; at the end of the period they become the state."""
        if self.substeps == 1:
            self._state = following
            return
        means = [s.name for s in self.manifest.states if s.between == "mean"]
        # Starting from the first call, "first" states are pooled already.
        pooled = following if self.substep == 0 else self._pooled
        if self.substep:
            pooled |= {name: pooled[name] + following[name] for name in means}
        self._pooled = pooled
        self.substep += 1
        if self.substep == self.substeps:
            self._state = pooled | {name: pooled[name] / np.float32(self.substeps) for name in means}
            self.substep = 0

    def warm(self, steps: int = 100) -> None:
        """Run `steps` steps on mid-range sensors, so that the first real step is as fast as any, then reset."""
        middle = {s.name: 0.5 * (np.asarray(s.low) + np.asarray(s.high)) for s in self.manifest.sensors}
        for _ in range(steps):
            self.step(middle)
        self.reset()


def _row(sensors: Mapping[str, NDArray[np.floating]], name: str, dim: int) -> Floats:
    if name not in sensors:
        raise PolicyInputError(f"sensor {name!r} is missing; given are: {', '.join(sorted(sensors)) or 'none'}")
    try:
        with np.errstate(over="ignore"):
            # A float64 beyond float32's range becomes infinite here, and is refused with the infinite ones below.
            value = np.asarray(sensors[name], dtype=np.float32)
    except (TypeError, ValueError):
        raise PolicyInputError(f"sensor {name!r} is not an array of numbers, expected {dim} values") from None
    if value.shape != (dim,):
        raise PolicyInputError(f"sensor {name!r} has shape {value.shape}, expected ({dim},)")
    if not np.isfinite(value).all():
        raise PolicyInputError(f"sensor {name!r} is not finite: {value}")
    return value[None]


def _input_dims(manifest: Manifest) -> dict[str, int]:
    dims = [s.dim for s in manifest.sensors] + [s.dim for s in manifest.states]
    return dict(zip(manifest.input_names, dims, strict=True))


def _output_dims(manifest: Manifest) -> dict[str, int]:
    dims = [c.dim for c in manifest.commands] + [s.dim for s in manifest.states]
    return dict(zip(manifest.output_names, dims, strict=True))


def _check_signature(kind: str, found: list[ort.NodeArg], wanted: dict[str, int], batch: int | None) -> None:
    names = [node.name for node in found]
    fix = "the manifest belongs to another network; export the policy again"
    rows = "'batch'" if batch is None else str(batch)
    if names != list(wanted):
        raise BundleError(f"policy.onnx has {kind}s {names}, its manifest says {list(wanted)}; {fix}")
    for node in found:
        shape = list(node.shape)
        # A dynamic batch is a symbol (text) or unknown (None); a number fixes it.
        free = len(shape) == 2 and (not isinstance(shape[0], int) if batch is None else shape[0] == batch)
        good = free and shape[1] == wanted[node.name]
        if not good or node.type != "tensor(float)":
            raise BundleError(
                f"policy.onnx has {kind} {node.name!r} {node.type} {shape}, "
                f"its manifest says tensor(float) [{rows}, {wanted[node.name]}]; {fix}"
            )
