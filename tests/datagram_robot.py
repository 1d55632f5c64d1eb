"""A simulated Go1 that speaks the datagrams of docs/examples/my_driver.py, in a thread of its own and in real time."""

from __future__ import annotations

import json
import socket
import threading
import time
from types import TracebackType

import numpy as np

from real.ros.legged_messages import JointCommand
from real.simulated.legged_body import LeggedBody
from real.simulated.legged_settings import MOTOR_RATE, RobotSettings
from real.simulated.robot_log import RobotLog
from sim.robots.go1 import GO1

STEPS_PER_READING = 5


class DatagramGo1:
    """Steps its physics 500 times a second and sends a reading with every fifth step to whoever wrote last."""

    def __init__(self) -> None:
        self.body = LeggedBody(GO1, RobotSettings(noise=0.0), RobotLog("", "target"))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.address: tuple[str, int] = self._socket.getsockname()
        self.silent = False
        self._host: tuple[str, int] | None = None
        self._sequence = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> DatagramGo1:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        due, number = time.monotonic(), 0
        while not self._end.is_set():
            due = max(due + 1.0 / MOTOR_RATE, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
            self._listen()
            self.body.step(time.monotonic())
            number += 1
            if number % STEPS_PER_READING == 0 and self._host is not None and not self.silent:
                self._send(number, self._host)

    def _listen(self) -> None:
        while True:
            try:
                data, self._host = self._socket.recvfrom(65536)
            except BlockingIOError:
                return
            message, now = json.loads(data), time.monotonic()
            if "command" in message:
                self._sequence += 1
                targets = tuple(message["command"]["joint_position_target"])
                stamp = round(message["stamp"] * 1e9)
                self.body.command(JointCommand(stamp, message["writer"], self._sequence, GO1.joints, targets), now)
            elif message["do"] in ("arm", "stop", "estop"):
                self.body.request(message["do"], now)

    def _send(self, number: int, host: tuple[str, int]) -> None:
        stamp = time.monotonic()
        joints, _, imu = self.body.measure(round(stamp * 1e9))
        sensors = {
            "orientation": imu.orientation, "angular_velocity": imu.angular_velocity,
            "linear_acceleration": imu.linear_acceleration, "joint_position": joints.position,
            "joint_velocity": joints.velocity,
        }  # fmt: skip
        gate, motors = self.body.gate, zip(self.body.stiffness.tolist(), self.body.damping.tolist(), strict=True)
        message = {
            "stamp": stamp,
            "number": number,
            "state": self.body.mode,
            "owner": gate.owner(stamp),
            "rejected": gate.rejected.total(),
            "gains": dict(zip(GO1.joints, motors, strict=True)),
            "sensors": {name: np.asarray(value).tolist() for name, value in sensors.items()},
        }
        self._socket.sendto(json.dumps(message).encode(), host)
