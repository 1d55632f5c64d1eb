"""`bench loop`: the control loop end to end on the loopback address: bridge, simulated robot and deployment, a process
each.

The age of a command is measured by the robot, on its own clock: from the moment a state was measured to the moment the
command computed from it was accepted. It includes both ways through the bridge and the policy; the rotors follow with
the robot's next step, at most 2.5 ms later.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from deploy.bundle.reader import load_bundle
from policies.errors import UserError
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.stalls import witness
from robo_rl.workflows.processes import call, running


@dataclass(frozen=True)
class Settings:
    """The policy, the rates and the length of the flights."""

    bundle: Path | None = None
    """Bundle to fly; without one, crazyflie-hover is trained first (half a minute) and exported."""
    rates: tuple[float, ...] = (100.0, 200.0)
    """Control rates in Hz, one flight each."""
    seconds: float = 60.0
    """Time in s under the policy in each flight."""
    robot: str = "crazyflie-2025"
    """The simulated robot's parameters."""
    seed: int = 0
    """Seed of the training, where there is no bundle."""

    def __post_init__(self) -> None:
        if not self.rates or not all(math.isfinite(rate) and rate > 0.0 for rate in self.rates):
            raise UserError(f"rates must be above 0 Hz, got {self.rates}")
        if not (math.isfinite(self.seconds) and self.seconds > 0.0):
            raise UserError(f"seconds must be above 0, got {self.seconds}")


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """Fly at every rate; one row for each."""
    if settings.bundle is not None:
        load_bundle(settings.bundle)
    with tempfile.TemporaryDirectory(prefix="robo-rl-loop-") as name:
        folder = Path(name)

        @cache
        def bundle() -> Path:
            return settings.bundle or train_bundle(folder, "crazyflie-hover", settings.seed)

        def measure(rate: float) -> Row:
            flown = bundle()
            with witness() as stalls:
                report, ages = _fly(flown, rate, settings, folder / f"{rate:g}")
            return {**_figures(report, ages), **stalls, "held": report["success"]}

        rates = {f"{rate:g}": keep(f"{rate:g} Hz", partial(measure, rate)) for rate in settings.rates}
    return {
        "rates": rates,
        "robot": settings.robot,
        "failures": [f"at {rate} Hz: {row['outcome']}" for rate, row in rates.items() if not row["held"]],
    }


def train_bundle(folder: Path, task: str, seed: int) -> Path:
    """Train `task` below `folder` by the commands that a user would type; returns the bundle's folder."""
    run_dir, bundle = folder / f"{task}-run", folder / f"{task}-bundle"
    for arguments in (
        ["train", task, "--seed", str(seed), "--run-dir", str(run_dir)],
        ["export", str(run_dir), "--out", str(bundle), "--episodes", "200"],
    ):
        if call(arguments):
            raise UserError(f"robo-rl {arguments[0]} failed; name a bundle to fly instead")
    return bundle


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
        raise UserError(f"robo-rl deploy {bundle} failed at {rate:g} Hz; see its message above")
    report: dict[str, Any] = json.loads(report_file.read_text())
    return report, accepted_ages(log)


def accepted_ages(log: Path) -> np.ndarray[Any, Any]:
    """Ages in s of the commands that a simulated robot's log says it accepted."""
    ages = []
    with log.open() as file:
        for line in file:
            # The log also holds every physics step; only the lines of commands are parsed.
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
