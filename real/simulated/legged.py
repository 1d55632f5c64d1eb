"""A simulated legged robot as a process: physics and motor loop in real time on an absolute schedule, messages out,
commands in."""

from __future__ import annotations

from typing import Any

from real.ros import elevation_messages, legged_messages, messages
from real.ros.messages import ImuSample
from real.ros.topics import LeggedTopics
from real.simulated.legged_body import LeggedBody
from real.simulated.legged_settings import MOTOR_RATE, RobotSettings
from real.simulated.process import keep_time, stop_requested
from real.simulated.robot_log import RobotLog
from real.simulated.robot_process import BridgeProcess
from sim.robots.robot import Robot

STEPS_PER_STATUS = 25
STEPS_PER_POSE = 10
LAYER = "elevation"


def run(robot: Robot, settings: RobotSettings) -> None:
    """Simulate until SIGINT or SIGTERM. Prints `robot ready NAME` on standard output once the bridge is connected.

    Raises:
        UserError: The token can't be read.
        OSError: The log can't be written.
    """
    keep_time()
    with stop_requested() as stopped:
        process = _Process(robot, settings)
        try:
            process.run(stopped)
        finally:
            process.close()


class _Process(BridgeProcess):
    def __init__(self, robot: Robot, settings: RobotSettings) -> None:
        self._steps_per_reading = round(MOTOR_RATE / settings.sensor_rate)
        self._log = RobotLog(settings.log, "target")
        self._body = LeggedBody(robot, settings, self._log)
        self._readings = 0
        topics = self._topics = LeggedTopics(settings.namespace)
        self._steps_per_map = round(MOTOR_RATE / settings.elevation_rate) if settings.elevation_rate else 0
        maps = (topics.odometry, topics.elevation) if self._steps_per_map else ()
        published = (topics.joints, topics.imu, *maps)
        super().__init__(1.0 / MOTOR_RATE, settings, topics, published, self._body.gate, f"robot ready {robot.name}")

    def step(self, due: int, number: int) -> None:
        self._body.step(self.clock.now() * 1e-9)
        if number % self._steps_per_reading == 0:
            self._publish_reading(due)
        if self._steps_per_map and number % STEPS_PER_POSE == 0:
            self.publish({self._topics.odometry: messages.odometry_message(self._body.pose(due), self.version, number)})
        if self._steps_per_map and number % self._steps_per_map == 0:
            found = elevation_messages.grid_map_message(self._body.elevation(due), LAYER, self.version, number)
            self.publish({self._topics.elevation: found})
        if number % STEPS_PER_STATUS == 0:
            body = self._body
            motors = {
                "joints": " ".join(body.robot.joints),
                "stiffness": " ".join(f"{v:g}" for v in body.stiffness),
                "damping": " ".join(f"{v:g}" for v in body.damping),
            }
            self.publish_status(due, body.mode, body.cause, motors)

    def command(self, message: object, now: float) -> None:
        self._body.command(legged_messages.parse_joint_command(message, self.version), now)

    def request(self, request: str, now: float) -> None:
        self._body.request(request, now)

    def handle(self, message: Any, now: float) -> None:
        self._body.handle(str(message["data"]), now)

    def close(self) -> None:
        super().close()
        self._log.close()

    def _publish_reading(self, stamp: int) -> None:
        self._readings += 1
        joints, effort, imu = self._body.measure(stamp)
        sample = ImuSample(stamp, imu.angular_velocity, imu.linear_acceleration)
        self.publish(
            {
                self._topics.joints: legged_messages.joint_state_message(joints, effort, self.version, self._readings),
                self._topics.imu: messages.imu_message(sample, imu.orientation, self.version, self._readings),
            }
        )
