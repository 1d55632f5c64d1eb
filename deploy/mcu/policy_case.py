"""A generated policy as a program under test: each case is one step of a flight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deploy.bundle.manifest import Manifest
from deploy.mcu.cases import Floats

_CASE = """\
#include <string.h>
#include "cases.h"
#include "policy.h"

static policy_state state;

/* in: whether to reset first, then policy_sensors; out: status, policy_commands and, WITH_STATE, policy_state. */
void mcu_case(const float *in, float *out)
{
    if (in[0] > 0.5f) {
        policy_reset(&state);
    }
    out[0] = (float)policy_step(&state, (const policy_sensors *)(const void *)(in + 1),
                                (policy_commands *)(void *)(out + 1));
#ifdef WITH_STATE
    memcpy(out + 1 + POLICY_COMMAND_FLOATS, &state, sizeof(state));
#endif
}
"""


def policy_sources(folder: Path, with_state: bool = False) -> dict[str, str]:
    """The sources of a folder that `robo-rl codegen` wrote, with `mcu_case` around `policy_step`; without self-test.

    `with_state` appends the words of policy_state to the output of a case.
    """
    names = ("policy.h", "policy.c")
    case = "#define WITH_STATE\n" * with_state + _CASE
    return {"case.c": case} | {name: (folder / name).read_text(encoding="ascii") for name in names}


def policy_inputs(manifest: Manifest, reset: np.ndarray, sensors: Mapping[str, Floats]) -> Floats:
    """Cases of a flight, shape [steps, 1 + floats of policy_sensors]; `reset` is [steps], sensors [steps, dim]."""
    columns = [np.asarray(reset, np.float32)[:, None], *(sensors[sensor.name] for sensor in manifest.sensors)]
    return np.concatenate(columns, axis=1).astype(np.float32)


def policy_outputs(manifest: Manifest) -> int:
    """Floats out of one case: the status and the commands."""
    return 1 + sum(command.dim for command in manifest.commands)
