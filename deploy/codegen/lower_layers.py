"""Layers become dense products by a kernel, reductions and elementwise maps."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deploy.codegen.builder import Builder, axes_of, axis_of
from deploy.codegen.ir import Dense, Expression, Floats, Load, Map, Number, Reduce, Shape, View
from deploy.codegen.lower_elementwise import activation
from deploy.codegen.onnx_reader import Node

Kind = Literal["sum", "mean", "max"]


def gemm(node: Node, builder: Builder) -> None:
    """alpha * A * B + beta * C with constant B and C; alpha and beta go into the weights."""
    weight, bias = builder.array(node, 1), builder.array(node, 2)
    if weight is None or (bias is None and len(node.inputs) > 2 and node.inputs[2]):
        raise node.refused("its weights and bias must be constant")
    if node.attributes.get("transA", 0):
        raise node.refused("it transposes its input; transpose the weights instead")
    matrix = weight if node.attributes.get("transB", 0) else weight.T
    scaled = np.float32(node.attributes.get("alpha", 1.0)) * matrix
    zeros = np.zeros(matrix.shape[0], np.float32)
    source = builder.value(node.inputs[0])
    # Of shape [rows, outputs]; nearly always the same for each row.
    added = np.broadcast_to(zeros if bias is None else bias, builder.graph.shapes[node.outputs[0]])
    added = np.float32(node.attributes.get("beta", 1.0)) * added
    if (added == added[:1]).all():
        dense(node, builder, source, scaled, added[0])
        return
    product = Load(_rows(node, builder, source, scaled, zeros, node.outputs[0]))
    builder.store(node.outputs[0], builder.apply("add", product, builder.constant(added)))


def matmul(node: Node, builder: Builder) -> None:
    """A product with a constant matrix is a dense layer, with the bias that follows; others are sums of products."""
    weight = builder.array(node, 1)
    if weight is None or weight.ndim != 2:
        _matmul_computed(node, builder)
        return
    bias, follower = np.zeros(weight.shape[1], np.float32), builder.sole_consumer(node.outputs[0])
    if follower is not None and follower.operator == "Add":
        added = next((i for i, name in enumerate(follower.inputs) if name != node.outputs[0]), 0)
        row = _row(builder.array(follower, added), weight.shape[1])
        if row is not None:
            builder.absorbed.add(follower.outputs[0])
            dense(node, builder, builder.value(node.inputs[0]), weight.T, row, follower.outputs[0])
            return
    dense(node, builder, builder.value(node.inputs[0]), weight.T, bias)


def _row(values: NDArray[Any] | None, size: int) -> Floats | None:
    """The row of `size` values that adding the constant adds to each row; None if it is not the same for each."""
    if values is None or values.size not in (1, size) or values.size != (values.shape or (1,))[-1]:
        return None
    return np.broadcast_to(values.reshape(-1), (size,))


def dense(
    node: Node, builder: Builder, source: Expression, weight: Floats, bias: Floats, result: str | None = None
) -> None:
    """A dense layer over the last axis, fused with an activation that is its only reader.

    `result` names its value; None for the node's own output.
    """
    result = result or node.outputs[0]
    follower, function = builder.sole_consumer(result), ""
    if follower is not None:
        function = activation(follower)
    if follower is not None and function:
        builder.absorbed.add(follower.outputs[0])
        result = follower.outputs[0]
    target = _rows(node, builder, source, weight, bias, result, function)
    builder.store(result, Load(target.reshaped(builder.graph.shapes[result])))


def _rows(
    node: Node, builder: Builder, source: Expression, weight: Floats, bias: Floats, result: str, function: str = ""
) -> View:
    """A dense layer over the last axis, in scratch called `result`."""
    entering = builder.contiguous(source, node.inputs[0])
    target = builder.scratch((*source.shape[:-1], weight.shape[0]), result)
    apply_dense(builder, entering, target, weight, bias, result, function, node.described)
    return target


def apply_dense(
    builder: Builder,
    source: View,
    target: View,
    weight: Floats,
    bias: Floats,
    hint: str,
    function: str = "",
    comment: str = "",
) -> None:
    """Emit a dense layer for each row of two contiguous views."""
    outputs, inputs = weight.shape
    rows = source.size // inputs
    symbol = builder.names.fresh(f"policy_weights_{hint}")
    matrix = np.ascontiguousarray(weight, np.float32)
    offset = np.ascontiguousarray(bias, np.float32)
    if rows == 1:
        row, into = source.reshaped((inputs,)), target.reshaped((outputs,))
        builder.emit(Dense(into, row, symbol, matrix, offset, function, comment))
        return

    def body(turn: str) -> None:
        row = source.reshaped((rows, inputs)).sliced(0, 0, 1).reshaped((inputs,)).turned(turn, inputs)
        into = target.reshaped((rows, outputs)).sliced(0, 0, 1).reshaped((outputs,)).turned(turn, outputs)
        builder.emit(Dense(into, row, symbol, matrix, offset, function))

    builder.repeat(rows, body, comment)


def _matmul_computed(node: Node, builder: Builder) -> None:
    """A product of computed factors, or with more axes than a layer has: sum over k of a[.., i, k] * b[.., k, j]."""
    left, right = (builder.memory(builder.value(name), name) for name in node.inputs)
    a = left.reshaped((1, *left.shape)) if len(left.shape) == 1 else left
    b = right.reshaped((*right.shape, 1)) if len(right.shape) == 1 else right
    common = tuple(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    rank = len(common)
    a = a.broadcast((*common, rows, inner))
    b = b.broadcast((*common, inner, columns))
    wide = (*common, rows, columns, inner)
    order = (*range(rank), rank + 1, rank)
    factors = (
        View(a.buffer, a.offset, wide, (*a.strides[:rank], a.strides[rank], 0, a.strides[rank + 1])),
        View(b.buffer, b.offset, wide, (*b.strides[:rank], 0, *(b.strides[axis] for axis in order[rank:]))),
    )
    target = builder.scratch((*common, rows, columns, 1), node.outputs[0])
    product = builder.apply("mul", *(Load(factor) for factor in factors))
    builder.emit(Reduce(target, "sum", product, (rank + 2,), node.described))
    builder.store(node.outputs[0], Load(target.reshaped(builder.graph.shapes[node.outputs[0]])))


def reduction(node: Node, builder: Builder) -> None:
    """ReduceSum, ReduceMean and ReduceMax, axes as an input or as an attribute."""
    value = builder.value(node.inputs[0])
    axes = builder.integers(node, 1)
    axes = axes if axes is not None else node.attributes.get("axes")
    rank = len(value.shape)
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        builder.store(node.outputs[0], value)
        return
    kinds: dict[str, Kind] = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max"}
    over = axes_of(axes, rank) if axes else tuple(range(rank))
    result = _reduced(builder, kinds[node.operator], value, over, node.outputs[0], node.described)
    builder.store(node.outputs[0], Load(result.reshaped(builder.graph.shapes[node.outputs[0]])))


def _reduced(
    builder: Builder, kind: Kind, value: Expression, axes: tuple[int, ...], hint: str, comment: str = ""
) -> View:
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    target = builder.scratch(kept, hint)
    builder.emit(Reduce(target, kind, value, axes, comment))
    return target


def softmax(node: Node, builder: Builder) -> None:
    """exp(x - max x) divided by its sum, over one axis (opset 13 and later)."""
    name = node.outputs[0]
    value = Load(builder.memory(builder.value(node.inputs[0]), node.inputs[0]))
    axes = (axis_of(node.attributes.get("axis", -1), len(value.shape)),)
    largest = _reduced(builder, "max", value, axes, f"{name}_max", node.described)
    shifted = builder.apply("exp", builder.apply("sub", value, Load(largest)))
    powers = Load(builder.memory(shifted, f"{name}_exp"))
    total = _reduced(builder, "sum", powers, axes, f"{name}_sum")
    builder.store(name, builder.apply("div", powers, Load(total)))


def layer_normalization(node: Node, builder: Builder) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over `axis` and all later axes."""
    if len(node.outputs) > 1:
        raise node.refused("its mean and deviation can't be outputs")
    name = node.outputs[0]
    value = Load(builder.memory(builder.value(node.inputs[0]), node.inputs[0]))
    rank = len(value.shape)
    axes = tuple(range(axis_of(node.attributes.get("axis", -1), rank), rank))
    mean = _reduced(builder, "mean", value, axes, f"{name}_mean", node.described)
    centred = Load(builder.memory(builder.apply("sub", value, Load(mean)), f"{name}_centred"))
    variance = Load(_reduced(builder, "mean", builder.apply("square", centred), axes, f"{name}_variance"))
    epsilon = Number(float(np.float32(node.attributes.get("epsilon", 1e-5))))
    root = builder.apply("sqrt", builder.apply("add", variance, epsilon))
    factor = Load(builder.memory(builder.apply("reciprocal", root), f"{name}_factor"))
    result = builder.apply("mul", builder.apply("mul", centred, factor), builder.value(node.inputs[1]))
    if len(node.inputs) > 2 and node.inputs[2]:
        result = builder.apply("add", result, builder.value(node.inputs[2]))
    builder.store(name, result)


def conv(node: Node, builder: Builder) -> None:
    """A convolution over time: each window of the padded input is copied and passed through a dense layer."""
    weight, bias = builder.array(node, 1), builder.array(node, 2)
    if weight is None or (bias is None and len(node.inputs) > 2 and node.inputs[2]):
        raise node.refused("its weights and bias must be constant")
    if weight.ndim != 3:
        raise node.refused("only convolutions over one axis are supported")
    outputs, channels, width = weight.shape
    groups = int(node.attributes.get("group", 1))
    stride, dilation = (int((node.attributes.get(key) or [1])[0]) for key in ("strides", "dilations"))
    name = node.outputs[0]
    length = builder.graph.shapes[name][2]
    source = builder.contiguous(builder.value(node.inputs[0]), node.inputs[0])
    span = (length - 1) * stride + (width - 1) * dilation + 1
    source = _padded(node, builder, source, span)
    offset = np.zeros(outputs, np.float32) if bias is None else bias
    each = outputs // groups
    window = builder.scratch((channels, width), f"{name}_window")
    # Time before channels, so that a layer's outputs are contiguous; readers see a transposed view.
    rows = builder.scratch((length, outputs), name)
    own = source.shape[2]

    for group in range(groups):
        matrix = weight[group * each : (group + 1) * each].reshape(each, channels * width)
        begin = source.offset + group * channels * own

        def body(turn: str, begin: int = begin, matrix: Floats = matrix, group: int = group) -> None:
            view = View(source.buffer, begin, (channels, width), (own, dilation)).turned(turn, stride)
            builder.emit(Map(window, Load(view)))
            target = View(rows.buffer, group * each, (each,), (1,)).turned(turn, outputs)
            part = offset[group * each : (group + 1) * each]
            apply_dense(builder, window, target, matrix, part, name)

        builder.repeat(length, body, node.described)
    builder.store(name, Load(View(rows.buffer, 0, (1, outputs, length), (0, 1, outputs))))


def _padded(node: Node, builder: Builder, source: View, span: int) -> View:
    """The input [1, channels, length], padded with zeros on both sides to at least `span` values."""
    pads = list(node.attributes.get("pads") or [0, 0])
    automatic = node.attributes.get("auto_pad", "NOTSET")
    missing = max(span - source.shape[2], 0)
    if automatic == "SAME_UPPER":
        pads = [missing // 2, missing - missing // 2]
    elif automatic == "SAME_LOWER":
        pads = [missing - missing // 2, missing // 2]
    if not any(pads):
        return source
    shape: Shape = (1, source.shape[1], source.shape[2] + sum(pads))
    padded = builder.scratch(shape, f"{node.outputs[0]}_padded")
    builder.emit(Map(padded, Number(0.0, shape)))
    builder.emit(Map(padded.sliced(2, pads[0], source.shape[2]), Load(source)))
    return padded


OPERATORS = {
    "Gemm": gemm, "MatMul": matmul, "ReduceSum": reduction, "ReduceMean": reduction, "ReduceMax": reduction,
    "Softmax": softmax, "LayerNormalization": layer_normalization, "Conv": conv,
}  # fmt: skip
