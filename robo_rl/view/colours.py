"""A model's colours for a renderer that computes light in linear space, as browsers do; MuJoCo computes it in sRGB."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SHAPED = (int(mujoco.mjtGeom.mjGEOM_MESH), int(mujoco.mjtGeom.mjGEOM_HFIELD))
"""Geoms that a texture can be laid on in the browser, too."""
_ROLES = (int(mujoco.mjtTextureRole.mjTEXROLE_RGB), int(mujoco.mjtTextureRole.mjTEXROLE_RGBA))


def linear(colour: Floats) -> Floats:
    """Linear intensities [..., 3] of sRGB ones, both from 0 to 1. Ref: IEC 61966-2-1."""
    low: Floats = np.asarray(colour, dtype=np.float64)
    return np.where(low <= 0.04045, low / 12.92, ((np.maximum(low, 0.0) + 0.055) / 1.055) ** 2.4)


def flat_colour(model: mujoco.MjModel, geom: int) -> Floats:
    """The sRGB colour [4] that a geom has on the whole: with a texture, that of its mean."""
    material = int(model.geom_matid[geom])
    if material < 0:
        return np.array(model.geom_rgba[geom], dtype=np.float64)
    colour = np.array(model.mat_rgba[material], dtype=np.float64)
    texture = next((int(t) for t in model.mat_texid[material][list(_ROLES)] if t >= 0), None)
    if texture is not None:
        channels, start = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
        count = int(model.tex_width[texture]) * int(model.tex_height[texture]) * channels
        pixels = model.tex_data[start : start + count].reshape(-1, channels)
        colour[:3] *= pixels[:, :3].mean(0) / 255.0
    return colour


def in_linear_light(model: mujoco.MjModel) -> None:
    """Change a model's colours to linear ones, and give geoms that no texture can be laid on its mean."""
    for geom in range(model.ngeom):
        if int(model.geom_type[geom]) not in _SHAPED:
            model.geom_rgba[geom] = flat_colour(model, geom)
            model.geom_matid[geom] = -1
    for colours in (model.geom_rgba, model.mat_rgba, model.site_rgba):
        colours[:, :3] = linear(colours[:, :3])
