"""Compares the bits of a policy's C on this machine and on the emulated chip, over a whole flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deploy.bundle.manifest import Manifest
from deploy.codegen.generate import Generated
from deploy.mcu.cases import Floats
from deploy.mcu.emulator import run_on_m4f
from deploy.mcu.host import run_on_host
from deploy.mcu.policy_case import policy_inputs, policy_outputs, policy_sources


@dataclass(frozen=True)
class Bits:
    """Steps on both machines, resets among them, and steps with equal bits of status, commands and state."""

    steps: int
    resets: int
    equal: int


def compare_bits(
    generated: Generated,
    manifest: Manifest,
    reset: np.ndarray,
    sensors: Mapping[str, Floats],
    flags: Sequence[str] = ("-std=c99", "-O2"),
) -> Bits:
    """Replay a recorded flight, given as for `policy_inputs`, in generated C on both machines.

    The chip runs the assembly or SMLAD of kernels asm and int8, this machine their portable C. A state that differs by
    one bit counts as unequal from that step on, even if the commands are equal.

    Raises:
        BundleError: A compiler or the emulator is missing, or the C doesn't compile.
    """
    sources = policy_sources(generated.path, with_state=True)
    inputs = policy_inputs(manifest, reset, sensors)
    outputs = policy_outputs(manifest) + generated.state_bytes // 4
    here = run_on_host(sources, inputs, outputs, flags)
    there = run_on_m4f(sources, inputs, outputs, flags).outputs
    equal = (here.view(np.uint32) == there.view(np.uint32)).all(axis=1)
    return Bits(len(inputs), int(np.count_nonzero(reset)), int(np.count_nonzero(equal)))
