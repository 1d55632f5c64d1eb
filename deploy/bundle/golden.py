"""Recorded sensors: the episodes that an export is compared on, and the golden episode that every bundle carries.

The golden file is an npz of arrays over T steps: `reset` [T] bool (true where the policy's state was reset before the
step), `sensor.<name>` [T, dim] float32 in the sensor's unit, `state.<name>` [T, dim] float32 that the step started
from, and `command.<name>` [T, dim] float32 in the command's unit, as PyTorch computed them.

The states are there because a policy that feeds its own actions back may amplify rounding from step to step, which only
the robot in the loop would damp: each step is compared on its own, and its next state with the one that the next step
started from.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.bundle.manifest import Manifest
from deploy.errors import BundleError, first_line
from policies.specs import StateSpec

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
TOLERANCE = 1e-5
"""Largest |d| of a command divided by its range (high - low), and of a state, between two runs of one policy."""
_COPY_AGAIN = "copy the bundle again, or export the policy again"


@dataclass(frozen=True)
class Episode:
    """Sensors that N robots visited over T steps: every array [T, N, dim] in SI units.

    `reset` [T, N] bool is true where the policy's state was reset before the step, so its first row is all true. Raises
    BundleError on wrong shapes and on values that are not finite.
    """

    sensors: Mapping[str, NDArray[np.floating]]
    reset: Bools

    def __post_init__(self) -> None:
        if self.reset.ndim != 2 or self.reset.dtype != np.bool_ or 0 in self.reset.shape:
            raise BundleError(f"visited states: reset must be bool [T, N], got {self.reset.dtype} {self.reset.shape}")
        if not self.reset[0].all():
            raise BundleError("visited states: every robot must start with a reset, set reset[0] to true")
        for name, values in self.sensors.items():
            if values.ndim != 3 or values.shape[:2] != self.reset.shape:
                steps, robots = self.reset.shape
                raise BundleError(
                    f"visited states: sensor {name!r} has shape {values.shape}, expected ({steps}, {robots}, dim)"
                )
            if not np.isfinite(values).all():
                raise BundleError(f"visited states: sensor {name!r} holds values that are not finite; record again")

    @property
    def visited(self) -> int:
        """The number of visited states, T * N."""
        return self.reset.size


@dataclass(frozen=True)
class Golden:
    """One robot's episode: `sensors`, `states` before each step and `commands` by name, each [T, dim]; `reset` [T]."""

    reset: Bools
    sensors: Mapping[str, Floats]
    states: Mapping[str, Floats]
    commands: Mapping[str, Floats]

    def to_bytes(self) -> bytes:
        """The npz file; equal episodes give equal bytes."""
        arrays: dict[str, Any] = {"reset": self.reset}
        arrays |= {f"sensor.{name}": values for name, values in self.sensors.items()}
        arrays |= {f"state.{name}": values for name, values in self.states.items()}
        arrays |= {f"command.{name}": values for name, values in self.commands.items()}
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        return stream.getvalue()

    @staticmethod
    def from_bytes(data: bytes, manifest: Manifest) -> Golden:
        """The golden episode of `manifest`'s policy. Raises BundleError naming the array that does not fit."""
        arrays = _read_npz(data)
        dims = {f"sensor.{s.name}": s.dim for s in manifest.sensors}
        dims |= {f"state.{s.name}": s.dim for s in manifest.states}
        dims |= {f"command.{c.name}": c.dim for c in manifest.commands}
        wanted = {"reset", *dims}
        if set(arrays) != wanted:
            odd = sorted(set(arrays) ^ wanted)
            raise BundleError(f"golden.npz: arrays {', '.join(odd)} are missing or unknown; {_COPY_AGAIN}")
        reset = arrays.pop("reset")
        if reset.dtype != np.bool_ or reset.ndim != 1 or reset.size < 2:
            raise BundleError(
                f"golden.npz: reset is {reset.dtype} {reset.shape}, expected bool [T], T > 1; {_COPY_AGAIN}"
            )
        if not reset[0] or not reset[1:].any():
            raise BundleError(f"golden.npz: the episode must start with a reset and hold another one; {_COPY_AGAIN}")
        series = {name: _checked(name, values, (reset.size, dims[name])) for name, values in arrays.items()}
        return Golden(
            reset.astype(np.bool_),
            {s.name: series[f"sensor.{s.name}"] for s in manifest.sensors},
            {s.name: _reset_checked(series[f"state.{s.name}"], s, reset) for s in manifest.states},
            {c.name: series[f"command.{c.name}"] for c in manifest.commands},
        )

    def __len__(self) -> int:
        return int(self.reset.size)


def largest_difference(values: Floats, reference: NDArray[np.floating], span: Sequence[float] = (1.0,)) -> float:
    """max|values - reference| / span over every row [N, dim] and channel; not-a-number counts as infinite."""
    difference = np.abs(values.astype(np.float64) - reference) / np.asarray(span)
    worst = float(difference.max(initial=0.0))
    return worst if np.isfinite(worst) else np.inf


def _read_npz(data: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib and numpy raise a dozen exception types on a damaged or hostile file.
        raise BundleError(f"golden.npz can't be read ({first_line(error)}); {_COPY_AGAIN}") from None


def _checked(name: str, values: NDArray[np.generic], shape: tuple[int, int]) -> Floats:
    if values.dtype != np.float32 or values.shape != shape:
        raise BundleError(
            f"golden.npz: {name} is {values.dtype} {values.shape}, expected float32 {shape}; {_COPY_AGAIN}"
        )
    floats = values.astype(np.float32)
    if not np.isfinite(floats).all():
        raise BundleError(f"golden.npz: {name} holds values that are not finite; {_COPY_AGAIN}")
    return floats


def _reset_checked(states: Floats, entry: StateSpec, reset: NDArray[np.generic]) -> Floats:
    rows = states[reset.astype(np.bool_)]
    if not (rows == np.asarray(entry.reset, np.float32)).all():
        raise BundleError(
            f"golden.npz: state.{entry.name} does not start from the manifest's reset value; {_COPY_AGAIN}"
        )
    return states
