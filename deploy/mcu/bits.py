"""Whether a policy's C gives the same bits on this machine and on the emulated chip, over a whole flight."""

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
    """Steps flown on both machines, the resets among them, and how many steps agree in status, commands and state."""

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
    """Fly a recorded flight, as for `policy_inputs`, in generated C on both machines, each with its own kernel's form.

    The chip runs the assembly or SMLAD of kernels asm and int8, this machine their portable C. A state that differs by
    one bit counts from that step on, whether or not a command shows it.

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
