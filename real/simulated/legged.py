"""A simulated legged robot as a process: physics and motor loop in real time on an absolute schedule, messages out,
commands in."""

from __future__ import annotations

import sys
from typing import Any

from real.robot import ESTOPPED, FAILSAFE
from real.ros import legged_messages, messages
from real.ros.fields import MalformedMessage
from real.ros.messages import ImuSample, StatusSample
from real.ros.topics import LeggedTopics
from real.ros.version import type_name
from real.simulated.legged_body import LeggedBody
from real.simulated.legged_log import LeggedLog
from real.simulated.legged_settings import MOTOR_RATE, LeggedSettings
from real.simulated.link import RobotLink
from real.simulated.process import LONGEST_CATCH_UP, TEST_STAND, RobotClock, boot_identity, keep_time, stop_requested
from sim.robots.legged import LeggedRobot

STEPS_PER_STATUS = 25


def run(robot: LeggedRobot, settings: LeggedSettings) -> None:
    """Simulate until SIGINT or SIGTERM. Prints `robot ready NAME` on standard output once the bridge is connected.

    Raises:
        ValueError: The token can't be read.
        OSError: The log can't be written.
    """
    keep_time()
    with stop_requested() as stopped:
        process = _Process(robot, settings)
        try:
            process.run(stopped)
        finally:
            process.close()


class _Process:
    def __init__(self, robot: LeggedRobot, settings: LeggedSettings) -> None:
        self._version = settings.ros_version
        self._topics = LeggedTopics(settings.namespace)
        self._test_stand = settings.namespace + TEST_STAND
        self._steps_per_reading = round(MOTOR_RATE / settings.sensor_rate)
        self._log = LeggedLog(settings.log)
        self._body = LeggedBody(robot, settings, self._log)
        self._clock = RobotClock()
        self._boot = boot_identity()
        self._readings = 0
        types = {name: type_name(kind, self._version) for name, kind in self._topics.types.items()}
        types[self._test_stand] = type_name(messages.STRING, self._version)
        heard = (self._topics.command, self._topics.stop, self._test_stand)
        told = (self._topics.joints, self._topics.imu, self._topics.status)
        self._link = RobotLink(
            settings.url,
            settings.token,
            settings.ca_file,
            advertised={name: types[name] for name in told},
            subscribed={name: types[name] for name in heard},
            on_first_connection=lambda: print(f"robot ready {robot.name}", flush=True),
        )

    def run(self, stopped: list[int]) -> None:
        step = round(1e9 / MOTOR_RATE)
        due = self._clock.now()
        number = 0
        while not stopped:
            due += step
            late = self._clock.now() - due
            if late > LONGEST_CATCH_UP * 1e9:
                due += late  # The process was frozen: the robot stood still meanwhile, its watchdog did not.
                print(f"robot: held up for {late * 1e-9:.2f} s", file=sys.stderr, flush=True)
            self._listen_until(due)
            self._body.step(self._clock.now() * 1e-9)
            number += 1
            if number % self._steps_per_reading == 0:
                self._publish_reading(due)
            if number % STEPS_PER_STATUS == 0:
                self._publish_status(due)

    def close(self) -> None:
        self._link.close()
        self._log.close()

    def _listen_until(self, due: int) -> None:
        """Take commands in as they arrive; they reach the motors with the step at `due`."""
        while (rest := due - self._clock.now()) > 0:
            if self._link.wait(rest * 1e-9):
                self._listen()
        self._listen()

    def _listen(self) -> None:
        for topic, message in self._link.take():
            now = self._clock.now() * 1e-9
            try:
                if topic == self._topics.command:
                    self._body.command(legged_messages.parse_joint_command(message, self._version), now)
                elif topic == self._topics.stop:
                    self._body.request(messages.parse_stop(message)[1], now)
                elif topic == self._test_stand:
                    self._body.handle(str(message["data"]), now)
            except MalformedMessage as error:
                self._body.gate.reject(f"malformed, {error.cause}")

    def _publish_reading(self, stamp: int) -> None:
        self._readings += 1
        joints, effort, imu = self._body.measure(stamp)
        sample = ImuSample(stamp, imu.angular_velocity, imu.linear_acceleration)
        self._link.publish(
            {
                self._topics.joints: legged_messages.joint_state_message(joints, effort, self._version, self._readings),
                self._topics.imu: messages.imu_message(sample, imu.orientation, self._version, self._readings),
            }
        )

    def _publish_status(self, stamp: int) -> None:
        body, now = self._body, self._clock.now() * 1e-9
        gate = body.gate
        values: dict[str, Any] = {
            "owner": gate.owner(now),
            "accepted": gate.accepted,
            "rejected": gate.rejected.total(),
            "silence": f"{gate.silence(now):.4f}",
            "command_age": f"{gate.last_age:.4f}",
            "cause": body.cause,
            "boot": self._boot,
            "joints": " ".join(body.robot.joints),
            "stiffness": " ".join(f"{v:g}" for v in body.stiffness),
            "damping": " ".join(f"{v:g}" for v in body.damping),
            **{f"rejected: {cause}": number for cause, number in gate.rejected.items()},
        }
        sample = StatusSample(stamp, body.mode, {name: str(value) for name, value in values.items()})
        level = 2 if body.mode in (FAILSAFE, ESTOPPED) else 0
        self._link.publish({self._topics.status: messages.status_message(sample, self._version, level)})
