"""A bundle in two physics engines: the same model, starts and commands, compared measure by measure.

A policy that only walks in the engine it was trained in has learnt that engine. The other engine is built from the same
compiled model (sim.physics.pybullet), so what differs is what engines differ in: contacts, friction, solver and
integrator. A bundle that passes has passed sim2sim, not a test on a robot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deploy.bundle.reader import Bundle
from policies.errors import UserError
from policies.signals import Commands, Sensors, Truth
from policies.validation import require, require_choice
from robo_rl.evaluation.flying import HELD_OUT_SEED, Interval, bootstrap_mean, pilot_for, wilson
from robo_rl.evaluation.yaw import COMMAND, Stride, YawTally, stride_of
from robo_rl.output.results import plain
from sim.environment import VectorEnvironment
from sim.legged.scenario import VELOCITY, LeggedScenario
from sim.physics.backends import BACKENDS
from sim.task import Task
from sim.terms.view import View

OWN = "mujoco"
"""The backend that tasks are trained in."""
OTHERS = tuple(name for name in BACKENDS if name != OWN)
"""Another engine, and MuJoCo with contacts nearly as hard: a result of both does not come from the engine."""
MAX_FALLS = 0.05
"""Share of robots that may fall in the other engine."""
MAX_ERROR_RATIO = 1.5
"""How many times its error in MuJoCo a robot's velocity error may be in the other engine."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """The settings of the comparison, the same in both engines."""

    backend: str = "pybullet"
    """What to compare the task's own MuJoCo with: pybullet or mujoco-hard."""
    robots: int = 20
    """Robots, each with its own start and commands."""
    seconds: float = 20.0
    """Length of an episode in s."""
    imperfections: float = 0.0
    """Scale of the task's noise and pushes, in both engines alike; robots are always the nominal ones."""
    seed: int = HELD_OUT_SEED
    """Seed of starts and commands; the held-out one when not given."""

    def __post_init__(self) -> None:
        require_choice(self, "backend", OTHERS)
        require(self, "robots", low=1)
        require(self, "seconds", low=1.0)
        require(self, "imperfections", low=0.0)


MEASURES = {
    "fall_rate": "",  # share of robots that fell
    "velocity_error": "m/s",  # mean |v_xy - command|
    "yaw_rate_error": "rad/s",  # mean |yaw rate - command|
    "yaw_error_stride_mean": "rad/s",  # mean |mean of (yaw rate - command) within a stride|
    "yaw_swing": "rad/s",  # mean standard deviation of the yaw rate within a stride
    "standing_yaw_error": "rad/s",  # mean |commanded yaw rate|: the yaw error of a robot that stands
    "base_height": "m",  # mean height of the base above the ground
    "base_height_sd": "m",  # standard deviation of that height
    "tilt": "rad",  # mean angle between the base's and the world's z
    "torque_rms": "Nm",  # root mean square over joints and time
    "torque_peak": "Nm",  # largest torque of any joint, mean over robots
    "power": "W",  # mean sum of |torque x speed| over the joints
    "action_rate": "rad/s",  # root mean square speed of the commanded joint positions
    "air_time": "s",  # mean length of a foot's swing
    "duty_factor": "",  # share of time a foot is on the ground while the robot is asked to move
}
"""The rows of the comparison: name -> unit."""


@dataclass(frozen=True)
class Walk:
    """What the robots did in one engine: every measure per robot [N], nan where a robot has none; falls as 0 and 1."""

    measures: dict[str, Floats]

    def mean(self, name: str) -> float:
        values = self.measures[name]
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


@dataclass(frozen=True)
class Comparison:
    """Both engines' walks, and whether the other one's is good enough."""

    task: str
    settings: Settings
    mujoco: Walk
    other: Walk

    def ratio(self, name: str) -> float:
        """The measure in the other engine over that in MuJoCo; nan where MuJoCo's is 0."""
        base = self.mujoco.mean(name)
        return self.other.mean(name) / base if base else math.nan

    @property
    def falls_hold(self) -> bool:
        return self.other.mean("fall_rate") <= MAX_FALLS

    @property
    def error_holds(self) -> bool:
        return self.ratio("velocity_error") <= MAX_ERROR_RATIO

    @property
    def holds(self) -> bool:
        return self.falls_hold and self.error_holds

    def summary(self) -> dict[str, Any]:
        """Everything in JSON's own types."""
        s, n = self.settings, self.settings.robots

        def falls(walk: Walk) -> Interval:
            return wilson(int(walk.measures["fall_rate"].sum()), n)

        def error(walk: Walk) -> Interval:
            return bootstrap_mean(walk.measures["velocity_error"], s.seed)

        engines = {"mujoco": self.mujoco, s.backend: self.other}
        document = {
            "task": self.task,
            "backend": s.backend,
            "robots": n,
            "seconds": s.seconds,
            "imperfections": s.imperfections,
            "seed": s.seed,
            **{name: {m: walk.mean(m) for m in MEASURES} for name, walk in engines.items()},
            "ratio": {m: self.ratio(m) for m in MEASURES},
            "intervals": {
                name: {"fall_rate": vars(falls(walk)), "velocity_error": vars(error(walk))}
                for name, walk in engines.items()
            },
            "bar": {
                "fall_rate": {"at_most": MAX_FALLS, "holds": self.falls_hold},
                "velocity_error_ratio": {"at_most": MAX_ERROR_RATIO, "holds": self.error_holds},
            },
        }
        result: dict[str, Any] = plain(document)
        return result


def compare(bundle: Bundle, task: Task, settings: Settings, progress: Callable[[str, float], None]) -> Comparison:
    """Walk the bundle in MuJoCo and in the other engine; `progress` gets the engine and the share that is done.

    Raises UserError when the task is not one of walking, the bundle was made for other signals or the other engine does
    not support the model; ModuleNotFoundError when it is not installed.
    """
    # The other engine first: what it does not support is reported before anybody has waited.
    other = _walk(bundle, task, settings, settings.backend, progress)
    own = _walk(bundle, task, settings, OWN, progress)
    return Comparison(task.name, settings, own, other)


def legged_world(task: Task, settings: Settings, backend: str) -> tuple[VectorEnvironment, LeggedScenario]:
    """The task's own world with nominal robots in `backend`, and its scenario."""
    if task.evaluation != "walking":
        raise UserError(f"sim2sim compares walking tasks, {task.name} is not one; name a bundle of a legged robot")
    environment = task.make_environment(
        settings.robots, settings.seed, imperfections=settings.imperfections, backend=backend
    )
    assert isinstance(environment, VectorEnvironment)
    scenario = environment.scenario
    assert isinstance(scenario, LeggedScenario)
    if scenario.ground is not None:
        raise UserError(f"sim2sim walks on flat ground, {task.name} has terrain; name a bundle of its flat task")
    return environment, scenario


def command_schedule(task: Task, settings: Settings) -> Tensor:
    """Velocity commands [T + 1, N, 3] of every control period, the same in every engine."""
    # A heading to steer to would make the command depend on the engine.
    commands = task.command_terms[VELOCITY].with_settings({"heading": 0.0})(settings.robots, task.period)
    level = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(settings.robots, 4)
    view = View({"orientation": level}, settings.robots, task.period, "cpu")
    generator = torch.Generator().manual_seed(settings.seed + 1)
    commands.begin(torch.arange(settings.robots), generator)
    rows = [commands.values]
    for _ in range(round(settings.seconds / task.period)):
        commands.advance(view, generator)
        rows.append(commands.values)
    return torch.stack(rows)


@torch.no_grad()
def _walk(bundle: Bundle, task: Task, settings: Settings, backend: str, progress: Callable[[str, float], None]) -> Walk:
    pilot = pilot_for(bundle, task)
    schedule = command_schedule(task, settings)
    environment, scenario = legged_world(task, settings, backend)
    # An episode here may be shorter or longer than the task's.
    environment.episode_steps = len(schedule)
    everyone = torch.arange(settings.robots)
    first, _ = environment.reset()
    sensors = Sensors({**first, COMMAND: schedule[0]})
    state = pilot.initial_state(settings.robots, environment.device)
    tally = _Tally(settings.robots, task.period, stride_of(task))
    for t, command in enumerate(schedule[1:]):
        commands, state = pilot.step(sensors, state)
        # Held through every restart; a robot that has restarted no longer counts.
        scenario.commands.hold(everyone, command)
        step = environment.step(commands)
        tally.add(step.terminal_truth, commands, step.terminated)
        sensors = Sensors({**step.sensors, COMMAND: command})
        if t % 25 == 24:
            progress(backend, (t + 1) / (len(schedule) - 1))
    scenario.physics.close()
    return Walk(tally.measures())


class _Tally:
    """Sums per robot, up to and with the step it falls in."""

    def __init__(self, robots: int, period: float, stride: Stride) -> None:
        self._period = period
        self._turning = YawTally(robots, stride)
        self._alive = torch.ones(robots, dtype=torch.bool)
        self._steps, self._moving = torch.zeros(robots), torch.zeros(robots)
        self._sums: dict[str, Tensor] = {}
        self._peak = torch.zeros(robots)
        self._target: Tensor | None = None
        self._swings, self._swing_time = torch.zeros(robots), torch.zeros(robots)
        self._air: Tensor | None = None

    def add(self, truth: Truth, commands: Commands, fell: Tensor) -> None:
        """One control period: what is true after it, and what was commanded in it."""
        alive, target = self._alive, commands["joint_position_target"]
        torque, contact = truth["joint_torque"], truth["foot_contact"].float()
        moving = (truth[COMMAND] != 0.0).any(-1)
        change = torch.zeros_like(target) if self._target is None else (target - self._target) / self._period
        self._target = target
        height = truth["base_height"][:, 0]
        rows = {
            "velocity_error": (truth["linear_velocity"][:, :2] - truth[COMMAND][:, :2]).norm(dim=-1),
            "base_height": height,
            "height_squared": height.double().square(),
            "tilt": torch.acos((-truth["gravity"][:, 2]).clamp(-1.0, 1.0)),
            "torque_squared": torque.square().mean(-1),
            "power": (torque * truth["joint_velocity"]).abs().sum(-1),
            "change_squared": change.square().mean(-1),
            "contact_moving": contact.mean(-1) * moving,
        }
        for name, row in rows.items():
            # After its fall a robot's values may be anything, even non-finite: left out, not multiplied by 0.
            self._sums[name] = self._sums.get(name, 0.0) + torch.where(alive, row.double(), 0.0)
        self._turning.add(truth["angular_velocity"][:, 2], truth[COMMAND][:, 2], alive)
        self._steps += alive
        self._moving += alive & moving
        self._peak = torch.maximum(self._peak, torch.where(alive, torque.abs().max(-1).values, 0.0))
        self._count_swings(contact > 0.0, alive)
        self._alive = alive & ~fell

    def _count_swings(self, contact: Tensor, alive: Tensor) -> None:
        """A swing counts when its foot lands."""
        air = torch.zeros(contact.shape) if self._air is None else self._air
        landed = contact & (air > 0.0) & alive[:, None]
        self._swings += landed.sum(-1)
        self._swing_time += torch.where(landed, air, 0.0).sum(-1)
        self._air = torch.where(contact, 0.0, air + self._period)

    def measures(self) -> dict[str, Floats]:
        """Every measure per robot."""
        means = {name: total / self._steps for name, total in self._sums.items()}
        turning = self._turning.measures()
        spread = (means["height_squared"] - means["base_height"].square()).clamp_min(0.0).sqrt()
        found = {
            "fall_rate": (~self._alive).double(),
            **{name: means[name] for name in ("velocity_error", "base_height", "tilt", "power")},
            "yaw_rate_error": turning["instant"],
            "yaw_error_stride_mean": turning["stride_mean"],
            "yaw_swing": turning["swing"],
            "standing_yaw_error": turning["standing"],
            "base_height_sd": spread,
            "torque_rms": means["torque_squared"].sqrt(),
            "torque_peak": self._peak,
            "action_rate": means["change_squared"].sqrt(),
            "air_time": self._swing_time / self._swings,  # nan for a robot that never lifted a foot
            "duty_factor": self._sums["contact_moving"] / self._moving,
        }
        return {measure: found[measure].double().numpy() for measure in MEASURES}
