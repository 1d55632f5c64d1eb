"""The intermediate representation: float32 buffers, strided views of them, expressions, statements that write views.

A view addresses a buffer by an affine function of its indices, so slicing, transposing, splitting, broadcasting and
reshaping cost nothing: only the indices in the C loops change. Booleans in memory are floats, 1 and 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(eq=False)
class Buffer:
    """Contiguous float32 values: a sensor, a state, a constant table, or scratch that the step computes.

    A scratch buffer with a `home` is part of another buffer, at that offset, and needs no memory of its own.
    """

    kind: Literal["sensor", "state", "constant", "scratch"]
    name: str
    size: int
    values: Floats | None = None
    home: tuple[Buffer, int] | None = None

    def root(self) -> tuple[Buffer, int]:
        """The buffer that owns the memory, and this one's offset in it."""
        if self.home is None:
            return self, 0
        buffer, offset = self.home
        owner, further = buffer.root()
        return owner, offset + further


@dataclass(frozen=True)
class View:
    """Elements offset + sum(stride * index) of a buffer; `turns` maps variables of enclosing `Repeat`s to strides."""

    buffer: Buffer
    offset: int
    shape: Shape
    strides: tuple[int, ...]
    turns: Mapping[str, int] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def contiguous(self) -> bool:
        wanted = row_major(self.shape)
        return all(n == 1 or s == w for n, s, w in zip(self.shape, self.strides, wanted, strict=True))

    def reshaped(self, shape: Shape) -> View:
        """The same elements in another shape; only for a contiguous view."""
        assert self.contiguous and math.prod(shape) == self.size
        return replace(self, shape=shape, strides=row_major(shape))

    def broadcast(self, shape: Shape) -> View:
        """numpy's broadcasting: new and stretched axes have stride 0."""
        missing = len(shape) - len(self.shape)
        sizes, strides = (1,) * missing + self.shape, (0,) * missing + self.strides
        stretched = tuple(s if n == m else 0 for n, m, s in zip(sizes, shape, strides, strict=True))
        return replace(self, shape=shape, strides=stretched)

    def transposed(self, order: tuple[int, ...]) -> View:
        return replace(
            self, shape=tuple(self.shape[a] for a in order), strides=tuple(self.strides[a] for a in order)
        )  # fmt: skip

    def sliced(self, axis: int, start: int, size: int, step: int = 1) -> View:
        shape, strides = list(self.shape), list(self.strides)
        offset = self.offset + start * strides[axis]
        shape[axis], strides[axis] = size, step * strides[axis]
        return replace(self, offset=offset, shape=tuple(shape), strides=tuple(strides))

    def turned(self, variable: str, stride: int) -> View:
        """This view within a `Repeat`, advanced by `stride` elements in each turn."""
        return replace(self, turns={**(self.turns or {}), variable: stride})


@dataclass(frozen=True)
class Load:
    """The elements of a view."""

    view: View

    @property
    def shape(self) -> Shape:
        return self.view.shape


@dataclass(frozen=True)
class Number:
    """One constant for every element."""

    value: float
    shape: Shape = ()


@dataclass(frozen=True)
class Apply:
    """An elementwise function, by its name in `expressions` or `c_math`, of broadcast arguments."""

    function: str
    arguments: tuple[Expression, ...]
    shape: Shape


Expression = Load | Number | Apply


@dataclass(frozen=True)
class Map:
    """target[index] = expression[index] for every index. Loaded views overlap the target at the same index only."""

    target: View
    expression: Expression
    comment: str = ""


@dataclass(frozen=True)
class Reduce:
    """target = sum, mean or max of an expression over `axes`, which have size 1 in the target."""

    target: View
    kind: Literal["sum", "mean", "max"]
    expression: Expression
    axes: tuple[int, ...]
    comment: str = ""


@dataclass(frozen=True)
class Dense:
    """target = activation(weight @ source + bias), computed by a kernel; both views are contiguous vectors."""

    target: View
    source: View
    symbol: str
    weight: Floats
    bias: Floats
    activation: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Take:
    """target[o, n, i] = source[o, indices[n], i] with a table of indices; both views are contiguous and 3-D."""

    target: View
    source: View
    symbol: str
    indices: tuple[int, ...]
    comment: str = ""


@dataclass(frozen=True)
class Repeat:
    """The body `count` times, with `variable` from 0 upwards."""

    variable: str
    count: int
    body: tuple[Statement, ...]
    comment: str = ""


Statement = Map | Reduce | Dense | Take | Repeat


@dataclass(frozen=True)
class Piece:
    """`state`[offset : offset + source.size] becomes `source`, after all results were checked to be finite."""

    state: str
    offset: int
    source: View


@dataclass(frozen=True)
class Program:
    """One step of a policy: `statements` fill scratch from sensors and state; `commands` is the vector of all commands
    in order; `pieces` make up the next state, in ascending order of state and offset."""

    statements: tuple[Statement, ...]
    commands: View
    pieces: tuple[Piece, ...]


def row_major(shape: Shape) -> tuple[int, ...]:
    """Strides of a contiguous array."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def whole(buffer: Buffer, shape: Shape) -> View:
    """A view of a whole buffer in a shape."""
    assert math.prod(shape) == buffer.size
    return View(buffer, 0, shape, row_major(shape))


def loads(expression: Expression) -> Iterator[View]:
    """Every view that an expression reads."""
    if isinstance(expression, Load):
        yield expression.view
    elif isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from loads(argument)


def functions(expression: Expression) -> Iterator[str]:
    """The name of every function that an expression applies."""
    if isinstance(expression, Apply):
        yield expression.function
        for argument in expression.arguments:
            yield from functions(argument)


def reads(statement: Statement) -> Iterator[View]:
    """Every view that a statement reads."""
    if isinstance(statement, (Map, Reduce)):
        yield from loads(statement.expression)
    elif isinstance(statement, Repeat):
        for inner in statement.body:
            yield from reads(inner)
    else:
        yield statement.source


def writes(statement: Statement) -> Iterator[View]:
    """Every view that a statement writes."""
    if isinstance(statement, Repeat):
        for inner in statement.body:
            yield from writes(inner)
    else:
        yield statement.target


def flat(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    """The statements, with each repeat replaced by its body."""
    for statement in statements:
        if isinstance(statement, Repeat):
            yield from flat(statement.body)
        else:
            yield statement
