"""`bench rotor`: physics steps a second on one core, and full environment steps a second on all of them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import Any

import numpy as np
import torch

from policies.networks.mlp import MLP
from policies.validation import require
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.output.results import usable_cores
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS
from sim.tasks import find_task


@dataclass(frozen=True)
class Settings:
    """Measure throughput; every figure is the median of `repeats` measurements."""

    worlds: int = 4096
    """Quadrotors stepped together."""
    steps: int = 300
    """Steps in one measurement."""
    repeats: int = 7
    """Measurements."""
    seed: int = 0
    """Seed of the first process's environment; the others follow."""

    def __post_init__(self) -> None:
        for name in ("worlds", "steps", "repeats"):
            require(self, name, low=1)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """RK4 steps (one core), with adjoint (one core), and environment steps (noise, observation, reward, restarts)."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        physics = keep("physics", lambda: _physics(settings))
        environment = keep("environment", lambda: _environments(settings))
    finally:
        torch.set_num_threads(before)
    return {
        **physics,
        **environment,
        "worlds": settings.worlds,
        "cores": usable_cores(),
        "includes": "RK4, sensor noise, 146-value observation, action history, reward, termination, restarts",
    }


def rate(work: Callable[[], None], worlds: int, steps: int, repeats: int, device: str = "cpu") -> float:
    """Worlds stepped a second by `work`, which steps all of them once; the device has finished at the end."""
    for _ in range(20):
        work()
    rates = []
    for _ in range(repeats):
        finish(device)
        started = time.perf_counter()
        for _ in range(steps):
            work()
        finish(device)
        rates.append(worlds * steps / (time.perf_counter() - started))
    return median(rates)


def finish(device: str) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def physics_rates(worlds: int, steps: int, repeats: int, device: str = "cpu") -> tuple[float, float]:
    """RK4 steps a second, without and with their adjoint."""
    robot = PARAMETERS["crazyflie"]
    physics = RotorPhysics(worlds, robot, 0.01, device)
    hover = torch.full((worlds, 4), robot.hover_fraction * robot.max_speed, device=device)
    rows = physics.state.clone()
    rows[:, 13:] = hover
    physics.write(torch.ones(worlds, dtype=torch.bool, device=device), *rows.split((7, 6, 4), -1))
    plain = rate(lambda: physics.step(hover), worlds, steps, repeats, device)
    state, command = rows.requires_grad_(), hover.clone().requires_grad_()
    ones = torch.ones_like(rows)
    return plain, rate(lambda: physics.advance(state, command).backward(ones), worlds, steps, repeats, device)


def _physics(settings: Settings) -> Row:
    plain, both = physics_rates(settings.worlds, settings.steps, settings.repeats)
    return {"rk4_steps_per_second_1core": plain, "rk4_steps_with_adjoint_per_second_1core": both}


def _environments(settings: Settings) -> Row:
    """Worlds stepped a second when every core steps its share in a process of its own, as data-parallel training does:
    without a policy's network, and with it.

    Threads within one process would be slower at these sizes, because the operations are too short.
    """
    cores = usable_cores()
    share = max(1, settings.worlds // cores)
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(cores), context.Queue()
    workers = [
        context.Process(target=_step_share, args=(share, settings.seed + core, settings, start, results), daemon=True)
        for core in range(cores)
    ]
    for worker in workers:
        worker.start()
    seconds = np.array([results.get(timeout=240.0) for _ in workers])
    for worker in workers:
        worker.join()
    # In every measurement the slowest process counts.
    without, with_network = np.median(share * cores * settings.steps / seconds.max(0), -1)
    return {"env_steps_per_second": float(without), "env_steps_with_policy_per_second": float(with_network)}


def _step_share(worlds: int, seed: int, settings: Settings, start: Barrier, results: Queue[list[list[float]]]) -> None:
    """A worker process: put the seconds of each measurement into `results`, without a network and with one."""
    torch.set_num_threads(1)
    results.put([_seconds(environment_step(worlds, seed, network), settings, start) for network in (False, True)])


def _seconds(work: Callable[[], None], settings: Settings, start: Barrier) -> list[float]:
    """The seconds of each measurement, which begins in all processes at once."""
    for _ in range(20):
        work()
    seconds = []
    for _ in range(settings.repeats):
        start.wait(600.0)
        started = time.perf_counter()
        for _ in range(settings.steps):
            work()
        seconds.append(time.perf_counter() - started)
    return seconds


def environment_step(worlds: int, seed: int, network: bool, device: str = "cpu") -> Callable[[], None]:
    """A function that takes one whole step of an environment of its own: observe, act, step, restart."""
    task = find_task("crazyflie-hover")
    env = task.make_environment(worlds, seed, device)
    graph = task.policy_graph(MLP(task.observation_dim, (64, 64), task.action.dim, squash=True)).to(device)
    sensors, _ = env.reset()
    state = graph.initial_state(worlds, device)
    fixed = torch.full((worlds, 4), 0.334, device=device)

    def work() -> None:
        nonlocal sensors, state
        with torch.no_grad():
            observation = graph.observe(sensors, state)
            action = graph.act(observation) if network else fixed
            commands, state = graph.apply_action(action, sensors, state)
            step = env.step(commands)
            sensors = step.sensors
            state = graph.reset_where(state, step.terminated | step.truncated)

    return work
