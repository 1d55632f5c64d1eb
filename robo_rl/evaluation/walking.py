"""Evaluation of walking on held-out commands and starts: how well a robot follows its velocity command, and whether it
falls.

Each of N worlds runs one episode of the task (20 s), with noise, randomization and pushes on unless asked otherwise,
and commands from the task's whole range, even if the training's curriculum had not reached it. A world counts up to its
time limit or its fall; what follows its restart does not count. An episode that ends before its time limit is a fall.

The velocity error is the length of (v_x, v_y) - (commanded v_x, v_y) in m/s, with the base's true velocity in its own
frame. Every step counts, those right after the start, a push or a new command included. Errors are averaged over the
steps of each world, then over worlds, so each world has the same weight whenever it fell. `robo_rl.evaluation.yaw`
says what the errors of the yaw rate are, `robo_rl.evaluation.gait` how the gait is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.errors import UserError
from policies.signals import Truth
from robo_rl.evaluation.flying import (
    HELD_OUT_SEED,
    ONCE,
    BatchPolicy,
    Calls,
    Evaluated,
    Floats,
    Interval,
    bootstrap_mean,
    first_episodes,
    prepared,
    wilson,
)
from robo_rl.evaluation.gait import Gait, evaluate_gait, has_gait
from robo_rl.evaluation.yaw import COMMAND, YawErrors, YawTally, stride_of
from robo_rl.output.results import plain
from sim.controllers.teacher import Teacher
from sim.environment import VectorEnvironment
from sim.task import Environment, Step, Task

DEVELOPMENT_SEED = 30_000_001
"""Seed of the evaluations for choosing settings; the held-out one is only for the final evaluation."""
SUCCESS_PROGRESS = 0.7
"""Share of the commanded way that a world must have gone, without a fall, to count as a success on its terrain."""


@runtime_checkable
class WithTerrain(Protocol):
    """An environment, or its scenario, whose worlds stand on terrain of several kinds and levels."""

    def terrain_places(self) -> tuple[Sequence[str], Tensor, Tensor]:
        """The names of the kinds, and every world's kind [N] (an index into them) and level [N]."""
        ...


@dataclass(frozen=True)
class TerrainScore:
    """Worlds of one kind and level of terrain; success is no fall and `SUCCESS_PROGRESS` of the commanded way."""

    kind: str
    level: int
    worlds: int
    success: Interval
    fall_rate: Interval
    velocity_error: float


@dataclass(frozen=True)
class WalkingEvaluation:
    """The results of N robots, one episode each; intervals are of 95 %."""

    task: str
    seed: int
    episodes: int
    imperfections: float
    velocity_error: Interval
    """Mean of |v_xy - command|, m/s."""
    yaw: YawErrors
    """How well the yaw rate follows its command."""
    fall_rate: Interval
    """Share of episodes that ended before their time limit."""
    episode_return: Interval
    terrain: tuple[TerrainScore, ...]
    """One entry for each kind and level that worlds stood on; empty on flat ground."""
    fell: NDArray[np.bool_]
    """Per world [N]."""
    velocity_errors: Floats
    """Per world [N], m/s."""
    gait: Gait | None = None
    """How it walks under fixed commands; None where that was not measured."""

    def figures(self) -> dict[str, float]:
        """Every figure as a plain number, those of the gait included where it was measured: m/s, rad/s, m."""
        own = {
            "velocity_error": self.velocity_error,
            "yaw_error": self.yaw.instant,
            "yaw_error_stride_mean": self.yaw.stride_mean,
            "yaw_swing": self.yaw.swing,
            "standing_yaw_error": self.yaw.standing,
            "fall_rate": self.fall_rate,
            "return": self.episode_return,
        }
        gait = {} if self.gait is None else self.gait.figures()
        return {**{name: interval.value for name, interval in own.items()}, **gait}

    def summary(self) -> dict[str, Any]:
        """The evaluation without its per-world arrays, in JSON's own types."""
        document = {
            "evaluation": "walking",
            "task": self.task,
            "seed": self.seed,
            "episodes": self.episodes,
            "imperfections": self.imperfections,
            "velocity_error_m_s": vars(self.velocity_error),
            **self.yaw.summary(),
            "fall_rate": vars(self.fall_rate),
            "episode_return": vars(self.episode_return),
        }
        if self.terrain:
            document["terrain"] = [
                {**vars(score), "success": vars(score.success), "fall_rate": vars(score.fall_rate)}
                for score in self.terrain
            ]
        if self.gait is not None:
            document["gait"] = self.gait.summary()
        result: dict[str, Any] = plain(document)
        return result


@torch.no_grad()
def evaluate_walking(
    policy: Evaluated,
    task: Task,
    worlds: int = 1000,
    seed: int = HELD_OUT_SEED,
    device: str = "cpu",
    *,
    robot: str = "",
    imperfections: float = 1.0,
    calls: Calls = ONCE,
) -> WalkingEvaluation:
    """Walk one episode in each of `worlds` worlds, whose starts and commands depend on the task and `seed` alone.

    The policy acts deterministically. `imperfections` scales noise, delays, randomization and pushes: 0 switches them
    off, 1 is the task's own. A bundle runs in onnxruntime. `calls` are as in `evaluate`.

    Raises UserError when the task is not one of walking, the policy was made for other signals, or `worlds` < 1.
    """
    if not any(sensor.name == COMMAND for sensor in task.sensors):
        raise UserError(f"{task.name} is not a walking task: it has no sensor {COMMAND}")
    pilot, task, environment = prepared(policy, task, worlds, seed, device, robot, imperfections, calls)
    return walk(pilot, task, environment, seed, imperfections)


def evaluate_walker(
    policy: Evaluated,
    task: Task,
    worlds: int = 1000,
    seed: int = HELD_OUT_SEED,
    device: str = "cpu",
    *,
    robot: str = "",
    imperfections: float = 1.0,
    calls: Calls = ONCE,
) -> WalkingEvaluation:
    """All that is known of a walking policy: `evaluate_walking`, then the gait where the ground is flat. Arguments and
    errors are as there; `evaluate_walker(graph, task).figures()` are the numbers alone."""
    evaluation = evaluate_walking(
        policy, task, worlds, seed, device, robot=robot, imperfections=imperfections, calls=calls
    )
    if not has_gait(task) or calls != ONCE:
        return evaluation
    return replace(evaluation, gait=evaluate_gait(policy, task, seed, imperfections=imperfections))


@torch.no_grad()
def walk(
    pilot: BatchPolicy | Teacher, task: Task, environment: Environment, seed: int, imperfections: float
) -> WalkingEvaluation:
    """One episode of every world of `environment`, from a reset on."""
    n, device = environment.num_worlds, environment.device
    first = environment.reset()
    places = next((part.terrain_places() for part in _parts(environment) if isinstance(part, WithTerrain)), None)
    if places is not None:
        # A world that falls may restart elsewhere: what counts is where its first episode began.
        places = places[0], places[1].clone(), places[2].clone()
    steps, linear, total, gone, asked = (torch.zeros(n, device=device) for _ in range(5))
    turning = YawTally(n, stride_of(task), device)

    def note(step: Step, alive: Tensor) -> None:
        truth = step.terminal_truth
        error, advance, way = _errors(truth)
        steps.add_(alive)
        turning.add(truth["angular_velocity"][:, 2], truth[COMMAND][:, 2], alive)
        for sums, value in ((linear, error), (total, step.reward), (gone, advance), (asked, way)):
            sums.add_(torch.where(alive, value, 0.0))

    survived = first_episodes(pilot, task, environment, first, note)
    errors = _array(linear / steps)
    fell = ~survived.cpu().numpy()
    succeeded = ~fell & _array(gone >= SUCCESS_PROGRESS * asked).astype(bool)
    return WalkingEvaluation(
        task=task.name,
        seed=seed,
        episodes=n,
        imperfections=imperfections,
        velocity_error=bootstrap_mean(errors, seed),
        yaw=turning.errors(seed),
        fall_rate=wilson(int(fell.sum()), n),
        episode_return=bootstrap_mean(_array(total), seed),
        terrain=() if places is None else _by_terrain(places, fell, succeeded, errors),
        fell=fell,
        velocity_errors=errors,
    )


def _parts(environment: Environment) -> tuple[object, ...]:
    """The environment and, where it has one, its scenario."""
    return (environment, environment.scenario) if isinstance(environment, VectorEnvironment) else (environment,)


def _errors(truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
    """|v_xy - command|, speed in the commanded direction and the commanded speed: [N] each, m/s."""
    command, velocity = truth[COMMAND], truth["linear_velocity"][:, :2]
    asked = command[:, :2]
    speed = asked.norm(dim=-1)
    along = (velocity * asked).sum(-1) / speed.clamp_min(1e-6)
    return (velocity - asked).norm(dim=-1), along, speed


def _by_terrain(
    places: tuple[Sequence[str], Tensor, Tensor],
    fell: NDArray[np.bool_],
    succeeded: NDArray[np.bool_],
    errors: Floats,
) -> tuple[TerrainScore, ...]:
    kinds, levels = places[1].cpu().numpy(), places[2].cpu().numpy()
    scores = []
    for index, kind in enumerate(places[0]):
        for level in np.unique(levels[kinds == index]):
            here = (kinds == index) & (levels == level)
            count = int(here.sum())
            scores.append(
                TerrainScore(
                    kind=kind,
                    level=int(level),
                    worlds=count,
                    success=wilson(int(succeeded[here].sum()), count),
                    fall_rate=wilson(int(fell[here].sum()), count),
                    velocity_error=float(errors[here].mean()),
                )
            )
    return tuple(scores)


def _array(values: Tensor) -> Floats:
    return values.detach().cpu().numpy().astype(np.float64)
