"""`bench ppo`: our PPO from nothing against rsl_rl's own runner, on the same task, network, steps and settings.

Two sets of settings, several seeds: "ours" are those recommended for the task, without the guide; "mjlab" are those
that mjlab publishes for its Go1. rsl_rl learns from mirror images as ours does. Both train in the same kind of worlds,
through the same observation and action terms and normalisers, with as many samples; each has the number of torch
threads with which it is fastest, found by trying. The clock stops during evaluations. What is compared is the return of
the deterministic policy on the evaluation's commands, which are the same for both and harder than what a curriculum may
command in training. "Time to equal return" is when each first reaches the same level, interpolated between evaluations:
`LEVEL` of the best return of rsl_rl, a mean over its seeds, with the settings that do worse for it.

`--further` adds arms with settings of their own names: ours with the task's guide, and rsl_rl without mirror images.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import mean
from typing import Any, Literal

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
OURS, THEIRS, THEIRS_PLAIN = "robo-rl", "rsl_rl, mirror images", "rsl_rl"
"""The trainers."""
MJLAB: dict[str, Any] = {
    "rollout_steps": 24, "epochs": 5, "minibatches": 4, "learning_rate": 1e-3, "target_kl": 0.01, "discount": 0.99,
    "gae_lambda": 0.95, "clip": 0.2, "value_clip": 0.2, "value_coefficient": 1.0, "entropy_coefficient": 0.01,
    "max_gradient_norm": 1.0, "initial_std": 1.0, "final_std": 0.0, "actor_hidden": (512, 256, 128),
    "critic_hidden": (512, 256, 128), "activation": "elu", "imitation": 0,
}  # fmt: skip
"""mjlab's settings of PPO for walking a Go1, without its number of worlds and iterations and with mirror images and
normalised observations, which it does without.

Ref: https://github.com/mujocolab/mjlab, src/mjlab/tasks/velocity/config/go1/rl_cfg.py
"""


@dataclass(frozen=True)
class Settings:
    """Train go1-velocity-flat with our PPO and with rsl_rl's and compare."""

    seeds: int = 1
    """Number of trainings of each trainer with each settings, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training."""
    settings: tuple[Literal["ours", "mjlab"], ...] = ("ours", "mjlab")
    """Settings that both train with: those of `algorithm`, and those that mjlab publishes for its Go1."""
    further: bool = False
    """Also train ours with the task's guide, if `algorithm` imitates it, and rsl_rl without mirror images."""
    every: int = 10
    """Iterations between evaluations."""
    worlds: int = 256
    """Worlds of an evaluation."""
    probe: int = 3
    """Iterations with which each number of threads is tried."""
    algorithm: PpoConfig = field(default_factory=recommended)
    """Settings of PPO, for both; its `iterations` are those of each trainer, with either settings."""

    def __post_init__(self) -> None:
        for name in ("seeds", "every", "worlds", "probe"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)
        if not self.settings:
            raise UserError("settings must name at least one of ours, mjlab")
        for name, wanted in (("actor", "mlp"), ("distribution", "clipped")):
            if getattr(self.algorithm, name) != wanted:
                given = getattr(self.algorithm, name)
                raise UserError(f"rsl_rl has no {name} like ours but {wanted}, got {given}; give --{name} {wanted}")
        if self.algorithm.symmetry == "none":
            raise UserError("both are compared with mirror images, got symmetry none; give --symmetry augment")


@dataclass(frozen=True)
class Arm:
    """A trainer with settings; `settings` is "ours" or "mjlab" for the two trainers that are compared."""

    trainer: str
    settings: str
    config: PpoConfig

    def make(self, config: PpoConfig, task: Task, seed: int) -> Ours | Theirs:
        """The trainer itself, with `config` in place of the arm's own."""
        return Ours(config, task, seed) if self.trainer == OURS else Theirs(config, task, seed, self.trainer == THEIRS)


def arms(settings: Settings) -> list[Arm]:
    """What is trained with each seed."""
    given = settings.algorithm
    # Without the guide there is nothing that bounds the noise.
    own = replace(given, imitation=0, final_std=0.0) if given.imitation else given
    configs = {"ours": own, "mjlab": replace(given, **MJLAB)}
    found = [Arm(trainer, name, configs[name]) for name in settings.settings for trainer in (OURS, THEIRS)]
    if settings.further:
        found.append(Arm(THEIRS_PLAIN, "ours, without mirror images", own))
        if given.imitation:
            found.append(Arm(OURS, "ours, with the guide", given))
    return found


class Ours:
    """Our trainer with the interface that this benchmark uses."""

    def __init__(self, config: PpoConfig, task: Task, seed: int) -> None:
        self._trainer = PpoTrainer(config, task, seed)

    @property
    def steps(self) -> int:
        return self._trainer.steps

    @property
    def graph(self) -> PolicyGraph | LearnedTeacher:
        return self._trainer.graph

    def learn(self, iterations: int) -> None:
        for _ in range(iterations):
            self._trainer.iterate()


class Theirs:
    """rsl_rl's runner, with our settings translated into its own; `mirrored` with its own mirror augmentation, which
    doubles every minibatch."""

    def __init__(self, config: PpoConfig, task: Task, seed: int, mirrored: bool) -> None:
        from rsl_rl.runners import OnPolicyRunner

        from robo_rl.doors.rsl_rl import RslRlEnv

        torch.manual_seed(seed)
        self._task = task
        self._env = RslRlEnv(task, config.num_worlds, seed, randomized=config.randomized)
        with contextlib.redirect_stdout(io.StringIO()):
            self._runner = OnPolicyRunner(self._env, rsl_rl_settings(config, mirrored), None, "cpu")

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
        "use_data_augmentation": config.symmetry in ("augment", "double"),
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
    """One row for each trainer, settings and seed; ratios are of rows from one machine only."""
    task = find_task(TASK)
    before = torch.get_num_threads()
    rows: list[Row] = []
    try:
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
            for arm in arms(settings):
                tried = _tried(arm, rows)
                name = f"{arm.trainer}, {arm.settings}, seed {seed}"
                rows.append(keep(name, partial(_train, arm, settings, task, seed, tried)))
    finally:
        torch.set_num_threads(before)
    level = return_level(rows)
    for row in rows:
        row["seconds_to_return"] = first_reached(row["curve"], level)
    return {"rows": rows, "return_level": level, "task": TASK, "evaluation_seed": BENCHMARK_SEED}


def return_level(rows: Sequence[Row]) -> float:
    """`LEVEL` of rsl_rl's best return with mirror images, a mean over seeds, with the settings that do worse for it."""
    best: dict[str, list[float]] = {}
    for row in rows:
        if row["trainer"] == THEIRS:
            best.setdefault(row["settings"], []).append(max(at["return"] for at in row["curve"]))
    lowest = min(mean(values) for values in best.values())
    return lowest - (1.0 - LEVEL) * abs(lowest)


def _tried(arm: Arm, rows: Sequence[Row]) -> Mapping[str, float]:
    """Samples a second with each number of threads, as an earlier seed's row has them."""
    same = (row for row in rows if (row["trainer"], row["settings"]) == (arm.trainer, arm.settings))
    return next((row["samples_per_second_by_threads"] for row in same), {})


def _train(arm: Arm, settings: Settings, task: Task, seed: int, tried: Mapping[str, float]) -> Row:
    tried = tried or _try_threads(arm, settings, task, seed)
    threads = int(max(tried, key=lambda name: tried[name]))
    torch.set_num_threads(threads)
    clock, curve = Clock(), []
    with clock:
        trainer = arm.make(arm.config, task, seed)
    learning = Clock()
    iterations = arm.config.iterations
    for done in range(0, iterations, settings.every):
        now = min(settings.every, iterations - done)
        with clock, learning:
            trainer.learn(now)
        evaluation = evaluate_walking(trainer.graph, task, settings.worlds, BENCHMARK_SEED)
        curve.append(point(clock.seconds, done + now, trainer.steps, evaluation))
        at = curve[-1]
        print(
            f"{arm.trainer}, {arm.settings}, seed {seed}, {at['seconds']:.0f} s: return {at['return']:.1f}, "
            f"{at['velocity_error']:.3f} m/s",
            flush=True,
        )
    return {
        "trainer": arm.trainer,
        "settings": arm.settings,
        "seed": seed,
        "samples_per_second": trainer.steps / learning.seconds,
        "train_seconds": clock.seconds,
        "final_return": curve[-1]["return"],
        "threads": threads,
        "samples_per_second_by_threads": dict(tried),
        "curve": curve,
    }


def _try_threads(arm: Arm, settings: Settings, task: Task, seed: int) -> dict[str, float]:
    """Samples a second with each number of torch threads that may be the fastest."""
    tried: dict[str, float] = {}
    for threads in sorted({1, usable_cores()}):
        torch.set_num_threads(threads)
        trainer = arm.make(replace(arm.config, iterations=settings.probe + 1), task, seed)
        trainer.learn(1)
        steps, started = trainer.steps, time.perf_counter()
        trainer.learn(settings.probe)
        tried[str(threads)] = (trainer.steps - steps) / (time.perf_counter() - started)
    return tried


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
