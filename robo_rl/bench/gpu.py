"""`bench gpu`: flight on a GPU: agreement with the CPU, steps a second, and how long the trainers take."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from policies.validation import require
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.hover import TASK, train_and_evaluate
from robo_rl.bench.hover import Settings as HoverSettings
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.rotor import environment_step, finish, physics_rates, rate
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS
from sim.tasks import find_task

PERIOD = 0.01
"""Length of a step of the physics, s."""


@dataclass(frozen=True)
class Settings:
    """Measure flight on one GPU, and on this machine's CPU beside it; needs a GPU that torch can use."""

    worlds: tuple[int, ...] = (4096, 65_536, 1_048_576)
    """Numbers of quadrotors stepped together."""
    environments: tuple[int, ...] = (4096, 65_536)
    """Numbers of worlds of whole environments."""
    steps: int = 100
    """Steps in one measurement."""
    repeats: int = 5
    """Measurements; the median counts."""
    seeds: int = 3
    """Number of trainings of crazyflie-hover, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training, and of every environment."""
    ppo_worlds: tuple[int, ...] = (4096, 65_536)
    """Numbers of worlds in which PPO is timed."""
    device: str = "cuda"
    """The GPU: cuda or cuda:N."""

    def __post_init__(self) -> None:
        for name in ("steps", "repeats", "seeds"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """Parity, throughput by number of worlds, and trainings; the same on the CPU where that takes seconds."""
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("bench gpu measures an NVIDIA GPU, and torch finds none here; `robo-rl doctor` shows why")
    gpu, few = settings.device, settings.worlds[0]
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    return {
        "card": torch.cuda.get_device_name(gpu) if gpu.startswith("cuda") else gpu,
        "parity": keep("parity", partial(_parity, few, settings)),
        "physics": [
            keep(f"physics {device} {worlds}", partial(_physics, device, worlds, settings))
            for device, worlds in (("cpu", few), *((gpu, worlds) for worlds in settings.worlds))
        ],
        "environments": [
            keep(f"environment {device} {worlds}", partial(_environment, device, worlds, settings))
            for device, worlds in (("cpu", few), *((gpu, worlds) for worlds in settings.environments))
        ],
        "hover": [keep(f"hover {gpu} {seed}", partial(_hover, gpu, seed)) for seed in seeds],
        "hover_cpu": keep("hover cpu", partial(_hover, "cpu", settings.first_seed)),
        "ppo": [
            keep(f"ppo {device} {worlds}", partial(_ppo, device, worlds, settings.first_seed))
            for device, worlds in (("cpu", settings.ppo_worlds[0]), *((gpu, n) for n in settings.ppo_worlds))
        ],
        "evaluation_seed": BENCHMARK_SEED,
    }


def _start(worlds: int, device: str) -> tuple[RotorPhysics, Tensor, Tensor]:
    """Physics, states [N, 17] that tumble, and rotor speeds [N, 4]: the same draws on every device."""
    robot = PARAMETERS["crazyflie"]
    random = torch.Generator().manual_seed(0)
    state = torch.randn(worlds, 17, generator=random)
    state[:, 3:7] /= state[:, 3:7].norm(dim=1, keepdim=True)
    state[:, 13:] = torch.rand(worlds, 4, generator=random) * robot.max_speed
    command = torch.rand(worlds, 4, generator=random) * robot.max_speed
    physics = RotorPhysics(worlds, robot, PERIOD, device)
    return physics, state.to(device), command.to(device)


def _parity(worlds: int, settings: Settings) -> Row:
    """The largest difference between GPU and CPU after one step, and after `steps`, in parts of each column's root mean
    square on the CPU: of the state, and of the gradient with respect to state and command."""
    found: dict[str, list[Tensor]] = {}
    for device in ("cpu", settings.device):
        physics, state, command = _start(worlds, device)
        given, held = state.clone().requires_grad_(), command.clone().requires_grad_()
        once = physics.advance(given, held)
        once.square().sum().backward()
        physics.write(torch.ones(worlds, dtype=torch.bool, device=device), *state.split((7, 6, 4), -1))
        for _ in range(settings.steps):
            physics.step(command)
        assert given.grad is not None and held.grad is not None
        found[device] = [t.detach().cpu().double() for t in (once, physics.state, given.grad, held.grad)]
    names = ("one_step", "all_steps", "state_gradient", "command_gradient")
    return {
        name: float(((ours - theirs).abs().amax(0) / theirs.square().mean(0).sqrt().clamp(min=1e-30)).max())
        for name, ours, theirs in zip(names, found[settings.device], found["cpu"], strict=True)
    } | {"worlds": worlds, "steps": settings.steps}


def _physics(device: str, worlds: int, settings: Settings) -> Row:
    plain, both = physics_rates(worlds, settings.steps, settings.repeats, device)
    return {"device": device, "worlds": worlds, "steps_per_second": plain, "with_adjoint_per_second": both}


def _environment(device: str, worlds: int, settings: Settings) -> Row:
    rates = [
        rate(
            environment_step(worlds, settings.first_seed, network, device), worlds, settings.steps, settings.repeats,
            device,
        )
        for network in (False, True)
    ]  # fmt: skip
    return {"device": device, "worlds": worlds, "steps_per_second": rates[0], "with_policy_per_second": rates[1]}


def _hover(device: str, seed: int) -> Row:
    return {"device": device, **train_and_evaluate(seed, HoverSettings(), device)}


def _ppo(device: str, worlds: int, seed: int) -> Row:
    """Samples a second of five iterations of PPO on crazyflie-hover, after two to warm up."""
    task = find_task(TASK)
    config = recommended_config("ppo", task)
    assert isinstance(config, PpoConfig)
    trainer = PpoTrainer(replace(config, num_worlds=worlds), task, seed, device)
    for _ in range(2):
        trainer.iterate()
    finish(device)
    before, started = trainer.steps, time.perf_counter()
    for _ in range(5):
        trainer.iterate()
    finish(device)
    return {
        "device": device,
        "worlds": worlds,
        "samples_per_second": (trainer.steps - before) / (time.perf_counter() - started),
    }
