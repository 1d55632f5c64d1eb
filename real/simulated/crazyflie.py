"""The simulated Crazyflie as a process: physics in real time on an absolute schedule, messages out, commands in."""

from __future__ import annotations

from typing import Any

from real.ros import messages
from real.ros.topics import FlightTopics
from real.simulated.process import stop_requested
from real.simulated.robot_log import RobotLog
from real.simulated.robot_process import BridgeProcess
from real.simulated.sensors import NoisySensors
from real.simulated.settings import CrazyflieSettings
from real.simulated.vehicle import Vehicle
from sim.robots.crazyflie import PARAMETERS

STEP = 0.0025
"""Physics step in s: 400 Hz, so that the sensors' 200 Hz are every second step."""
STEPS_PER_READING = 2
STEPS_PER_STATUS = 20


def run(settings: CrazyflieSettings) -> None:
    """Fly until SIGINT or SIGTERM. Prints `robot ready NAME` on standard output once the bridge is connected.

    Raises:
        UserError: The token can't be read.
        OSError: The log can't be written.
    """
    with stop_requested() as stopped:
        robot = _Robot(settings)
        try:
            robot.run(stopped)
        finally:
            robot.close()


class _Robot(BridgeProcess):
    def __init__(self, settings: CrazyflieSettings) -> None:
        self._log = RobotLog(settings.log, "rotor_speed")
        self._vehicle = Vehicle(PARAMETERS[settings.parameters], settings.start, STEP, self._log)
        self._sensors = NoisySensors(settings.seed, settings.noise)
        self._readings = 0
        topics = self._topics = FlightTopics(settings.namespace)
        published = (topics.odometry, topics.imu)
        super().__init__(STEP, settings, topics, published, self._vehicle.gate, f"robot ready {settings.parameters}")

    def step(self, due: int, number: int) -> None:
        self._vehicle.step(self.clock.now() * 1e-9)
        if number % STEPS_PER_READING == 0:
            self._publish_reading(due)
        if number % STEPS_PER_STATUS == 0:
            vehicle = self._vehicle
            self.publish_status(due, vehicle.mode, vehicle.cause, {"on_ground": int(vehicle.on_ground)})

    def command(self, message: object, now: float) -> None:
        self._vehicle.command(messages.parse_actuators(message, self.version), now)

    def request(self, request: str, now: float) -> None:
        self._vehicle.request(request, now)

    def handle(self, message: Any, now: float) -> None:
        self._vehicle.place(now)

    def close(self) -> None:
        super().close()
        self._log.close()

    def _publish_reading(self, stamp: int) -> None:
        self._readings += 1
        state = self._vehicle.state
        odometry, imu = self._sensors.measure(state, self._vehicle.specific_force(), stamp)
        self.publish(
            {
                self._topics.odometry: messages.odometry_message(odometry, self.version, self._readings),
                self._topics.imu: messages.imu_message(imu, odometry.orientation, self.version, self._readings),
            }
        )
