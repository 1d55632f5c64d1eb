"""The walking world: truth that stays, ends, rewards, commands, and joints by name."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from policies.errors import UserError
from policies.signals import Commands, Sensors, State, Truth
from policies.terms.stateful import GaitClock
from sim.environment import VectorEnvironment
from sim.legged.gait import Gait
from sim.legged.observations import PERIOD
from sim.legged.privileged import walking_privileged
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legs import Legs, Mirror
from sim.robots.robot import Robot
from sim.tasks import find_task
from tests.quaternions import rotate

TROT = LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))


def world(n: int, robot: Robot = GO1, settings: LeggedSettings = TROT, imperfections: float = 0.0,
          randomized: bool = True, seed: int = 0) -> tuple[VectorEnvironment, LeggedScenario]:  # fmt: skip
    environment = flat_task(robot, settings).make_environment(
        n, seed, randomized=randomized, imperfections=imperfections
    )
    assert isinstance(environment, VectorEnvironment)
    scenario = environment.scenario
    assert isinstance(scenario, LeggedScenario)
    environment.reset()
    return environment, scenario


def stand(n: int, robot: Robot = GO1) -> Commands:
    return Commands({"joint_position_target": torch.tensor([robot.part(Legs).stance]).repeat(n, 1)})


@pytest.mark.parametrize("robot", [GO1, H1], ids=lambda robot: robot.name)
def test_truth_is_what_the_robot_does(robot: Robot) -> None:
    environment, _ = world(16, robot, replace(TROT, gait=(0.0, 0.5) * (len(robot.part(Legs).feet) // 2)))
    before = environment.step(stand(16, robot))
    after = environment.step(stand(16, robot))
    a, b = before.truth, after.truth
    velocity = (b["base_position"] - a["base_position"]) / PERIOD
    mean = 0.5 * (rotate(a["orientation"], a["linear_velocity"]) + rotate(b["orientation"], b["linear_velocity"]))
    # A landing within the step is a jump that the mean of its two ends misses.
    assert float((velocity - mean).abs().median()) < 0.01 and float((velocity - mean).abs().max()) < 0.2
    down = torch.tensor([0.0, 0.0, -1.0]).expand(16, 3)
    torch.testing.assert_close(rotate(b["orientation"], b["gravity"]), down, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(b["base_height"], b["base_position"][:, 2:])
    observed = environment.critic_observation(b)
    assert observed.shape == (16, flat_task(robot, TROT).critic_dim)
    # Views of one row or signals apart, as those of a mirror image: the critic observes the same.
    assert torch.equal(observed, torch.cat([b[name].clone() for name in walking_privileged(robot)], -1))
    assert torch.equal(
        observed, environment.critic_observation(Truth({name: value.clone() for name, value in b.items()}))
    )


def test_what_a_step_returned_is_not_changed_by_later_ones() -> None:
    environment, _ = world(32, imperfections=1.0)
    environment.spread_ages()
    kept = []
    g = torch.Generator().manual_seed(0)
    for _ in range(60):
        target = torch.tensor([GO1.part(Legs).stance]) + torch.randn(32, 12, generator=g)
        step = environment.step(Commands({"joint_position_target": target}))
        for part in (step.truth, step.terminal_truth, step.sensors, step.terminal_sensors):
            kept += [(value, value.clone()) for value in part.values()]
    assert all(torch.equal(value, copy) for value, copy in kept)


def test_truth_right_after_a_restore_is_that_of_the_snapshot() -> None:
    environment, scenario = world(4, imperfections=1.0)
    g = torch.Generator().manual_seed(1)
    for _ in range(20):
        target = torch.tensor([GO1.part(Legs).stance]) + 0.3 * torch.randn(4, 12, generator=g)
        environment.step(Commands({"joint_position_target": target}))
    saved, before = environment.snapshot(), scenario.truth()
    other, restored = world(4, imperfections=1.0, seed=5)
    other.restore(saved)
    after = restored.truth()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_robot_that_stands_lives_to_its_time_limit_and_one_that_tips_over_ends() -> None:
    environment, scenario = world(8)
    for _ in range(100):
        step = environment.step(stand(8))
        assert not bool(step.terminated.any())
    # Laid on its side, world 3 falls; low enough, world 5 does.
    scenario.physics.qpos[3, 3:7] = torch.tensor([math.cos(0.7), math.sin(0.7), 0.0, 0.0])
    scenario.physics.qpos[5, 2] = 0.1
    step = environment.step(stand(8))
    assert step.terminated.tolist() == [False, False, False, True, False, True, False, False]
    assert bool((step.truth["base_height"][step.terminated] > 0.25).all())
    assert float(step.reward[3]) < -0.9 and float(step.reward[0]) > -0.1


def test_a_world_that_explodes_ends_alone_and_is_counted() -> None:
    environment, scenario = world(4, imperfections=1.0)
    scenario.physics.qvel[2, 3] = float("nan")
    step = environment.step(stand(4))
    assert step.terminated.tolist() == [False, False, True, False]
    assert environment.metrics()["failed_worlds"] == 1.0
    assert all(bool(torch.isfinite(v).all()) for part in (step.sensors, step.truth) for v in part.values())
    assert bool(torch.isfinite(step.reward).all())


def test_asking_for_gradients_is_refused_with_what_to_use_instead() -> None:
    environment, _ = world(2)
    with pytest.raises(UserError, match=r"go1 gives no gradients to train by.*use ppo"):
        environment.flow(stand(2))


def test_the_world_and_the_policy_keep_the_same_clock() -> None:
    term, gait = GaitClock(2.5, PERIOD), Gait((0.0, 0.5), 2.5, 0.55, PERIOD)
    state = State({term.state: torch.tensor([[0.0, 1.0]])})
    for t in range(400):
        steps = torch.tensor([t])
        clock, wanted, lift = gait.table[steps % len(gait.table)].split([2, 2, 2], -1)
        torch.testing.assert_close(term(Sensors({}), state), clock, atol=1e-4, rtol=0.0)
        # No foot is asked to be in the air and on the ground at once, and some foot always carries.
        assert bool(((lift > 1e-6) <= (wanted == 0.0)).all())
        assert bool(wanted.any())
        state = State(term.advance(Sensors({}), state, torch.zeros(1, 2)))


def permuted(robot: Robot, order: list[int]) -> Robot:
    """The same robot with its joints listed in another order."""

    def pick(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[i] for i in order)

    place = {old: new for new, old in enumerate(order)}
    legs = robot.part(Legs)
    mirror = Mirror(
        tuple(place[legs.mirror.joint_from[i]] for i in order), pick(legs.mirror.joint_sign), legs.mirror.foot_from
    )
    legs = replace(
        legs, mirror=mirror, stance=pick(legs.stance), lying=pick(legs.lying), action_scale=pick(legs.action_scale)
    )
    return replace(
        robot, joints=tuple(robot.joints[i] for i in order), stiffness=pick(robot.stiffness),
        damping=pick(robot.damping), torque_limit=pick(robot.torque_limit), joint_low=pick(robot.joint_low),
        joint_high=pick(robot.joint_high), joint_speed=pick(robot.joint_speed), parts=(legs,),
    )  # fmt: skip


def test_joints_go_by_name_whatever_order_they_are_listed_in() -> None:
    order = [int(i) for i in np.random.default_rng(0).permutation(12)]
    worlds = [world(4), world(4, permuted(GO1, order))]
    g = torch.Generator().manual_seed(2)
    qpos = np.tile(worlds[0][1].physics.model.qpos0, (4, 1))
    model = worlds[0][1].physics.model
    for name, angle in zip(GO1.joints, GO1.part(Legs).stance, strict=True):
        qpos[:, model.joint(name).qposadr[0]] = angle
    for _, scenario in worlds:
        assert isinstance(scenario.physics.model, mujoco.MjModel)
        everyone = torch.ones(4, dtype=torch.bool)
        scenario.physics.write(everyone, torch.from_numpy(qpos), torch.zeros(4, model.nv))
    for _ in range(25):
        action = 0.2 * torch.randn(4, 12, generator=g)
        steps = [
            environment.step(
                Commands(
                    {"joint_position_target": (torch.tensor([GO1.part(Legs).stance]) + action)[:, torch.tensor(picked)]}
                )
            )
            for (environment, _), picked in zip(worlds, (list(range(12)), order), strict=True)
        ]
    a, b = (step.terminal_truth for step in steps)
    torch.testing.assert_close(a["base_position"], b["base_position"], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(a["joint_position"][:, order], b["joint_position"], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(a["joint_torque"][:, order], b["joint_torque"], atol=1e-2, rtol=0.0)


@pytest.mark.parametrize("name", ["go1-velocity-flat", "h1-velocity-flat"])
def test_a_task_lets_its_policy_see_only_what_a_robot_has(name: str) -> None:
    task = find_task(name)
    read = {sensor for term in task.observation_terms for sensor in term.sensors}
    assert read == {"orientation", "angular_velocity", "joint_position", "joint_velocity", "velocity_command"}
    assert next(s for s in task.sensors if s.name == "joint_position").labels == task.commands[0].labels
    assert task.mirror is not None and task.joints is not None and task.evaluate_randomized
