"""`bench track`: RMSE on Lissajous figures, learned controller against a tuned cascaded PID, on both parameter sets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from policies.validation import require
from robo_rl.algorithms.flight import FlightConfig, FlightTrainer
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.figure_flights import ROBOTS, TUNED, fly_figure, learned, pid
from robo_rl.evaluation.flying import HELD_OUT_SEED, bootstrap_mean
from sim.tasks import find_task
from sim.tasks.crazyflie_track import PERIODS

TASK = "crazyflie-track"


def recommended() -> FlightConfig:
    config = recommended_config("flight", find_task(TASK))
    assert isinstance(config, FlightConfig)
    return config


@dataclass(frozen=True)
class Settings:
    """Train crazyflie-track and fly figures against the PID, with the same noise, disturbances and starts."""

    seed: int = 0
    """Seed of the training."""
    flights: int = 100
    """Held-out flights per controller, vehicle and figure."""
    threads: int = 1
    """Threads that torch may use within one operation."""
    algorithm: FlightConfig = field(default_factory=recommended)
    """Settings of the flight trainer."""

    def __post_init__(self) -> None:
        for name in ("flights", "threads"):
            require(self, name, low=1)


def run(settings: Settings) -> dict[str, Any]:
    """One row per controller, vehicle and figure; RMSE over the flights that survived."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        started = time.perf_counter()
        trainer = FlightTrainer(settings.algorithm, find_task(TASK), settings.seed)
        while trainer.iteration < trainer.total_iterations:
            trainer.iterate()
        seconds = time.perf_counter() - started
        makers = {
            "learned": learned(trainer.graph),
            "cascaded PID": pid(TUNED),
            "cascaded PID + feed-forward": pid(replace(TUNED, feed_forward=1.0)),
        }
        rows = []
        for robot in ROBOTS:
            for period in PERIODS:
                for name, make in makers.items():
                    rmse, alive = fly_figure(make, (period, period), robot, settings.flights, HELD_OUT_SEED)
                    mean = bootstrap_mean(rmse[alive].double().numpy(), HELD_OUT_SEED)
                    rows.append(
                        {
                            "controller": name,
                            "robot": robot,
                            "period": period,
                            "rmse": mean.value,
                            "rmse_interval": [mean.low, mean.high],
                            "survival": float(alive.float().mean()),
                        }
                    )
    finally:
        torch.set_num_threads(before)
    return {"rows": rows, "train_seconds": seconds, "seed": settings.seed, "held_out_seed": HELD_OUT_SEED}
