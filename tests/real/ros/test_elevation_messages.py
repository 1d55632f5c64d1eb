"""Elevation maps on the wire: what is sent is what arrives, however the map is stored, and bad maps are refused."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from real.ros.conform import conform, without_nan
from real.ros.elevation_messages import COLUMNS, GRID_MAP, ROWS, ElevationMap, grid_map_message, parse_grid_map
from real.ros.fields import MalformedMessage
from real.ros.messages import unstamped, with_stamp
from real.ros.version import RosVersion

STAMP = 1_700_000_000_123_456_789


def ramp(rows: int = 4, columns: int = 6) -> ElevationMap:
    """Heights x + 10 y of each cell's middle, around (1, -2)."""
    x = 1.0 + 0.5 * (0.5 * rows - 0.5 - np.arange(rows))
    y = -2.0 + 0.5 * (0.5 * columns - 0.5 - np.arange(columns))
    return ElevationMap(STAMP, "odom", np.array([1.0, -2.0]), 0.5, x[:, None] + 10.0 * y)


@pytest.mark.parametrize("version", [1, 2])
def test_a_map_survives_the_wire_as_a_server_passes_it_on(version: RosVersion) -> None:
    sent = ramp()
    message = conform(GRID_MAP, grid_map_message(sent, "elevation", version), version, 0)
    found = parse_grid_map(without_nan(message), "elevation", version)
    assert (found.stamp, found.frame, found.resolution) == (STAMP, "odom", 0.5)
    assert np.array_equal(found.position, sent.position)
    assert np.allclose(found.heights, sent.heights, atol=1e-6)
    later = with_stamp(message, 7, version)
    assert parse_grid_map(later, "elevation", version).stamp == 7
    assert not unstamped(message, version)
    assert unstamped(with_stamp(message, 0, version), version)


def test_the_cell_under_a_point_is_found_and_nothing_outside() -> None:
    found = ramp()
    points = np.array([[1.75, -0.75], [0.25, -3.25], [1.3, -1.9], [2.01, -2.0], [1.0, -3.6]])
    assert found.at(points)[:2] == pytest.approx(points[:2] @ (1.0, 10.0))
    assert found.at(points)[2] == pytest.approx(1.25 - 17.5)
    assert np.isnan(found.at(points)[3:]).all()


@pytest.mark.parametrize("start", [(0, 0), (1, 0), (3, 5), (2, 4)])
def test_a_circular_buffer_is_unwound(start: tuple[int, int]) -> None:
    sent = ramp()
    wound = ElevationMap(STAMP, "odom", sent.position, 0.5, np.roll(sent.heights, start, (0, 1)))
    message = {**grid_map_message(wound, "elevation", 2), "outer_start_index": start[0], "inner_start_index": start[1]}
    assert np.allclose(parse_grid_map(message, "elevation", 2).heights, sent.heights, atol=1e-6)


def test_rows_may_come_first_and_other_layers_are_not_read() -> None:
    sent = ramp()
    message = grid_map_message(sent, "elevation", 2)
    by_rows = {
        "layout": {"dim": [{"label": ROWS, "size": 4, "stride": 24}, {"label": COLUMNS, "size": 6, "stride": 6}]},
        "data": sent.heights.ravel().tolist(),
    }
    message = {**message, "layers": ["variance", "elevation"], "data": [{"data": "no numbers"}, by_rows]}
    assert np.allclose(parse_grid_map(message, "elevation", 2).heights, sent.heights, atol=1e-6)


def test_cells_without_a_number_are_unknown() -> None:
    message = grid_map_message(ramp(), "elevation", 2)
    message["data"][0]["data"][:3] = [None, math.nan, math.inf]
    assert np.isnan(parse_grid_map(message, "elevation", 2).heights[:3, 0]).all()
    assert np.isfinite(parse_grid_map(message, "elevation", 2).heights).sum() == 21


def changed(path: str, value: Any) -> dict[str, Any]:
    message = copy.deepcopy(grid_map_message(ramp(), "elevation", 2))
    *way, last = path.split("/")
    place: Any = message
    for name in way:
        place = place[int(name)] if name.isdigit() else place[name]
    place[int(last) if last.isdigit() else last] = value
    return message


BAD = {
    "info": (None, "null"),
    "info/resolution": (0.0, "bad size"),
    "info/length_x": (1e9, "bad size"),
    "info/length_y": (2.0, "wrong length"),
    "info/pose/orientation": ({"x": 0.0, "y": 0.0, "z": math.sqrt(0.5), "w": math.sqrt(0.5)}, "map is turned"),
    "layers": (["height"], "no layer elevation"),
    "data": ([], "wrong length"),
    "data/0/data": ([0.0] * 23, "wrong length"),
    "data/0/data/5": ("high", "wrong type"),
    "data/0/layout/dim/0/label": ("depth", "wrong type"),
    "outer_start_index": (4, "bad start"),
    "header/frame_id": (3, "wrong type"),
    "header/stamp": ({}, "bad stamp"),
}


@pytest.mark.parametrize("path", BAD)
def test_a_map_that_can_not_be_read_is_refused_with_a_cause(path: str) -> None:
    value, cause = BAD[path]
    with pytest.raises(MalformedMessage) as caught:
        parse_grid_map(changed(path, value), "elevation", 2)
    assert caught.value.cause == cause
