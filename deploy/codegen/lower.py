"""Lowers an ONNX graph to the program of one step: its statements, the vector of commands, and the next state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from deploy.codegen import lower_elementwise, lower_layers, lower_recurrent, lower_shape
from deploy.codegen.builder import Builder, Joined
from deploy.codegen.ir import Buffer, Expression, Load, Map, Piece, Program, View, whole
from deploy.codegen.lifetimes import shortened
from deploy.codegen.names import Names
from deploy.codegen.onnx_reader import Graph, Node
from deploy.errors import BundleError, first_line

_OPERATORS = {**lower_shape.OPERATORS, **lower_layers.OPERATORS, **lower_recurrent.OPERATORS}
OPERATORS = frozenset({*_OPERATORS, *lower_elementwise.OPERATORS})
"""All operators that can become C, except those with constant results."""


def lower(graph: Graph, sensors: Mapping[str, int], states: Mapping[str, int], commands: Mapping[str, int]) -> Program:
    """The program of a graph with the inputs `sensors` and `state.<name>` and the outputs `commands` and
    `next_state.<name>`, given as name -> size. Raises BundleError for a node that can't become C."""
    builder = Builder(graph, Names())
    for name, size in sensors.items():
        builder.values[name] = Load(whole(Buffer("sensor", name, size), graph.shapes[name]))
    for name, size in states.items():
        key = f"state.{name}"
        builder.values[key] = Load(whole(Buffer("state", name, size), graph.shapes[key]))
    for node in graph.nodes:
        if not all(name in builder.absorbed for name in node.outputs):
            _lower_node(node, builder)
    vector = _commands(builder, commands)
    pieces = [piece for name in states for piece in _pieces(builder, name)]
    return shortened(Program(builder.statements, vector, tuple(_merged(pieces))), builder.names)


def _lower_node(node: Node, builder: Builder) -> None:
    try:
        if node.operator in _OPERATORS:
            _OPERATORS[node.operator](node, builder)
        elif node.operator in lower_elementwise.OPERATORS:
            name = node.outputs[0]
            builder.store(name, builder.widened(lower_elementwise.lower(node, builder), builder.graph.shapes[name]))
        else:
            raise node.refused(f"this operator is not supported; supported are {', '.join(sorted(OPERATORS))}")
    except BundleError:
        raise
    except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
        # Graphs made elsewhere use an operator in ways that no case here foresees.
        raise node.refused(f"the operator is not supported in this form ({first_line(error)})") from error


def _commands(builder: Builder, commands: Mapping[str, int]) -> View:
    vector = builder.scratch((sum(commands.values()),), "result")
    start = 0
    for name, size in commands.items():
        target = vector.sliced(0, start, size)
        for value in _parts(builder, name):
            part = target.sliced(0, 0, prod(value.shape))
            builder.fill(replace(part, shape=value.shape, strides=part.reshaped(value.shape).strides), value)
            target = target.sliced(0, part.size, target.size - part.size)
        start += size
    return vector


def _pieces(builder: Builder, name: str) -> list[Piece]:
    """The pieces of a state's next value. A piece of the state itself may only move towards its start, because pieces
    are written in ascending order; any other is copied to scratch first."""
    pieces: list[Piece] = []
    start = 0
    for value in _parts(builder, f"next_state.{name}"):
        view = builder.contiguous(value, f"next_{name}")
        view = view.reshaped((view.size,))
        if view.buffer.kind == "state" and (view.buffer.name != name or view.offset < start):
            target = builder.scratch(view.shape, f"next_{name}")
            builder.emit(Map(target, Load(view)))
            view = target
        pieces.append(Piece(name, start, view))
        start += view.size
    return pieces


def _parts(builder: Builder, name: str) -> tuple[Expression, ...]:
    value = builder.values[name] if name in builder.values else builder.value(name)
    return value.parts if isinstance(value, Joined) else (value,)


def _merged(pieces: list[Piece]) -> list[Piece]:
    """The pieces, with those that are adjacent in memory merged."""
    merged: list[Piece] = []
    for piece in pieces:
        owner, start = piece.source.buffer.root()
        at = start + piece.source.offset
        last = merged[-1] if merged else None
        if last is not None and last.state == piece.state and last.source.buffer is owner:
            end = last.source.offset + last.source.size
            if end == at:
                size = last.source.size + piece.source.size
                merged[-1] = replace(last, source=replace(last.source, shape=(size,)))
                continue
        merged.append(Piece(piece.state, piece.offset, View(owner, at, (piece.source.size,), (1,))))
    return merged
