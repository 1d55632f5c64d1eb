"""The whole chain in one command: train a quadrotor, export, verify, fly it through the bridge, and print figures."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import UserError
from robo_rl.view import plots
from robo_rl.workflows.processes import call, running

TASK = "crazyflie-hover"
ROBOT = "crazyflie-2025"
STEP = 0.3
HELD = 0.2
"""Mean distance to the target in m, over the last second before the landing, up to which the flight counts as held. The
robot is another model than the one trained on, so this is twice the benchmark's 0.1 m."""


@dataclass(frozen=True)
class Demo:
    """The demo's results; every path is inside the folder given. `held` decides the exit code."""

    held: bool
    rows: list[tuple[str, str]]
    files: list[Path]


def run(out: Path, seed: int, duration: float, announce: Callable[[str], None]) -> Demo:
    """Run every part as the command a user would type; `announce` gets each command line.

    Raises UserError when a part fails before the flight, naming it, and ProcessFailed when bridge or robot don't start.
    """
    run_dir, bundle, recording = out / "run", out / "bundle", out / "flight.mcap"
    report_file, verify_file = out / "flight.json", out / "verify.json"
    _clear(out, run_dir)

    def do(*arguments: str | Path, quiet: bool = False) -> int:
        words = [str(word) for word in arguments]
        announce(f"robo-rl {shlex.join(words)}")
        return call(words, quiet)

    for arguments in (
        ("train", TASK, "--seed", str(seed), "--run-dir", run_dir),
        ("export", run_dir, "--out", bundle),
        ("verify", bundle, "--json", verify_file),
    ):
        code = do(*arguments, quiet=arguments[0] == "verify")
        if code:
            raise UserError(f"robo-rl {arguments[0]} ended with exit code {code}; the demo stops here")
    bridge, robot = ("bridge", "--port", "0"), ("robot", "crazyflie", "--parameters", ROBOT)
    announce(f"robo-rl {shlex.join(bridge)}")
    with running(bridge, "bridge ready", out / "bridge.log") as url:
        announce(f"robo-rl {shlex.join([*robot, '--url', url])}")
        with running([*robot, "--url", url], "robot ready", out / "robot.log"):
            flown = do(
                "deploy", bundle, "--url", url, "--duration", str(duration), "--setpoint", "step",
                "--step-offset", str(STEP), "0", "0", "--record", recording, "--json", report_file, "--name", ROBOT,
                quiet=True,
            )  # fmt: skip
    if not report_file.is_file():
        raise UserError(f"robo-rl deploy ended with exit code {flown} and left no report")
    result, verified, report = (_read(path) for path in (run_dir / "record.json", verify_file, report_file))
    evaluation = _read(bundle / "manifest.json")["evaluation"]
    plots.training(result["curve"], f"Training of {TASK}, seed {seed}", out / "training.png")
    pictures = [out / "training.png"]
    if any(state["target"] == "POLICY" for state in report["states"]):
        title = f"{TASK} on {ROBOT} through the bridge, a step of {STEP} m at {0.5 * duration:g} s"
        plots.flight(recording, title, out / "flight.png")
        pictures.append(out / "flight.png")
    distance = report["position_error"]["last_second"]
    held = flown == 0 and distance is not None and distance < HELD
    return Demo(held, _rows(result, evaluation, verified, report, held), [*pictures, recording, bundle, report_file])


def _rows(
    result: dict[str, Any], evaluation: dict[str, Any], verified: dict[str, Any], report: dict[str, Any], held: bool
) -> list[tuple[str, str]]:
    wall, age, schedule = result["wall_seconds"], report["age"], report["schedule"]
    error, after = report["position_error"], report["after_step"] or {}
    ended = [event for event in report["events"] if event["trigger"] is not None and event["cause"] != "duration_over"]
    noted = [event for event in report["events"] if event["trigger"] is None]
    success = evaluation["success_at_0.1"]
    return [
        ("training time", f"{wall['train']:.1f} s, beside {wall['imports'] + wall['compile']:.1f} s to start"),
        ("environment steps", f"{result['steps']:,}".replace(",", " ")),
        (
            "success at 0.1 m, held-out starts",
            f"{100 * success['value']:.1f} % ({100 * success['low']:.1f} to {100 * success['high']:.1f})",
        ),
        ("survival, held-out starts", f"{100 * evaluation['survival']['value']:.1f} %"),
        ("torch against onnxruntime", f"{max(verified['parity'].values()):.1e} of the command range"),
        ("flight", report["outcome"]),
        ("sensor-to-command age", f"p50 {_number(age['p50_ms'], 2)} ms, p99 {_number(age['p99_ms'], 2)} ms"),
        ("period jitter", f"p99 {_number(schedule['jitter_p99_ms'], 2)} ms, {schedule['overruns']} overruns"),
        (
            "distance to target",
            f"mean {_number(error['mean'])} m, last second {_number(error['last_second'])} m, "
            f"mean after the step {_number(after.get('mean'))} m",
        ),
        ("safety events that ended it", _events(ended)),
        ("events noted in flight", _events(noted)),
        ("the flight held", "yes" if held else "NO"),
    ]


def _events(events: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{event['cause']} ({event['count']})" for event in events) or "none"


def _number(value: float | None, digits: int = 3) -> str:
    return "?" if value is None else f"{value:.{digits}f}"


def _clear(out: Path, run_dir: Path) -> None:
    """Remove only what an earlier demo left in its own folders."""
    if run_dir.exists():
        if not (run_dir / "config.yaml").is_file():
            raise UserError(f"{run_dir} exists and is not a run of the demo; name another --out")
        shutil.rmtree(run_dir)
    for name in ("flight.mcap", "flight.json", "verify.json", "flight.png", "training.png"):
        (out / name).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document
