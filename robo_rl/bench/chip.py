"""`bench chip`: bundles flown by their firmware on an emulated microcontroller, against onnxruntime in one simulator.

Both fly the task's own world from the same held-out starts with the same noise and disturbances. The chip is armed and
gets its setpoints over its serial link, as from a host; its motor commands are the environment's actions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deploy.bundle.reader import Bundle, load_bundle
from deploy.firmware.build import build_firmware
from policies.errors import UserError
from policies.signals import Commands, Sensors, State
from policies.validation import require
from real.robots.serial_frames import Ask, ChipFault, ChipState, Decoder, FrameError, Message, Request, Setpoint, Status
from real.robots.serial_frames import encode as frame
from real.simulated.mcu_lockstep import Chip, ChipError, Motion
from robo_rl.bench.loop import train_bundle
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.evaluation.flying import SUCCESS_DISTANCE, BundlePolicy
from sim.environment import VectorEnvironment
from sim.task import Task
from sim.tasks import crazyflie, find_task
from sim.tasks.crazyflie_track import flown

MAX_START_TILT = 1.0
"""rad. The task's own starts go up to 1.57; the firmware arms nothing beyond the bundle's largest tilt, 1.4."""
FIGURE_PERIOD = 5.5  # s
SETTLED = 2.0
"""Time in s of a flight that does not count in its errors: the vehicle recovers from its start, or joins the figure."""

ACTION_HISTORY = "action_history"
"""The state of the Crazyflie's policies that holds their last actions, the newest last."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """Which bundles to fly, for how long and how often."""

    hover: Path | None = None
    """Bundle of crazyflie-hover; without one it is trained first and exported."""
    track: Path | None = None
    """Bundle of crazyflie-track; without one it is trained first and exported."""
    kernel: str = "c"
    """Which code computes the dense layers on the chip, as in `robo-rl codegen`."""
    starts: int = 20
    """Held-out starts for each bundle."""
    seconds: float = 60.0
    """Time in s of each flight."""
    seed: int = 0
    """Seed of the trainings, where there is no bundle."""

    def __post_init__(self) -> None:
        require(self, "starts", low=1, high=100)
        require(self, "seconds", low=5.0, high=3600.0)


Pilot = Callable[[Sensors], Tensor]
"""Sensors of all worlds to motor commands [N, 4]."""
Measure = Callable[[Bundle, Task, Settings], Row]
"""Flies a bundle in its task's world; the rest of its row."""


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for each bundle and pilot."""
    pilots: dict[str, Measure] = {"onnxruntime": _fly_runtime, "emulated chip": _fly_chips}
    with tempfile.TemporaryDirectory(prefix="robo-rl-chip-") as name:
        folder = Path(name)

        @cache
        def bundle(task: str) -> Bundle:
            given = {"crazyflie-hover": settings.hover, "crazyflie-track": settings.track}[task]
            return load_bundle(given or train_bundle(folder, task, settings.seed))

        def measure(task: str, pilot: str) -> Row:
            return {"task": task, "pilot": pilot, **pilots[pilot](bundle(task), find_task(task), settings)}

        rows = [
            keep(f"{task}, {pilot}", partial(measure, task, pilot))
            for task in ("crazyflie-hover", "crazyflie-track")
            for pilot in pilots
        ]
    failures = [f"{row['task']}: a chip left the flight ({', '.join(row['left'])})" for row in rows if row.get("left")]
    return {
        "rows": rows, "starts": settings.starts, "seconds": settings.seconds, "evaluation_seed": BENCHMARK_SEED,
        "failures": failures,
    }  # fmt: skip


def _fly_runtime(bundle: Bundle, task: Task, settings: Settings) -> Row:
    steps = round(settings.seconds / task.period)
    world = make_world(task, settings.starts, steps)
    return fly(OnnxPilot(bundle, task, settings.starts), world, steps, task.period)


def _fly_chips(bundle: Bundle, task: Task, settings: Settings) -> Row:
    steps = round(settings.seconds / task.period)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="robo-rl-firmware-")))
        image = build_firmware(bundle.path, scratch, "lockstep", settings.kernel)
        try:
            chips = [stack.enter_context(Chip(image, boot_id=k + 1)) for k in range(settings.starts)]
            pilot = ChipPilot(chips, task.period, OnnxPilot(bundle, task, settings.starts))
            flown = fly(pilot, make_world(task, settings.starts, steps), steps, task.period)
        except ChipError as error:
            raise UserError(str(error)) from None
    spans = np.array(bundle.manifest.commands[0].high) - np.array(bundle.manifest.commands[0].low)
    return {**flown, "command_difference": pilot.difference / float(spans.max()), "left": pilot.left()}


def make_world(task: Task, starts: int, steps: int) -> VectorEnvironment:
    """The task's world with long episodes: one figure for a tracking task, else starts that a chip would arm at."""
    tracks = "figure" in task.command_terms
    settings = flown((FIGURE_PERIOD, FIGURE_PERIOD)) if tracks else {"events": {"start": {"angle": MAX_START_TILT}}}
    world = task.changed(evaluated=settings, episode_steps=steps + 1).make_environment(starts, BENCHMARK_SEED)
    assert isinstance(world, VectorEnvironment)
    return world


@torch.no_grad()
def fly(pilot: Pilot, world: VectorEnvironment, steps: int, period: float) -> Row:
    """Fly `steps` steps in every world; errors in m are distances to the target after `SETTLED` s, of survivors."""
    sensors, _ = world.reset()
    count = len(next(iter(sensors.values())))
    alive = torch.ones(count, dtype=torch.bool)
    distances = np.full((steps, count), np.nan)
    for t in range(steps):
        step = world.step(Commands({"rotor_speed": pilot(sensors)}))
        distances[t] = step.terminal_truth["position_error"].norm(dim=-1).numpy()
        alive &= ~step.terminated
        sensors = step.sensors
    survived = alive.numpy()
    settled = distances[min(round(SETTLED / period), steps - 1) :, survived]
    last = distances[-round(1.0 / period) :].mean(0)
    return {
        "survived": int(survived.sum()),
        "succeeded": int((survived & (last < SUCCESS_DISTANCE)).sum()),
        "mean_error_m": float(settled.mean()) if settled.size else None,
        "max_error_m": float(settled.max()) if settled.size else None,
    }


class OnnxPilot:
    """A bundle on onnxruntime."""

    def __init__(self, bundle: Bundle, task: Task, starts: int) -> None:
        self._policy = BundlePolicy(bundle, task)
        self._state = self._policy.initial_state(starts, "cpu")

    def __call__(self, sensors: Sensors) -> Tensor:
        commands, self._state = self._policy.step(sensors, self._state)
        return commands["rotor_speed"]

    def follow(self, commands: Tensor) -> None:
        """Remember the commands [N, 4] in rad/s that another pilot gave in place of the last ones.

        Without it, a policy that observes its own actions drifts away from the one that flies: the closed loop, which
        would hold the two together, contains only one of them.
        """
        if ACTION_HISTORY in self._state:
            history = self._state[ACTION_HISTORY].clone()
            history[:, -4:] = commands / (0.5 * crazyflie.MAX_SPEED) - 1.0
            self._state = State({**self._state, ACTION_HISTORY: history})


class ChipPilot:
    """One chip a world. `difference` is the largest one, in rad/s, between a flying chip's command and that of `peer`,
    which gets the same sensors and the same action history."""

    def __init__(self, chips: list[Chip], period: float, peer: OnnxPilot) -> None:
        self.difference = 0.0
        self._chips = chips
        self._period = period
        self._peer = peer
        self._decoders = [Decoder() for _ in chips]
        self._state = [ChipState.IDLE.value] * len(chips)
        self._faults = [0] * len(chips)
        self._step = 0
        self._sequence = 0

    def __call__(self, sensors: Sensors) -> Tensor:
        rows = {name: value.double().numpy() for name, value in sensors.items()}
        if self._step == 0:
            self._exchange(rows, [self._wire(Request(Ask.ARM))] * len(self._chips))
        commands = self._exchange(rows, [self._wire(self._setpoint(rows, k)) for k in range(len(self._chips))])
        flying = np.array(self._state) == ChipState.FLYING
        expected = self._peer(sensors).double().numpy()
        if flying.any():
            self.difference = max(self.difference, float(np.abs(commands - expected)[flying].max()))
        given = torch.from_numpy(commands.astype(np.float32))
        self._peer.follow(given)
        return given

    def left(self) -> list[str]:
        """The chips that no longer fly, each with its state and its faults."""
        return [
            f"start {k}: {ChipState(state).name.lower()} for {ChipFault(faults)!s}"
            for k, (state, faults) in enumerate(zip(self._state, self._faults, strict=True))
            if state != ChipState.FLYING
        ]

    def _setpoint(self, rows: dict[str, Floats], k: int) -> Setpoint:
        # Where the target is not a sensor, the position is relative to it, so the target is the origin.
        x, y, z = rows["target_position"][k] if "target_position" in rows else np.zeros(3)
        vx, vy, vz = rows["target_velocity"][k] if "target_velocity" in rows else np.zeros(3)
        return Setpoint((x, y, z), (vx, vy, vz), round(1e3 * self._step * self._period))

    def _wire(self, message: Message) -> bytes:
        self._sequence += 1
        return frame(message, self._sequence)

    def _exchange(self, rows: dict[str, Floats], links: Iterable[bytes]) -> Floats:
        """One step of every chip; they compute in parallel, up to the number of cores."""
        seconds = self._step * self._period
        self._step += 1
        names = ("position", "orientation", "linear_velocity", "angular_velocity")
        for k, (chip, link) in enumerate(zip(self._chips, links, strict=True)):
            chip.begin(seconds, Motion(*(rows[name][k] for name in names)), link)
        answers = [chip.finish() for chip in self._chips]
        for k, answer in enumerate(answers):
            self._state[k] = answer.state
            self._note(k, answer.link)
        return np.array([answer.motor_command for answer in answers])

    def _note(self, k: int, link: bytes) -> None:
        for found in self._decoders[k].feed(link):
            try:
                message = found.from_chip()
            except FrameError:
                continue
            if isinstance(message, Status):
                self._faults[k] = message.faults
