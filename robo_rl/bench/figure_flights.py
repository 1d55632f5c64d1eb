"""Flying figures with any controller, and the random search that tunes the PID baselines.

`python -m robo_rl.bench.figure_flights` repeats both searches from the gains below (some minutes each) and prints what
they find: without the target's acceleration (`TUNED`), and with it as feed-forward (`TUNED_FEED_FORWARD`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from policies.graph.policy_graph import PolicyGraph
from policies.signals import Commands, Sensors
from sim.controllers.cascaded import CascadeGains
from sim.controllers.pid import CascadedPid, PidGains
from sim.robots.crazyflie import PARAMETERS
from sim.tasks.crazyflie import PERIOD
from sim.tasks.crazyflie_track import CRAZYFLIE_TRACK, PERIODS, flown

JOIN_STEPS = 200
"""Steps (2 s) in which a vehicle joins the figure; they are left out of its error."""
TUNING_SEED = 555
ROBOTS = ("crazyflie", "crazyflie-2025")

# What the search below found, each on both vehicles and all three figures, with a seed that no result uses.
TUNED = PidGains(
    cascade=CascadeGains(
        position=91.6,
        velocity=21.9,
        attitude=1280.0,
        rate=133.0,
        yaw=18.9,
        yaw_rate=3.73,
        lead=0.00575,
        max_acceleration=27.0,
    ),
    integral=31.3,
    max_integral=7.02,
)
TUNED_FEED_FORWARD = PidGains(
    cascade=CascadeGains(
        position=61.6,
        velocity=11.1,
        attitude=827.0,
        rate=41.5,
        yaw=14.0,
        yaw_rate=17.9,
        lead=0.00852,
        max_acceleration=45.6,
    ),
    integral=74.9,
    max_integral=4.76,
    feed_forward=1.11,
)

Controller = Callable[[Sensors], Commands]
Controllers = Callable[[int], Controller]
"""Makes a controller for a number of vehicles."""


@torch.no_grad()
def fly_figure(
    make_controller: Controllers,
    interval: tuple[float, float],
    robot: str,
    flights: int,
    seed: int,
    steps: int = 1700,
) -> tuple[Tensor, Tensor]:
    """Per-flight position RMSE [N] in m at full speed, and which flights survived [N]; `interval` is a range in s."""
    env = CRAZYFLIE_TRACK.changed(evaluated=flown(interval)).make_environment(flights, seed, robot=robot)
    sensors, _ = env.reset()
    controller = make_controller(flights)
    alive = torch.ones(flights, dtype=torch.bool)
    squares = torch.zeros(flights)
    for t in range(steps - 1):
        step = env.step(controller(sensors))
        sensors = step.sensors
        alive &= ~step.terminated
        if t >= JOIN_STEPS:
            squares += step.terminal_truth["position_error"].square().sum(-1)
    return (squares / (steps - 1 - JOIN_STEPS)).sqrt(), alive


def pid(gains: PidGains) -> Controllers:
    """PID controllers with the model of the nominal Crazyflie."""
    return lambda n: CascadedPid(PARAMETERS["crazyflie"], gains, PERIOD, n).commands


def learned(graph: PolicyGraph) -> Controllers:
    """Controllers that run a policy graph as deployed."""

    def make(n: int) -> Controller:
        state = graph.initial_state(n)

        def control(sensors: Sensors) -> Commands:
            nonlocal state
            commands: Commands
            commands, state = graph(sensors, state)
            return commands

        return control

    return make


def _penalty(gains: PidGains) -> float:
    """Mean RMSE over vehicles and figures, 0.6 m for every flight lost."""
    scores = []
    for robot in ROBOTS:
        rmse, alive = fly_figure(pid(gains), (PERIODS[-1], PERIODS[0]), robot, 48, TUNING_SEED, steps=900)
        scores.append(float(torch.where(alive, rmse, 0.6).mean()))
    return float(np.mean(scores))


def tune(start: PidGains, trials: int = 200, seed: int = 0) -> PidGains:
    """Random search around the best so far: each trial scales some gains by a log-normal factor."""
    random = np.random.default_rng(seed)
    best, least = start, _penalty(start)
    print(f"start: {least:.4f} m", flush=True)
    for trial in range(trials):
        spread = 0.4 if trial < trials // 2 else 0.15

        def vary(value: float, spread: float = spread) -> float:
            return float(value * np.exp(random.normal(0.0, spread))) if random.random() < 0.4 else value

        cascade = CascadeGains(**{name: vary(value) for name, value in vars(best.cascade).items()})
        others = {name: vary(getattr(best, name)) for name in ("integral", "max_integral", "feed_forward")}
        candidate = replace(best, cascade=cascade, **others)
        score = _penalty(candidate)
        if score < least:
            best, least = candidate, score
            print(f"trial {trial}: {least:.4f} m {best}", flush=True)
    return best


if __name__ == "__main__":
    torch.set_num_threads(1)
    for gains in (TUNED, TUNED_FEED_FORWARD):
        print(tune(gains))
