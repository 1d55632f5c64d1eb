"""Small pieces of MJCF text from which a robot is built: primitives, inertias and hinges, in SI units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sim.robots.robot import Quaternion, Vector


def numbers(values: Iterable[float]) -> str:
    """Values as MJCF writes them."""
    return " ".join(f"{value:.9g}" for value in values)


@dataclass(frozen=True)
class Inertia:
    """A link's mass in kg, centre of mass in m, principal moments in kg m^2 and the principal frame (w, x, y, z)."""

    mass: float
    centre: Vector
    principal: Vector
    orientation: Quaternion = (1.0, 0.0, 0.0, 0.0)

    def left_right(self) -> Inertia:
        """The link reflected in the x-z plane."""
        (x, y, z), (qw, qx, qy, qz) = self.centre, self.orientation
        return Inertia(self.mass, (x, -y, z), self.principal, (qw, -qx, qy, -qz))

    def front_back(self) -> Inertia:
        """The link reflected in the y-z plane."""
        (x, y, z), (qw, qx, qy, qz) = self.centre, self.orientation
        return Inertia(self.mass, (-x, y, z), self.principal, (qw, qx, -qy, -qz))

    def text(self) -> str:
        return (
            f'<inertial mass="{self.mass:.9g}" pos="{numbers(self.centre)}" quat="{numbers(self.orientation)}"'
            f' diaginertia="{numbers(self.principal)}"/>'
        )


def hinge(name: str, axis: Vector, low: float, high: float, armature: float, friction: float = 0.0) -> str:
    """A hinge with limits in rad, armature in kg m^2 and viscous friction in Nm s/rad."""
    return (
        f'<joint name="{name}" type="hinge" axis="{numbers(axis)}" limited="true" range="{numbers((low, high))}"'
        f' armature="{armature:.9g}" damping="{friction:.9g}"/>'
    )


def sphere(name: str, position: Vector, radius: float, look: str) -> str:
    return f'<geom name="{name}" type="sphere" pos="{numbers(position)}" size="{radius:.9g}" {look}/>'


def capsule(name: str, start: Vector, end: Vector, radius: float, look: str) -> str:
    return f'<geom name="{name}" type="capsule" fromto="{numbers((*start, *end))}" size="{radius:.9g}" {look}/>'


def cylinder(name: str, start: Vector, end: Vector, radius: float, look: str) -> str:
    return f'<geom name="{name}" type="cylinder" fromto="{numbers((*start, *end))}" size="{radius:.9g}" {look}/>'


def box(name: str, position: Vector, half: Vector, look: str) -> str:
    """A box by its half extents in m."""
    return f'<geom name="{name}" type="box" pos="{numbers(position)}" size="{numbers(half)}" {look}/>'


def body(name: str, position: Vector, parts: Sequence[str]) -> str:
    return f'<body name="{name}" pos="{numbers(position)}">{"".join(parts)}</body>'


def paint(red: float, green: float, blue: float, collides: bool = True) -> str:
    """A geom's colour; one that does not collide is only visible, and no geom adds mass."""
    kind = 'contype="0" conaffinity="1" group="0"' if collides else 'contype="0" conaffinity="0" group="2"'
    return f'rgba="{red:g} {green:g} {blue:g} 1" mass="0" {kind}'


def document(name: str, parts: Sequence[str]) -> str:
    """A whole MJCF of one robot; angles are in rad and quaternions w, x, y, z."""
    return (
        f'<mujoco model="{name}"><compiler angle="radian" autolimits="true"/>'
        f"<worldbody>{''.join(parts)}</worldbody></mujoco>"
    )
