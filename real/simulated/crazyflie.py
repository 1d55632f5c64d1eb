"""The simulated Crazyflie as a process: physics in real time on an absolute schedule, messages out, commands in."""

from __future__ import annotations

import sys
from typing import Any

from real.robot import ESTOPPED, FAILSAFE
from real.ros import messages
from real.ros.messages import MalformedMessage, StatusSample
from real.ros.topics import FlightTopics
from real.ros.version import type_name
from real.simulated.link import RobotLink
from real.simulated.process import LONGEST_CATCH_UP, TEST_STAND, RobotClock, boot_identity, stop_requested
from real.simulated.rotor_log import RotorLog
from real.simulated.sensors import NoisySensors
from real.simulated.settings import CrazyflieSettings
from real.simulated.vehicle import Vehicle
from sim.physics.rotor.parameters import PARAMETERS

STEP = 0.0025
"""Physics step in s: 400 Hz, so that the sensors' 200 Hz are every second step."""
STEPS_PER_READING = 2
STEPS_PER_STATUS = 20


def run(settings: CrazyflieSettings) -> None:
    """Fly until SIGINT or SIGTERM. Prints `robot ready NAME` on standard output once the bridge is connected.

    Raises:
        ValueError: The token can't be read.
        OSError: The log can't be written.
    """
    with stop_requested() as stopped:
        robot = _Robot(settings)
        try:
            robot.run(stopped)
        finally:
            robot.close()


class _Robot:
    def __init__(self, settings: CrazyflieSettings) -> None:
        self._version = settings.ros_version
        self._topics = FlightTopics(settings.namespace)
        self._test_stand = settings.namespace + TEST_STAND
        self._log = RotorLog(settings.log)
        self._vehicle = Vehicle(PARAMETERS[settings.parameters], settings.start, STEP, self._log)
        self._sensors = NoisySensors(settings.seed, settings.noise)
        self._clock = RobotClock()
        self._boot = boot_identity()
        self._readings = 0
        types = {name: type_name(kind, self._version) for name, kind in self._topics.types.items()}
        types[self._test_stand] = type_name(messages.STRING, self._version)
        heard = (self._topics.command, self._topics.stop, self._test_stand)
        self._link = RobotLink(
            settings.url,
            settings.token,
            settings.ca_file,
            advertised={name: kind for name, kind in types.items() if name not in heard},
            subscribed={name: types[name] for name in heard},
            on_first_connection=lambda: print(f"robot ready {settings.parameters}", flush=True),
        )

    def run(self, stopped: list[int]) -> None:
        step = round(STEP * 1e9)
        due = self._clock.now()
        number = 0
        while not stopped:
            due += step
            late = self._clock.now() - due
            if late > LONGEST_CATCH_UP * 1e9:
                due += late  # The process was frozen: the vehicle stood still meanwhile, its watchdog did not.
                print(f"robot: held up for {late * 1e-9:.2f} s", file=sys.stderr, flush=True)
            self._listen_until(due)
            self._vehicle.step(self._clock.now() * 1e-9)
            number += 1
            if number % STEPS_PER_READING == 0:
                self._publish_reading(due)
            if number % STEPS_PER_STATUS == 0:
                self._publish_status(due)

    def close(self) -> None:
        self._link.close()
        self._log.close()

    def _listen_until(self, due: int) -> None:
        """Take commands in as they arrive, as a radio task does; they reach the rotors with the step at `due`."""
        while (rest := due - self._clock.now()) > 0:
            if self._link.wait(rest * 1e-9):
                self._listen()
        self._listen()

    def _listen(self) -> None:
        for topic, message in self._link.take():
            now = self._clock.now() * 1e-9
            try:
                if topic == self._topics.command:
                    self._vehicle.command(messages.parse_actuators(message, self._version), now)
                elif topic == self._topics.stop:
                    self._vehicle.request(messages.parse_stop(message)[1], now)
                elif topic == self._test_stand:
                    self._vehicle.place(now)
            except MalformedMessage as error:
                self._vehicle.gate.reject(f"malformed, {error.cause}")

    def _publish_reading(self, stamp: int) -> None:
        self._readings += 1
        state = self._vehicle.state
        odometry, imu = self._sensors.measure(state, self._vehicle.specific_force(), stamp)
        self._link.publish(
            {
                self._topics.odometry: messages.odometry_message(odometry, self._version, self._readings),
                self._topics.imu: messages.imu_message(imu, odometry.orientation, self._version, self._readings),
            }
        )

    def _publish_status(self, stamp: int) -> None:
        vehicle, now = self._vehicle, self._clock.now() * 1e-9
        gate = vehicle.gate
        values: dict[str, Any] = {
            "owner": gate.owner(now),
            "accepted": gate.accepted,
            "rejected": gate.rejected.total(),
            "silence": f"{gate.silence(now):.4f}",
            "command_age": f"{gate.last_age:.4f}",
            "on_ground": int(vehicle.on_ground),
            "cause": vehicle.cause,
            "boot": self._boot,
            **{f"rejected: {cause}": number for cause, number in gate.rejected.items()},
        }
        sample = StatusSample(stamp, vehicle.mode, {name: str(value) for name, value in values.items()})
        level = 2 if vehicle.mode in (FAILSAFE, ESTOPPED) else 0
        self._link.publish({self._topics.status: messages.status_message(sample, self._version, level)})
