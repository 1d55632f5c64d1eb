"""What a robot offers and what a policy needs: named signals with units and frames, compared by one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.specs import CommandSpec, SensorSpec


@dataclass(frozen=True)
class Signal:
    """One sensor or command by name: `dim` channels in `unit`, along the axes of `frame` ("" for none).

    `labels` name the channels in order, where they have names. In an offer, `dim` None stands for any channels that are
    asked for by label: this is for drivers that find joints by name.
    """

    name: str
    dim: int | None
    unit: str
    frame: str
    labels: tuple[str, ...] = ()

    @staticmethod
    def of(spec: SensorSpec | CommandSpec) -> Signal:
        """The signal that a policy reads or commands."""
        return Signal(spec.name, spec.dim, spec.unit, spec.frame, spec.labels)

    def __str__(self) -> str:
        frame = f", {self.frame}" if self.frame else ""
        return f"{self.name} [{'n' if self.dim is None else self.dim}] ({self.unit}{frame})"


@dataclass(frozen=True)
class Offer:
    """Sensors and commands, offered by a driver or needed by a bundle."""

    sensors: tuple[Signal, ...] = ()
    commands: tuple[Signal, ...] = ()


POSITION = Signal("position", 3, "m", "world")
ORIENTATION = Signal("orientation", 4, "1", "body to world, w x y z")
LINEAR_VELOCITY = Signal("linear_velocity", 3, "m/s", "world")
ANGULAR_VELOCITY = Signal("angular_velocity", 3, "rad/s", "body")
LINEAR_ACCELERATION = Signal("linear_acceleration", 3, "m/s^2", "body")
JOINT_POSITION = Signal("joint_position", None, "rad", "joint")
JOINT_VELOCITY = Signal("joint_velocity", None, "rad/s", "joint")
POSITION_TARGET = Signal("position_target", 3, "m", "world", ("x", "y", "z"))
VELOCITY_TARGET = Signal("velocity_target", 3, "m/s", "world", ("x", "y", "z"))
"""Commands of a robot that runs its policy itself: where to be, and how fast to move there."""
MOTORS = "motors"
"""Frame of such a robot's own motor command, which it reports as a sensor."""
HEIGHT_SCAN = Signal("height_scan", None, "m", "heading, from the base")
"""Heights of the ground less the base's; the labels are the points, "x,y" in m, x along the heading."""
JOINT_COMMAND = "joint_position_target"
JOINT_TARGET = Signal(JOINT_COMMAND, None, "rad", "joint")


def differences(needed: Offer, offered: Offer) -> list[str]:
    """The signals of `needed` that `offered` lacks or has in another form, each in a few words; empty where they
    match."""
    return [
        *_differences("sensor", needed.sensors, offered.sensors),
        *_differences("command", needed.commands, offered.commands),
    ]


def _differences(what: str, needed: Sequence[Signal], offered: Sequence[Signal]) -> list[str]:
    by_name = {signal.name: signal for signal in offered}
    found = []
    for signal in needed:
        other = by_name.get(signal.name)
        if other is None:
            found.append(f"{what} {signal} is missing")
        elif wrong := _mismatch(signal, other):
            found.append(f"{what} {signal.name} has {wrong}")
    return found


def _mismatch(needed: Signal, offered: Signal) -> str:
    """How an offered signal of the same name differs, as "unit rad, the robot's is deg"; "" where it does not."""
    if offered.dim is None and not needed.labels:
        return "no labels, by which the robot finds its channels"
    pairs = [("unit", needed.unit, offered.unit), ("frame", needed.frame, offered.frame)]
    if offered.dim is not None:
        pairs.append(("dim", str(needed.dim), str(offered.dim)))
    if needed.labels and offered.labels:
        pairs.append(("labels", " ".join(needed.labels), " ".join(offered.labels)))
    return ", ".join(
        f"{what} {ours or 'none'}, the robot's is {theirs or 'none'}" for what, ours, theirs in pairs if ours != theirs
    )
