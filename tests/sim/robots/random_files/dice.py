"""Random numbers, names and words of XML, all fixed by one seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import TypeVar
from xml.sax.saxutils import quoteattr

T = TypeVar("T")
OURS = ("base", "floor", "imu", "foot", "base_frame", "unnamed_{kind}1", "base_level", "trunk", "robot", "world_",
        "robot/floor", "foot/FL", "imu_orientation", "left_foot", "walking_sun", "None", "terrain", "0")  # fmt: skip
"""Names that a program may want for itself."""
ODD = ("{kind} {n}", "größe/{kind}{n}", "{kind}@{n}#1", "{kind}{n}<&>\"'", "{kind}.{n}:x", "{kind}{n}\\", "{n}",
       "%{n}d", "[{kind}, {n}]", " {kind}{n}", "脚{n}", "{kind}_{n}" + "x" * 80, "{{{kind}}}{n}")  # fmt: skip


class Dice:
    """`names` says what names are like: plain, odd (by characters), ours (words of our own), or partly missing."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = self.choice(("plain",) * 6 + ("odd", "odd", "ours", "missing"))
        self._taken: set[tuple[str, str]] = set()

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def choice(self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def uniform(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def number(self, low: float, high: float) -> str:
        return f"{self.uniform(low, high):.4g}"

    def vector(self, reach: float, size: int = 3) -> str:
        return " ".join(self.number(-reach, reach) for _ in range(size))

    def some(self, words: Sequence[str], share: float) -> str:
        """Each of the words with a chance of `share`."""
        return " ".join(word for word in words if self.chance(share))

    def name(self, kind: str, wanted: str = "") -> str:
        """A name that no other element of the kind has; empty for none. `wanted` is a plain one."""
        if self.names == "missing" and self.chance(0.02 if kind == "joint" else 0.4):
            return ""
        for number in range(1000):
            plain = wanted + ("" if wanted and not number else str(number))
            name = plain if wanted else f"{kind}{number}"
            if self.names == "odd" and self.chance(0.5):
                name = self.choice(ODD).format(kind=wanted or kind, n=number)
            elif self.names == "ours" and self.chance(0.3):
                name = self.choice(OURS).format(kind=kind)
            if (kind, name) not in self._taken:
                self._taken.add((kind, name))
                return name
        raise AssertionError("names are used up")


def called(name: str, attribute: str = "name") -> str:
    """The attribute; nothing without a name."""
    return f"{attribute}={quoteattr(name)}" if name else ""


def stl(reach: float) -> bytes:
    """A binary STL of an octahedron."""
    ends = [tuple(sign * reach * (axis == k) for k in range(3)) for axis in range(3) for sign in (1, -1)]
    faces = [(x, y, z) for x in ends[:2] for y in ends[2:4] for z in ends[4:]]
    text = b"made for a test".ljust(80) + struct.pack("<I", len(faces))
    for face in faces:
        (a, b, c) = face if _outward(face) else (face[0], face[2], face[1])
        text += struct.pack("<12fH", 0, 0, 0, *a, *b, *c, 0)
    return text


def _outward(face: tuple[tuple[float, ...], ...]) -> bool:
    return face[0][0] * face[1][1] * face[2][2] > 0.0
