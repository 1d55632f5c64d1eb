"""Rehearse a walk: bridge, simulated robot and bundle as processes, a square and a push, and the path walked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from real.simulated.robot_log import read_path
from robo_rl.view import plots
from robo_rl.workflows.processes import call, running

Floats = NDArray[np.float64]


def rehearse(
    bundle: Path, out: Path, robot: str, side: float, robot_options: Sequence[str], deploy_options: Sequence[str]
) -> dict[str, Any]:
    """Walk a square of `side` m, which the options of `robo-rl deploy` say too; figures from host and robot.

    The folder `out` takes logs, recording, report and a picture of the path, walk.png. The path is the robot's true
    one, in m relative to where it stood up. Raises UserError when there was no walk.
    """
    log, report_file = out / "walk.jsonl", out / "walk.json"
    for file in (log, report_file, out / "walk.png"):
        file.unlink(missing_ok=True)
    with running(("bridge", "--port", "0"), "bridge ready", out / "bridge.log") as url:
        arguments = ("robot", robot, "--url", url, "--log", str(log), *robot_options)
        with running(arguments, "robot ready", out / "robot.log"):
            code = call(
                [
                    "deploy", str(bundle), "--url", url, *deploy_options, "--record", str(out / "walk.mcap"),
                    "--json", str(report_file), "--name", Path(robot).name,
                ],
                False,
            )  # fmt: skip
    if not report_file.is_file():
        raise UserError(f"robo-rl deploy ended with exit code {code} and left no report")
    report = json.loads(report_file.read_text())
    path = walked_path(log)
    plots.walk(path[:, :2], _corners(side), f"{report['bundle']}: {report['outcome']}", out / "walk.png")
    return {
        "outcome": report["outcome"],
        "exit_code": code,
        "states": [change["target"] for change in report["states"]],
        "age_ms": report["age"],
        "schedule": report["schedule"],
        "events": {event["cause"]: event["count"] for event in report["events"]},
        "path": path_figures(path, side),
    }


def walked_path(log: Path) -> Floats:
    """The path in a robot's log while it was active, [T, 4]: forward and left in m of where it began, height in m, yaw
    in rad, unwrapped, from where it faced."""
    _, poses, modes = read_path(log)
    walked = poses[[mode == "active" for mode in modes]]
    if not len(walked):
        raise UserError("the robot never moved, so there is no path")
    start, heading = walked[0, :2], float(walked[0, 3])
    turn = np.array([[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]])
    path: Floats = np.column_stack(((walked[:, :2] - start) @ turn.T, walked[:, 2], np.unwrap(walked[:, 3]) - heading))
    return path


def path_figures(walked: Floats, side: float) -> dict[str, Any]:
    """A path of `walked_path` in numbers: its corners, how far the end is from the beginning, and its mean and largest
    distance in m from the square of `side` m."""
    path, corners = walked[:, :2], _corners(side)
    away = np.min([_to_segment(path, a, b) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)], axis=0)
    nearest = [float(np.linalg.norm(path - corner, axis=1).min()) for corner in corners]
    return {
        "length_m": float(np.linalg.norm(np.diff(path[::50], axis=0), axis=1).sum()),
        "reach_m": {
            "x": [float(path[:, 0].min()), float(path[:, 0].max())],
            "y": [float(path[:, 1].min()), float(path[:, 1].max())],
        },
        "end_to_start_m": float(np.linalg.norm(path[-1])),
        "turned_rad": float(walked[-1, 3]),
        "distance_to_square_m": {"mean": float(away.mean()), "max": float(away.max())},
        "distance_to_corners_m": nearest,
        "highest_m": float(walked[:, 2].max()),
        "final_height_m": float(walked[-1, 2]),
    }


def _corners(side: float) -> Floats:
    corners: Floats = side * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    return corners


def _to_segment(points: Floats, a: Floats, b: Floats) -> Floats:
    along = np.clip((points - a) @ (b - a) / float((b - a) @ (b - a)), 0.0, 1.0)
    distance: Floats = np.linalg.norm(points - (a + along[:, None] * (b - a)), axis=1)
    return distance
