"""How a robot walks under fixed commands: height, cost of transport, clearance, gain and drift in yaw, and what extra
joint damping leaves of its speed.

Robots of the nominal model hold one command each, side by side, with the sensors' noise on, without randomization and
without pushes. A command is reached from standing as fast as the command's own rate limit allows; after `SETTLE` s the
figures are taken over `MEASURE` s. A robot that falls in that time counts as fallen, and is left out of every figure
but the speed under damping, where it counts as 0; a figure without any robot is nan. Commands beyond the range that the
task's policies know are cut to it.

Mechanical power is the sum over the joints of |torque x joint velocity| from true values, once a control period:
power that a joint gives back counts as spent, as is usual for legged robots whose drives recover little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Truth
from robo_rl.evaluation.flying import HELD_OUT_SEED, BatchPolicy, Evaluated, first_episodes, pilot_for
from robo_rl.evaluation.yaw import COMMAND
from robo_rl.output.results import plain
from sim.controllers.teacher import Teacher
from sim.environment import VectorEnvironment
from sim.legged.scenario import LeggedScenario
from sim.legged.world import LeggedWorld
from sim.physics.addresses import Addresses
from sim.task import Step, Task

SETTLE, MEASURE = 2.0, 4.0
"""s."""
DAMPING = 2.0
"""Nm s/rad that every joint of the damped robots has beyond the model's own."""
SHORTEST_SWING = 0.06
"""s; what a foot is in the air for less is a bounce, not a swing."""

FORWARD = (1.0, 0.0, 0.0)
TURNS = (-1.0, -0.4, 0.4, 1.0)
"""rad/s."""
ON_THE_SPOT = tuple((0.0, 0.0, turn) for turn in TURNS)
WALKING = tuple((0.5, 0.0, turn) for turn in TURNS)
SIDEWAYS = ((0.0, 0.5, 0.0), (0.0, -0.5, 0.0))
DAMPED = ((0.5, 0.0, 0.0), FORWARD)
COMMANDS = (FORWARD, *ON_THE_SPOT, *WALKING, *SIDEWAYS)
"""Forward m/s, left m/s, yaw rate rad/s."""


@dataclass(frozen=True)
class Response:
    """What the robots with one command did: means of the robots that stayed upright, in the base's frame."""

    command: tuple[float, float, float]
    damped: bool
    velocity: tuple[float, float]
    """Forward and left, m/s."""
    yaw_rate: float
    """rad/s."""
    fall_rate: float


@dataclass(frozen=True)
class Gait:
    """How a policy walks under fixed commands."""

    base_height: float
    """Mean height of the base's origin above the ground over all commands, m."""
    cost_of_transport: float
    """Mechanical energy over weight times distance, at 1 m/s forward; nan for a robot that does not go forward."""
    foot_clearance: float
    """Mean over swings of the highest place of the foot's lower side above the ground, m, at 1 m/s forward. The lower
    side is as far below the foot's centre as in the stance, a foot's radius for round ones."""
    yaw_gain_on_the_spot: float
    """Slope of the mean yaw rate against the command, by least squares over `TURNS`."""
    yaw_gain_walking: float
    """The same while walking forward at 0.5 m/s."""
    sideways_yaw_drift: float
    """|mean yaw rate| in rad/s while asked for 0.5 m/s sideways without turning, the larger of left and right."""
    damped_speed_share: float
    """Forward speed over that asked for with `DAMPING` more at every joint, the smaller of 0.5 and 1 m/s; robots that
    fall count as 0."""
    fall_rate: float
    """Share of the undamped robots that fell."""
    responses: tuple[Response, ...]

    @property
    def yaw_gain(self) -> float:
        """The gain that is further from 1."""
        return max(self.yaw_gain_on_the_spot, self.yaw_gain_walking, key=lambda gain: (math.isnan(gain), abs(gain - 1)))

    def figures(self) -> dict[str, float]:
        """Every figure by name."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, float) and name != "fall_rate"}
        return {**own, "yaw_gain": self.yaw_gain}

    def summary(self) -> dict[str, Any]:
        """Everything in JSON's own types."""
        result: dict[str, Any] = plain(
            {**self.figures(), "fall_rate": self.fall_rate, "responses": [vars(row) for row in self.responses]}
        )
        return result


def has_gait(task: Task) -> bool:
    """Whether `evaluate_gait` can be done: legs on flat ground."""
    return isinstance(task.world, LeggedWorld) and task.world.terrain is None


@torch.no_grad()
def evaluate_gait(
    policy: Evaluated, task: Task, seed: int = HELD_OUT_SEED, *, robots: int = 8, imperfections: float = 1.0
) -> Gait:
    """Let `robots` robots walk under each command; they differ in their starts and noise, which depend on the task and
    `seed` alone. `imperfections` scales the noise of the sensors.

    Raises UserError when the task is not one of legs on flat ground, or the policy was made for other signals.
    """
    if not has_gait(task):
        raise UserError(f"fixed commands are walked on flat ground, which {task.name} is not made of")
    settle, measure = (round(seconds / task.period) for seconds in (SETTLE, MEASURE))
    pushes = {name: None for name, event in task.events.items() if event.when == "interval"}
    task = task.changed(events=pushes, episode_steps=settle + measure)
    commands = torch.tensor((*COMMANDS, *DAMPED), dtype=torch.float64).repeat_interleave(robots, 0)
    limits = next(sensor for sensor in task.sensors if sensor.name == COMMAND)
    commands = commands.clamp(*(torch.tensor(bound, dtype=torch.float64) for bound in (limits.low, limits.high)))
    damped = torch.arange(len(commands)) >= len(COMMANDS) * robots
    environment = task.make_environment(len(commands), seed, imperfections=imperfections)
    assert isinstance(environment, VectorEnvironment)
    scenario = environment.scenario
    assert isinstance(scenario, LeggedScenario)
    _damp(scenario, damped)
    first = environment.reset()
    scenario.commands.ask(torch.arange(len(commands)), commands.float())
    tally = _Tally(task.period, float(scenario.view(first[1])["foot_rest_height"]))

    def note(step: Step, alive: Tensor) -> None:
        tally.steps += 1
        if tally.steps > settle:
            tally.add(step.terminal_truth, alive)

    pilot: BatchPolicy | Teacher = policy if isinstance(policy, Teacher) else pilot_for(policy, task)
    survived = first_episodes(pilot, task, environment, first, note)
    model = scenario.physics.model
    weight = float(model.body(scenario.robot.base).subtreemass[0]) * abs(float(model.opt.gravity[2]))
    scenario.physics.close()
    return _gait(commands, survived, tally.means(), weight, robots)


def _damp(scenario: LeggedScenario, damped: Tensor) -> None:
    """Add `DAMPING` to every joint of the robots `damped` [N]."""
    physics, robot = scenario.physics, scenario.robot
    assert physics.fields is not None, "MuJoCo has per-world fields"
    dofs = Addresses.of(physics.model, robot.base, robot.joints).dofs
    physics.fields.expand("dof_damping")[damped.nonzero(), dofs] += DAMPING


class _Tally:
    """Sums per robot, of the time in which figures are taken."""

    def __init__(self, period: float, below: float) -> None:
        self.steps = 0
        self._period, self._below = period, below
        self._counted = 0
        self._sums: dict[str, Tensor] = {}
        # Of each foot: for how long it has been in the air (nan: since before the first step), and its highest place.
        self._air = self._peak = torch.empty(0)

    def add(self, truth: Truth, alive: Tensor) -> None:
        self._counted += 1
        swings, peaks = self._swings(truth["foot_contact"] > 0.0, truth["foot_height"] - self._below)
        rows = {
            "forward": truth["linear_velocity"][:, 0],
            "left": truth["linear_velocity"][:, 1],
            "yaw_rate": truth["angular_velocity"][:, 2],
            "height": truth["base_height"][:, 0],
            "power": (truth["joint_torque"] * truth["joint_velocity"]).abs().sum(-1),
            "swings": swings,
            "peaks": peaks,
        }
        for name, row in rows.items():
            self._sums[name] = self._sums.get(name, 0.0) + torch.where(alive, row.double(), 0.0)

    def _swings(self, contact: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
        """How many swings end in this step [N], and the sum of their highest places [N], m."""
        if self._counted == 1:
            self._air = torch.where(contact, 0.0, math.nan)
            self._peak = torch.zeros_like(height)
        landed = contact & (self._air >= SHORTEST_SWING - 1e-6)
        peaks = torch.where(landed, self._peak, 0.0).sum(-1)
        self._air = torch.where(contact, 0.0, self._air + self._period)
        self._peak = torch.where(contact, 0.0, torch.maximum(self._peak, height))
        return landed.sum(-1), peaks

    def means(self) -> Mapping[str, Tensor]:
        """Per robot [N]: means over time; `swings` and `peaks` (m) are sums."""
        sums = ("swings", "peaks")
        return {name: total if name in sums else total / self._counted for name, total in self._sums.items()}


def _gait(commands: Tensor, upright: Tensor, means: Mapping[str, Tensor], weight: float, robots: int) -> Gait:
    """The figures of robots with `commands` [N, 3], `robots` in a row with each of `COMMANDS` and `DAMPED`."""
    nan = torch.tensor(math.nan, dtype=torch.float64)

    def by_command(name: str, fallen: Tensor = nan) -> Tensor:
        """Means [C] over the robots with each command."""
        # Where all robots fell before anything was measured, there are no means.
        return torch.where(upright, means.get(name, nan), fallen).view(-1, robots).nanmean(-1)

    asked = commands.view(-1, robots, 3)[:, 0]
    forward, left, yaw, height = (by_command(name) for name in ("forward", "left", "yaw_rate", "height"))
    falls = 1.0 - upright.double().view(-1, robots).mean(-1)
    undamped, spot, walking = len(COMMANDS), slice(1, 1 + len(TURNS)), slice(1 + len(TURNS), 1 + 2 * len(TURNS))
    sideways = slice(undamped - len(SIDEWAYS), undamped)
    damped = by_command("forward", torch.zeros_like(nan))[undamped:] / asked[undamped:, 0]
    return Gait(
        base_height=float(height[:undamped].mean()),
        cost_of_transport=float(by_command("power")[0] / (weight * forward[0])) if forward[0] > 0.0 else math.nan,
        foot_clearance=float(by_command("peaks")[0] / by_command("swings")[0]),
        yaw_gain_on_the_spot=_slope(asked[spot, 2], yaw[spot]),
        yaw_gain_walking=_slope(asked[walking, 2], yaw[walking]),
        sideways_yaw_drift=float(yaw[sideways].abs().max()),
        damped_speed_share=float(damped.min()),
        fall_rate=float(falls[:undamped].mean()),
        responses=tuple(
            Response(tuple(command), index >= undamped, (ahead, beside), turn, fell)
            for index, (command, ahead, beside, turn, fell) in enumerate(
                zip(asked.tolist(), forward.tolist(), left.tolist(), yaw.tolist(), falls.tolist(), strict=True)
            )
        ),
    )


def _slope(x: Tensor, y: Tensor) -> float:
    """The slope of the line through the points (x, y) by least squares."""
    off = x - x.mean()
    return float((off * y).sum() / off.square().sum())
