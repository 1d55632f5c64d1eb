"""A driver of one's own: a legged robot that speaks JSON datagrams.

The robot sends, some hundred times a second,

    {"stamp": s, "number": n, "state": word, "owner": name, "rejected": n,
     "gains": {joint: [Nm/rad, Nm s/rad]}, "sensors": {name: [...]}}

and takes {"writer": name, "stamp": s, "command": {name: [...]}} and {"writer": name, "do": "arm" | "stop" | "estop"}.
Watchdog, limits and fail-safe are the robot's own (docs/connecting-a-robot.md).

    python my_driver.py BUNDLE HOST PORT
"""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deploy.bundle.reader import load_bundle
from real.contract.offer import (
    ANGULAR_VELOCITY,
    JOINT_POSITION,
    JOINT_TARGET,
    JOINT_VELOCITY,
    LINEAR_ACCELERATION,
    ORIENTATION,
    Offer,
    Signal,
)
from real.contract.robot import Array, LinkDown, LinkStatus, RobotReading
from real.control.session import SessionSettings, run_session
from real.missions.options import WalkOptions

JOINTS = tuple(f"{leg}_{joint}_joint" for leg in ("FR", "FL", "RR", "RL") for joint in ("hip", "thigh", "calf"))
"""The robot's joints in the order of its own arrays. A bundle with another order is refused, not sorted."""
MAX_AGE = 0.1
"""Age in s of a reading beyond which no command computed from it leaves."""


class DatagramRobot:
    """See `real.contract.robot.Robot`. `joints` are the names of the joints in the order of the robot's own arrays."""

    name = "datagram robot"
    user_goal: tuple[Array, float] | None = None

    def __init__(self, address: tuple[str, int], joints: Sequence[str]) -> None:
        self.writer = f"host-{uuid.uuid4().hex[:8]}"

        def own(signal: Signal) -> Signal:
            return replace(signal, dim=len(joints), labels=tuple(joints))

        self.offer = Offer(
            (ORIENTATION, ANGULAR_VELOCITY, LINEAR_ACCELERATION, *(own(s) for s in (JOINT_POSITION, JOINT_VELOCITY))),
            (own(JOINT_TARGET),),
        )
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.05)
        self._address = address
        self._lock = threading.Lock()
        self._newest: RobotReading | None = None
        self._status: Mapping[str, Any] = {}
        self._faults: dict[str, int] = {}
        self._stopped = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="datagrams", daemon=True)

    def connect(self, timeout: float) -> None:
        self._thread.start()
        end = time.monotonic() + timeout
        while self._newest is None:
            if time.monotonic() > end:
                raise ConnectionError(f"no datagram from {self._address} within {timeout:g} s: is the robot running?")
            self._send({"do": "hello"})
            time.sleep(0.02)

    def arm(self) -> None:
        self._send({"do": "arm"})

    def read(self) -> RobotReading | None:
        return self._newest

    def link(self) -> LinkStatus:
        with self._lock:
            newest, status, faults = self._newest, self._status, dict(self._faults)
        age = math.inf if newest is None else time.monotonic() - newest.received
        return LinkStatus(
            connected=newest is not None, heartbeat_age=age, owner=str(status.get("owner", "")),
            robot_state=str(status.get("state", "")), rejected=int(status.get("rejected", 0)), other_writers=0,
            gains={joint: (float(k), float(d)) for joint, (k, d) in status.get("gains", {}).items()}, faults=faults,
        )  # fmt: skip

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        if self._stopped:
            raise LinkDown("the robot was asked to stop")
        if time.monotonic() - reading.received > MAX_AGE:
            raise LinkDown("the reading is too old to act on")
        values = {name: value.tolist() for name, value in command.items()}
        if not self._send({"stamp": reading.stamp, "command": values}):
            raise LinkDown(f"{self._address} can't be reached")

    def stop(self) -> None:
        self._stopped = True
        self._send({"do": "stop"})

    def emergency_stop(self) -> None:
        self._stopped = True
        self._send({"do": "estop"})

    def close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _send(self, message: Mapping[str, Any]) -> bool:
        try:
            self._socket.sendto(json.dumps({"writer": self.writer, **message}).encode(), self._address)
        except OSError:
            return False
        return True

    def _receive(self) -> None:
        while not self._closed.is_set():
            try:
                data, _ = self._socket.recvfrom(65536)
                message = json.loads(data)
                sensors = {name: np.array(values, dtype=np.float64) for name, values in message["sensors"].items()}
                reading = RobotReading(sensors, float(message["stamp"]), time.monotonic(), int(message["number"]))
            except TimeoutError:
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # A datagram that can't be read is counted; the supervisor ends the run when none comes that can.
                cause = f"datagram: {type(error).__name__}"
                with self._lock:
                    self._faults[cause] = self._faults.get(cause, 0) + 1
                continue
            with self._lock:
                if self._newest is None or reading.sequence > self._newest.sequence:
                    self._newest, self._status = reading, message


def main() -> int:
    """Walk the bundle on the robot."""
    bundle = load_bundle(Path(sys.argv[1]))
    robot = DatagramRobot((sys.argv[2], int(sys.argv[3])), JOINTS)
    mission = WalkOptions(command=(0.3, 0.0, 0.0)).mission(bundle.manifest, robot, 20.0)
    report = run_session(bundle, robot, mission, SessionSettings())
    print(report.outcome)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
