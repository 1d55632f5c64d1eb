"""The benchmarks by name: what each measures, and how long it takes.

A benchmark is a module, imported when it is run, with a frozen `Settings`, which holds every seed, and `run(settings,
keep)`. `keep(name, measure)` gives the row of that name: saved before, or measured now. `run` returns the result's JSON
keys; a non-empty list under "failures" says, in words, what failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from policies.errors import UserError

BENCHMARK_SEED = 50_000_017
"""Seed of the starts and commands on which benchmarks evaluate policies, and which nothing else uses: trainings take
seeds below 10 000 000, and `eval` and the choice of settings have seeds of their own."""


@dataclass(frozen=True)
class Benchmark:
    """`code` are the git pathspecs of what is measured: a table says when they have changed since its result."""

    summary: str
    code: tuple[str, ...]
    long: bool = False
    """Whether it takes more than 30 minutes on two cores; `bench all` then leaves it out unless asked."""
    gpu: bool = False
    """Whether it measures an NVIDIA GPU; `bench all` leaves it out where there is none."""


FLIGHT = ("policies", "sim", "robo_rl/algorithms", "robo_rl/evaluation", ":!sim/legged", ":!sim/terrain")
WALKING = ("policies", "sim", "robo_rl/algorithms", "robo_rl/evaluation", ":!sim/quadrotor", ":!sim/physics/rotor")

BENCHMARKS = {
    "hover": Benchmark(
        "training time and success of crazyflie-hover over several seeds", (*FLIGHT, "robo_rl/bench/oracle.py")
    ),
    "track": Benchmark(
        "tracking error of the learned controller against a tuned cascaded PID",
        (*FLIGHT, "robo_rl/bench/figure_flights.py"),
    ),
    "rotor": Benchmark("physics and environment steps a second", ("policies", "sim", ":!sim/legged", ":!sim/terrain")),
    "gpu": Benchmark(
        "flight on an NVIDIA GPU: agreement with the CPU, steps a second, trainings",
        (*FLIGHT, "robo_rl/bench/rotor.py"),
        gpu=True,
    ),
    "loop": Benchmark(
        "age, jitter and overruns of the control loop through bridge and simulated robot", ("deploy/bundle", "real")
    ),
    "env": Benchmark(
        "full environment steps of go1-velocity-flat as a share of bare physics, and memory",
        ("policies", "sim", ":!sim/quadrotor", ":!sim/physics/rotor"),
    ),
    "walk": Benchmark("time until a Go1 walks as commanded, over several seeds", WALKING, long=True),
    "own": Benchmark(
        "robots of one's own that learn to walk from their files alone",
        (*WALKING, "docs/examples/robots", "robo_rl/bench/walk_training.py"),
        long=True,
    ),
    "ppo": Benchmark(
        "our PPO against rsl_rl's on go1-velocity-flat: samples a second, time to equal return",
        (*WALKING, "robo_rl/doors"),
        long=True,
    ),
    "mcu": Benchmark(
        "instructions, modelled time, flash and RAM of generated C on an emulated Cortex-M4F",
        ("policies", "deploy/bundle", "deploy/codegen", "deploy/export", "deploy/mcu", "deploy/toolchain.py"),
    ),
    "curricula": Benchmark(
        "each curriculum on and off, at equal samples",
        (*WALKING, "robo_rl/training/snapshots.py", "robo_rl/bench/walk_training.py"),
        long=True,
    ),
    "distill": Benchmark(
        "every arm of distillation on go1-velocity-hidden, in range and at 1.5 times the range", WALKING, long=True
    ),
    "rough": Benchmark(
        "success of a blind student and one with a scan on every kind and level of terrain", WALKING, long=True
    ),
    "any": Benchmark(
        "one policy for any quadrotor: unseen vehicles, teachers of their own, figures, instructions on a chip",
        (*FLIGHT, "robo_rl/bench/mcu.py", "deploy/codegen", "deploy/mcu"),
        long=True,
    ),
    "chip": Benchmark(
        "bundles flown by their firmware on an emulated chip, against onnxruntime",
        (*FLIGHT, "deploy", "real/robots", "real/simulated"),
    ),
}
OTHERS = {
    "sim2sim": Benchmark("an exported bundle in two physics engines", ("policies", "sim", "robo_rl/evaluation")),
}
"""Tables that are measured by another command than `bench`."""


def find_benchmark(name: str) -> Any:
    """The module of a benchmark; a UserError that lists them all when there is none of that name."""
    if name not in BENCHMARKS:
        raise UserError(f"there is no benchmark {name!r}; benchmarks: {', '.join(BENCHMARKS)}, all")
    return import_module(f"robo_rl.bench.{name}")


def measured_code(name: str) -> tuple[str, ...]:
    """Git pathspecs of what the table `name` measures, the benchmark's own modules included."""
    return (*{**BENCHMARKS, **OTHERS}[name].code, f"robo_rl/bench/{name}*.py")
