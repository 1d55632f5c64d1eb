"""Rehearse a walk: bridge, simulated robot and deployed bundle as processes, a square and a push, and the path walked.

python -m robo_rl.rehearse BUNDLE --out runs/rehearsal
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from policies.errors import UserError
from real.simulated.legged_log import read_path
from robo_rl import results
from robo_rl.processes import call, running


def rehearse(
    bundle: Path, out: Path, robot: str, side: float, speed: float, push: float, push_at: float
) -> dict[str, Any]:
    """Walk a square of `side` m at `speed` m/s with a sideways push of `push` m/s; what the host and the robot say.

    The path is the robot's true one, in m relative to where it stood up. Raises UserError when there was no walk.
    """
    out.mkdir(parents=True, exist_ok=True)
    log, report_file = out / "walk.jsonl", out / "walk.json"
    for file in (log, report_file):
        file.unlink(missing_ok=True)
    pushed = ("--push", "0", str(push), "0", "--push-at", str(push_at))
    with running(("bridge", "--port", "0"), "bridge ready", out / "bridge.log") as url:
        arguments = ("robot", robot, "--url", url, "--log", str(log), *pushed)
        with running(arguments, "robot ready", out / "robot.log"):
            code = call(
                [
                    "deploy", str(bundle), "--url", url, "--program", "square", "--side", str(side),
                    "--speed", str(speed), "--record", str(out / "walk.mcap"), "--json", str(report_file),
                    "--name", robot,
                ],
                False,
            )  # fmt: skip
    if not report_file.is_file():
        raise UserError(f"robo-rl deploy ended with exit code {code} and left no report")
    report = json.loads(report_file.read_text())
    return {
        "outcome": report["outcome"],
        "exit_code": code,
        "states": [change["target"] for change in report["states"]],
        "age_ms": report["age"],
        "schedule": report["schedule"],
        "events": {event["cause"]: event["count"] for event in report["events"]},
        "path": path_figures(log, side),
    }


def path_figures(log: Path, side: float) -> dict[str, Any]:
    """The path in a robot's log as figures: its corners, how far the end is from the beginning, and how far it strays
    from the square of `side` m, the mean and the largest distance in m."""
    _, poses, modes = read_path(log)
    walked = poses[[mode == "active" for mode in modes]]
    if not len(walked):
        raise UserError("the robot never moved, so there is no path")
    start, heading = walked[0, :2], float(walked[0, 3])
    turn = np.array([[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]])
    path = (walked[:, :2] - start) @ turn.T
    corners = side * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    away = np.min([_to_segment(path, a, b) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)], axis=0)
    nearest = [float(np.linalg.norm(path - corner, axis=1).min()) for corner in corners]
    return {
        "length_m": float(np.linalg.norm(np.diff(path[::50], axis=0), axis=1).sum()),
        "reach_m": {
            "x": [float(path[:, 0].min()), float(path[:, 0].max())],
            "y": [float(path[:, 1].min()), float(path[:, 1].max())],
        },
        "end_to_start_m": float(np.linalg.norm(path[-1])),
        "turned_rad": float(np.unwrap(walked[:, 3])[-1] - heading),
        "distance_to_square_m": {"mean": float(away.mean()), "max": float(away.max())},
        "distance_to_corners_m": nearest,
        "highest_m": float(walked[:, 2].max()),
        "final_height_m": float(walked[-1, 2]),
    }


def _to_segment(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = np.clip((points - a) @ (b - a) / float((b - a) @ (b - a)), 0.0, 1.0)
    distance: np.ndarray = np.linalg.norm(points - (a + along[:, None] * (b - a)), axis=1)
    return distance


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit code 0 when the robot walked and lay down."""
    parser = argparse.ArgumentParser(
        prog="python -m robo_rl.rehearse", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("bundle", type=Path, help="folder that `robo-rl export` wrote")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/rehearsal"), help="folder for logs, recording and figures"
    )
    parser.add_argument("--robot", default="go1", help="simulated robot, by the names of `robo-rl robot`")
    parser.add_argument("--side", type=float, default=1.0, help="side of the square in m")
    parser.add_argument("--speed", type=float, default=0.5, help="speed along its sides in m/s")
    parser.add_argument("--push", type=float, default=0.5, help="sideways push in m/s")
    parser.add_argument("--push-at", type=float, default=8.0, help="when, in s after the first command")
    given = parser.parse_args(argv)
    try:
        figures = rehearse(given.bundle, given.out, given.robot, given.side, given.speed, given.push, given.push_at)
    except UserError as error:
        print(f"robo-rl: error: {error}", file=sys.stderr)
        return 2
    results.write(given.out / "rehearsal.json", figures)
    print(json.dumps(figures, indent=2))
    return 0 if figures["exit_code"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
