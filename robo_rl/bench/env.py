"""`bench env`: a full environment step of go1-velocity-flat as a share of the bare physics below it, and its memory.

The full step is everything that a trainer calls except its network: observation terms, action term, actuator and sensor
models, physics, reward, termination, restarts with randomization, pushes and commands. The bare physics is
`mujoco.batch.Batch.step` on the same model with as many substeps and threads, from the same states, under the same
commands. Both take turns in one process, so that other load on the machine affects both; the share is the median of the
turns' ratios. Every number of worlds has a process of its own, whose memory is its peak before the bare physics is
built beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.validation import require
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from sim.task import Environment, Task
from sim.tasks import find_task

TASK = "go1-velocity-flat"
ACTION_SPREAD = 0.3
"""Standard deviation of the random actions: enough to stumble, and sometimes to fall, as a learning robot does."""
PREPARED = 16
"""Actions drawn in advance and used in turn, because drawing them is not part of the environment."""


@dataclass(frozen=True)
class Settings:
    """Measure full environment steps against bare physics."""

    worlds: tuple[int, ...] = (1024, 4096)
    """Numbers of robots stepped together, each measured on its own."""
    steps: int = 50
    """Control steps in one turn."""
    repeats: int = 7
    """Turns of each side; the median counts."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics always takes all cores."""
    seed: int = 0
    """Seed of the environment and of the actions."""

    def __post_init__(self) -> None:
        for name in ("steps", "repeats", "threads"):
            require(self, name, low=1)
        if not self.worlds or min(self.worlds) < 1:
            raise UserError(f"worlds must be numbers of at least 1, got {self.worlds}")


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for every number of worlds."""

    def measured(count: int) -> Row:
        return keep(f"{count} worlds", lambda: _in_child(count, settings))

    return {
        "worlds": {str(count): measured(count) for count in settings.worlds},
        "task": TASK,
        "includes": "observation and action terms, sensor and actuator models, reward, termination, restarts, "
        "randomization, pushes, commands; random actions, no network",
    }


def _in_child(count: int, settings: Settings) -> Row:
    command = [sys.executable, "-m", "robo_rl.bench.env", str(count), json.dumps(asdict(settings))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"the measurement with {count} worlds ended with {done.returncode}; see its message above")
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


class FullStep:
    """An environment with its observation terms, driven by prepared random actions."""

    def __init__(self, task: Task, environment: Environment, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (environment.num_worlds, task.action.dim)
        self.environment = environment
        self.actions = [ACTION_SPREAD * torch.randn(shape, generator=generator) for _ in range(PREPARED)]
        self._graph = task.policy_graph(nn.Identity())
        self._sensors, self._truth = environment.reset()
        self._state = self._graph.initial_state(environment.num_worlds)
        self._count = 0

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """One step; the observation [N, D] that a network would see next."""
        action = self.actions[self._count % PREPARED]
        self._count += 1
        commands, state = self._graph.apply_action(action, self._sensors, self._state)
        step = self.environment.step(commands)
        self._sensors, self._truth = step.sensors, step.truth
        self._state = self._graph.reset_where(state, step.terminated | step.truncated)
        self.environment.critic_observation(self._truth)
        return self._graph.observe(self._sensors, self._state)


class BareStep:
    """`Batch.step` alone, under the commands that the prepared actions give."""

    def __init__(self, task: Task, full: FullStep) -> None:
        from mujoco.batch import Batch

        self._physics = _physics(full.environment)
        nthread = self._physics.batch.nthread
        self._batch = Batch(self._physics.model, self._physics.num_worlds, nthread)
        self._qpos, self._qvel, self._control = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        sensors, _ = full.environment.reset()
        self._commands = [
            next(iter(task.action(task.action.bound(action), sensors).values())).numpy() for action in full.actions
        ]
        self._count = 0

    def take_over(self) -> None:
        """Continue from the states that the full environment is in."""
        self._qpos[:] = self._physics.qpos.numpy()
        self._qvel[:] = self._physics.qvel.numpy()

    def __call__(self) -> None:
        self._control[:] = self._commands[self._count % PREPARED]
        self._count += 1
        self._batch.step(nstep=self._physics.substeps)


def measure(count: int, settings: Settings) -> Row:
    """The row for `count` worlds, measured in this process."""
    torch.set_num_threads(settings.threads)
    task = find_task(TASK)
    environment = task.make_environment(count, settings.seed, randomized=True)
    full = FullStep(task, environment, settings.seed)
    # Without it all episodes would end together, and one turn would contain all restarts.
    environment.spread_ages()  # type: ignore[attr-defined]
    _seconds(full, settings.steps)
    memory = peak_memory_mb()
    bare = BareStep(task, full)
    bare.take_over()
    _seconds(bare, settings.steps)
    turns = []
    for _ in range(settings.repeats):
        bare.take_over()
        turns.append((_seconds(full, settings.steps), _seconds(bare, settings.steps)))
    work = count * settings.steps
    shares = [bare_seconds / full_seconds for full_seconds, bare_seconds in turns]
    return {
        "env_steps_per_second": work / median(full_seconds for full_seconds, _ in turns),
        "bare_steps_per_second": work / median(bare_seconds for _, bare_seconds in turns),
        "share_of_bare": median(shares),
        "share_range": [min(shares), max(shares)],
        "rss_mb": memory,
        "substeps": _physics(environment).substeps,
        "threads": _physics(environment).batch.nthread,
    }


def _physics(environment: Any) -> Any:
    return environment.scenario.physics


def _seconds(work: Any, steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        work()
    return time.perf_counter() - started


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in 10^6 bytes; nan where the system does not count it.

    It is the kernel's high-water mark of this program: getrusage's starts from that of the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return kilobytes * 1024 / 1e6


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    print(json.dumps(measure(int(sys.argv[1]), Settings(**{**given, "worlds": tuple(given["worlds"])}))))
