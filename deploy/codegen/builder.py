"""What the lowering of every operator builds upon: values by name, buffers, constants, and statements in order."""

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
    """A next state that is joined of parts: nothing joins them before they reach the state itself."""

    parts: tuple[Expression, ...]


class Builder:
    """Collects statements. An elementwise result that is read once stays an expression, for its reader to absorb."""

    def __init__(self, graph: Graph, names: Names) -> None:
        self.graph = graph
        self.names = names
        self.values: dict[str, Expression | Joined] = {}
        self.absorbed: set[str] = set()
        """Results of nodes that an earlier node computes along with its own."""
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
        """Emit what `body`, given the variable's name, emits, `count` times."""
        variable = f"turn{self._turns or ''}"
        self._turns += 1
        self._blocks.append([])
        body(variable)
        self.emit(Repeat(variable, count, tuple(self._blocks.pop()), comment))

    # Values.

    def value(self, name: str) -> Expression:
        """The value of this name in the graph, a constant included."""
        if name in self.graph.constants:
            return self.constant(self.graph.constants[name])
        value = self.values[name]
        assert not isinstance(value, Joined)
        return value

    def store(self, name: str, value: Expression) -> None:
        """Give a node's result its name; what is computed and read more than once goes to memory."""
        if isinstance(value, Apply) and self._uses.get(name, 0) > 1:
            value = Load(self.memory(value, name))
        self.values[name] = value

    def sole_consumer(self, name: str) -> Node | None:
        """The node that alone reads this value, if it is no output of the graph."""
        if self._uses.get(name, 0) != 1 or name in self.graph.outputs:
            return None
        return self._consumers.get(name)

    def only_output(self, name: str) -> bool:
        """Whether this value is an output of the graph and nothing else reads it."""
        return name in self.graph.outputs and self._uses[name] == 1

    def integers(self, node: Node, index: int) -> list[int] | None:
        """The constant integers of an input, None where it is absent."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        name = node.inputs[index]
        if name not in self.graph.constants:
            raise node.refused(f"its input {name!r} must be constant")
        return [int(value) for value in np.atleast_1d(self.graph.constants[name])]

    def array(self, node: Node, index: int) -> NDArray[Any] | None:
        """The constant array of an input, None where it is absent or computed."""
        if index >= len(node.inputs):
            return None
        return self.graph.constants.get(node.inputs[index])

    # Expressions and memory.

    def apply(self, function: str, *arguments: Expression) -> Apply:
        """An elementwise function of broadcast arguments; one that would be computed again and again is stored."""
        shape = np.broadcast_shapes(*(argument.shape for argument in arguments))
        size = math.prod(shape)
        kept = (
            Load(self.memory(argument))
            if isinstance(argument, Apply) and math.prod(argument.shape) < size
            else argument
            for argument in arguments
        )
        return Apply(function, tuple(kept), tuple(shape))

    def constant(self, values: NDArray[Any]) -> Expression:
        """A constant array: one number if all of it is equal, else a table."""
        floats = np.asarray(values, np.float32)
        if floats.size and (floats.view(np.uint32) == floats.reshape(-1)[:1].view(np.uint32)).all():
            return Number(float(floats.reshape(-1)[0]), floats.shape)
        return Load(self.table(floats))

    def table(self, floats: Floats) -> View:
        """A constant table; equal ones share it."""
        key = floats.tobytes(), floats.shape
        if key not in self._constants:
            name = self.names.fresh("policy_table")
            buffer = Buffer("constant", name, floats.size, np.ascontiguousarray(floats).reshape(-1))
            self._constants[key] = whole(buffer, floats.shape)
        return self._constants[key]

    def scratch(self, shape: Shape, hint: str) -> View:
        """A new scratch buffer, all of it in this shape."""
        name = hint.lower()
        # Functions and tables of the file are called policy_*, and macros are in capitals.
        name = f"v_{name}" if name.startswith("policy") else name
        return whole(Buffer("scratch", self.names.fresh(name), math.prod(shape)), shape)

    def memory(self, value: Expression, hint: str = "value") -> View:
        """A view of the value; computes it into scratch if it is an expression."""
        if isinstance(value, Load):
            return value.view
        if isinstance(value, Number):
            return self.table(np.full(value.shape, value.value, np.float32))
        target = self.scratch(value.shape, hint)
        self.emit(Map(target, value))
        return target

    def contiguous(self, value: Expression, hint: str = "value") -> View:
        """A contiguous view of the value; copies it if it isn't."""
        view = self.memory(value, hint)
        if view.contiguous:
            return view
        target = self.scratch(view.shape, hint)
        self.emit(Map(target, Load(view)))
        return target

    def fill(self, target: View, value: Expression) -> None:
        """Let `target`, contiguous within a scratch buffer, hold the value: by computing it there, or by a copy."""
        if isinstance(value, Load) and self._place(value.view, target):
            return
        if isinstance(value, Load):
            value = Load(value.view.broadcast(target.shape))
        self.emit(Map(target, value))

    def _place(self, view: View, target: View) -> bool:
        """Make the buffer that `view` covers a part of the target's, where it has no place yet."""
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
