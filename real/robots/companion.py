"""A robot with a link of its own, shown on a bridge: its odometry and status go there, and setpoints and stop requests
come from there.

Only the host commands the robot. A message from the bridge is a request: the mission keeps it within limits, and the
supervisor checks it like any other.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from real.bridge.client import BridgeClient
from real.contract.offer import Offer
from real.contract.robot import ESTOPPED, FAILSAFE, Array, LinkStatus, Robot, RobotReading
from real.contract.stop_requests import StopRequests
from real.ros import messages
from real.ros.connection import RosbridgeConnection
from real.ros.messages import MalformedMessage, OdometrySample, StatusSample
from real.ros.topics import CompanionTopics
from real.ros.version import type_name

STATUS_PERIOD = 0.05
"""Time in s between two status messages."""
WORLD_FRAMES = ("", "world", "map", "odom")
"""Names of a pose's frame that are accepted: the frame of the robot's odometry."""


class CompanionRobot:
    """Satisfies `real.contract.robot.Robot` with another robot's readings and commands."""

    def __init__(self, robot: Robot, settings: RosbridgeConnection, requests: StopRequests) -> None:
        """`requests` gets what is asked for on the bridge: the first "stop" lands, an "estop" cuts the actuators."""
        self.name, self.writer = robot.name, robot.writer
        self.user_goal: tuple[Array, float] | None = None
        """The newest setpoint, [3] m in the world frame, and when it came in s of the host's clock."""
        self._robot = robot
        self._settings = settings
        self._requests = requests
        self._topics = CompanionTopics(settings.namespace)
        self._found = threading.Event()
        self._client: BridgeClient | None = None
        self._faults: Counter[str] = Counter()
        self._shown = -1
        self._status_sent = 0.0

    @property
    def offer(self) -> Offer:
        """The robot's own offer."""
        return self._robot.offer

    def connect(self, timeout: float) -> None:
        """Connect to the robot, then to the bridge; ConnectionError for either, the robot's first."""
        self._robot.connect(timeout)
        types = {name: type_name(kind, self._settings.ros_version) for name, kind in self._topics.types.items()}
        received = (self._topics.setpoint, self._topics.stop)
        self._client = BridgeClient(
            self._settings.url,
            self._settings.token,
            self._settings.ca_file,
            advertised={name: kind for name, kind in types.items() if name not in received},
            subscribed={name: types[name] for name in received},
            on_first_connection=self._found.set,
        )
        if not self._found.wait(timeout):
            self.close()
            raise ConnectionError(
                f"no connection to the bridge {self._settings.url} within {timeout:g} s: "
                "is a bridge running there (robo-rl bridge), and are token and ca_file right?"
            )

    def arm(self) -> None:
        """Ask the robot."""
        self._robot.arm()

    def read(self) -> RobotReading | None:
        """The robot's newest reading; a new one is shown on the bridge, and what has come from there is handled."""
        self._listen()
        reading = self._robot.read()
        if reading is not None and reading.sequence != self._shown:
            self._shown = reading.sequence
            odometry = self._odometry(reading)
            message = messages.odometry_message(odometry, self._settings.ros_version, reading.sequence)
            self._publish(self._topics.odometry, message)
        return reading

    def link(self) -> LinkStatus:
        """The state of the robot's link; the bridge's is not part of it."""
        link, now = self._robot.link(), time.monotonic()
        if now - self._status_sent >= STATUS_PERIOD:
            self._status_sent = now
            level = 2 if link.robot_state in (FAILSAFE, ESTOPPED) else 0
            message = messages.status_message(_status(link), self._settings.ros_version, level)
            self._publish(self._topics.status, message)
        return replace(link, faults={**link.faults, **self._faults})

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        """To the robot."""
        self._robot.write(command, reading)

    def stop(self) -> None:
        """Ask the robot."""
        self._robot.stop()

    def emergency_stop(self) -> None:
        """Ask the robot."""
        self._robot.emergency_stop()

    def close(self) -> None:
        """Close both connections."""
        self._robot.close()
        if self._client is not None:
            self._client.close()

    def _publish(self, topic: str, message: Mapping[str, object]) -> None:
        if self._client is not None:
            self._client.publish({topic: message})

    def _listen(self) -> None:
        for topic, message in self._client.take() if self._client is not None else ():
            try:
                if topic == self._topics.stop:
                    self._handle_stop_request(messages.parse_stop(message)[1])
                elif topic == self._topics.setpoint:
                    self.user_goal = self._position(message), time.monotonic()
            except MalformedMessage as error:
                self._faults[f"bridge: {error.cause}"] += 1

    def _handle_stop_request(self, request: str) -> None:
        # Senders repeat their requests, so a second stop is not an emergency stop.
        if request == "stop" and self._requests.count == 0:
            self._requests.ask()
        while request == "estop" and self._requests.count < 2:
            self._requests.ask()

    def _position(self, message: object) -> Array:
        frame, position = messages.parse_pose(message)
        if frame not in WORLD_FRAMES:
            raise MalformedMessage("wrong frame", f"{frame!r}, expected one of {WORLD_FRAMES}")
        return position

    def _odometry(self, reading: RobotReading) -> OdometrySample:
        s = reading.sensors
        # A chip counts from its boot; on the bridge a stamp is a time of day, that of the arrival here.
        stamp = time.time_ns() - round((time.monotonic() - reading.received) * 1e9)
        return OdometrySample(stamp, s["position"], s["orientation"], s["linear_velocity"], s["angular_velocity"])


def _status(link: LinkStatus) -> StatusSample:
    values = {
        "owner": link.owner,
        "connected": str(int(link.connected)),
        "silence": f"{link.heartbeat_age:.4f}",
        "rejected": str(link.rejected),
        "cause": link.cause,
        "boot": link.boot,
        **{f"fault: {name}": str(count) for name, count in link.faults.items()},
    }
    return StatusSample(time.time_ns(), link.robot_state, values)
