"""What a walking task is made of, as data: commands, imperfections and the end of an episode."""

from __future__ import annotations

from dataclasses import dataclass, fields

from policies.validation import check, require
from sim.physics.world import Solver

Range = tuple[float, float]


@dataclass(frozen=True)
class CommandSettings:
    """Velocity commands in the base's frame: forward and left m/s, yaw rate rad/s (left turn positive)."""

    forward: float = 1.5
    """Largest forward and backward speed in m/s."""
    sideways: float = 0.8
    """Largest sideways speed in m/s."""
    yaw: float = 1.2
    """Largest yaw rate in rad/s."""
    standing: float = 0.1
    """Share of commands that ask to stand still."""
    heading: float = 0.25
    """Share of commands whose yaw rate steers to a heading, as a person's or a planner's would."""
    heading_gain: float = 0.8
    """Yaw rate in rad/s per rad of heading error."""
    interval: Range = (5.0, 10.0)
    """Time in s between new commands."""
    acceleration: tuple[float, float, float] = (3.0, 3.0, 8.0)
    """Largest change of a command per second, in simulation and on the robot: m/s^2, m/s^2, rad/s^2."""
    start: float = 0.5
    """Share of the full ranges that training starts with."""
    growth: float = 0.1
    """How much the share grows when the worlds that were restarted had tracked well on average."""
    promotion: float = 0.65
    """Mean tracking (1 is perfect) over an episode beyond which the ranges grow."""

    def __post_init__(self) -> None:
        for name in ("forward", "sideways", "yaw", "acceleration", "interval"):
            require(self, name, above=0.0)
        for name in ("heading_gain", "growth"):
            require(self, name, low=0.0)
        for name in ("standing", "heading", "promotion"):
            require(self, name, low=0.0, high=1.0)
        require(self, "start", above=0.0, high=1.0)
        low, high = self.interval
        check(low <= high, f"interval must be low, then high, got {self.interval}")


@dataclass(frozen=True)
class ImperfectionSettings:
    """What differs between worlds and from the model; ranges are half-widths around nominal or (low, high).

    All are drawn anew at each restart, masses, centres and rotor inertias at a quarter of them, always from the model's
    stored values. `imperfections` of the environment scales every half-width and noise.
    """

    delay: float = 0.01
    """Longest delay of commands in s, in whole substeps; uniform from 0."""
    strength: float = 0.1
    """Share by which the torque limits and gains of all motors of a robot differ."""
    stiffness: float = 0.1
    """Share by which each joint's stiffness differs."""
    damping: float = 0.2
    """Share by which each joint's damping gain differs."""
    friction: float = 0.45
    """Share by which the ground's friction differs from its nominal 0.8."""
    joint_damping: float = 0.5
    """Share by which each joint's viscous friction differs."""
    armature: float = 0.1
    """Share by which each motor's rotor inertia differs."""
    base_mass: float = 1.0
    """Mass in kg by which the base differs."""
    link_mass: float = 0.05
    """Share by which the masses of the other links differ."""
    centre: float = 0.03
    """Distance in m by which the base's centre of mass differs in each axis."""
    joint_offset: float = 0.02
    """Error in rad of each joint's encoder zero: in readings and in commands alike."""
    joint_position_noise: float = 0.01
    """Standard deviation in rad."""
    joint_velocity_noise: float = 0.5
    """Standard deviation in rad/s."""
    gyro_noise: float = 0.1
    """Standard deviation in rad/s."""
    gyro_bias: float = 0.02
    """Standard deviation in rad/s, once an episode."""
    orientation_noise: float = 0.01
    """Standard deviation in rad about each axis."""
    orientation_bias: float = 0.01
    """Standard deviation in rad about each axis, once an episode."""
    accelerometer_noise: float = 0.3
    """Standard deviation in m/s^2."""
    sensor_delay: float = 0.01
    """Longest age of each sensor's readings in s, at most one control period; uniform from 0, drawn for each sensor."""
    push_interval: Range = (5.0, 10.0)
    """Time in s between pushes."""
    push_speed: float = 0.5
    """Largest kick to the base's horizontal velocity in m/s, in each axis."""
    push_spin: float = 0.4
    """Largest kick to the base's rates in rad/s, in each axis."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            require(self, field.name, low=0.0)
            if isinstance(value, tuple):
                check(value[0] <= value[1], f"{field.name} must be low, then high, got {value}")


@dataclass(frozen=True)
class LeggedSettings:
    """A whole walking world. `gait` is the phase of each foot in turns; a foot is down while its phase is below
    `duty`."""

    gait: tuple[float, ...]
    frequency: float = 2.5
    """Strides a second."""
    duty: float = 0.55
    """Share of a stride that a foot is on the ground."""
    clearance: float = 0.09
    """Height in m of a foot's centre in mid-swing."""
    solver: Solver = Solver()
    """How physics solves the equations of motion."""
    commands: CommandSettings = CommandSettings()
    imperfections: ImperfectionSettings = ImperfectionSettings()

    def __post_init__(self) -> None:
        for name in ("frequency", "clearance"):
            require(self, name, above=0.0)
        require(self, "duty", above=0.0, below=1.0)
        check(bool(self.gait), "gait must hold a phase for each foot")
        require(self, "gait", low=0.0, below=1.0)
