"""Definitions of the message types that the embedded bridge knows, as data.

A field is `type name`; `[]` marks a list and `[n]` a list of n values. `time` is the ROS version's stamp. The
definitions follow common_interfaces of ROS 2; `fields_of` adds what differs between the versions (`seq` in a header of
ROS 1, the place of an elevation map's header). Ref: https://github.com/ros2/common_interfaces,
https://github.com/rudislabs/actuator_msgs and https://github.com/ANYbotics/grid_map
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from real.ros.version import RosVersion

_DEFINITIONS = {
    "std_msgs/Header": "time stamp, string frame_id",
    "std_msgs/String": "string data",
    "std_msgs/Bool": "bool data",
    "std_msgs/Int32": "int32 data",
    "std_msgs/Float64": "float64 data",
    "std_msgs/MultiArrayDimension": "string label, uint32 size, uint32 stride",
    "std_msgs/MultiArrayLayout": "std_msgs/MultiArrayDimension[] dim, uint32 data_offset",
    "std_msgs/Float32MultiArray": "std_msgs/MultiArrayLayout layout, float32[] data",
    "std_msgs/Float64MultiArray": "std_msgs/MultiArrayLayout layout, float64[] data",
    "geometry_msgs/Point": "float64 x, float64 y, float64 z",
    "geometry_msgs/Vector3": "float64 x, float64 y, float64 z",
    "geometry_msgs/Quaternion": "float64 x, float64 y, float64 z, float64 w",
    "geometry_msgs/Pose": "geometry_msgs/Point position, geometry_msgs/Quaternion orientation",
    "geometry_msgs/Twist": "geometry_msgs/Vector3 linear, geometry_msgs/Vector3 angular",
    "geometry_msgs/PoseStamped": "std_msgs/Header header, geometry_msgs/Pose pose",
    "geometry_msgs/TwistStamped": "std_msgs/Header header, geometry_msgs/Twist twist",
    "geometry_msgs/PoseWithCovariance": "geometry_msgs/Pose pose, float64[36] covariance",
    "geometry_msgs/TwistWithCovariance": "geometry_msgs/Twist twist, float64[36] covariance",
    "nav_msgs/Odometry": "std_msgs/Header header, string child_frame_id, geometry_msgs/PoseWithCovariance pose, "
    "geometry_msgs/TwistWithCovariance twist",
    "sensor_msgs/Imu": "std_msgs/Header header, geometry_msgs/Quaternion orientation, "
    "float64[9] orientation_covariance, geometry_msgs/Vector3 angular_velocity, "
    "float64[9] angular_velocity_covariance, geometry_msgs/Vector3 linear_acceleration, "
    "float64[9] linear_acceleration_covariance",
    "sensor_msgs/JointState": "std_msgs/Header header, string[] name, float64[] position, float64[] velocity, "
    "float64[] effort",
    "actuator_msgs/Actuators": "std_msgs/Header header, float64[] position, float64[] velocity, float64[] normalized",
    "diagnostic_msgs/KeyValue": "string key, string value",
    "diagnostic_msgs/DiagnosticStatus": "uint8 level, string name, string message, string hardware_id, "
    "diagnostic_msgs/KeyValue[] values",
    "diagnostic_msgs/DiagnosticArray": "std_msgs/Header header, diagnostic_msgs/DiagnosticStatus[] status",
    "grid_map_msgs/GridMapInfo": "float64 resolution, float64 length_x, float64 length_y, geometry_msgs/Pose pose",
    "grid_map_msgs/GridMap": "grid_map_msgs/GridMapInfo info, string[] layers, string[] basic_layers, "
    "std_msgs/Float32MultiArray[] data, uint16 outer_start_index, uint16 inner_start_index",
}
_HEADED = {1: "grid_map_msgs/GridMapInfo", 2: "grid_map_msgs/GridMap"}
"""Which part of an elevation map has its header, by ROS version."""


@dataclass(frozen=True)
class Field:
    """One field. `length` is None for a single value, -1 for a list of any length, otherwise the list's length."""

    name: str
    kind: str
    length: int | None


@cache
def fields_of(kind: str, version: RosVersion) -> dict[str, Field]:
    """Fields of `package/Type` by name; KeyError for a type that is not defined here."""
    fields = [_parse(text) for text in _DEFINITIONS[kind].split(", ")]
    if kind == "std_msgs/Header" and version == 1:
        fields.insert(0, Field("seq", "uint32", None))
    if kind == _HEADED[version]:
        fields.insert(0, Field("header", "std_msgs/Header", None))
    return {field.name: field for field in fields}


def is_defined(kind: str) -> bool:
    """Whether `package/Type` is one of the types known here."""
    return kind in _DEFINITIONS


def _parse(text: str) -> Field:
    kind, name = text.split(" ")
    if "[" not in kind:
        return Field(name, kind, None)
    element, _, length = kind.rstrip("]").partition("[")
    return Field(name, element, int(length) if length else -1)
