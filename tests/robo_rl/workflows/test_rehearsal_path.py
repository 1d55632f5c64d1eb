"""The path of a rehearsal: from the robot's log to figures and a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from policies.errors import UserError
from robo_rl.view import plots
from robo_rl.workflows.rehearse import path_figures, walked_path

SIDE = 1.0
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def write_log(path: Path, heading: float, mode: str = "active") -> None:
    """A robot that walks the square, which begins at (3, -2) and turns left, as its own log tells it."""
    lines: list[str] = []
    for corner, following in zip(CORNERS, np.roll(CORNERS, -1, axis=0), strict=True):
        for share in np.linspace(0.0, 1.0, 50, endpoint=False):
            x, y = corner + share * (following - corner)
            along = math.atan2(*(following - corner)[::-1])
            half = 0.5 * (heading + along)
            position = [3.0 + math.cos(heading) * x - math.sin(heading) * y,
                        -2.0 + math.sin(heading) * x + math.cos(heading) * y, 0.3]  # fmt: skip
            orientation = [math.cos(half), 0.0, 0.0, math.sin(half)]
            record = {"kind": "truth", "time": 0.01 * len(lines), "position": position, "orientation": orientation}
            lines.append(json.dumps({**record, "mode": mode}))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("heading", [0.0, 2.5, -1.0])
def test_a_square_walked_anywhere_lies_on_the_square(tmp_path: Path, heading: float) -> None:
    write_log(tmp_path / "walk.jsonl", heading)
    figures = path_figures(walked_path(tmp_path / "walk.jsonl"), SIDE)
    assert figures["distance_to_square_m"]["max"] < 1e-9
    assert figures["distance_to_corners_m"] == pytest.approx([0.0] * 4, abs=1e-9)
    assert figures["turned_rad"] == pytest.approx(1.5 * math.pi)
    assert figures["end_to_start_m"] == pytest.approx(0.02)


def test_a_path_becomes_a_picture(tmp_path: Path) -> None:
    write_log(tmp_path / "walk.jsonl", 0.3)
    plots.walk(walked_path(tmp_path / "walk.jsonl")[:, :2], CORNERS, "a square", tmp_path / "walk.png")
    pixels = np.asarray(Image.open(tmp_path / "walk.png").convert("RGB"), dtype=int)
    blue = (np.abs(pixels - (31, 119, 180)).sum(-1) < 40).nonzero()
    # A square is as high as it is wide.
    height, width = (int(where.max() - where.min()) for where in blue)
    assert min(height, width) > 300 and abs(height - width) < 0.1 * height


def test_a_robot_that_never_moved_has_no_path(tmp_path: Path) -> None:
    write_log(tmp_path / "walk.jsonl", 0.0, mode="ready")
    with pytest.raises(UserError, match="never moved"):
        walked_path(tmp_path / "walk.jsonl")
