"""The README beside generated C."""

from __future__ import annotations

from deploy.codegen.sizes import FLAGS, Measured
from deploy.codegen.sources import Design


def readme(design: Design, constant_bytes: int, measured: Measured | None, trial: str = "") -> str:
    """How to call the policy and what it costs; `trial` is the result of its kernel's test in simulation."""
    manifest = design.manifest
    period = manifest.timing.period / design.substeps
    rows = [
        ("multiply-accumulates of a step", f"{design.multiply_accumulates}"),
        ("weights and tables, flash", f"{constant_bytes} bytes"),
        ("policy_state, owned by the caller", f"{design.state_bytes} bytes"),
        ("intermediate values, on the stack of a step", f"{design.scratch_bytes} bytes"),
    ]
    if measured is not None:
        rows += [
            ("policy.c in flash, weights included", f"{measured.flash} bytes"),
            ("policy_selftest.c in flash", f"{measured.selftest_flash} bytes"),
            ("static RAM", f"{measured.data} bytes"),
            ("stack of a step, at most", f"{measured.stack} bytes"),
        ]
        note = f"The last four were measured with {measured.compiler} for a Cortex-M4F: `{' '.join(FLAGS)}`."
    else:
        note = "Flash and stack were not measured, for lack of a cross compiler; `make mcu-tools` installs one."
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    calls = "" if design.substeps == 1 else f", {design.substeps} times a control period of the training"
    name = manifest.identity.name.encode("ascii", "replace").decode()
    tried = f" {trial}".encode("ascii", "replace").decode() if trial else ""
    return f"""\
# {name} as C99

Written by `robo-rl codegen` from the bundle whose `policy.onnx` has the SHA-256
`{manifest.identity.policy_sha256}`. Don't edit it; generate it again.

Call `policy_step` every {period * 1e3:g} ms{calls}:

```c
#include "policy.h"

static policy_state state;

if (policy_selftest() != 0u) {{ /* refuse to run */ }}
policy_reset(&state); /* whenever the policy takes over */
status = policy_step(&state, &sensors, &commands);
```

Units, frames and limits are in `policy.h`. For sensors marked "minus the target's", the caller subtracts the target;
their limits apply to the difference. With any status other than `POLICY_OK` the commands are the safe ones.

| what | how much |
|---|---|
{table}

{note}

Kernel of the dense layers: `{design.kernel.name}`.{tried}

Compile `policy.c` without `-ffast-math`; with compilers other than gcc and clang also disable fused multiply-adds, or
results differ in the last bits.
"""
