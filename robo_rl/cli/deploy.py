"""`robo-rl deploy BUNDLE`: run a bundle on a robot behind a rosbridge server, or on a chip behind a serial port; needs
no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from typing import TYPE_CHECKING, Any

from policies.errors import UserError
from real.missions.kinds import KINDS, options_for
from real.missions.options import DURATION, FlightOptions
from real.robots.mapped_wire import ElevationSettings
from real.robots.rosbridge import RosbridgeSettings
from real.safety.supervisor import SupervisorSettings
from robo_rl.cli.common import BundleFolder, OptionalFile, OptionalRate, check_writable, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from deploy.bundle.reader import Bundle
    from real.contract.offer import Offer
    from real.control.session import SessionSettings
    from real.recording.report import FlightReport

CHIP_TAKEOFF = 0.5
"""Height in m that a chip rises to by default."""
DESCRIPTION = """Run a bundle on a robot, bring it to rest, and report. A second Ctrl-C or SIGTERM cuts the actuators.

The first one lands a flying robot, and lets a legged one halt, stand and lie down. Exit code 0 when the robot came to
rest as asked for, 1 when a safety event ended the run or it never began.
"""


@dataclass(frozen=True)
class Arguments:
    """The options of every mission; `with_missions` adds those of each kind."""

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote."""
    duration: float | None = None
    """Time in s under the policy before the robot is brought to rest; None: 20 s. A square takes its own time."""
    serial: str | None = None
    """Serial port, or socket://HOST:PORT, of a chip that runs the bundle itself and gets setpoints."""
    baud: int = 921600
    """Baud rate of the serial port, bit/s, as in the firmware; a USB port accepts any."""
    bridge: str | None = None
    """With a serial port: address of a rosbridge server that shows the chip, and where poses and stops come from."""
    rate: OptionalRate = None
    """Control rate in Hz, a whole multiple of the policy's own; None: the policy's own."""
    record: OptionalFile = None
    """File for a recording in MCAP, which Foxglove opens."""
    connect_timeout: float = 10.0
    """Longest wait in s for the robot's first reading and status."""
    arm_timeout: float = 10.0
    """Longest wait in s until every check holds."""
    json: OptionalFile = None
    """File for the report, as JSON."""
    robot: RosbridgeSettings = field(default_factory=RosbridgeSettings)
    """How to reach the robot."""
    elevation: ElevationSettings = field(default_factory=ElevationSettings)
    """The elevation map beside a legged robot."""
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    """The supervisor's time-outs; its limits come with the bundle."""

    @property
    def session(self) -> SessionSettings:
        """The settings of the session."""
        from real.control.session import SessionSettings

        return SessionSettings(self.record, self.rate, self.connect_timeout, self.arm_timeout, self.supervisor)


def with_missions() -> type[Arguments]:
    """`Arguments` with the options of each kind of bundle, in a field of the kind's name."""
    fields: list[tuple[str, type, Any]] = [(kind, of, field(default_factory=of)) for kind, of in KINDS.items()]
    return make_dataclass("Arguments", fields, bases=(Arguments,), frozen=True)


def run(argv: Sequence[str]) -> int:
    arguments = parse(with_missions(), "deploy", argv, description=DESCRIPTION)
    check_writable(arguments.json)
    if arguments.bridge is not None and arguments.serial is None:
        raise UserError("--bridge goes with --serial; a robot behind a bridge is reached with --url")
    if arguments.elevation.elevation_map and arguments.serial is not None:
        raise UserError("--elevation-map is for a robot behind a bridge; leave it out with --serial")
    from deploy.bundle.reader import load_bundle

    bundle = load_bundle(arguments.bundle)
    options_for(bundle.manifest)
    report = _behind_bridge(arguments, bundle) if arguments.serial is None else _guide(arguments, bundle)
    _print(report)
    write_json(arguments.json, report.to_json())
    return report.exit_code


def _behind_bridge(arguments: Arguments, bundle: Bundle) -> FlightReport:
    """A robot behind a rosbridge server runs the bundle's commands."""
    from real.control.session import run_session
    from real.robots.rosbridge import RosbridgeRobot
    from real.robots.wires import nearest

    manifest = bundle.manifest
    options = getattr(arguments, manifest.kind)

    def needs(offer: Offer) -> list[str]:
        missing: list[str] = options.kind.missing(manifest, offer)
        return missing

    wire, missing = nearest(needs, arguments.elevation if arguments.elevation.elevation_map else None)
    if missing:
        mapped = not nearest(needs, arguments.elevation)[1]
        hint = "; name the robot's elevation map, --elevation-map TOPIC" if mapped else ""
        raise UserError(f"no robot behind a bridge can run policy {manifest.identity.name}: {'; '.join(missing)}{hint}")
    robot = RosbridgeRobot(arguments.robot, wire, manifest)
    return run_session(bundle, robot, options.mission(manifest, robot, arguments.duration), arguments.session)


def _guide(arguments: Arguments, bundle: Bundle) -> FlightReport:
    """A chip flies the bundle; the host supervises it and sends setpoints."""
    from real.contract.robot import Robot
    from real.contract.stop_requests import StopRequests
    from real.control.guided import GuidedBundle, GuidedFlight, guided_manifest
    from real.control.session import run_session
    from real.missions.poses import PoseFollower
    from real.missions.setpoint import TakeOff
    from real.robots.companion import CompanionRobot
    from real.robots.serial import SerialRobot, SerialSettings

    assert arguments.serial is not None
    manifest = guided_manifest(bundle.manifest)
    options: FlightOptions = getattr(arguments, manifest.kind)
    duration = DURATION if arguments.duration is None else arguments.duration
    setpoint = options.path(duration, CHIP_TAKEOFF)
    requests = StopRequests()
    reach = SerialSettings(arguments.serial, arguments.baud, max_age=arguments.robot.max_age)
    robot: Robot = SerialRobot(reach, bundle.manifest)
    follower = None
    if arguments.bridge is not None:
        robot = companion = CompanionRobot(robot, replace(arguments.robot, url=arguments.bridge), requests)
        rising = setpoint.duration if isinstance(setpoint, TakeOff) else 0.0
        follower = PoseFollower(manifest, lambda: companion.user_goal, rising)
    mission = GuidedFlight(manifest, setpoint, duration, options.ground, follower)
    return run_session(GuidedBundle(manifest), robot, mission, arguments.session, requests=requests)


def _print(report: FlightReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "value", title=f"{report.bundle} on {report.robot}: {report.outcome}")
    if report.commands_sent:
        table.add_row("time under way", f"{report.duration:.1f} s, {report.commands_sent} commands")
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
