"""The benchmarks by name. Each is a module with a frozen `Settings` and `run(settings)`, imported when it is run.

`run` returns the result's JSON keys; a non-empty list under "failures" says, in words, what did not even work.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from policies.errors import UserError

BENCHMARKS = {
    "hover": "training time and success of crazyflie-hover over several seeds",
    "track": "tracking error of the learned controller against a tuned cascaded PID",
    "rotor": "physics and environment steps a second",
    "loop": "age, jitter and overruns of the control loop through bridge and simulated robot",
    "env": "full environment steps of go1-velocity-flat as a share of bare physics, and memory",
    "walk": "time until a Go1 walks as commanded, over several seeds",
    "ppo": "our PPO against rsl_rl's on go1-velocity-flat: samples a second, time to equal return",
    "mcu": "instructions, modelled time, flash and RAM of generated C on an emulated Cortex-M4F",
    "rough": "success of go1-velocity-rough on every kind and level of terrain",
    "chip": "bundles flown by their firmware on an emulated chip, against onnxruntime",
}


def find_benchmark(name: str) -> Any:
    """The module of a benchmark; a UserError that lists them all when there is none of that name."""
    if name not in BENCHMARKS:
        raise UserError(f"there is no benchmark {name!r}; benchmarks: {', '.join(BENCHMARKS)}, all")
    return import_module(f"robo_rl.bench.{name}")
