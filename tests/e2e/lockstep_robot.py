"""The simulated legged robot and its wire without processes: a walk in simulated time, the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.bundle.manifest import Manifest
from real.contract.robot import Array, LinkStatus, RobotReading
from real.robots.wire import MakeWire
from real.ros import elevation_messages, legged_messages, messages
from real.ros.fields import MalformedMessage
from real.ros.messages import ImuSample
from real.ros.topics import LeggedTopics
from real.simulated.legged import LAYER, STEPS_PER_POSE
from real.simulated.legged_body import LeggedBody
from real.simulated.legged_settings import MOTOR_RATE, RobotSettings
from real.simulated.robot_log import RobotLog
from sim.robots.robot import Robot
from tests.real.fake_robot import FakeClock

PERIOD = 1.0 / MOTOR_RATE
STEPS_PER_READING, STEPS_PER_MAP = 2, 50


class LockstepRobot:
    """A driver whose robot steps up to the clock's time whenever it is read, and sends what a wire takes."""

    name, writer = "lockstep", "host-1"
    user_goal: tuple[Array, float] | None = None

    def __init__(self, robot: Robot, make: MakeWire, manifest: Manifest, clock: FakeClock, terrain: str) -> None:
        self.body = LeggedBody(robot, RobotSettings(terrain=terrain), RobotLog("", "target"))
        self.wire = make(manifest, "", 2, 0.0025)
        self.offer = self.wire.offer
        self.clock = clock
        self.maps_until = float("inf")
        """When the robot stops sending maps, s of the clock."""
        self.sent: list[float] = []
        """When each command came, s of the clock."""
        self.faults: dict[str, int] = {}
        self._topics = LeggedTopics()
        self._begun, self._steps = clock.time, 0
        self._reading: RobotReading | None = None

    def connect(self, timeout: float) -> None:
        """Let it run for a second."""
        self.clock.sleep(1.0)
        self.read()

    def arm(self) -> None:
        self.body.request("arm", self.clock.time)

    def read(self) -> RobotReading | None:
        while (now := self._begun + (self._steps + 1) * PERIOD) <= self.clock.time:
            self._steps += 1
            self.body.step(now)
            self._send(round(now * 1e9), now)
        return self._reading

    def link(self) -> LinkStatus:
        body, now = self.body, self.clock.time
        gains = dict(zip(body.robot.joints, zip(body.stiffness, body.damping, strict=True), strict=True))
        rejected = body.gate.rejected.total()
        return LinkStatus(
            True, 0.01, body.gate.owner(now), body.mode, rejected, 0, gains=gains, faults=dict(self.faults)
        )

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        self.sent.append(self.clock.time)
        message = self.wire.command_message(command, round(reading.stamp * 1e9), self.writer, len(self.sent))
        self.body.command(legged_messages.parse_joint_command(message, 2), self.clock.time)

    def stop(self) -> None:
        self.body.request("stop", self.clock.time)

    def emergency_stop(self) -> None:
        self.body.request("estop", self.clock.time)

    def close(self) -> None: ...

    def _send(self, stamp: int, now: float) -> None:
        topics, found = self._topics, {}
        if self._steps % STEPS_PER_POSE == 0:
            found[topics.odometry] = messages.odometry_message(self.body.pose(stamp), 2)
        if self._steps % STEPS_PER_MAP == 0 and now < self.maps_until:
            found[topics.elevation] = elevation_messages.grid_map_message(self.body.elevation(stamp), LAYER, 2)
        if self._steps % STEPS_PER_READING == 0:
            joints, effort, imu = self.body.measure(stamp)
            sample = ImuSample(stamp, imu.angular_velocity, imu.linear_acceleration)
            found[topics.joints] = legged_messages.joint_state_message(joints, effort, 2)
            found[topics.imu] = messages.imu_message(sample, imu.orientation, 2)
        for topic, message in found.items():
            if topic in self.wire.subscribed:
                self._take(topic, message, now)

    def _take(self, topic: str, message: object, now: float) -> None:
        try:
            taken = self.wire.take(topic, message, now)
        except MalformedMessage as error:
            self.faults[error.cause] = self.faults.get(error.cause, 0) + 1
            return
        if taken is not None and taken.sensors is not None:
            sequence = 1 if self._reading is None else self._reading.sequence + 1
            self._reading = RobotReading(taken.sensors, taken.stamp * 1e-9, now, sequence)
