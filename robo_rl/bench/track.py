"""`bench track`: RMSE on Lissajous figures, learned controller against a tuned cascaded PID, on both parameter sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch

from policies.graph.policy_graph import PolicyGraph
from policies.validation import check, require
from robo_rl.algorithms.flight import FlightConfig, FlightTrainer
from robo_rl.bench.figure_flights import ROBOTS, TUNED, TUNED_FEED_FORWARD, Controllers, fly_figure, learned, pid
from robo_rl.bench.hover import recommended
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.evaluation.flying import bootstrap_mean
from sim.tasks import find_task
from sim.tasks.crazyflie_track import PERIODS

TASK = "crazyflie-track"


@dataclass(frozen=True)
class Settings:
    """Train crazyflie-track and fly figures against the PID, with the same noise, disturbances and starts."""

    seed: int = 0
    """Seed of the training."""
    flights: int = 100
    """Held-out flights per controller, vehicle and figure."""
    threads: int = 1
    """Threads that torch may use within one operation."""
    algorithm: FlightConfig = field(default_factory=partial(recommended, TASK))
    """Settings of the flight trainer."""

    def __post_init__(self) -> None:
        for name in ("flights", "threads"):
            require(self, name, low=1)
        check(self.algorithm.reads == "sensors", "bench track flies a policy of sensors; leave --algorithm.reads out")


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row per vehicle, figure and controller; RMSE over the flights that survived."""

    @cache
    def trained() -> Controllers:
        # Only when one of its rows is missing: saved rows need no training.
        trainer = FlightTrainer(settings.algorithm, find_task(TASK), settings.seed)
        while trainer.iteration < trainer.total_iterations:
            trainer.iterate()
        assert isinstance(trainer.graph, PolicyGraph)
        return learned(trainer.graph)

    makers: dict[str, Callable[[], Controllers]] = {
        "learned": trained,
        "cascaded PID": lambda: pid(TUNED),
        "cascaded PID + feed-forward": lambda: pid(TUNED_FEED_FORWARD),
    }
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        rows = [
            keep(f"{name}, {robot}, {period:g} s", partial(_fly, name, make, robot, period, settings.flights))
            for robot in ROBOTS
            for period in PERIODS
            for name, make in makers.items()
        ]
    finally:
        torch.set_num_threads(before)
    return {"rows": rows, "seed": settings.seed, "evaluation_seed": BENCHMARK_SEED}


def _fly(name: str, make: Callable[[], Controllers], robot: str, period: float, flights: int) -> Row:
    rmse, alive = fly_figure(make(), (period, period), robot, flights, BENCHMARK_SEED)
    mean = bootstrap_mean(rmse[alive].double().numpy(), BENCHMARK_SEED)
    return {
        "controller": name,
        "robot": robot,
        "period": period,
        "rmse": mean.value,
        "rmse_interval": [mean.low, mean.high],
        "survival": float(alive.float().mean()),
    }
