"""Where a legged robot's sensors are in the rows that physics gives: found once by name, then taken in slices."""

from __future__ import annotations

import torch
from torch import Tensor

from sim.physics.protocol import JointedPhysics
from sim.robots.legs import Legs, foot_sensor
from sim.robots.robot import Robot, joint_sensor

_MEASURED = ("orientation", "angular_velocity", "linear_acceleration", "joint_position", "joint_velocity")
_SHOWN = tuple("measured_position" if name == "joint_position" else name for name in _MEASURED)


class Layout:
    """`columns`: the slice of each named group of sensors in the physics' values [N, S]. `measured`: the slice of each
    signal that sensors measure, in rows [N, F] of their own, which the sensor models process as one tensor; there,
    `measured_position` are the joints' angles.

    `zeros` [N, F] are the encoders' zero errors in rad, 0 for measured signals that are no joint angles.
    """

    def __init__(self, physics: JointedPhysics, robot: Robot) -> None:
        joints, feet = robot.joints, robot.part(Legs).feet
        groups = {
            "orientation": ["imu_orientation"],
            "angular_velocity": ["imu_gyro"],
            "linear_acceleration": ["imu_accelerometer"],
            "joint_position": [joint_sensor(joint, "position") for joint in joints],
            "joint_velocity": [joint_sensor(joint, "velocity") for joint in joints],
            "joint_torque": [joint_sensor(joint, "torque") for joint in joints],
            "base_position": ["base_position"],
            "linear_velocity": ["base_linear_velocity"],
            "foot_contact": [foot_sensor(foot, "contact") for foot in feet],
            "foot_position": [foot_sensor(foot, "position") for foot in feet],
            "foot_velocity": [foot_sensor(foot, "velocity") for foot in feet],
        }
        self.columns = {name: physics.group(sensors) for name, sensors in groups.items()}
        whole = physics.group([sensor for sensors in groups.values() for sensor in sensors])
        measured = {
            shown: slice(self.columns[name].start - whole.start, self.columns[name].stop - whole.start)
            for name, shown in zip(_MEASURED, _SHOWN, strict=True)
        }
        self.measured = measured
        self._joints = measured["measured_position"]
        width = max(columns.stop for columns in measured.values())
        self.zeros = torch.zeros(physics.num_worlds, width, device=physics.device)

    def set_zeros(self, offset: Tensor, ids: Tensor | None = None) -> None:
        """Take over the zero errors [N, joints] in rad of the worlds `ids` [K], or of all."""
        joints = self.zeros[:, self._joints]
        if ids is None:
            joints.copy_(offset)
        else:
            joints.index_copy_(0, ids, offset.index_select(0, ids))
