"""The control loop end to end on the loopback address: bridge, simulated robot and deployment, a process each.

The age of a command is measured by the robot, on its own clock: from the moment a state was measured to the moment the
command computed from it was accepted. It holds both ways through the bridge and the policy; the rotors follow with the
robot's next step, at most 2.5 ms later.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policies.errors import UserError
from robo_rl.bench.stalls import witness
from robo_rl.cli.common import open_bundle
from robo_rl.workflows.processes import call, running


@dataclass(frozen=True)
class Settings:
    """How long to fly which policy at which rates."""

    bundle: Path | None = None
    """Bundle to fly; without one, crazyflie-hover is trained first (half a minute) and exported."""
    rates: tuple[float, ...] = (100.0, 200.0)
    """Control rates in Hz, one flight each."""
    seconds: float = 60.0
    """Time in s under the policy in each flight."""
    robot: str = "crazyflie-2025"
    """The simulated robot's parameters."""

    def __post_init__(self) -> None:
        if not self.rates or not all(math.isfinite(rate) and rate > 0.0 for rate in self.rates):
            raise UserError(f"rates must be above 0 Hz, got {self.rates}")
        if not (math.isfinite(self.seconds) and self.seconds > 0.0):
            raise UserError(f"seconds must be above 0, got {self.seconds}")


def run(settings: Settings) -> dict[str, Any]:
    """Fly at every rate; the keys are those that robo_rl.bench.tables reads."""
    if settings.bundle is not None:
        open_bundle(settings.bundle)
    with tempfile.TemporaryDirectory(prefix="robo-rl-loop-") as name:
        folder = Path(name)
        bundle = settings.bundle or _train(folder)
        rates, failures = {}, []
        for rate in settings.rates:
            label = f"{rate:g}"
            with witness() as stalls:
                report, ages = _fly(bundle, rate, settings, folder / label)
            if not report["success"]:
                failures.append(f"at {label} Hz: {report['outcome']}")
            rates[label] = {**_figures(report, ages), **stalls}
    return {"rates": rates, "seconds": settings.seconds, "robot": settings.robot, "failures": failures}


def _train(folder: Path) -> Path:
    for arguments in (
        ["train", "crazyflie-hover", "--run-dir", str(folder / "run")],
        ["export", str(folder / "run"), "--out", str(folder / "bundle"), "--episodes", "200"],
    ):
        if call(arguments):
            raise UserError(f"robo-rl {arguments[0]} failed; name a --bundle to fly instead")
    return folder / "bundle"


def _fly(bundle: Path, rate: float, settings: Settings, folder: Path) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """One flight: its report, and the age in s of every command that the robot accepted."""
    folder.mkdir()
    report_file, log = folder / "report.json", folder / "robot.jsonl"
    with running(["bridge", "--port", "0"], "bridge ready", folder / "bridge.log") as url:
        robot = ["robot", "crazyflie", "--parameters", settings.robot, "--url", url, "--log", str(log)]
        with running(robot, "robot ready", folder / "robot.log"):
            call(
                ["deploy", str(bundle), "--url", url, "--rate", str(rate), "--duration", str(settings.seconds),
                 "--json", str(report_file), "--name", settings.robot],
                quiet=True,
            )  # fmt: skip
    if not report_file.is_file():
        raise UserError(f"robo-rl deploy {bundle} failed at {rate:g} Hz; its message stands above")
    report: dict[str, Any] = json.loads(report_file.read_text())
    return report, accepted_ages(log)


def accepted_ages(log: Path) -> np.ndarray[Any, Any]:
    """Ages in s of the commands that a simulated robot's log says it accepted."""
    ages = []
    with log.open() as file:
        for line in file:
            # The log holds every physics step, too: only lines of commands are worth parsing.
            if line.startswith('{"kind":"accepted"'):
                ages.append(json.loads(line)["age"])
    return np.array(ages)


def _figures(report: dict[str, Any], ages: np.ndarray[Any, Any]) -> dict[str, Any]:
    schedule = report["schedule"]
    p50, p99, largest = (1e3 * float(np.percentile(ages, q)) if ages.size else math.nan for q in (50, 99, 100))
    return {
        "age_p50_ms": p50,
        "age_p99_ms": p99,
        "age_max_ms": largest,
        "jitter_p99_ms": schedule["jitter_p99_ms"],
        "overruns": schedule["overruns"],
        "longest_overrun_ms": schedule["longest_overrun_ms"],
        "commands": report["commands_sent"],
        "accepted": int(ages.size),
        "distance_m": report["position_error"]["mean"],
        "outcome": report["outcome"],
    }
