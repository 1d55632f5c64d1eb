"""ONNX's GRU and LSTM operators: one direction, one robot, a sequence of fixed length, the standard activations.

Formulas and gate order are those of the ONNX operator specification.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deploy.codegen.builder import Builder
from deploy.codegen.ir import Expression, Floats, Load, Map, Number, View
from deploy.codegen.lower_layers import apply_dense
from deploy.codegen.onnx_reader import Node

_ONE = Number(1.0)
_STANDARD = {"GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
"""ONNX's activations where a node names none; a node may name them in any case of letters."""
Step = Callable[[View, tuple[View, ...], tuple[View, ...]], None]
"""Emits one step of a cell, given its input and its memories before and after the step."""


@dataclass(frozen=True)
class _Cell:
    """A node with its constants: `w` [gates * units, inputs], `r` [gates * units, units], biases [gates * units]."""

    node: Node
    builder: Builder
    units: int
    w: Floats
    r: Floats
    w_bias: Floats
    r_bias: Floats
    sequence: View

    def part(self, view: View, start: int, count: int = 1) -> Load:
        """Gates `start` to `start` + `count` of a vector of all gates."""
        return Load(view.sliced(0, start * self.units, count * self.units))

    def dense(self, source: View, target: View, first: int, last: int, recurrent: bool) -> None:
        """Emit the product of gates `first` to `last` of the input's or the memory's matrix."""
        rows = slice(first * self.units, last * self.units)
        weight, bias = (self.r, self.r_bias) if recurrent else (self.w, self.w_bias)
        hint = f"{self.node.name}_{'memory' if recurrent else 'input'}"
        apply_dense(self.builder, source, target, weight[rows], bias[rows], hint)

    def set(self, target: View, value: Expression) -> None:
        self.builder.emit(Map(target, value))

    def gates(self, count: int, name: str) -> View:
        return self.builder.scratch((count * self.units,), f"{self.node.name}_{name}")


def gru(node: Node, builder: Builder) -> None:
    """Gates in the order update z, reset r, candidate n: h' = (1 - z) * n + z * h."""
    cell = _cell(node, builder, 3)
    after = bool(node.attributes.get("linear_before_reset", 0))
    apply = builder.apply
    entering, recalled = cell.gates(3, "entering"), cell.gates(3, "recalled")

    def step(x: View, memory: tuple[View, ...], following: tuple[View, ...]) -> None:
        h = Load(memory[0])
        cell.dense(x, entering, 0, 3, recurrent=False)
        gates, both = cell.part(entering, 0, 2), cell.part(recalled, 0, 2)
        cell.dense(memory[0], recalled if after else both.view, 0, 3 if after else 2, recurrent=True)
        cell.set(gates.view, apply("sigmoid", apply("add", gates, both)))
        update, reset, candidate = (cell.part(entering, i) for i in range(3))
        from_memory = cell.part(recalled, 2)
        if after:
            remembered: Expression = apply("mul", reset, from_memory)
        else:
            # The reset gate is not needed after it has scaled the memory, so its buffer is reused.
            cell.set(reset.view, apply("mul", reset, h))
            cell.dense(reset.view, from_memory.view, 2, 3, recurrent=True)
            remembered = from_memory
        cell.set(candidate.view, apply("tanh", apply("add", candidate, remembered)))
        kept = apply("mul", update, h)
        cell.set(following[0], apply("add", apply("mul", apply("sub", _ONE, update), candidate), kept))

    _unroll(cell, 1, step)


def lstm(node: Node, builder: Builder) -> None:
    """Gates in the order input i, output o, forget f, cell g: c' = f * c + i * g, h' = o * tanh c'."""
    peepholes = builder.array(node, 7)
    if len(node.inputs) > 7 and node.inputs[7] and (peepholes is None or peepholes.any()):
        raise node.refused("peepholes are not supported")
    cell = _cell(node, builder, 4)
    apply = builder.apply
    entering, recalled = cell.gates(4, "entering"), cell.gates(4, "recalled")

    def step(x: View, memory: tuple[View, ...], following: tuple[View, ...]) -> None:
        cell.dense(x, entering, 0, 4, recurrent=False)
        cell.dense(memory[0], recalled, 0, 4, recurrent=True)
        gates, both = cell.part(entering, 0, 3), cell.part(recalled, 0, 3)
        cell.set(gates.view, apply("sigmoid", apply("add", gates, both)))
        enter, leave, keep, fresh = (cell.part(entering, i) for i in range(4))
        cell.set(fresh.view, apply("tanh", apply("add", fresh, cell.part(recalled, 3))))
        kept = apply("mul", keep, Load(memory[1]))
        cell.set(following[1], apply("add", kept, apply("mul", enter, fresh)))
        cell.set(following[0], apply("mul", leave, apply("tanh", Load(following[1]))))

    _unroll(cell, 2, step)


def _cell(node: Node, builder: Builder, gates: int) -> _Cell:
    if node.attributes.get("direction", "forward") != "forward":
        raise node.refused("only the direction 'forward' is supported: a robot has no future inputs")
    activations = tuple(name.lower() for name in node.attributes.get("activations", ()))
    standard = activations in ((), _STANDARD[node.operator])
    if not standard or node.attributes.get("clip") or node.attributes.get("layout"):
        raise node.refused("only the standard activations and layout are supported, without a clip")
    if node.attributes.get("input_forget"):
        raise node.refused("coupled gates are not supported")
    w, r, bias = (builder.array(node, index) for index in (1, 2, 3))
    if w is None or r is None or (bias is None and len(node.inputs) > 3 and node.inputs[3]):
        raise node.refused("its weights and biases must be constant")
    source = builder.contiguous(builder.value(node.inputs[0]), node.inputs[0])
    lengths = builder.integers(node, 4)
    if lengths is not None and lengths != [source.shape[0]]:
        raise node.refused("sequence_lens must be the whole sequence")
    units = r.shape[2]
    halves = np.zeros((2, gates * units), np.float32) if bias is None else bias.reshape(2, -1)
    return _Cell(node, builder, units, w[0], r[0], halves[0], halves[1], source)


def _unroll(cell: _Cell, memories: int, step: Step) -> None:
    """Emit the sequence step by step; each memory has an initial value, is passed on, and is an output at the end."""
    node, builder, units = cell.node, cell.builder, cell.units
    count, _, inputs = cell.sequence.shape
    outputs = [*node.outputs, "", "", ""][: 1 + memories]
    initial = [_initial(cell, 5 + index) for index in range(memories)]
    following = tuple(builder.scratch((units,), name or f"{node.name}_memory") for name in outputs[1:])
    rows = cell.sequence.reshaped((count, inputs))
    if count == 1:
        step(rows.reshaped((inputs,)), tuple(initial), following)
        every = following[0]
    else:
        for view, start in zip(following, initial, strict=True):
            builder.emit(Map(view, Load(start)))
        every = builder.scratch((count * units,), outputs[0] or f"{node.name}_sequence") if outputs[0] else following[0]

        def body(turn: str) -> None:
            step(rows.sliced(0, 0, 1).reshaped((inputs,)).turned(turn, inputs), following, following)
            if outputs[0]:
                builder.emit(Map(every.sliced(0, 0, units).turned(turn, units), Load(following[0])))

        builder.repeat(count, body, node.described)
    if outputs[0]:
        builder.store(outputs[0], Load(every.reshaped((count, 1, 1, units))))
    for name, view in zip(outputs[1:], following, strict=True):
        if name:
            builder.store(name, Load(view.reshaped((1, 1, units))))


def _initial(cell: _Cell, index: int) -> View:
    name = cell.node.inputs[index] if index < len(cell.node.inputs) else ""
    if not name:
        return cell.builder.table(np.zeros(cell.units, np.float32))
    return cell.builder.contiguous(cell.builder.value(name), name).reshaped((cell.units,))


OPERATORS = {"GRU": gru, "LSTM": lstm}
