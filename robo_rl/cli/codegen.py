"""`robo-rl codegen BUNDLE OUT`: generate C99 from a bundle, for a microcontroller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robo_rl.cli.common import BundleFolder, Kernel, OptionalRate, OutFolder, kernel_check
from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """Generate C99 from a bundle, for a microcontroller: policy.h, policy.c, policy_selftest.c, a README with sizes."""

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote."""
    out: OutFolder
    """Folder for the C files; earlier generated files are replaced, a folder with other files is refused."""
    kernel: Kernel = "c"
    """How dense layers are computed (docs/codegen.md). int8 must do as well as float32 in simulation."""
    rate: OptionalRate = None
    """Rate in Hz at which the firmware calls the policy, a whole multiple of the policy's own; None: its own."""
    ungated: bool = False
    """With --kernel int8: skip the comparison with float32 in simulation; the README then says so."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "codegen", argv)
    from deploy.codegen.generate import generate

    check = kernel_check(arguments.kernel, arguments.ungated)
    done = generate(arguments.bundle, arguments.out, arguments.kernel, arguments.rate, check)
    print(f"{done.path}: {done.multiply_accumulates} multiply-accumulates, {done.constant_bytes} bytes of constants")
    print(f"RAM: {done.state_bytes} bytes of state, {done.scratch_bytes} bytes on the stack for intermediate values")
    if done.measured is not None:
        m = done.measured
        print(f"Cortex-M4F ({m.compiler} -O2): {m.flash} bytes of flash, {m.stack} bytes of stack at most")
    if done.substeps > 1:
        print(f"call it {done.substeps} times per control period")
    return 0
