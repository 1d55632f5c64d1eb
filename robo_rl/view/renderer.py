"""Draws MuJoCo scenes into images without a display."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robo_rl.view.gl import find_backend, make_context

Image = NDArray[np.uint8]
MAX_GEOMS = 20_000


class Renderer:
    """Draws `model` at `width` x `height` pixels. Use it in the thread that made it, and `close` it.

    Raises UserError when the machine has no working off-screen OpenGL.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._model = model
        self._gl = make_context(find_backend(), width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = True
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0
        self._perturbation = mujoco.MjvPerturb()
        self._pixels = np.empty((height, width, 3), dtype=np.uint8)

    def draw(
        self,
        robots: Iterable[mujoco.MjData],
        camera: mujoco.MjvCamera,
        decorate: Callable[[mujoco.MjvScene], None] | None = None,
    ) -> Image:
        """One picture [height, width, 3] of the ground and every robot, each as its own state of the one model.

        The iterable may yield one MjData repeatedly with new states; `decorate` may add geoms of its own.
        """
        dynamic, everything = mujoco.mjtCatBit.mjCAT_DYNAMIC, mujoco.mjtCatBit.mjCAT_ALL
        for number, data in enumerate(robots):
            if number == 0:
                mujoco.mjv_updateScene(
                    self._model, data, self._options, self._perturbation, camera, everything, self._scene
                )
            else:
                mujoco.mjv_addGeoms(self._model, data, self._options, self._perturbation, dynamic, self._scene)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.category == mujoco.mjtCatBit.mjCAT_STATIC:
                # Only robots cast shadows, because the ground's own shadow shows as speckles.
                geom.category = int(mujoco.mjtCatBit.mjCAT_DECOR)
        if decorate is not None:
            decorate(self._scene)
        self._gl.make_current()
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._rectangle, self._context)
        return np.ascontiguousarray(self._pixels[::-1])

    def close(self) -> None:
        if self._gl is not None:
            self._context.free()
            self._gl.free()
            self._gl = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
