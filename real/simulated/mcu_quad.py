"""A quadrotor whose flight computer is an emulated chip: rotor physics and firmware in lockstep, paced in real time,
and the chip's serial port on a TCP socket."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from real.ros.messages import Array
from real.simulated.ground import LANDED_SPEED, touch
from real.simulated.mcu_lockstep import LINK_BYTES, Chip, ChipError, Motion
from real.simulated.mcu_port import ChipPort
from real.simulated.mcu_settings import McuQuadSettings
from real.simulated.process import keep_time, stop_requested
from real.simulated.robot_log import LoggedState, RobotLog
from real.simulated.robot_process import RobotProcess
from real.simulated.sensors import NoisySensors
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import RotorParameters

STATES = ("idle", "ready", "flying", "failsafe", "landed", "estopped", "refused")
"""The chip's states by their number."""
FLYING = 2
DEAD = "dead"
"""The state of a chip whose emulator has ended."""
LONGEST_STEP = 0.0025
"""Longest step of the physics in s."""
_FALL = 10.0
"""Longest time in s for which a vehicle without a chip is simulated."""


@dataclass(frozen=True)
class Firmware:
    """An image with what the simulator must know of it: `period` s between two of its steps, and the `low` and `high`
    values [4] of its motor commands, rotor speeds in rad/s."""

    image: Path
    period: float
    low: tuple[float, ...]
    high: tuple[float, ...]


def run(firmware: Firmware, settings: McuQuadSettings) -> None:
    """Fly until SIGINT or SIGTERM. Prints `robot ready mcu-quad URL` on standard output once the chip has booted.

    Raises:
        ChipError: The emulator is missing, or it ended; the motors were off from then on.
        OSError: The port is taken, or the log can't be written.
    """
    keep_time()
    with stop_requested() as stopped:
        quad = McuQuad(firmware, settings)
        try:
            print(f"robot ready mcu-quad {quad.url}", flush=True)
            quad.run(stopped, paced=not settings.as_fast)
        finally:
            quad.close()
    if quad.ended is not None:
        raise quad.ended


class Airframe:
    """One quadrotor over a floor, driven by rotor speeds in rad/s; held at `start` [3] m in the air until released."""

    def __init__(self, parameters: RotorParameters, start: tuple[float, float, float], period: float) -> None:
        self._substeps = math.ceil(period / LONGEST_STEP - 1e-9)
        self._physics = RotorPhysics(1, parameters, period / self._substeps)
        self._state = self._physics.state.numpy()[0]  # A live view: the physics writes into it.
        # While held in the air its rotors turn as needed at the release, like those of a vehicle that is launched by
        # hand.
        self.held = start[2] > 0.0
        speed = parameters.hover_fraction * parameters.max_speed if self.held else 0.0
        self._state[:] = (*start, 1.0, *[0.0] * 9, *[speed] * 4)

    @property
    def state(self) -> Array:
        """Position 3, orientation w, x, y, z 4, linear velocity 3 (world), angular velocity 3 (body), rotor speed 4."""
        state: Array = self._state.astype(np.float64)
        return state

    @property
    def on_ground(self) -> bool:
        """Whether the vehicle stands on the ground."""
        return bool(self._state[2] <= 1e-3) and float(np.linalg.norm(self._state[7:10])) < LANDED_SPEED

    def step(self, rotor_speed: Array) -> None:
        """One period under commands [4] rad/s."""
        if self.held:
            return
        command = torch.from_numpy(rotor_speed[None].astype(np.float32))
        for _ in range(self._substeps):
            self._physics.step(command)
            touch(self._state)


class McuQuad(RobotProcess):
    """Chip, airframe and port. `ended` says why the chip has ended, None while it runs."""

    def __init__(self, firmware: Firmware, settings: McuQuadSettings) -> None:
        super().__init__(firmware.period)
        self.ended: ChipError | None = None
        self._firmware = firmware
        self._log = RobotLog(settings.log, "rotor_speed")
        self._airframe = Airframe(PARAMETERS[settings.parameters], settings.start, firmware.period)
        self._sensors = NoisySensors(settings.seed, settings.noise)
        self._port = ChipPort(settings.port)
        self._begun = self.clock.now()
        self._state = LoggedState(STATES[0], self._log)
        self._died = math.nan
        self._stopped: list[int] = []
        try:
            self._chip = Chip(firmware.image, boot_id=self._begun & 0xFFFFFFFF)
            # The first exchange waits for the emulator to boot.
            self._chip.exchange(0.0, self._measure(self._begun))
        except ChipError:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The address of the chip's serial port."""
        return self._port.url

    def run(self, stopped: list[int], paced: bool = True) -> None:
        """Fly until `stopped` has an entry, or until the chip has ended and the vehicle has come to rest."""
        self._stopped = stopped
        super().run(stopped, paced)

    def wait(self, seconds: float) -> bool:
        return self._port.wait(seconds)

    def listen(self) -> None:
        self._port.listen()

    def step(self, due: int, number: int) -> None:
        now = due * 1e-9
        command = np.zeros(4)
        if self.ended is None:
            try:
                command = self._ask_chip(due, now)
            except ChipError as error:
                self._lose_chip(error, now)
        # A wrong command stops the simulator, so that it is not hidden. The chip's limits are in single precision.
        low, high = np.array(self._firmware.low, np.float32), np.array(self._firmware.high, np.float32)
        if self.ended is None and not (np.isfinite(command) & (command >= low) & (command <= high)).all():
            raise RuntimeError(f"the chip commands {command}, which is not within {low} and {high} rad/s")
        self._log.step(
            "applied", now, math.nan,
            {"source": self._state.mode, "rotor_speed": command, "position": self._airframe.state[0:3]},
        )  # fmt: skip
        self._airframe.step(command)
        if self.ended is not None and (self._airframe.on_ground or now - self._died > _FALL):
            self._stopped.append(0)

    def close(self) -> None:
        """End the emulator and hang up."""
        if hasattr(self, "_chip"):
            self._chip.close()
        self._port.close()
        self._log.close()

    def _ask_chip(self, due: int, now: float) -> Array:
        seconds = (due - self._begun) * 1e-9
        answer = self._chip.exchange(seconds, self._measure(due), self._port.take(LINK_BYTES))
        self._port.give(answer.link)
        self._state.enter(STATES[answer.state] if answer.state < len(STATES) else "unknown", now, "")
        self._airframe.held = self._airframe.held and answer.state != FLYING
        return answer.motor_command

    def _measure(self, stamp: int) -> Motion:
        odometry, _ = self._sensors.measure(self._airframe.state, np.zeros(3), stamp)
        return Motion(odometry.position, odometry.orientation, odometry.linear_velocity, odometry.angular_velocity)

    def _lose_chip(self, error: ChipError, now: float) -> None:
        self.ended, self._died = error, now
        self._airframe.held = False
        self._state.enter(DEAD, now, "")
        self._port.hang_up()
        print(f"robot: {error}; the motors are off", file=sys.stderr, flush=True)
