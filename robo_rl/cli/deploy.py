"""`robo-rl deploy BUNDLE`: fly or walk a bundle on a robot behind a rosbridge server, or on a chip behind a serial
port; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import tyro

from policies.errors import UserError
from real.missions.walk import WalkTimes
from real.robots.rosbridge import RosbridgeSettings
from real.safety.supervisor import SupervisorSettings
from robo_rl.cli.common import Folder, OptionalFile, check_writable, open_bundle, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from deploy.bundle.reader import Bundle
    from real.missions.setpoint import Setpoint
    from real.missions.velocity import VelocitySource
    from real.recording.report import FlightReport

DURATION = 20.0
"""Time in s under the policy when nothing else is said."""
CHIP_TAKEOFF = 0.5
"""Height in m that a chip rises to when nothing else is said."""


@dataclass(frozen=True)
class Arguments:
    """Fly or walk a bundle on a robot, bring it to rest, and report. A second Ctrl-C or SIGTERM cuts the actuators.

    The first one lands a flying robot, and lets a legged one halt, stand and lie down. Exit code 0 when the robot came
    to rest as asked for, 1 when a safety event ended it or it never began.
    """

    bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl export` wrote."""
    duration: float | None = None
    """Time in s under the policy before the robot is brought to rest; a square takes its own time."""
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
    program: Literal["cmd-vel", "command", "square"] = "cmd-vel"
    """How a legged robot walks: by /cmd_vel, with one velocity command, or along a square."""
    command: tuple[float, float, float] | None = None
    """One velocity command: forward m/s, left m/s, yaw rad/s; implies the program."""
    side: float = 1.0
    """Side of the square in m."""
    speed: float = 0.5
    """Speed along the square in m/s."""
    turn_rate: float = 0.8
    """Yaw rate in rad/s at its corners."""
    takeoff: float | None = None
    """Height in m to rise to before the setpoint is followed; 0.5 for a chip and 0 elsewhere when not given."""
    ground: float = 0.0
    """Height of the ground in m, in the frame of the robot's position."""
    serial: str | None = None
    """Serial port, or socket://HOST:PORT, of a chip that runs the bundle itself and gets setpoints."""
    baud: int = 921600
    """Bits a second of the serial port, as in the firmware; a USB port takes any."""
    bridge: str | None = None
    """With a serial port: address of a rosbridge server that shows the chip, and where poses and stops come from."""
    rate: float | None = None
    """Control rate in Hz: a whole multiple of the policy's own, which it is when not given."""
    record: OptionalFile = None
    """File for a recording in MCAP, which Foxglove opens."""
    connect_timeout: float = 10.0
    """Longest wait in s for the robot's first reading and status."""
    arm_timeout: float = 10.0
    """Longest wait in s until every check holds."""
    json: OptionalFile = None
    """File for the report, as JSON."""
    times: WalkTimes = field(default_factory=WalkTimes)
    """How long a legged robot takes to stand up, settle, halt and lie down."""
    robot: RosbridgeSettings = field(default_factory=RosbridgeSettings)
    """How to reach the robot."""
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    """The supervisor's time-outs; its limits come with the bundle."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "deploy", argv)
    check_writable(arguments.json)
    if arguments.bridge is not None and arguments.serial is None:
        raise UserError("--bridge goes with --serial; a robot behind a bridge is reached with --url")
    bundle = open_bundle(arguments.bundle)

    from real.control.session import SettingsError

    try:
        if arguments.serial is not None:
            report = _guide(arguments, bundle)
        else:
            report = _fly(arguments, bundle) if bundle.manifest.joints is None else _walk(arguments, bundle)
    except SettingsError as error:
        raise UserError(str(error)) from None
    _print(report)
    write_json(arguments.json, report.to_json())
    return report.exit_code


def _session(arguments: Arguments, duration: float) -> dict[str, Any]:
    return {
        "duration": duration,
        "record": arguments.record,
        "rate": arguments.rate,
        "connect_timeout": arguments.connect_timeout,
        "arm_timeout": arguments.arm_timeout,
        "supervisor": arguments.supervisor,
    }


def _fly(arguments: Arguments, bundle: Bundle) -> FlightReport:
    from real.control.session import FlightSettings, fly
    from real.robots.rosbridge import RosbridgeRobot

    duration = DURATION if arguments.duration is None else arguments.duration
    setpoint = _setpoint(arguments, duration)
    settings = FlightSettings(setpoint=setpoint, ground=arguments.ground, **_session(arguments, duration))
    return fly(bundle, RosbridgeRobot(arguments.robot), settings)


def _guide(arguments: Arguments, bundle: Bundle) -> FlightReport:
    """A chip flies the bundle; the host supervises it and sends setpoints."""
    from real.contract.robot import Robot
    from real.contract.stop_requests import StopRequests
    from real.control.guided import fly_guided
    from real.control.session import FlightSettings, SettingsError
    from real.missions.poses import PoseFollower
    from real.missions.setpoint import TakeOff
    from real.robots.companion import CompanionRobot
    from real.robots.serial import SerialRobot, SerialSettings

    assert arguments.serial is not None
    duration = DURATION if arguments.duration is None else arguments.duration
    setpoint = _setpoint(arguments, duration)
    settings = FlightSettings(setpoint=setpoint, ground=arguments.ground, **_session(arguments, duration))
    try:
        reach = SerialSettings(arguments.serial, arguments.baud, max_age=arguments.robot.max_age)
        on_bridge = replace(arguments.robot, url=arguments.bridge) if arguments.bridge is not None else None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    requests = StopRequests()
    robot: Robot = SerialRobot(reach, bundle.manifest)
    follower = None
    if on_bridge is not None:
        robot = companion = CompanionRobot(robot, on_bridge, requests)
        rising = setpoint.duration if isinstance(setpoint, TakeOff) else 0.0
        follower = PoseFollower(bundle.manifest, lambda: companion.pose, rising)
    return fly_guided(bundle.manifest, robot, settings, follower, requests=requests)


def _walk(arguments: Arguments, bundle: Bundle) -> FlightReport:
    from real.control.session import SettingsError, WalkSettings, walk
    from real.missions.velocity import CmdVel, Constant, Square
    from real.robots.legged_wire import LeggedWire
    from real.robots.rosbridge import RosbridgeRobot

    reach = arguments.robot
    try:
        wire = LeggedWire(bundle.manifest, reach.namespace, reach.ros_version, reach.pairing_tolerance)
        source: VelocitySource
        duration = DURATION if arguments.duration is None else arguments.duration
        if arguments.program == "square":
            source = square = Square(arguments.side, arguments.speed, arguments.turn_rate)
            duration = square.duration if arguments.duration is None else duration
        elif arguments.program == "command" or arguments.command is not None:
            source = Constant(arguments.command or (0.0, 0.0, 0.0))
        else:
            source = CmdVel(lambda: wire.velocity_command)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    settings = WalkSettings(times=arguments.times, **_session(arguments, duration))
    return walk(bundle, RosbridgeRobot(reach, wire), source, settings)


def _setpoint(arguments: Arguments, duration: float) -> Setpoint:
    from real.missions.setpoint import Hold, Lissajous, Step, TakeOff

    height = arguments.takeoff
    if height is None:
        height = 0.0 if arguments.serial is None else CHIP_TAKEOFF
    try:
        setpoint: Setpoint = Hold()
        if arguments.setpoint == "step":
            time = 0.5 * duration if arguments.step_time is None else arguments.step_time
            setpoint = Step(time, arguments.step_offset)
        elif arguments.setpoint == "lissajous":
            setpoint = Lissajous(arguments.figure_period, arguments.figure_size)
        return setpoint if height == 0.0 else TakeOff(height, setpoint)
    except ValueError as error:
        raise UserError(str(error)) from None


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
