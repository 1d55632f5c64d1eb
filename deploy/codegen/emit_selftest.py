"""policy_selftest.c: a few control periods of the golden episode, and the checksum of the constants."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.bundle.golden import Golden
from deploy.bundle.runtime import PolicyRuntime
from deploy.codegen.emit_source import checked_constants
from deploy.codegen.ir import Floats
from deploy.codegen.kernels.constants import ConstantArray, c_number
from deploy.codegen.sources import Design, inward, members
from deploy.codegen.templates import SELFTEST
from deploy.errors import BundleError
from policies.specs import CommandSpec, SensorSpec

MOST_BYTES = 1024
"""Largest size of the recorded sensors and commands; more is not needed to detect a wrong compiler or file."""
MOST_ROWS, FEWEST_ROWS = 8, 4
TOLERANCE = 1e-5
"""Largest difference between float32 C and onnxruntime, as a share of a command's range."""
ROUNDED_TOLERANCE = 0.1
"""The same for a kernel that rounds weights: enough to find a compiler's error; the checksum finds damaged data."""


@dataclass(frozen=True)
class Recorded:
    """Control periods [rows]: flat sensors and commands; the policy is reset before row 0 and `reset_row`."""

    sensors: Floats
    commands: Floats
    reset_row: int


def record(design: Design, runtime: PolicyRuntime, golden: Golden) -> Recorded:
    """The first golden steps that the C accepts, each held for a control period, with onnxruntime's commands.

    Raises BundleError when no step has all sensors within their limits.
    """
    manifest = design.manifest
    every = np.concatenate([golden.sensors[s.name] for s in manifest.sensors], axis=1)
    low = inward([s.low for s in manifest.sensors], up=True)
    high = inward([s.high for s in manifest.sensors], up=False)
    good = np.flatnonzero(((every >= low) & (every <= high)).all(axis=1))
    per_row = 4 * (every.shape[1] + sum(command.dim for command in manifest.commands))
    rows = good[: max(FEWEST_ROWS, min(MOST_ROWS, MOST_BYTES // per_row))]
    if not rows.size:
        raise BundleError("no step of golden.npz has all sensors within their limits; export the policy again")
    reset_row = (rows.size + 1) // 2
    policy = runtime.with_substeps(design.substeps)
    commands = []
    for index, row in enumerate(rows):
        if index == reset_row:
            policy.reset()
        for _ in range(design.substeps):
            given = policy.step({name: values[row] for name, values in golden.sensors.items()})
        commands.append(np.concatenate([given[command.name] for command in manifest.commands]))
    low = inward([c.low for c in manifest.commands], up=True)
    high = inward([c.high for c in manifest.commands], up=False)
    return Recorded(every[rows], np.clip(np.array(commands, np.float32), low, high), reset_row)


def selftest(design: Design, recorded: Recorded) -> str:
    """The text of policy_selftest.c."""
    manifest = design.manifest
    tolerance = TOLERANCE if design.kernel.exact else ROUNDED_TOLERANCE
    crc = 0
    for _, content in checked_constants(design):
        crc = zlib.crc32(content, crc)
    values, check = _reset(design)
    return SELFTEST.format(
        rows=len(recorded.sensors),
        reset_row=recorded.reset_row,
        sensors="".join(_row(manifest.sensors, row) for row in recorded.sensors),
        commands="".join(_row(manifest.commands, row) for row in recorded.commands),
        reset_values=values,
        reset_check=check,
        crc=crc,
        tolerance=c_number(np.float32(tolerance)),
    )


def _row(entries: Sequence[SensorSpec | CommandSpec], row: Floats) -> str:
    parts = (f"{{{', '.join(c_number(v) for v in part)}}}" for _, part in members(entries, row))
    return f"    {{{', '.join(parts)}}},\n"


def _reset(design: Design) -> tuple[str, str]:
    """The table of reset values, if they are not all zero, and the rest of the function that checks a reset."""
    states = design.manifest.states
    if not states:
        return "", "    return 1;\n"
    lines = ["    const float *const values = (const float *)&state;"]
    table = ""
    wanted = "0.0f"
    if any(any(state.reset) for state in states):
        table = ConstantArray("reset_values", design.reset_values()).definition() + "\n"
        wanted = "reset_values[i]"
    lines += [
        "    for (uint32_t i = 0u; i < POLICY_STATE_FLOATS; i++) {",
        f"        if (values[i] < {wanted} || values[i] > {wanted}) {{",
        "            return 0;",
        "        }",
        "    }",
        "    return 1;",
    ]
    return table, "\n".join(lines) + "\n"
