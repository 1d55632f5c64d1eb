"""`robo-rl codegen BUNDLE DIR`: turn a bundle into C99 for a microcontroller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from policies.errors import UserError
from robo_rl.cli.common import Folder, kernel_check
from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """Turn a bundle into C99 for a microcontroller: policy.h, policy.c, policy_selftest.c and a README with sizes."""

    bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl export` wrote."""
    out: tyro.conf.Positional[Folder]
    """Folder of the C files; older ones there are replaced, anything else is left alone."""
    kernel: str = "c"
    """How dense layers are computed; docs/codegen.md says which there are. int8 is written only if it does as well as
    float32 in simulation."""
    rate: float | None = None
    """Hz at which the firmware calls the policy: a whole multiple of the policy's own, which it is when not given."""
    ungated: bool = False
    """With --kernel int8: write it without having flown it against float32 in simulation; the README says so."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "codegen", argv)
    from deploy.codegen.generate import generate
    from deploy.errors import BundleError

    check = kernel_check(arguments.kernel, arguments.ungated)
    try:
        done = generate(arguments.bundle, arguments.out, arguments.kernel, arguments.rate, check)
    except BundleError as error:
        raise UserError(str(error)) from None
    print(f"{done.path}: {done.multiply_accumulates} multiply-accumulates, {done.constant_bytes} bytes of constants")
    print(f"RAM: {done.state_bytes} bytes of state, {done.scratch_bytes} bytes on the stack for intermediate values")
    if done.measured is not None:
        m = done.measured
        print(f"Cortex-M4F ({m.compiler} -O2): {m.flash} bytes of flash, {m.stack} bytes of stack at most")
    if done.substeps > 1:
        print(f"to be called {done.substeps} times a control period")
    return 0
