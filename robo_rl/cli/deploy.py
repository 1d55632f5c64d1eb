"""`robo-rl deploy BUNDLE`: fly a bundle on a robot behind a rosbridge server; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import tyro

from policies.errors import UserError
from real.robots.rosbridge import RosbridgeSettings
from real.supervisor import SupervisorSettings
from robo_rl.cli.common import Folder, OptionalFile, check_writable, open_bundle, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from real.report import FlightReport
    from real.setpoint import Setpoint


@dataclass(frozen=True)
class Arguments:
    """Fly a bundle on a robot, land, and report. Ctrl-C or SIGTERM lands it, a second one cuts the actuators.

    Exit code 0 when the flight held and the vehicle landed, 1 when a safety event ended it or it never began.
    """

    bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl export` wrote."""
    duration: float = 20.0
    """Time in s under the policy before the landing."""
    setpoint: Literal["hold", "step", "lissajous"] = "hold"
    """Where to fly, relative to the start: stay, jump once, or a figure of eight."""
    step_time: float | None = None
    """Time in s of the jump; half the duration when not given."""
    step_offset: tuple[float, float, float] = (0.3, 0.0, 0.0)
    """The jump in m along the world's axes."""
    figure_period: float = 5.5
    """Time in s for one figure of eight."""
    figure_size: float = 1.0
    """Half the width of the figure of eight in m."""
    ground: float = 0.0
    """Height of the ground in m, in the frame of the robot's position."""
    rate: float | None = None
    """Control rate in Hz; the policy's own when not given. A policy is only as good as tested at another one."""
    record: OptionalFile = None
    """File for a recording in MCAP, which Foxglove opens."""
    connect_timeout: float = 10.0
    """Longest wait in s for the robot's first reading and status."""
    arm_timeout: float = 10.0
    """Longest wait in s until every check holds."""
    json: OptionalFile = None
    """File for the flight's report, as JSON."""
    robot: RosbridgeSettings = field(default_factory=RosbridgeSettings)
    """How to reach the robot."""
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    """The supervisor's time-outs; its limits come with the bundle."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "deploy", argv)
    check_writable(arguments.json)
    if arguments.rate is not None and not arguments.rate > 0.0:
        raise UserError(f"rate must be above 0 Hz, got {arguments.rate}")
    bundle = open_bundle(arguments.bundle)

    from real.robots.rosbridge import RosbridgeRobot
    from real.session import FlightSettings, SettingsError, fly

    try:
        settings = FlightSettings(
            duration=arguments.duration,
            setpoint=_setpoint(arguments),
            ground=arguments.ground,
            record=arguments.record,
            period=None if arguments.rate is None else 1.0 / arguments.rate,
            connect_timeout=arguments.connect_timeout,
            arm_timeout=arguments.arm_timeout,
            supervisor=arguments.supervisor,
        )
        report = fly(bundle, RosbridgeRobot(arguments.robot), settings)
    except SettingsError as error:
        raise UserError(str(error)) from None
    _print(report)
    write_json(arguments.json, report.to_json())
    return report.exit_code


def _setpoint(arguments: Arguments) -> Setpoint:
    from real.setpoint import Hold, Lissajous, Step

    try:
        if arguments.setpoint == "step":
            time = 0.5 * arguments.duration if arguments.step_time is None else arguments.step_time
            return Step(time, arguments.step_offset)
        if arguments.setpoint == "lissajous":
            return Lissajous(arguments.figure_period, arguments.figure_size)
        return Hold()
    except ValueError as error:
        raise UserError(str(error)) from None


def _print(report: FlightReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "value", title=f"{report.bundle} on {report.robot}: {report.outcome}")
    if report.commands_sent:
        table.add_row("time flown", f"{report.duration:.1f} s, {report.commands_sent} commands")
        error, schedule = report.position_error, report.schedule
        if error.mean is not None:
            table.add_row("distance to target", f"mean {error.mean:.3f} m, largest {error.max:.3f} m")
            table.add_row("  over the last second", f"{error.last_second:.3f} m")
        table.add_row("sensor-to-command age", f"p50 {report.age.p50_ms:.2f} ms, p99 {report.age.p99_ms:.2f} ms")
        table.add_row("period jitter", f"p99 {schedule.jitter_p99_ms:.2f} ms, {schedule.overruns} overruns")
    for event in report.events:
        table.add_row(f"event at {event.first:.2f} s", event.describe())
    if report.recording is not None:
        recorded = report.recording
        note = f"; {recorded.failure}" if recorded.failure else ""
        table.add_row("recording", f"{recorded.path}: {recorded.messages} messages, {recorded.dropped} dropped{note}")
    Console().print(table)
