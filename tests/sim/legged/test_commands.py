"""Velocity commands and their curriculum, and commands of a user's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands
from policies.specs import SensorSpec
from sim.environment import VectorEnvironment
from sim.legged.commands import VelocityCommands
from sim.legged.curriculum import CommandRange
from sim.legged.observations import PERIOD
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.terms.stateful import CommandTerm
from sim.terms.terms import Command, Reward
from sim.terms.view import View


def pointing(heading: Tensor) -> View:
    """Bases that point along `heading` [N] rad."""
    zero = torch.zeros_like(heading)
    turned = torch.stack(((0.5 * heading).cos(), zero, zero, (0.5 * heading).sin()), -1)
    return View({"orientation": turned}, len(heading), PERIOD, "cpu")


def test_commands_fill_their_ranges_and_some_ask_to_stand() -> None:
    n, g = 20000, torch.Generator().manual_seed(0)
    commands = VelocityCommands(n, PERIOD)
    commands.begin(torch.arange(n), g)
    assert not commands.values.any()
    for _ in range(round(0.6 / PERIOD)):
        commands.advance(pointing(torch.zeros(n)), g)
    values = commands.values
    assert values.abs().amax(0).tolist() == pytest.approx([1.5, 0.8, 1.2], rel=0.01)
    standing = (values == 0.0).all(-1)
    assert 0.1 <= float(standing.float().mean()) < 0.12


def test_commands_change_when_their_time_is_over_and_headings_are_steered_to() -> None:
    fast = (50.0, 50.0, 50.0)
    commands = VelocityCommands(4, 0.1, standing=0.0, heading=1.0, interval=(1.0, 1.0), acceleration=fast)
    g = torch.Generator().manual_seed(0)
    commands.begin(torch.arange(4), g)
    heading = torch.zeros(4)
    commands.advance(pointing(heading), g)
    first = commands.values[:, :2]
    for _ in range(7):
        commands.advance(pointing(heading), g)
        heading = heading + 0.1 * commands.values[:, 2]
        assert torch.equal(commands.values[:, :2], first)
    assert float(commands.values[:, 2].abs().max()) <= 1.2 + 1e-6
    for _ in range(3):
        commands.advance(pointing(heading), g)
    assert not torch.equal(commands.values[:, :2], first)
    commands.hold(torch.tensor([1]), torch.tensor([0.3, 0.0, 0.1]))
    for _ in range(30):
        commands.advance(pointing(heading), g)
    assert commands.values[1].tolist() == pytest.approx([0.3, 0.0, 0.1])


def test_no_command_changes_faster_than_its_limit_however_it_comes_about() -> None:
    commands = VelocityCommands(64, PERIOD, interval=(0.2, 0.4), acceleration=(3.0, 2.0, 8.0))
    g = torch.Generator().manual_seed(0)
    commands.begin(torch.arange(64), g)
    last, most = commands.values, torch.zeros(3)
    for step in range(100):
        if step == 50:
            commands.ask(torch.arange(8), torch.tensor([-1.5, 0.8, 1.2]))
        commands.advance(pointing(torch.zeros(64)), g)
        most = torch.maximum(most, (commands.values - last).abs().amax(0))
        last = commands.values
    assert most.tolist() == pytest.approx([3.0 * PERIOD, 2.0 * PERIOD, 8.0 * PERIOD], rel=1e-4)
    torch.testing.assert_close(last[:8], torch.tensor([[-1.5, 0.8, 1.2]]).expand(8, 3))


def test_the_ranges_grow_with_tracking_alone_up_to_the_full_ones() -> None:
    task = flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))).with_settings(
        {"curriculum": {"command_range": {"start": 0.5, "growth": 0.2, "promotion": 0.6}}}
    )
    environment = task.make_environment(8, 0, randomized=True)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    commands, curriculum = environment.scenario.commands, environment.scenario.terms.curriculum["command_range"]
    assert isinstance(curriculum, CommandRange)
    curriculum.learn(torch.full((8,), 0.5))
    assert commands.range == 0.5
    for wanted in (0.7, 0.9, 1.0, 1.0):
        curriculum.learn(torch.full((8,), 0.9))
        assert commands.range == pytest.approx(wanted)
        assert environment.metrics()["command_range"] == commands.range
    fresh = task.make_environment(8, 0, randomized=True)
    assert isinstance(fresh, VectorEnvironment) and isinstance(fresh.scenario, LeggedScenario)
    fresh.finish_curriculum()
    assert fresh.scenario.commands.range == 1.0
    nominal = task.make_environment(8, 0)
    assert isinstance(nominal, VectorEnvironment) and isinstance(nominal.scenario, LeggedScenario)
    assert nominal.scenario.commands.range == 1.0


def test_an_episode_counts_by_the_mean_of_its_tracking() -> None:
    task = flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))).with_settings(
        {"curriculum": {"command_range": {"promotion": 0.0}}}
    )
    environment = task.changed(episode_steps=5).make_environment(4, 0, randomized=True)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    environment.reset()
    ranges = []
    for _ in range(11):
        environment.step(Commands({"joint_position_target": torch.tensor([GO1.part(Legs).stance]).repeat(4, 1)}))
        ranges.append(environment.scenario.commands.range)
    assert ranges == pytest.approx([0.5] * 4 + [0.6] * 5 + [0.7] * 2)


def test_the_command_that_is_followed_is_the_one_that_the_policy_has_seen() -> None:
    task = flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0)))
    quick = task.with_settings({"commands": {"velocity": {"interval": (0.2, 0.5)}}})
    environment = quick.make_environment(64, 0, randomized=True, imperfections=0.0)
    environment.reset()
    stand = Commands({"joint_position_target": torch.tensor([GO1.part(Legs).stance]).repeat(64, 1)})
    seen, changed = environment.step(stand).sensors["velocity_command"], 0
    for _ in range(40):
        step = environment.step(stand)
        assert torch.equal(step.terminal_truth["velocity_command"], seen)
        changed += int((step.sensors["velocity_command"] != seen).any(-1).sum())
        seen = step.sensors["velocity_command"]
    assert changed > 64


class HeightCommand(CommandTerm):
    """A command of a user's own: how high to stand, drawn at each restart."""

    def __init__(
        self, num_worlds: int, period: float, device: str = "cpu", *, low: float = 0.2, high: float = 0.3
    ) -> None:
        self.low, self.high = low, high
        self.values = torch.zeros(num_worlds, 1, device=device)

    @staticmethod
    def sensor(*, low: float, high: float) -> SensorSpec:
        return SensorSpec("height_command", 1, "m", "world", low, high)

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        u = torch.rand(len(ids), 1, generator=generator)
        self.values = self.values.index_copy(0, ids, self.low + u * (self.high - self.low))


def test_a_users_own_command_is_a_sensor_that_terms_read_and_follows_its_settings() -> None:
    def off_height(view: View) -> Tensor:
        return (view["base_height"] - view["height_command"])[:, 0].square()

    task = flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))).changed(
        command_terms={"height": Command(HeightCommand)}, rewards={"off_height": Reward(off_height, -1.0)}
    )
    assert task.sensors[-1] == SensorSpec("height_command", 1, "m", "world", 0.2, 0.3)
    higher = task.with_settings({"commands": {"height": {"high": 0.4}, "velocity": {"forward": 0.7}}})
    assert higher.sensors[-1] == SensorSpec("height_command", 1, "m", "world", 0.2, 0.4)
    assert next(spec for spec in higher.sensors if spec.name == "velocity_command").high == (0.7, 0.8, 1.2)
    environment = higher.make_environment(16, 0)
    sensors, truth = environment.reset()
    assert torch.equal(sensors["height_command"], truth["height_command"])
    assert 0.2 <= float(sensors["height_command"].min()) < float(sensors["height_command"].max()) <= 0.4
    step = environment.step(Commands({"joint_position_target": torch.tensor([GO1.part(Legs).stance]).repeat(16, 1)}))
    assert torch.equal(step.sensors["height_command"], sensors["height_command"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"forward": 0.0}, "commands.velocity.forward must be above 0.0, got 0.0"),
        ({"standing": 1.5}, "commands.velocity.standing must be at least 0.0 and at most 1.0, got 1.5"),
        ({"interval": (5.0, 1.0)}, "commands.velocity.interval must be low, then high"),
        ({"acceleration": (1.0, 1.0)}, "commands.velocity.acceleration must be 3 numbers"),
    ],
)
def test_commands_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))).with_settings({"commands": {"velocity": settings}})
