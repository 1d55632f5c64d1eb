"""Colours for a renderer that computes light in linear space."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from robo_rl.view.colours import flat_colour, in_linear_light, linear

SCENE = """
<mujoco>
  <asset>
    <texture name="board" type="2d" builtin="checker" rgb1="0.4 0.5 0.6" rgb2="0.6 0.5 0.4" width="64" height="64"/>
    <material name="board" texture="board" rgba="1 0.5 1 1"/>
    <material name="plain" rgba="0.2 0.2 0.2 0.5"/>
    <hfield name="hills" nrow="4" ncol="4" size="1 1 1 1"/>
  </asset>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1" material="board"/>
    <geom name="hills" type="hfield" hfield="hills" material="board"/>
    <geom name="step" type="box" size="1 1 1" material="board"/>
    <geom name="foot" type="sphere" size="1" material="plain"/>
    <geom name="hand" type="sphere" size="1" rgba="0.5 0 1 1"/>
  </worldbody>
</mujoco>
"""


def test_dark_colours_get_darker_and_the_ends_stay() -> None:
    values = np.linspace(0.0, 1.0, 101)
    turned = linear(values)
    assert turned[0] == 0.0 and turned[-1] == pytest.approx(1.0)
    assert (np.diff(turned) > 0.0).all()
    assert (turned[1:-1] < values[1:-1]).all()
    assert linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_a_flat_geom_has_the_mean_colour_of_its_texture() -> None:
    model = mujoco.MjModel.from_xml_string(SCENE)
    for name in ("floor", "step"):
        assert flat_colour(model, model.geom(name).id) == pytest.approx([0.5, 0.25, 0.5, 1.0], abs=0.01)
    assert flat_colour(model, model.geom("foot").id) == pytest.approx([0.2, 0.2, 0.2, 0.5])
    assert flat_colour(model, model.geom("hand").id) == pytest.approx([0.5, 0.0, 1.0, 1.0])


def test_a_model_in_linear_light_keeps_textures_where_they_can_be_laid_on() -> None:
    model = mujoco.MjModel.from_xml_string(SCENE)
    in_linear_light(model)
    assert model.geom("hills").matid >= 0
    assert [int(model.geom(name).matid[0]) for name in ("step", "foot", "hand")] == [-1, -1, -1]
    assert model.geom("foot").rgba == pytest.approx([*linear(np.full(3, 0.2)), 0.5], abs=1e-5)
    assert model.geom("hand").rgba == pytest.approx([float(linear(np.array(0.5))), 0.0, 1.0, 1.0], abs=1e-5)
