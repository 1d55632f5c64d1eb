"""What a robot of the user's own learns to walk with: the settings of the built-in robot that it is most like."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from sim.legged.settings import LeggedSettings
from sim.physics.mujoco.model import build_model
from sim.robots.legs import Legs
from sim.robots.own.gains import GRAVITY
from sim.robots.robot import Robot
from sim.task import Task
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT
from sim.tasks.go1_velocity_rough import GO1_VELOCITY_ROUGH
from sim.tasks.h1_velocity_flat import H1_VELOCITY_FLAT

_LEGS = 4
"""Legs from which on a robot stands by itself, and learns as the Go1 does; with fewer it learns as the H1 does."""
_EQUAL = 1e-5
"""Difference in rad, or in turns, up to which two sides are equal."""


def learning_like(task: Task, robot: Robot, settings: LeggedSettings, rough: bool = False) -> Task:
    """A walking `task` of `robot` with the algorithm's settings, rewards' weights and commands of a built-in robot's.

    Squared torques count by the motors' limits or by the robot's weight and height, whichever is less: 1e-4 for a
    Go1's, 2e-6 for an H1's, which are seven times as strong, and 2e-6 for an ANYmal's, which carry six times as much.
    Power counts by the robot's weight and height.
    Robots that stand vary their targets less at first where their motors would make more of it than a Go1's: by its
    spread, which is worth half of an ANYmal's weight, an ANYmal falls over. In the end all need the same to learn on.
    """
    stands = len(robot.part(Legs).feet) >= _LEGS
    like = (GO1_VELOCITY_ROUGH if rough else GO1_VELOCITY_FLAT) if stands else H1_VELOCITY_FLAT
    assert like.robot is not None
    weights = {name: reward.weight for name, reward in like.rewards.items()}
    weights["torque"] *= min(
        _squared_torque(like.robot) / _squared_torque(robot), (_load(like.robot) / _load(robot)) ** 2
    )
    weights["power"] *= min(1.0, _load(like.robot) / _load(robot))
    speeds = like.settings()["commands"]["velocity"]
    changes: dict[str, Any] = {
        "rewards": weights,
        "commands": {"velocity": {name: speeds[name] for name in ("forward", "sideways", "yaw")}},
    }
    ppo = dict(like.recommended["ppo"])
    if stands:
        # A scripted gait shows how to go at any speed, so commands need not grow.
        changes["curriculum"] = {"command_range": {"start": 1.0}}
        share = min(1.0, _push(like.robot, task.period) / _push(robot, task.period))
        ppo["initial_std"] = max(share * ppo["initial_std"], ppo["final_std"])
    if not has_equal_sides(robot, settings):
        ppo["symmetry"] = "none"
    return task.with_settings(changes).changed(recommended={**like.recommended, "ppo": ppo})


def has_equal_sides(robot: Robot, settings: LeggedSettings) -> bool:
    """Whether stance, limits and gait look the same in the mirror, with the legs of both sides in turns."""
    legs = robot.part(Legs)
    mirror, gait = legs.mirror, settings.gait
    for joint, (source, sign) in enumerate(zip(mirror.joint_from, mirror.joint_sign, strict=True)):
        limits = sorted((sign * robot.joint_low[source], sign * robot.joint_high[source]))
        pairs = (
            (legs.stance[joint], sign * legs.stance[source]), (legs.action_scale[joint], legs.action_scale[source]),
            (robot.joint_low[joint], limits[0]), (robot.joint_high[joint], limits[1]),
        )  # fmt: skip
        if not all(math.isclose(one, other, abs_tol=_EQUAL) for one, other in pairs):
            return False
    turns = ((gait[foot] - gait[source]) % 1.0 for foot, source in enumerate(mirror.foot_from))
    return all(math.isclose(turn, 0.5, abs_tol=_EQUAL) for turn in turns)


def _squared_torque(robot: Robot) -> float:
    """The mean square of the torque limits, (Nm)^2."""
    return sum(limit**2 for limit in robot.torque_limit) / len(robot.torque_limit)


@lru_cache(maxsize=8)
def _load(robot: Robot) -> float:
    """The weight times the height of the base in the stance, Nm."""
    model = build_model(robot)
    mass = float(model.body_subtreemass[int(model.body(robot.base).id)])
    return GRAVITY * mass * robot.part(Legs).stand_height


def _push(robot: Robot, period: float) -> float:
    """The torque, root mean square over the joints, of targets as far from the stance as they reach and drawn anew
    every `period` s, as a share of the robot's weight times its height; less what damped joints don't follow of it."""
    model, squares = build_model(robot), 0.0
    rows = zip(robot.joints, robot.stiffness, robot.damping, robot.part(Legs).action_scale, strict=True)
    for joint, stiffness, damping, reach in rows:
        lag = (damping + float(model.dof_damping[int(model.joint(joint).dofadr[0])])) / stiffness
        # The variance of white noise behind a lag of the first order.
        squares += (stiffness * reach) ** 2 * period / (period + 2.0 * lag)
    return math.sqrt(squares / len(robot.joints)) / _load(robot)
