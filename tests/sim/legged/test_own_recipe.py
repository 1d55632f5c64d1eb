"""What robots of the user's own learn with: the settings of the built-in robot that they are most like."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from sim.legged.guide import GaitGuide, GaitSettings
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.physics.mujoco.model import build_model
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legs import Legs
from sim.robots.loading import load_robot
from sim.robots.own.builder import REACH
from sim.robots.robot import Robot
from sim.task import Task
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT, SETTINGS
from sim.tasks.h1_velocity_flat import H1_VELOCITY_FLAT
from sim.tasks.own_recipe import has_equal_sides, learning_like
from sim.tasks.own_robot import own_name, own_robot, task_for
from tests.sim.robots.test_own_robots import toy

STEPS = LeggedSettings(gait=(0.0, 0.5))
BEFORE = 0.25
"""Action scale in rad of the runs of before, and of robots with two legs."""


def own(robot: Robot, settings: LeggedSettings = SETTINGS) -> Task:
    return learning_like(flat_task(robot, settings, GaitSettings()), robot, settings)


def weights(task: Task) -> dict[str, float]:
    return {name: reward.weight for name, reward in task.rewards.items()}


@pytest.mark.parametrize(
    ("robot", "settings", "like"), [(GO1, SETTINGS, GO1_VELOCITY_FLAT), (H1, STEPS, H1_VELOCITY_FLAT)]
)
def test_a_built_in_robot_as_one_s_own_learns_as_itself(robot: Robot, settings: LeggedSettings, like: Task) -> None:
    task = own(robot, settings)
    assert task.recommended == like.recommended
    assert weights(task) == pytest.approx(weights(like))
    assert task.settings()["commands"]["velocity"]["forward"] == like.settings()["commands"]["velocity"]["forward"]


def test_two_legs_learn_as_the_h1_does(tmp_path: Path) -> None:
    robot = load_robot(spec=str(toy(tmp_path)))
    assert task_for("velocity-flat", robot).recommended == H1_VELOCITY_FLAT.recommended
    assert task_for("velocity-rough", robot).recommended == H1_VELOCITY_FLAT.recommended


def test_torques_count_by_the_motors_limits() -> None:
    strong = replace(GO1, torque_limit=tuple(3.0 * limit for limit in GO1.torque_limit))
    assert weights(own(strong))["torque"] == pytest.approx(weights(own(GO1))["torque"] / 9.0)
    assert weights(own(H1, STEPS))["torque"] == pytest.approx(-2e-6)
    # A robot that carries more under the same motors needs more torque for it.
    tall = GO1.with_part(replace(GO1.part(Legs), stand_height=2.0 * GO1.part(Legs).stand_height))
    assert weights(own(tall))["torque"] == pytest.approx(weights(own(GO1))["torque"] / 4.0)


def test_stiff_robots_vary_their_targets_less_at_first() -> None:
    before = GO1_VELOCITY_FLAT.recommended["ppo"]

    def spread(stiffer: float, damping: float = 1.0) -> tuple[float, float]:
        stiffness = tuple(stiffer * value for value in GO1.stiffness)
        ppo = own(replace(GO1, stiffness=stiffness, damping=(stiffer * damping * GO1.damping[0],) * 12))
        return float(ppo.recommended["ppo"]["initial_std"]), float(ppo.recommended["ppo"]["final_std"])

    # The joints have some friction of their own, which a stiffer motor overcomes sooner.
    assert spread(2.0)[0] == pytest.approx(0.5 * before["initial_std"], rel=0.1)
    assert spread(2.0)[0] < spread(2.0, damping=5.0)[0] < before["initial_std"]
    assert spread(1.0) == (before["initial_std"], before["final_std"])
    assert spread(0.5) == (before["initial_std"], before["final_std"])
    assert spread(9.0) == (before["final_std"], before["final_std"])


def test_a_robot_whose_sides_differ_learns_without_its_mirror_image() -> None:
    legs = GO1.part(Legs)
    crooked = GO1.with_part(replace(legs, stance=(legs.stance[0] + 0.05, *legs.stance[1:])))
    narrow = replace(GO1, joint_high=(0.7, *GO1.joint_high[1:]))
    hops = replace(SETTINGS, gait=(0.0, 0.0, 0.0, 0.0))
    assert has_equal_sides(GO1, SETTINGS) and has_equal_sides(H1, STEPS)
    for robot, settings in ((crooked, SETTINGS), (narrow, SETTINGS), (GO1, hops)):
        assert not has_equal_sides(robot, settings)
        task = own(robot, settings)
        assert task.recommended["ppo"] == {**GO1_VELOCITY_FLAT.recommended["ppo"], "symmetry": "none"}


def test_the_settings_of_earlier_runs_still_apply() -> None:
    """A run's own file has the weights that it was trained with, and its curriculum."""
    before = flat_task(GO1, SETTINGS, GaitSettings()).settings()
    assert own(GO1).with_settings(before).settings() == before


def go1_spec(folder: Path, **more: object) -> str:
    """The Go1's MJCF as a robot of the user's own."""
    (folder / "robot.xml").write_text(GO1.mjcf())
    spec = {name: list(getattr(GO1, name)) for name in ("stiffness", "damping", "torque_limit")}
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump({"mjcf": "robot.xml", "stance": list(GO1.part(Legs).stance), **spec, **more}))
    return str(path)


def test_targets_reach_further_where_nobody_says_how_far(tmp_path: Path) -> None:
    name = own_name("velocity-flat", "", go1_spec(tmp_path))
    assert own_robot(name).robot.part(Legs).action_scale == (REACH,) * 12
    # As in the runs of before.
    assert own_robot(name, before=True).robot.part(Legs).action_scale == (BEFORE,) * 12
    said = own_name("velocity-flat", "", go1_spec(tmp_path, action_scale=0.3))
    assert own_robot(said).robot.part(Legs).action_scale == (0.3,) * 12
    biped = own_name("velocity-flat", "", str(toy(tmp_path)))
    assert own_robot(biped).robot.part(Legs).action_scale == (BEFORE,) * 6


def test_the_scripted_gait_fits_into_the_reach() -> None:
    def cut_off(scale: float) -> float:
        """The share of a stride at 1 m/s for which a thigh's target is at its bound."""
        robot = GO1.with_part(replace(GO1.part(Legs), action_scale=(scale,) * 12))
        guide = GaitGuide(robot, build_model(robot), SETTINGS, GaitSettings(gain=1.25, drift=0.0, carry=0.0))
        turn = torch.linspace(0.0, 2.0 * math.pi, 200)
        clock = torch.stack((turn.sin(), turn.cos()), -1)
        level = torch.tensor([0.0, 0.0, -1.0]).repeat(200, 1)
        actions = guide(torch.tensor([1.0, 0.0, 0.0]).repeat(200, 1), clock, level, torch.zeros(200, 3))
        return float((actions[:, 1::3].abs() >= 1.0).float().mean())

    assert cut_off(BEFORE) > 0.25
    assert cut_off(REACH) < 0.1
