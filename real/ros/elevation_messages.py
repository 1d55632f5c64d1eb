"""Elevation maps between a robot and its host: grid_map_msgs/GridMap, built and parsed only here.

A map lies around its `position` in a frame that does not turn with the robot; row 0 and column 0 are the cell with the
largest x and y. Ref: https://github.com/ANYbotics/grid_map (GridMap.msg, GridMapInfo.msg, GridMapMsgHelpers.hpp); the
header is in `info` in ROS 1 and beside it in ROS 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from real.ros.fields import Array, MalformedMessage, at, number, quaternion, stamp_of, vector, xyz
from real.ros.version import RosVersion, header_message

GRID_MAP = "grid_map_msgs/GridMap"
ROWS, COLUMNS = "row_index", "column_index"
LARGEST = 1_000_000
"""Most cells of a map."""
LEVEL = 1e-3
"""Largest x, y, z of the quaternion of a map that is not turned."""


@dataclass(frozen=True)
class ElevationMap:
    """`stamp` ns on the robot's clock; `position` [2] m of the middle in `frame`; `resolution` m a cell; `heights`
    [rows, columns] m, NaN where unknown, along -x and -y of the frame."""

    stamp: int
    frame: str
    position: Array
    resolution: float
    heights: Array

    def at(self, points: Array) -> Array:
        """Heights [k] in m of the cells under `points` [k, 2] in the map's frame, m; NaN where unknown or outside."""
        size = np.array(self.heights.shape)
        cells = np.floor((self.position - points) / self.resolution + 0.5 * size).astype(np.int64)
        inside = ((cells >= 0) & (cells < size)).all(1)
        found: Array = np.full(len(points), np.nan)
        found[inside] = self.heights[cells[inside, 0], cells[inside, 1]]
        return found


def grid_map_message(sample: ElevationMap, layer: str, version: RosVersion, sequence: int = 0) -> dict[str, Any]:
    """A grid_map_msgs/GridMap with one layer, column by column."""
    rows, columns = sample.heights.shape
    header = {"header": header_message(sample.stamp, sample.frame, version, sequence)}
    info: dict[str, Any] = {
        "resolution": sample.resolution,
        "length_x": rows * sample.resolution,
        "length_y": columns * sample.resolution,
        "pose": {
            "position": xyz(np.array([*sample.position, 0.0])),
            "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0},
        },
    }
    dimensions = [
        {"label": COLUMNS, "size": columns, "stride": rows * columns},
        {"label": ROWS, "size": rows, "stride": rows},
    ]
    layout = {"dim": dimensions, "data_offset": 0}
    heights = np.round(sample.heights, 4).T.ravel().tolist()  # A tenth of a millimetre; more digits are only bytes.
    return {
        **(header if version == 2 else {}),
        "info": {**header, **info} if version == 1 else info,
        "layers": [layer],
        "basic_layers": [],
        "data": [{"layout": layout, "data": heights}],
        "outer_start_index": 0,
        "inner_start_index": 0,
    }


def parse_grid_map(message: object, layer: str, version: RosVersion) -> ElevationMap:
    """Read the `layer` of a grid_map_msgs/GridMap; raises MalformedMessage with a cause.

    Cells that are null, NaN or infinite are unknown.
    """
    info = at(message, "info")
    headed = info if version == 1 else message
    turn = quaternion(at(info, "pose", "orientation"))
    if float(np.abs(turn[1:]).max()) > LEVEL:
        raise MalformedMessage("map is turned", "info.pose.orientation is not 0, 0, 0, 1")
    resolution = number(at(info, "resolution"), "resolution")
    lengths = [number(at(info, name), name) for name in ("length_x", "length_y")]
    if resolution <= 0.0 or min(lengths) <= 0.0 or lengths[0] * lengths[1] > LARGEST * resolution**2:
        raise MalformedMessage("bad size", f"{lengths[0]} x {lengths[1]} m in cells of {resolution} m")
    heights = _matrix(_layer(message, layer))
    expected = tuple(round(length / resolution) for length in lengths)
    if heights.shape != expected:
        raise MalformedMessage("wrong length", f"layer has {heights.shape} cells, its lengths make {expected}")
    starts = [number(at(message, f"{name}_start_index"), f"{name}_start_index") for name in ("outer", "inner")]
    for axis, start in enumerate(starts):
        if not 0 <= start < heights.shape[axis]:
            raise MalformedMessage("bad start", f"start index {start} of {heights.shape[axis]}")
        heights = np.roll(heights, -round(start), axis)
    frame = at(headed, "header", "frame_id")
    if not isinstance(frame, str):
        raise MalformedMessage("wrong type", "header.frame_id is not a name")
    position = vector(at(info, "pose", "position"), "pose.position")[:2]
    return ElevationMap(stamp_of(headed, version), frame, position, resolution, heights)


def _layer(message: object, layer: str) -> object:
    layers, data = at(message, "layers"), at(message, "data")
    if not isinstance(layers, list) or not isinstance(data, list) or len(layers) != len(data):
        raise MalformedMessage("wrong length", "layers and data are not lists of one length")
    if layer not in layers:
        raise MalformedMessage(f"no layer {layer}", ", ".join(map(str, layers)))
    return data[layers.index(layer)]


def _matrix(array: object) -> Array:
    """A Float32MultiArray of two dimensions, [rows, columns], whichever of them is the outer one."""
    dimensions, values = at(array, "layout", "dim"), at(array, "data")
    if not isinstance(dimensions, list) or len(dimensions) != 2 or not isinstance(values, list):
        raise MalformedMessage("wrong type", "a layer has no two dimensions and data")
    outer, inner = (str(at(dimension, "label")) for dimension in dimensions)
    if {outer, inner} != {ROWS, COLUMNS}:
        raise MalformedMessage("wrong type", f"dimensions are {outer} and {inner}")
    sizes = [round(number(at(dimension, "size"), "size")) for dimension in dimensions]
    if sizes[0] * sizes[1] != len(values) or not values:
        raise MalformedMessage("wrong length", f"{len(values)} values for {sizes[0]} x {sizes[1]} cells")
    if not all(value is None or type(value) in (float, int) for value in values):
        raise MalformedMessage("wrong type", "a cell is no number")
    numbers = np.array([math.nan if value is None else float(value) for value in values])
    matrix = np.where(np.isfinite(numbers), numbers, np.nan).reshape(sizes)
    return matrix if outer == ROWS else matrix.T
