"""From a legged robot and settings to a walking task: signals, policy terms and the world."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from policies.errors import UserError
from policies.graph.symmetry import SignalMirror, SignedPermutation
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import PoseCommand
from policies.terms.observations import Deviation, ObservationTerm, ProjectedGravity, Reading
from policies.terms.stateful import ActionHistory, GaitClock, History
from sim.actuators import ActuatorModel, ActuatorModels
from sim.environment import VectorEnvironment
from sim.legged.guide import GaitSettings, ObservedGuide
from sim.legged.mirror import legged_mirror
from sim.legged.privileged import walking_privileged
from sim.legged.randomization import TARGET, longest_delay
from sim.legged.rewards import walking_rewards
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import ImperfectionSettings, LeggedSettings
from sim.legged.terminations import walking_terminations
from sim.physics.backends import BACKENDS, make_physics
from sim.physics.protocol import JointedPhysics
from sim.physics.world import WorldSpec
from sim.robots.legged import LeggedRobot
from sim.sensors import SensorModel, SensorModels
from sim.task import Task
from sim.terms.terms import Reward, Termination

PERIOD = 0.02
EPISODE_STEPS = 1000
HISTORY = 4
"""Steps of joints, rates and gravity that the policy remembers, beside the current one."""

SAFETY = SafetyEnvelope(max_tilt=1.05, max_input_age=0.1, max_command_age=0.1)


def sensors(robot: LeggedRobot, settings: LeggedSettings) -> tuple[SensorSpec, ...]:
    """What a legged robot measures, and the command it is given."""
    n, c = len(robot.joints), settings.commands
    low = tuple(value - 0.2 for value in robot.joint_low)
    high = tuple(value + 0.2 for value in robot.joint_high)
    limits = (c.forward, c.sideways, c.yaw)
    speed = tuple(2.0 * value for value in robot.joint_speed)
    return (
        SensorSpec("orientation", 4, "1", "body to world, w x y z", -1.01, 1.01),
        SensorSpec("angular_velocity", 3, "rad/s", "body", -40.0, 40.0),
        SensorSpec("linear_acceleration", 3, "m/s^2", "body", -300.0, 300.0),
        SensorSpec("joint_position", n, "rad", "joint", low, high, labels=robot.joints),
        SensorSpec("joint_velocity", n, "rad/s", "joint", tuple(-v for v in speed), speed, labels=robot.joints),
        SensorSpec(
            "velocity_command", 3, "m/s, m/s, rad/s", "body", tuple(-v for v in limits), limits,
            labels=("forward", "left", "yaw"), rate_limit=c.acceleration,
        ),
    )  # fmt: skip


def commands(robot: LeggedRobot) -> tuple[CommandSpec, ...]:
    """One target for each joint, safe in the lying pose."""
    return (
        CommandSpec(
            "joint_position_target",
            len(robot.joints),
            "rad",
            robot.joint_low,
            robot.joint_high,
            2.0 * max(robot.action_scale) / PERIOD,
            robot.joints,
            robot.lying,
            "joint",
        ),
    )


def observation(robot: LeggedRobot, settings: LeggedSettings) -> tuple[ObservationTerm, ...]:
    """Gravity, rates, joints, command, the last actions and the gait's clock, with a few steps of history."""
    n = len(robot.joints)
    felt: tuple[ObservationTerm, ...] = (
        ProjectedGravity(),
        Reading("angular_velocity", 3, 0.25),
        Deviation("joint_position", robot.stance),
        Reading("joint_velocity", n, 0.05),
    )
    return (
        *felt,
        Reading("velocity_command", 3),
        History(felt, HISTORY),
        ActionHistory(HISTORY, n),
        GaitClock(settings.frequency, PERIOD),
    )


def action(robot: LeggedRobot) -> PoseCommand:
    return PoseCommand("joint_position_target", robot.stance, robot.action_scale)


def mirror(robot: LeggedRobot) -> SignalMirror:
    """How the robot's signals look in a mirror; the clock of a gait with legs in turns is half a stride off in it."""
    clock = SignedPermutation((0, 1), (-1.0, -1.0))
    return legged_mirror(
        robot,
        truth={
            "gravity": "vector", "measured_position": "joints", "foot_height": "feet", "base_height": "same",
            "next_command": "planar", "gait_clock": clock, "last_action": "joints", "parameters": "same",
        },
    )  # fmt: skip


def sensor_models(noise: ImperfectionSettings, scale: float) -> tuple[SensorModel, ...]:
    """Noise, bias and age of each sensor, `scale` times what the settings say."""
    lag = min(1.0, scale * noise.sensor_delay / PERIOD)

    def model(sensor: str, spread: float, bias: float = 0.0, rotation: bool = False) -> SensorModel:
        return SensorModel(sensor, spread * scale, bias * scale, rotation=rotation, lag=lag)

    return (
        model("orientation", noise.orientation_noise, noise.orientation_bias, rotation=True),
        model("angular_velocity", noise.gyro_noise, noise.gyro_bias),
        model("linear_acceleration", noise.accelerometer_noise),
        model("joint_position", noise.joint_position_noise),
        model("joint_velocity", noise.joint_velocity_noise),
    )


def check_world(of: LeggedRobot, settings: LeggedSettings, robot: str, imperfections: float) -> None:
    """Raise UserError when a walking world can't be made of these; KeyError when `robot` names another robot."""
    if robot not in ("", of.name):
        raise KeyError(robot)
    if not 0.0 <= imperfections < math.inf:
        raise UserError(f"imperfections must be at least 0 and finite, got {imperfections}")
    if len(settings.gait) != len(of.feet):
        raise UserError(f"gait needs a phase for each of the {len(of.feet)} feet of {of.name}, got {settings.gait}")


def make_environment(
    task: Task,
    num_worlds: int,
    seed: int,
    device: str = "cpu",
    *,
    robot: str = "",
    randomized: bool = False,
    imperfections: float = 1.0,
    backend: str = "mujoco",
    of: LeggedRobot,
    settings: LeggedSettings,
) -> VectorEnvironment:
    """A flat world. `randomized` draws each episode's body and motors; `imperfections` 0 is the model itself."""
    check_world(of, settings, robot, imperfections)
    physics = make_physics(backend, WorldSpec(of, PERIOD, settings.solver), num_worlds, device)
    actuators = actuator_models(of, settings, physics, imperfections if randomized else 0.0)
    scenario = LeggedScenario(
        task, physics, actuators, of, settings, randomized=randomized, imperfections=imperfections
    )
    models = sensor_models(settings.imperfections, imperfections)
    return seen_by(scenario, actuators, sensors(of, settings), models, seed)


def actuator_models(of: LeggedRobot, settings: LeggedSettings, physics: JointedPhysics, scale: float) -> ActuatorModels:
    """The motors' imperfections, `scale` times what the settings say; each world's own are drawn at its restarts."""
    delay = longest_delay(settings.imperfections, scale, physics.dt)
    models = (ActuatorModel(TARGET, delay=delay),) if scale > 0.0 else ()
    rest = {TARGET: torch.tensor(of.stance, device=physics.device)}
    return ActuatorModels(models, rest, PERIOD, physics.num_worlds, physics.substeps)


def seen_by(
    scenario: LeggedScenario,
    actuators: ActuatorModels,
    sensors: tuple[SensorSpec, ...],
    models: tuple[SensorModel, ...],
    seed: int,
) -> VectorEnvironment:
    """The environment of a scenario, seen through models of its sensors."""
    n = scenario.num_worlds
    seen = SensorModels(models, {spec.name: spec.dim for spec in sensors}, n, scenario.device)
    return VectorEnvironment(scenario, seen, actuators, EPISODE_STEPS, seed)


def flat_task(
    robot: LeggedRobot,
    settings: LeggedSettings,
    rewards: Mapping[str, Reward] | None = None,
    terminations: Mapping[str, Termination] | None = None,
    guide: GaitSettings | None = None,
    recommended: Mapping[str, Mapping[str, Any]] | None = None,
) -> Task:
    """`ROBOT-velocity-flat`; with a `guide`, learning may start from a scripted gait. `recommended` as in Task."""
    return Task(
        name=f"{robot.name}-velocity-flat",
        summary=f"Walk a {robot.name} on flat ground at a commanded velocity, blind to its own.",
        kind="velocity",
        sensors=sensors(robot, settings),
        commands=commands(robot),
        observation=observation(robot, settings),
        action=action(robot),
        period=PERIOD,
        episode_steps=EPISODE_STEPS,
        safety=SAFETY,
        world=partial(make_environment, of=robot, settings=settings),
        rewards=walking_rewards(robot, settings.clearance) if rewards is None else rewards,
        terminations=walking_terminations(robot) if terminations is None else terminations,
        privileged=walking_privileged(robot),
        joints=robot.joint_spec,
        robot=robot,
        mirror=mirror(robot),
        guide=None if guide is None else ObservedGuide(robot, settings, guide, observation(robot, settings)),
        evaluate_randomized=True,
        evaluation="walking",
        backends=tuple(BACKENDS),
        recommended=recommended or {},
    )
