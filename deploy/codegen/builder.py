"""The state of lowering a graph: values by name, buffers, constants, and statements in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.codegen.ir import (
    Apply,
    Buffer,
    Expression,
    Floats,
    Load,
    Map,
    Number,
    Repeat,
    Shape,
    Statement,
    View,
    whole,
)
from deploy.codegen.names import Names
from deploy.codegen.onnx_reader import Graph, Node


@dataclass(frozen=True)
class Joined:
    """A next state that is a concatenation: its parts are copied straight into the state, without a joined copy."""

    parts: tuple[Expression, ...]


class Builder:
    """Collects statements. An elementwise result that is read once stays an expression and is fused into its reader."""

    def __init__(self, graph: Graph, names: Names) -> None:
        self.graph = graph
        self.names = names
        self.values: dict[str, Expression | Joined] = {}
        self.absorbed: set[str] = set()
        """Results of nodes that are fused into an earlier node."""
        self._uses = graph.uses()
        self._consumers: dict[str, Node] = {name: node for node in graph.nodes for name in node.inputs}
        self._blocks: list[list[Statement]] = [[]]
        self._constants: dict[tuple[bytes, Shape], View] = {}
        self._turns = 0

    @property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(self._blocks[0])

    def emit(self, statement: Statement) -> None:
        self._blocks[-1].append(statement)

    def repeat(self, count: int, body: Callable[[str], None], comment: str = "") -> None:
        """Emit a loop of `count` turns around the statements that `body` emits, given the loop variable's name."""
        variable = f"turn{self._turns or ''}"
        self._turns += 1
        self._blocks.append([])
        body(variable)
        self.emit(Repeat(variable, count, tuple(self._blocks.pop()), comment))

    # Values.

    def value(self, name: str) -> Expression:
        """The value of this name in the graph, computed or constant."""
        if name in self.graph.constants:
            return self.constant(self.graph.constants[name])
        value = self.values[name]
        assert not isinstance(value, Joined)
        return value

    def store(self, name: str, value: Expression) -> None:
        """Store a node's result under its name; an expression that is read more than once is computed into memory."""
        if isinstance(value, Apply) and self._uses.get(name, 0) > 1:
            value = Load(self.memory(value, name))
        self.values[name] = value

    def sole_consumer(self, name: str) -> Node | None:
        """The only node that reads this value, or None if there are several or it is an output of the graph."""
        if self._uses.get(name, 0) != 1 or name in self.graph.outputs:
            return None
        return self._consumers.get(name)

    def only_output(self, name: str) -> bool:
        """Whether this value is an output of the graph that no node reads."""
        return name in self.graph.outputs and self._uses[name] == 1

    def integers(self, node: Node, index: int) -> list[int] | None:
        """The constant integers of an input; None where it is absent."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        name = node.inputs[index]
        if name not in self.graph.constants:
            raise node.refused(f"its input {name!r} must be constant")
        return [int(value) for value in np.atleast_1d(self.graph.constants[name])]

    def array(self, node: Node, index: int) -> NDArray[Any] | None:
        """The constant array of an input; None where it is absent or computed."""
        if index >= len(node.inputs):
            return None
        return self.graph.constants.get(node.inputs[index])

    # Expressions and memory.

    def apply(self, function: str, *arguments: Expression) -> Apply:
        """An elementwise function of its arguments; an argument that broadcasting would recompute is stored first."""
        shape = np.broadcast_shapes(*(argument.shape for argument in arguments))
        size = math.prod(shape)
        kept = (
            Load(self.memory(argument))
            if isinstance(argument, Apply) and math.prod(argument.shape) < size
            else argument
            for argument in arguments
        )
        return Apply(function, tuple(kept), tuple(shape))

    def widened(self, value: Expression, shape: Shape) -> Expression:
        """The value in a shape that it broadcasts to."""
        if value.shape == shape:
            return value
        return Number(value.value, shape) if isinstance(value, Number) else Load(self.memory(value).broadcast(shape))

    def constant(self, values: NDArray[Any]) -> Expression:
        """A constant array: one number if all elements are equal, else a table."""
        floats = np.asarray(values, np.float32)
        if floats.size and (floats.view(np.uint32) == floats.reshape(-1)[:1].view(np.uint32)).all():
            return Number(float(floats.reshape(-1)[0]), floats.shape)
        return Load(self.table(floats))

    def table(self, floats: Floats) -> View:
        """A view of a constant table; equal tables are stored once."""
        key = floats.tobytes(), floats.shape
        if key not in self._constants:
            name = self.names.fresh("policy_table")
            buffer = Buffer("constant", name, floats.size, np.ascontiguousarray(floats).reshape(-1))
            self._constants[key] = whole(buffer, floats.shape)
        return self._constants[key]

    def scratch(self, shape: Shape, hint: str) -> View:
        """A view of a new scratch buffer of this shape."""
        name = hint.lower()
        # Functions and tables of the file are named policy_*, and macros are upper case.
        name = f"v_{name}" if name.startswith("policy") else name
        return whole(Buffer("scratch", self.names.fresh(name), math.prod(shape)), shape)

    def memory(self, value: Expression, hint: str = "value") -> View:
        """A view of the value; an expression is first computed into scratch."""
        if isinstance(value, Load):
            return value.view
        if isinstance(value, Number):
            return self.table(np.full(value.shape, value.value, np.float32))
        target = self.scratch(value.shape, hint)
        self.emit(Map(target, value))
        return target

    def contiguous(self, value: Expression, hint: str = "value") -> View:
        """A contiguous view of the value, copied if necessary."""
        view = self.memory(value, hint)
        if view.contiguous:
            return view
        target = self.scratch(view.shape, hint)
        self.emit(Map(target, Load(view)))
        return target

    def fill(self, target: View, value: Expression) -> None:
        """Put the value into `target`, contiguous within a scratch buffer: computed there if possible, else copied."""
        if isinstance(value, Load) and self._place(value.view, target):
            return
        if isinstance(value, Load):
            value = Load(value.view.broadcast(target.shape))
        self.emit(Map(target, value))

    def _place(self, view: View, target: View) -> bool:
        """Place the buffer of `view` inside the target's, if it has no place yet and all of it is viewed; or False."""
        own = view.buffer
        full = view.contiguous and view.offset == 0 and view.size == own.size == target.size
        if own.kind != "scratch" or own.home is not None or not full or len(self._blocks) > 1 or not target.contiguous:
            return False
        own.home = (target.buffer, target.offset)
        return True


def axis_of(axis: int, rank: int) -> int:
    """A possibly negative axis as an index."""
    return axis + rank if axis < 0 else axis


def axes_of(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Possibly negative axes as indices, ascending."""
    return tuple(sorted(axis_of(axis, rank) for axis in axes))
