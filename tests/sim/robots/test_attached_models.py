"""A robot in a scene that attaches it from a folder of its own, with meshes beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import UserError
from robo_rl.training.robot_copy import copy_of, load_copy
from sim.physics.mujoco.model import build_model
from sim.tasks.inspection import load
from tests.sim.robots.walker import FLOOR, TRUNK, walker, written

OBJ = "v 0 0 0\nv 0.1 0 0\nv 0 0.1 0\nv 0 0 0.1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
SCENE = f"""<mujoco><compiler angle="radian"/><asset><model name="dog" file="dogs/dog.xml"/></asset>
<worldbody>{FLOOR}<attach model="dog" body="trunk" prefix="my_"/></worldbody></mujoco>"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    hat = TRUNK + '<geom type="mesh" mesh="hat" mass="0.1"/>'
    asset = '<asset><mesh name="hat" file="hat.obj"/></asset>'
    written(tmp_path / "dogs", walker(world="", keys="", compiler='meshdir="meshes"', trunk=hat, more=asset))
    (tmp_path / "dogs/meshes").mkdir()
    (tmp_path / "dogs/meshes/hat.obj").write_text(OBJ)
    (tmp_path / "scene.xml").write_text(SCENE)
    return tmp_path / "scene.xml"


def test_its_meshes_are_found_and_kept(scene: Path, tmp_path: Path) -> None:
    own = load(str(scene))
    assert own.robot.base == "my_trunk" and build_model(own.robot).nmesh == 1
    for name, data in copy_of(own).items():
        (tmp_path / "run/robot").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run/robot" / name).write_bytes(data)
    (tmp_path / "dogs/meshes/hat.obj").unlink()
    assert build_model(load_copy(tmp_path / "run").robot).nmesh == 1
    with pytest.raises(UserError, match="a geom of my_trunk that touches needs the mesh"):
        load(str(scene))


def test_the_digest_changes_with_what_is_attached(scene: Path, tmp_path: Path) -> None:
    before = load(str(scene)).digest
    (tmp_path / "dogs/meshes/hat.obj").write_text(OBJ.replace("0.1", "0.2"))
    assert load(str(scene)).digest != before
