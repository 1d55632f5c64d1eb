"""The reward terms of walking: compiled as in torch, summed by weight; and what terms of a user may and may not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.legged import kernels
from sim.legged.observations import PERIOD
from sim.legged.rewards import walking_rewards
from sim.legged.terminations import walking_terminations
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.task import Task
from sim.tasks import find_task
from sim.terms.compiled import CompiledRewards
from sim.terms.outcome import Outcomes
from sim.terms.terms import Privileged, Reward, Termination
from sim.terms.view import View

REST = 0.02
FLAT = find_task("go1-velocity-flat")


@dataclass(frozen=True)
class MadeUp:
    """Random states of N worlds, as the compiled pass and as a view hold them."""

    robot: Robot
    columns: dict[str, slice]
    inputs: dict[str, Tensor]
    gait: Tensor

    @property
    def view(self) -> View:
        given, feet, columns = self.inputs, len(self.robot.part(Legs).feet), self.columns
        values = {name: given["values"][:, of] for name, of in columns.items()}
        clock = self.gait[given["steps"] % len(self.gait)]
        limits = (
            torch.tensor([row]) for row in (self.robot.part(Legs).stance, self.robot.joint_low, self.robot.joint_high)
        )
        tensors = {
            **values,
            **dict(zip(("stance", "joint_low", "joint_high"), limits, strict=True)),
            **{name: given[name] for name in ("action", "last_action", "older_action", "failed")},
            "gravity": given["privileged"][:, :3],
            "velocity_command": given["command"],
            "base_height": values["base_position"][:, 2:] - given["below"][:, -1:],
            "foot_height": values["foot_position"][:, 2::3] - given["below"][:, :-1],
            "foot_air_time": given["air"],
            "previous_joint_velocity": given["before"][:, columns["joint_velocity"]],
            "gait_contact": clock[:, 2 : 2 + feet],
            "gait_swing": clock[:, 2 + feet :],
            "foot_rest_height": torch.full((1, 1), REST),
        }
        return View(tensors, len(given["steps"]), PERIOD, "cpu")

    def compiled(self, rewards: dict[str, Reward]) -> CompiledRewards:
        robot = self.robot
        constant = {
            "at": kernels.columns_at(self.columns), "joints": len(robot.joints), "feet": len(robot.part(Legs).feet),
            "period": PERIOD, "rest": REST, "gait": self.gait,
            "pose": torch.tensor([robot.part(Legs).stance, robot.joint_low, robot.joint_high]),
        }  # fmt: skip
        n = len(self.inputs["steps"])
        return CompiledRewards(rewards, kernels.COUNTERPARTS, kernels.StepInputs, constant, n, PERIOD, "cpu")


def made_up(robot: Robot, n: int) -> MadeUp:
    """Worlds of which a third are commanded to stand, some have fallen and one in four has failed.

    The columns are not in the order that the physics has.
    """
    g = torch.Generator().manual_seed(0)
    joints, feet = len(robot.joints), len(robot.part(Legs).feet)
    widths = {
        "foot_velocity": 3 * feet, "linear_velocity": 3, "joint_torque": joints, "base_position": 3,
        "foot_contact": feet, "angular_velocity": 3, "joint_position": joints, "foot_position": 3 * feet,
        "joint_velocity": joints, "orientation": 4,
    }  # fmt: skip
    columns, start = {}, 2
    for name, width in widths.items():
        columns[name] = slice(start, start + width)
        start += width

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    values = draw(n, start + 1)
    values[:, columns["linear_velocity"]] *= 0.3
    values[:, columns["base_position"]] = robot.part(Legs).stand_height * (1.0 + 0.5 * draw(n, 3))
    gravity = torch.nn.functional.normalize(draw(n, 3) * torch.tensor([1.0, 1.0, 0.3]) - torch.tensor([0.0, 0.0, 1.0]))
    clock = torch.cat((draw(7, 2), (draw(7, feet) > 0.0).float(), draw(7, feet).abs()), -1)
    inputs = {
        "values": values, "before": draw(n, start + 1), "steps": torch.arange(n),
        "privileged": torch.cat((gravity, draw(n, 5)), -1), "below": 0.1 * draw(n, feet + 1),
        "command": 0.3 * draw(n, 3) * (torch.arange(n) % 3 > 0)[:, None],
        "action": draw(n, joints), "last_action": draw(n, joints), "older_action": draw(n, joints),
        "air": draw(n, feet).clamp(min=0.0), "failed": torch.arange(n) % 4 == 3,
    }  # fmt: skip
    return MadeUp(robot, columns, inputs, clock)


@pytest.mark.parametrize("robot", [GO1, H1], ids=lambda robot: robot.name)
def test_every_term_is_compiled_as_it_is_in_torch(robot: Robot) -> None:
    state = made_up(robot, 96)
    rewards = {name: replace(term, weight=1.0 + k) for k, (name, term) in enumerate(walking_rewards(robot).items())}
    # One function twice, with other parameters.
    rewards["track_yaw_finely"] = Reward(rewards["track_yaw"].function, 0.3, {"width": 0.01})
    terminated = torch.arange(96) % 5 == 0
    view, compiled = state.view.adding(terminated=terminated), state.compiled(rewards)
    assert compiled.names == tuple(rewards)
    works = ~state.inputs["failed"]
    for times in (1.0, 2.0):
        reward = compiled({**state.inputs, "terminated": terminated})
        expected = {name: works * term(view) * term.weight * PERIOD for name, term in rewards.items()}
        for column, name in enumerate(compiled.names):
            torch.testing.assert_close(compiled.sums[:, column], times * expected[name], rtol=1e-4, atol=1e-6, msg=name)
            assert bool(expected[name].any()), name
        torch.testing.assert_close(reward, torch.stack(list(expected.values())).sum(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("robot", [GO1, H1], ids=lambda robot: robot.name)
def test_a_fall_is_too_much_tilt_too_little_height_or_what_is_not_finite(robot: Robot) -> None:
    state = made_up(robot, 96)
    fall = walking_terminations(robot)["fall"].with_settings(
        {"tilt": 1.0, "height": 0.6 * robot.part(Legs).stand_height}
    )
    view = state.view
    tilt = torch.acos(-view["gravity"][:, 2].clamp(-1.0, 1.0))
    expected = (tilt > 1.0) | (view["base_height"][:, 0] < 0.6 * robot.part(Legs).stand_height)
    assert torch.equal(fall(view), expected) and 0.3 < float(expected.float().mean()) < 0.9
    state.inputs["privileged"][~expected, 2] = torch.nan
    assert bool(fall(state.view).all())


def test_what_is_not_finite_spoils_only_terms_with_a_weight() -> None:
    state = made_up(GO1, 8)
    state.inputs["values"][0, state.columns["joint_torque"]] = torch.nan
    terms = walking_rewards(GO1)
    weightless = {**terms, "torque": replace(terms["torque"], weight=0.0)}
    given = {**state.inputs, "terminated": state.inputs["failed"]}
    with_torque, without = (state.compiled(rewards)(given) for rewards in (terms, weightless))
    assert bool(with_torque[0].isnan()) and bool(without.isfinite().all())


def test_worlds_of_another_number_or_type_are_refused() -> None:
    state = made_up(GO1, 8)
    compiled = state.compiled(walking_rewards(GO1))
    given = {**state.inputs, "terminated": state.inputs["failed"]}
    compiled(given)
    with pytest.raises(ValueError, match=r"expected torch.float32 \[8, 3\], got torch.float32 \[7, 3\]: command"):
        compiled({**given, "command": given["command"][:7]})
    with pytest.raises(ValueError, match=r"got torch.float64"):
        compiled({**given, "command": given["command"].double()})


def test_following_the_command_pays_more_than_standing_and_standing_more_than_the_wrong_way() -> None:
    one = made_up(GO1, 1)
    alike = {name: value.repeat(3, *([1] * (value.dim() - 1))) for name, value in one.inputs.items()}
    alike["command"] = torch.tensor([[1.0, 0.0, 0.5]]).repeat(3, 1)
    alike["values"][:, one.columns["linear_velocity"]] = torch.tensor([[1.0, 0, 0.3], [0, 0, 0.3], [-1.0, 0, 0.3]])
    alike["values"][:, one.columns["angular_velocity"]] = torch.tensor([[0.2, 0, 0.5], [0.2, 0, 0], [0.2, 0, -0.5]])
    state = replace(one, inputs=alike)
    reward = state.compiled(walking_rewards(GO1))({**alike, "terminated": alike["failed"]})
    assert float(reward[0]) > float(reward[1]) > float(reward[2])


def foot_drag(view: View, *, height: float = 0.03) -> Tensor:
    """A user's own: horizontal speed of feet that are low."""
    speed = view["foot_velocity"].unflatten(-1, (-1, 3))[:, :, :2].norm(dim=-1)
    drag: Tensor = (speed * (view["foot_height"] < height)).sum(-1)
    return drag


def turned_over(view: View, *, limit: float = 0.0) -> Tensor:
    return view["gravity"][:, 2] > limit


def friction(view: View) -> Tensor:
    return view["parameters"][:, :1].square()


def world_of(task: Task, n: int = 8, randomized: bool = True) -> VectorEnvironment:
    environment = task.make_environment(n, 0, randomized=randomized)
    assert isinstance(environment, VectorEnvironment)
    environment.reset()
    return environment


def stumble(task: Task, n: int, step: int) -> Commands:
    g = torch.Generator().manual_seed(step // 10)
    actions = torch.rand(n, task.action.dim, generator=g).mul(2.0).sub(1.0)
    return task.action(actions.sign(), {})  # type: ignore[arg-type]


def test_terms_of_a_users_own_add_to_reward_end_and_privileged_observation() -> None:
    own = FLAT.changed(
        rewards={"foot_drag": Reward(foot_drag, -2.0)},
        terminations={"turned_over": Termination(turned_over, {"limit": -0.9})},
        privileged={"friction": Privileged(friction, 1)},
    )
    assert own.critic_dim == FLAT.critic_dim + 1
    theirs, ours = world_of(FLAT), world_of(own)
    drags, ended = 0.0, 0
    for step in range(30):
        commands = stumble(FLAT, 8, step)
        a, b = theirs.step(commands), ours.step(commands)
        view = View(b.terminal_truth, 8, PERIOD, "cpu")
        drag = -2.0 * PERIOD * foot_drag(view)
        assert torch.equal(a.terminated | turned_over(view, limit=-0.9), b.terminated)
        same = a.terminated == b.terminated
        torch.testing.assert_close(b.reward[same], (a.reward + drag)[same], rtol=1e-4, atol=1e-5)
        critic = ours.critic_observation(b.truth)
        torch.testing.assert_close(critic[:, -1:], friction(View(b.truth, 8, PERIOD, "cpu")))
        assert torch.equal(critic[:, :-1], theirs.critic_observation(b.truth))
        drags, ended = drags + float(drag.mean()), ended + int(b.terminated.sum())
        if ended:
            break
    assert drags < 0.0 and ended > 0
    metrics = ours.metrics()
    seconds = (step + 1) * PERIOD
    assert metrics["reward/foot_drag"] == pytest.approx(drags / seconds, rel=1e-4)
    assert metrics["termination/turned_over"] == pytest.approx(ended / seconds / 8)


def test_the_means_of_the_terms_add_up_to_the_reward() -> None:
    environment = world_of(FLAT, 16)
    rewards = [environment.step(stumble(FLAT, 16, step)).reward for step in range(40)]
    metrics = environment.metrics()
    terms = {name: value for name, value in metrics.items() if name.startswith("reward/")}
    weighted = [name for name, term in FLAT.rewards.items() if term.weight != 0.0]
    assert list(terms) == [f"reward/{name}" for name in weighted]
    assert sum(terms.values()) == pytest.approx(float(torch.stack(rewards).mean()) / PERIOD, rel=1e-4)
    assert all(value == 0.0 for name, value in environment.metrics().items() if name.startswith("reward/"))


def test_a_compiled_term_among_a_users_own_is_the_same_in_torch() -> None:
    """Whatever is compiled: wrapped in functions of one's own, all terms run in torch."""
    wrapped = {name: Reward(wrap(term), term.weight) for name, term in FLAT.rewards.items() if term.weight}
    theirs, ours = world_of(FLAT), world_of(replace(FLAT, rewards=wrapped))
    for step in range(30):
        commands = stumble(FLAT, 8, step)
        a, b = theirs.step(commands), ours.step(commands)
        torch.testing.assert_close(a.reward, b.reward, rtol=1e-4, atol=1e-5)
    left, right = theirs.metrics(), ours.metrics()
    assert left.keys() == right.keys()
    assert left == pytest.approx(right, rel=1e-4, abs=1e-4)


def wrap(term: Reward) -> Callable[..., Tensor]:
    def function(view: View) -> Tensor:
        value: Tensor = term(view)
        return value

    return function


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda view: view["foot_height"], r"reward own must give \[4\], got float32 \[4, 4\]"),
        (lambda view: view["base_height"][:, 0] / 0.0, "reward own is not finite in 4 of 4 worlds"),
        (lambda view: view["base_hight"][:, 0], "a term reads 'base_hight', .* did you mean base_height"),
    ],
)
def test_a_reward_that_makes_no_sense_is_named(function: Callable[[View], Tensor], message: str) -> None:
    environment = world_of(FLAT.changed(rewards={"own": Reward(function, 1.0)}), 4)
    with pytest.raises(UserError, match=message):
        environment.step(stumble(FLAT, 4, 0))


def test_a_termination_or_privileged_term_of_another_shape_is_named() -> None:
    environment = world_of(FLAT.changed(terminations={"own": Termination(lambda view: view["base_height"])}), 4)
    with pytest.raises(UserError, match=r"termination own must give bool \[4\], got float32 \[4, 1\]"):
        environment.step(stumble(FLAT, 4, 0))
    environment = world_of(FLAT.changed(privileged={"own": Privileged(lambda view: view["base_height"], 2)}), 4)
    step = environment.step(stumble(FLAT, 4, 0))
    with pytest.raises(UserError, match=r"privileged own must give \[4, 2\], got \[4, 1\]"):
        environment.critic_observation(step.truth)


def test_what_is_not_finite_in_a_world_that_ends_or_has_failed_counts_nothing() -> None:
    def bad(view: View) -> Tensor:
        return torch.tensor([1.0, torch.nan, torch.inf, 2.0])

    view = View({"failed": torch.tensor([False, True, False, False])}, 4, 0.5, "cpu")
    ends = {"third": Termination(lambda view: torch.arange(4) == 2)}
    outcome = Outcomes({"bad": Reward(bad, 2.0)}, ends, 4, 0.5, "cpu")(view)
    assert outcome.reward.tolist() == [1.0, 0.0, 0.0, 2.0]
    assert outcome.terminated.tolist() == [False, True, True, False]
