"""Off-screen OpenGL without a display: which backend works on this machine, and a context of that kind.

EGL (a GPU's driver, or Mesa in software) comes first, OSMesa (Mesa in software alone) second. An installed library may
still fail, or end the process, when a context is made, and the first one that is imported binds PyOpenGL until the
process ends. So each is tried in a short process of its own first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

from policies.errors import UserError

BACKENDS = ("egl", "osmesa")
TRIAL_TIMEOUT = 60.0  # s, for a busy machine
INSTALL = (
    "install one: apt-get install libegl1 libgl1-mesa-dri (any machine; with an NVIDIA GPU its driver has its own)"
)


@cache
def find_backend() -> str:
    """The first of `BACKENDS` that works here, or the one that the variable MUJOCO_GL names.

    Raises UserError, which says what to install, when none works.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    candidates = (asked,) if asked in BACKENDS else BACKENDS
    for name in candidates:
        if works(name):
            return name
    tried = " and ".join(candidates)
    raise UserError(f"can't draw off-screen, OpenGL through {tried} does not work on this machine; {INSTALL}")


def works(name: str) -> bool:
    """Whether a context of this kind can be made and drawn with, tried in a separate process."""
    trial = [sys.executable, "-m", "robo_rl.view.gl", name]
    try:
        done = subprocess.run(trial, env=environment(name), capture_output=True, timeout=TRIAL_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def environment(name: str) -> dict[str, str]:
    """The environment variables with which MuJoCo and PyOpenGL use this backend."""
    return {**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}


def make_context(name: str, width: int, height: int) -> Any:
    """An OpenGL context of this kind, with `make_current()` and `free()`."""
    os.environ["PYOPENGL_PLATFORM"] = name
    if name == "egl":
        from mujoco.egl import GLContext
    else:
        from mujoco.osmesa import GLContext
    return GLContext(width, height)


def _try(name: str) -> None:
    import mujoco

    context = make_context(name, 16, 16)
    context.make_current()
    world = '<mujoco><worldbody><geom type="sphere" size="1"/></worldbody></mujoco>'
    mujoco.MjrContext(mujoco.MjModel.from_xml_string(world), mujoco.mjtFontScale.mjFONTSCALE_100)


if __name__ == "__main__":
    try:
        _try(sys.argv[1])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    # Some drivers crash when they are unloaded, which must not change the answer.
    os._exit(0)
