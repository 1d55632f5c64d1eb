"""Operators that move elements become views where possible, else copies."""

from __future__ import annotations

import math

import numpy as np

from deploy.codegen.builder import Builder, Joined, axis_of
from deploy.codegen.ir import Load, Take, View
from deploy.codegen.onnx_reader import Node


def reshape(node: Node, builder: Builder) -> None:
    """Reshape, Flatten, Squeeze and Unsqueeze: the graph already has the result's shape."""
    name = node.outputs[0]
    view = builder.contiguous(builder.value(node.inputs[0]), node.inputs[0])
    builder.store(name, Load(view.reshaped(builder.graph.shapes[name])))


def transpose(node: Node, builder: Builder) -> None:
    view = builder.memory(builder.value(node.inputs[0]), node.inputs[0])
    order = node.attributes.get("perm", range(len(view.shape))[::-1])
    builder.store(node.outputs[0], Load(view.transposed(tuple(order))))


def expand(node: Node, builder: Builder) -> None:
    view = builder.memory(builder.value(node.inputs[0]), node.inputs[0])
    builder.store(node.outputs[0], Load(view.broadcast(builder.graph.shapes[node.outputs[0]])))


def slice_(node: Node, builder: Builder) -> None:
    view = builder.memory(builder.value(node.inputs[0]), node.inputs[0])
    starts, ends = builder.integers(node, 1), builder.integers(node, 2)
    assert starts is not None and ends is not None
    axes = builder.integers(node, 3) or list(range(len(starts)))
    steps = builder.integers(node, 4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        at = axis_of(axis, len(view.shape))
        taken = range(*slice(start, None if step < 0 and end < -(2**31) else end, step).indices(view.shape[at]))
        view = view.sliced(at, taken.start, len(taken), taken.step)
    builder.store(node.outputs[0], Load(view))


def split(node: Node, builder: Builder) -> None:
    view = builder.memory(builder.value(node.inputs[0]), node.inputs[0])
    axis = axis_of(node.attributes.get("axis", 0), len(view.shape))
    start = 0
    for name in node.outputs:
        size = builder.graph.shapes[name][axis]
        builder.store(name, Load(view.sliced(axis, start, size)))
        start += size


def gather(node: Node, builder: Builder) -> None:
    """Evenly spaced indices are a view, others a table."""
    source = builder.value(node.inputs[0])
    axis = axis_of(node.attributes.get("axis", 0), len(source.shape))
    size = source.shape[axis]
    indices = [index % size for index in builder.integers(node, 1) or []]
    shape = builder.graph.shapes[node.outputs[0]]
    steps = set(np.diff(indices).tolist())
    if len(steps) <= 1:
        step = steps.pop() if steps else 1
        view = builder.memory(source, node.inputs[0]).sliced(axis, indices[0], len(indices), step)
        if view.contiguous:
            view = view.reshaped(shape)
        elif len(shape) == len(view.shape) - 1:
            view = View(view.buffer, view.offset, shape, view.strides[:axis] + view.strides[axis + 1 :])
        elif len(shape) != len(view.shape):
            view = builder.contiguous(Load(view), node.outputs[0]).reshaped(shape)
        builder.store(node.outputs[0], Load(view))
        return
    outer, inner = math.prod(source.shape[:axis]), math.prod(source.shape[axis + 1 :])
    view = builder.contiguous(source, node.inputs[0]).reshaped((outer, size, inner))
    target = builder.scratch(shape, node.outputs[0])
    table = builder.names.fresh("policy_indices")
    parts = target.reshaped((outer, len(indices), inner))
    builder.emit(Take(parts, view, table, tuple(indices), node.described))
    builder.store(node.outputs[0], Load(target))


def concat(node: Node, builder: Builder) -> None:
    """Each part is computed in its place in the result, unless it already has another place."""
    name = node.outputs[0]
    shape = builder.graph.shapes[name]
    axis = axis_of(node.attributes["axis"], len(shape))
    flat = all(size == 1 for size in shape[:axis])
    if flat and builder.only_output(name):
        builder.values[name] = Joined(tuple(builder.value(part) for part in node.inputs))
        return
    target = builder.scratch(shape, name)
    start = 0
    for part in node.inputs:
        value = builder.value(part)
        size = value.shape[axis]
        builder.fill(target.sliced(axis, start, size), value)
        start += size
    builder.store(name, Load(target))


OPERATORS = {
    "Reshape": reshape, "Flatten": reshape, "Squeeze": reshape, "Unsqueeze": reshape, "Transpose": transpose,
    "Expand": expand, "Slice": slice_, "Split": split, "Gather": gather, "Concat": concat,
}  # fmt: skip
