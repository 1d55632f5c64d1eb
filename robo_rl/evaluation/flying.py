"""Evaluation from fixed held-out starts, with intervals: policy graphs in torch, bundles in onnxruntime, teachers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deploy.bundle.reader import Bundle
from policies.errors import UserError
from policies.graph.multirate import MultiRate
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Commands, Sensors, State, Truth
from policies.specs import CommandSpec, SensorSpec
from robo_rl.output.results import plain
from sim.controllers.teacher import Teacher
from sim.task import Environment, Step, Task

HELD_OUT_SEED = 40_000_003
"""Seed of the evaluation's starts; trainings take seeds below 10 000 000 only, so none has seen these starts. Of the
flight trainer's settings only its two amounts of work, `iterations` and `warm_up_updates`, were chosen with their
results."""
SUCCESS_DISTANCE = 0.1
"""Mean distance to the target over the last second, in m, below which an episode counts as a success."""
BOOTSTRAP_DRAWS = 2000

Floats = NDArray[np.float64]
Signal = SensorSpec | CommandSpec


@runtime_checkable
class WithCurriculum(Protocol):
    """An environment whose difficulty grows in training."""

    def finish_curriculum(self) -> None:
        """Give every later episode the task's whole difficulty: full command range, terrain levels spread evenly."""
        ...


class BatchPolicy(Protocol):
    """A policy for N robots at once."""

    def initial_state(self, batch: int, device: str) -> State: ...
    def step(self, sensors: Sensors, state: State) -> tuple[Commands, State]: ...


Policy = PolicyGraph | Bundle | BatchPolicy
"""What a robot can carry."""
Evaluated = Policy | Teacher
"""What can be evaluated."""


@dataclass(frozen=True)
class Calls:
    """How often a policy is called a control period. Without `keeps_states` every call advances the states by a whole
    period, which is right for one call a period only."""

    substeps: int = 1
    keeps_states: bool = True


ONCE = Calls()


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """The results of N robots, one episode each.

    A robot survives when its episode reaches the time limit. Distances (m) are from the true position to the target,
    over the last second, of survivors alone, and so is the RMSE over the whole episode; they are nan where none
    survived, and None for a task whose truth has no `position_error`.
    """

    task: str
    seed: int
    episodes: int
    survival: Interval
    success: Interval | None
    episode_return: Interval
    distance: Interval | None
    distance_percentiles: dict[str, float] | None
    rmse: Interval | None
    survived: NDArray[np.bool_]
    """Per start [N], in the environment's order."""
    succeeded: NDArray[np.bool_]
    """Per start [N]: survived with a mean distance below 0.1 m over the last second."""
    distances: Floats
    """Per start [N], nan for a robot that did not survive."""

    def summary(self) -> dict[str, Any]:
        """The evaluation without its per-start arrays, in JSON's own types."""
        document: dict[str, Any] = {
            "evaluation": "flying",
            "task": self.task,
            "seed": self.seed,
            "episodes": self.episodes,
            "survival": vars(self.survival),
            "episode_return": vars(self.episode_return),
        }
        if self.success is not None and self.distance is not None and self.rmse is not None:
            document["success_at_0.1"] = vars(self.success)
            document["distance_m"] = {**vars(self.distance), **(self.distance_percentiles or {})}
            document["rmse_m"] = vars(self.rmse)
        result: dict[str, Any] = plain(document)
        return result


@torch.no_grad()
def evaluate(
    policy: Evaluated,
    task: Task,
    episodes: int = 1000,
    seed: int = HELD_OUT_SEED,
    device: str = "cpu",
    robot: str = "",
    imperfections: float = 1.0,
    calls: Calls = ONCE,
) -> Evaluation:
    """Fly one episode from each of `episodes` starts, which depend on the task and `seed` alone.

    `robot` names a parameter set other than the task's own; `imperfections` scales noise, disturbances and whatever
    else is imperfect in the task's world: 0 is none of it, 1 the task's own. `calls` says how often a period the policy
    is called; physics and sensors are then stepped as often, and rewards count for as much less.

    Raises UserError when the policy was made for other sensors or commands than the task's, the task can't be stepped
    so, or `episodes` is below 1.
    """
    pilot, task, environment = prepared(policy, task, episodes, seed, device, robot, imperfections, calls)
    total = torch.zeros(episodes, device=device)
    squares = torch.zeros(episodes, device=device)
    length = torch.zeros(episodes, device=device)
    # The distances of every robot's last second; its rows stop moving when the robot's episode ends.
    recent = torch.full((max(1, round(1.0 / task.period)), episodes), math.nan, device=device)

    def note(step: Step, alive: Tensor) -> None:
        nonlocal recent
        total.add_(torch.where(alive, step.reward, 0.0))
        length.add_(alive)
        if "position_error" in step.terminal_truth:
            distance = step.terminal_truth["position_error"].norm(dim=-1)
            squares.add_(torch.where(alive, distance.square(), 0.0))
            recent = torch.where(alive, torch.cat((recent[1:], distance[None])), recent)

    survived = first_episodes(pilot, task, environment, environment.reset(), note)
    return _summarise(task, seed, survived, total, (squares / length).sqrt(), recent.nanmean(0))


@torch.no_grad()
def first_episodes(
    pilot: BatchPolicy | Teacher,
    task: Task,
    environment: Environment,
    first: tuple[Sensors, Truth],
    note: Callable[[Step, Tensor], None],
) -> Tensor:
    """Every world's first episode, from what a reset returned; the worlds [N] that reached the time limit.

    `note` gets every step and the worlds [N] that were still in their first episode. The step's terminal_* hold the
    state before a restart, so that a world's last step counts.
    """
    sensors, truth = first
    state = pilot.initial_state(environment.num_worlds, environment.device)
    alive = torch.ones(environment.num_worlds, dtype=torch.bool, device=environment.device)
    survived = torch.zeros_like(alive)
    for _ in range(task.episode_steps):
        if isinstance(pilot, Teacher):
            commands, state = pilot.step(sensors, truth, state)
        else:
            commands, state = pilot.step(sensors, state)
        step = environment.step(commands)
        note(step, alive)
        survived |= alive & step.truncated
        alive &= ~(step.terminated | step.truncated)
        sensors, truth = step.sensors, step.truth
        if not bool(alive.any()):
            return survived
    raise RuntimeError(f"{task.name}: {int(alive.sum())} episodes went on after {task.episode_steps} steps")


def prepared(
    policy: Evaluated,
    task: Task,
    episodes: int,
    seed: int,
    device: str,
    robot: str,
    imperfections: float,
    calls: Calls,
) -> tuple[BatchPolicy | Teacher, Task, Environment]:
    """The pilot, the task as stepped for `calls`, and an environment with a world for each episode; arguments and
    errors as those of `evaluate`. A teacher acts as it is, once a control period."""
    if episodes < 1:
        raise UserError(f"episodes must be at least 1, got {episodes}")
    if isinstance(policy, Teacher) and calls.substeps != 1:
        raise UserError("a teacher acts once a control period; leave --rate out")
    pilot = policy if isinstance(policy, Teacher) else pilot_for(policy, task, calls)
    task = task.stepped(calls.substeps)
    world = task.make_environment(
        episodes, seed, device, robot=robot, randomized=task.evaluate_randomized, imperfections=imperfections
    )
    if isinstance(world, WithCurriculum):
        world.finish_curriculum()
    return pilot, task, world


def pilot_for(policy: Policy, task: Task, calls: Calls = ONCE) -> BatchPolicy:
    """The policy as something to fly in `task`. Raises UserError when it was made for other sensors or commands.

    Any other policy acts as it is, and keeps its own states between the calls of a period.
    """
    if not isinstance(policy, PolicyGraph | Bundle):
        return policy
    pilot = BundlePolicy(policy, task) if isinstance(policy, Bundle) else GraphPolicy(policy, task)
    return MultiRate(pilot.step, pilot.states, calls.substeps) if calls.keeps_states else pilot


def _summarise(
    task: Task, seed: int, survived: Tensor, total: Tensor, rmse_per_start: Tensor, distance_per_start: Tensor
) -> Evaluation:
    alive = survived.cpu().numpy()
    n = len(alive)
    distances = np.where(alive, _array(distance_per_start), np.nan)
    succeeded = alive & (np.nan_to_num(distances, nan=math.inf) < SUCCESS_DISTANCE)
    # Without a position error in the task's truth, every distance is nan.
    known = not bool(distance_per_start.isnan().all())
    return Evaluation(
        task=task.name,
        seed=seed,
        episodes=n,
        survival=wilson(int(alive.sum()), n),
        success=wilson(int(succeeded.sum()), n) if known else None,
        episode_return=bootstrap_mean(_array(total), seed),
        distance=bootstrap_mean(distances[alive], seed) if known else None,
        distance_percentiles=_percentiles(distances[alive]) if known else None,
        rmse=bootstrap_mean(_array(rmse_per_start)[alive], seed) if known else None,
        survived=alive,
        succeeded=succeeded,
        distances=distances,
    )


def _percentiles(values: Floats) -> dict[str, float]:
    if values.size == 0:
        return dict.fromkeys(("p50", "p90", "p99", "worst"), math.nan)
    return {"worst": float(values.max()), **{f"p{p}": float(np.percentile(values, p)) for p in (50, 90, 99)}}


def wilson(successes: int, trials: int) -> Interval:
    """A share with Wilson's 95% interval, which stays inside [0, 1] and is right at 0 and at all successes.

    Ref: E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    z = 1.959963984540054
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def bootstrap_mean(values: Floats, seed: int) -> Interval:
    """A mean with its 95% percentile-bootstrap interval; nan for no values. The same values give the same interval."""
    if values.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, values.size, size=(BOOTSTRAP_DRAWS, values.size), dtype=np.int32)
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


class GraphPolicy:
    """A policy graph as it would be deployed: the deterministic action."""

    def __init__(self, graph: PolicyGraph, task: Task) -> None:
        _check_signals("the policy", (*graph.used_sensors, *graph.commands), task)
        self._graph = graph
        self.states = graph.states

    def initial_state(self, batch: int, device: str) -> State:
        return self._graph.initial_state(batch, device)

    def step(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        commands, following = self._graph(sensors, state)
        return commands, following


class BundlePolicy:
    """A bundle on onnxruntime, all robots in one batch."""

    def __init__(self, bundle: Bundle, task: Task) -> None:
        made_for = f"{bundle.path}, made for {bundle.manifest.identity.task},"
        _check_signals(made_for, (*bundle.manifest.sensors, *bundle.manifest.commands), task)
        self._session = bundle.policy.session
        self.states = bundle.manifest.states

    def initial_state(self, batch: int, device: str) -> State:
        return State({name: torch.from_numpy(v) for name, v in self._session.initial_state(batch).items()})

    def step(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        device = next(iter(sensors.values())).device
        commands, following = self._session.evaluate(_arrays(sensors), _arrays(state))
        return Commands({k: torch.from_numpy(v).to(device) for k, v in commands.items()}), State(
            {k: torch.from_numpy(v) for k, v in following.items()}
        )


def _check_signals(policy: str, wanted: Iterable[Signal], task: Task) -> None:
    """Refuse a policy with a signal that is missing in the task, or has another meaning there."""
    own: list[Signal] = [*task.sensors, *task.commands]
    there = {_meaning(signal) for signal in own}
    for signal in wanted:
        if _meaning(signal) not in there:
            raise UserError(f"{policy} needs {_meaning(signal)}, which {task.name} lacks; fly it in its own task")


def _meaning(signal: Signal) -> str:
    """A signal in words, such as "position[3] m relative to the target"."""
    relative_to = getattr(signal, "relative_to", "")
    return f"{signal.name}[{signal.dim}] {signal.unit}" + (f" relative to the {relative_to}" if relative_to else "")


def _arrays(values: Sensors | State) -> dict[str, NDArray[np.float32]]:
    return {name: value.detach().cpu().numpy().astype(np.float32, copy=False) for name, value in values.items()}


def _array(values: Tensor) -> Floats:
    return values.detach().cpu().numpy().astype(np.float64)
