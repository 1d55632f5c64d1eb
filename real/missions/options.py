"""The user's options of a mission, for a command line or a program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from deploy.bundle.manifest import Manifest
from real.contract.robot import Robot
from real.missions import flight, walk
from real.missions.flight import Flight
from real.missions.mission import Kind
from real.missions.setpoint import Hold, Lissajous, Setpoint, Step, TakeOff
from real.missions.velocity import CmdVel, Constant, Square, VelocitySource
from real.missions.walk import Walk, WalkTimes

DURATION = 20.0
"""Default time in s under the policy."""


@dataclass(frozen=True)
class FlightOptions:
    """Where to fly."""

    kind: ClassVar[Kind] = flight.KIND

    setpoint: Literal["hold", "step", "lissajous"] = "hold"
    """Where to fly, relative to the start: stay, jump once, or a figure of eight."""
    step_time: float | None = None
    """When to jump, in s after the start; None: after half the duration."""
    step_offset: tuple[float, float, float] = (0.3, 0.0, 0.0)
    """The jump in m along the world's axes."""
    figure_period: float = 5.5
    """Time in s for one figure of eight."""
    figure_size: float = 1.0
    """Half the width of the figure of eight in m."""
    takeoff: float | None = None
    """Height in m to rise to before the setpoint is followed; None: 0.5 for a chip, 0 elsewhere."""
    ground: float = 0.0
    """Height of the ground in m, in the frame of the robot's position."""

    def mission(self, manifest: Manifest, robot: Robot, duration: float | None) -> Flight:
        """A flight along the setpoint."""
        seconds = DURATION if duration is None else duration
        return Flight(manifest, self.path(seconds), seconds, self.ground)

    def path(self, duration: float, takeoff: float = 0.0) -> Setpoint:
        """The setpoint of a flight of `duration` s that rises to `takeoff` m first unless the options say otherwise."""
        height = takeoff if self.takeoff is None else self.takeoff
        setpoint: Setpoint = Hold()
        if self.setpoint == "step":
            setpoint = Step(0.5 * duration if self.step_time is None else self.step_time, self.step_offset)
        elif self.setpoint == "lissajous":
            setpoint = Lissajous(self.figure_period, self.figure_size)
        return setpoint if height == 0.0 else TakeOff(height, setpoint)


@dataclass(frozen=True)
class WalkOptions:
    """How a legged robot walks."""

    kind: ClassVar[Kind] = walk.KIND

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
    times: WalkTimes = field(default_factory=WalkTimes)
    """How long a legged robot takes to stand up, settle, halt and lie down."""

    def mission(self, manifest: Manifest, robot: Robot, duration: float | None) -> Walk:
        """A walk by the program; a square takes its own time."""
        seconds = DURATION if duration is None else duration
        source: VelocitySource
        if self.program == "square":
            source = square = Square(self.side, self.speed, self.turn_rate)
            seconds = square.duration if duration is None else duration
        elif self.program == "command" or self.command is not None:
            source = Constant(self.command or (0.0, 0.0, 0.0))
        else:
            source = CmdVel(lambda: robot.user_goal)
        return Walk(manifest, source, seconds, self.times)
