"""`bench ppo`: our PPO and rsl_rl's own runner on the same task, network, steps and settings.

Both train in the same kind of worlds, through the same observation and action terms, with as many samples; each has
the number of torch threads with which it is fastest, found by trying. The clock stops during evaluations. What is
compared is the return of the deterministic policy on the evaluation's commands, which are the same for both and harder
than what a curriculum may command in training. "Time to equal return" is when each first reaches the same level:
`LEVEL` of rsl_rl's best return, interpolated between evaluations. Where ours learns from mirror images, rsl_rl also
runs with its own, and the faster of its two counts. Where ours begins by imitating the task's guide, which rsl_rl
can't, it also runs without, in a row of its own that shows the guide's share in the difference.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.validation import require
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.walk import TASK, recommended
from robo_rl.bench.walk_training import Clock, point
from robo_rl.evaluation.walking import evaluate_walking
from robo_rl.output.results import usable_cores
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task
from sim.tasks import find_task

LEVEL = 0.95


@dataclass(frozen=True)
class Settings:
    """Train go1-velocity-flat twice and compare."""

    every: int = 10
    """Iterations between evaluations."""
    seed: int = 0
    """Seed of both trainings."""
    worlds: int = 256
    """Worlds of an evaluation."""
    probe: int = 3
    """Iterations with which each number of threads is tried."""
    algorithm: PpoConfig = field(default_factory=recommended)
    """Settings of PPO, for both; its `iterations` are those of each trainer."""

    def __post_init__(self) -> None:
        for name in ("every", "worlds", "probe"):
            require(self, name, low=1)
        require(self, "seed", low=0, high=9_000_000)
        for name, wanted in (("actor", "mlp"), ("distribution", "clipped")):
            if getattr(self.algorithm, name) != wanted:
                given = getattr(self.algorithm, name)
                raise UserError(f"rsl_rl has no {name} like ours but {wanted}, got {given}; give --{name} {wanted}")


class Ours:
    """Our trainer with the interface that this benchmark uses."""

    name = "robo-rl"

    def __init__(self, config: PpoConfig, task: Task, seed: int) -> None:
        self._trainer = PpoTrainer(self.settings(config), task, seed)

    def settings(self, config: PpoConfig) -> PpoConfig:
        return config

    @property
    def steps(self) -> int:
        return self._trainer.steps

    @property
    def graph(self) -> PolicyGraph | LearnedTeacher:
        return self._trainer.graph

    def learn(self, iterations: int) -> None:
        for _ in range(iterations):
            self._trainer.iterate()


class OursUnguided(Ours):
    """The same without the guide, and without the bound of the noise that the guide makes possible."""

    name = "robo-rl, no guide"

    def settings(self, config: PpoConfig) -> PpoConfig:
        return replace(config, imitation=0, final_std=0.0)


class Theirs:
    """rsl_rl's runner, with our settings translated into its own."""

    name = "rsl_rl"
    mirrored = False

    def __init__(self, config: PpoConfig, task: Task, seed: int) -> None:
        from rsl_rl.runners import OnPolicyRunner

        from robo_rl.doors.rsl_rl import RslRlEnv

        torch.manual_seed(seed)
        self._task = task
        self._env = RslRlEnv(task, config.num_worlds, seed, randomized=config.randomized)
        with contextlib.redirect_stdout(io.StringIO()):
            self._runner = OnPolicyRunner(self._env, rsl_rl_settings(config, self.mirrored), None, "cpu")

    @property
    def steps(self) -> int:
        return self._env.steps

    @property
    def graph(self) -> PolicyGraph:
        from robo_rl.doors.rsl_rl import policy_graph

        return policy_graph(self._runner, self._task)

    def learn(self, iterations: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            # Ages are spread once, at the start, as rsl_rl's own examples do.
            self._runner.learn(iterations, init_at_random_ep_len=self._env.steps == 0)


class TheirsMirrored(Theirs):
    """The same with its own mirror augmentation, which doubles every minibatch."""

    name = "rsl_rl, mirror images"
    mirrored = True


def rsl_rl_settings(config: PpoConfig, mirrored: bool = False) -> dict[str, Any]:
    """Our settings as rsl_rl's configuration: the same networks, normalisers, step sizes and clipping.

    `mirrored` adds its own symmetry extension, with the mirror that our trainer uses.
    """

    def network(hidden: Sequence[int]) -> dict[str, Any]:
        return {
            "class_name": "MLPModel",
            "hidden_dims": list(hidden),
            "activation": config.activation,
            "obs_normalization": True,
        }

    symmetry = {
        "data_augmentation_func": "robo_rl.doors.rsl_rl:with_mirror_images",
        "use_data_augmentation": config.symmetry == "augment",
        "use_mirror_loss": config.symmetry == "loss",
        "mirror_loss_coeff": config.symmetry_coefficient,
    }
    distribution = {"class_name": "GaussianDistribution", "init_std": config.initial_std, "std_type": "log"}
    return {
        "num_steps_per_env": config.rollout_steps,
        "save_interval": 10**9,
        "obs_groups": {"actor": ["policy"], "critic": ["critic"]},
        "actor": {**network(config.actor_hidden), "distribution_cfg": distribution},
        "critic": network(config.critic_hidden),
        "algorithm": {
            "class_name": "PPO",
            "num_learning_epochs": config.epochs,
            "num_mini_batches": config.minibatches,
            "learning_rate": config.learning_rate,
            "schedule": "adaptive" if config.target_kl else "fixed",
            "desired_kl": config.target_kl or None,
            "gamma": config.discount,
            "lam": config.gae_lambda,
            "clip_param": config.clip,
            "use_clipped_value_loss": config.value_clip > 0.0,
            "value_loss_coef": config.value_coefficient,
            "entropy_coef": config.entropy_coefficient,
            "max_grad_norm": config.max_gradient_norm,
            "symmetry_cfg": symmetry if mirrored else None,
        },
    }


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for each trainer; ratios are of rows from one machine only."""
    task = find_task(TASK)
    before = torch.get_num_threads()
    try:
        makers: list[type[Ours] | type[Theirs]] = [Ours, Theirs]
        if settings.algorithm.imitation:
            makers.append(OursUnguided)
        if settings.algorithm.symmetry != "none":
            # Mirror images may make theirs faster or slower, so both are measured.
            makers.append(TheirsMirrored)
        rows = [keep(maker.name, partial(_train, maker, settings, task)) for maker in makers]
    finally:
        torch.set_num_threads(before)
    rivals = [row for row in rows if row["trainer"] in (Theirs.name, TheirsMirrored.name)]
    best = max(at["return"] for row in rivals for at in row["curve"])
    level = best - (1.0 - LEVEL) * abs(best)
    for row in rows:
        row["seconds_to_return"] = first_reached(row["curve"], level)
    ours = rows[0]
    theirs = min(rivals, key=lambda row: float("inf") if row["seconds_to_return"] is None else row["seconds_to_return"])
    reached = ours["seconds_to_return"]
    comparable = ours["machine"] == theirs["machine"]
    return {
        "rows": rows,
        "return_level": level,
        "compared_with": theirs["trainer"],
        "time_ratio": theirs["seconds_to_return"] / reached if comparable and reached is not None else None,
        "throughput_ratio": ours["samples_per_second"] / theirs["samples_per_second"] if comparable else None,
        "task": TASK,
        "seed": settings.seed,
        "evaluation_seed": BENCHMARK_SEED,
    }


def _train(maker: type[Ours] | type[Theirs], settings: Settings, task: Task) -> Row:
    threads, tried = _best_threads(maker, settings, task)
    torch.set_num_threads(threads)
    clock, curve = Clock(), []
    with clock:
        trainer = maker(settings.algorithm, task, settings.seed)
    learning = Clock()
    iterations = settings.algorithm.iterations
    for done in range(0, iterations, settings.every):
        now = min(settings.every, iterations - done)
        with clock, learning:
            trainer.learn(now)
        evaluation = evaluate_walking(trainer.graph, task, settings.worlds, BENCHMARK_SEED)
        curve.append(point(clock.seconds, done + now, trainer.steps, evaluation))
        at = curve[-1]
        print(
            f"{maker.name}, {at['seconds']:.0f} s: return {at['return']:.1f}, {at['velocity_error']:.3f} m/s",
            flush=True,
        )
    return {
        "trainer": maker.name,
        "samples_per_second": trainer.steps / learning.seconds,
        "train_seconds": clock.seconds,
        "final_return": curve[-1]["return"],
        "threads": threads,
        "samples_per_second_by_threads": tried,
        "curve": curve,
    }


def _best_threads(maker: type[Ours] | type[Theirs], settings: Settings, task: Task) -> tuple[int, dict[str, float]]:
    """The number of torch threads with which a trainer is fastest, and samples a second with each."""
    tried: dict[str, float] = {}
    for threads in sorted({1, usable_cores()}):
        torch.set_num_threads(threads)
        trainer = maker(replace(settings.algorithm, iterations=settings.probe + 1), task, settings.seed)
        trainer.learn(1)
        steps, started = trainer.steps, time.perf_counter()
        trainer.learn(settings.probe)
        tried[str(threads)] = (trainer.steps - steps) / (time.perf_counter() - started)
    return int(max(tried, key=lambda name: tried[name])), tried


def first_reached(curve: Sequence[dict[str, float]], level: float) -> float | None:
    """When a curve first reached `level`, in s, on the line between the evaluations around it; None if never."""
    for index, at in enumerate(curve):
        if at["return"] >= level:
            if index == 0:
                return at["seconds"]
            last = curve[index - 1]
            share = (level - last["return"]) / (at["return"] - last["return"])
            return last["seconds"] + share * (at["seconds"] - last["seconds"])
    return None
