"""Reads an ONNX model as a graph for one robot: batch 1, all shapes known, all constants computed.

This is the only module of the generator that imports `onnx`. Shapes are found by running each node on ones with ONNX's
reference implementation, so shapes that are computed within the graph (Shape, Gather, Concat, Reshape) need no rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from deploy.bundle import onnx_graph
from deploy.errors import BundleError, first_line

Shape = tuple[int, ...]
Array = NDArray[Any]
_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")


@dataclass(frozen=True)
class Node:
    """One operation; an absent optional input or output is ""."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    described: str
    """The node in one phrase for messages: name, operator and input shapes."""

    def refused(self, reason: str) -> BundleError:
        """The error that says why this node can't become C."""
        return BundleError(f"{self.described} can't become C: {reason}")


@dataclass(frozen=True)
class Graph:
    """Nodes in evaluation order. `shapes` and `booleans` (names of bool values) cover all values but constants."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, Shape]
    booleans: frozenset[str]
    nodes: tuple[Node, ...]

    def uses(self) -> dict[str, int]:
        """How often each value is read, by nodes and as an output."""
        counts: dict[str, int] = {}
        for name in [*(name for node in self.nodes for name in node.inputs), *self.outputs]:
            counts[name] = counts.get(name, 0) + 1
        return counts


def current(model: bytes) -> bytes:
    """policy.onnx's bytes in the operator set that the generator knows: as they are, or converted for one robot. Raises
    BundleError, one line, for a model that can't be converted."""
    proto = onnx_graph.load(model)
    result = onnx_graph.converted(proto)
    return model if result is proto else result.SerializeToString(deterministic=True)


def read_graph(model: bytes) -> Graph:
    """The graph of policy.onnx's bytes. Raises BundleError, one line, for a node that has no fixed float32 result."""
    proto = onnx_graph.converted(onnx_graph.load(model))
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    reader = _Reader(opsets)
    for tensor in proto.graph.initializer:
        reader.constants[tensor.name] = numpy_helper.to_array(tensor)
    names = [value.name for value in proto.graph.input if value.name not in reader.constants]
    for value in proto.graph.input:
        if value.name in names:
            reader.shapes[value.name] = _one_robot(value)
    for node in proto.graph.node:
        reader.add(node)
    outputs = tuple(value.name for value in proto.graph.output)
    nodes = _reachable(reader.nodes, outputs)
    return Graph(
        tuple(names), outputs, reader.constants, reader.shapes, frozenset(reader.booleans), tuple(nodes)
    )  # fmt: skip


class _Reader:
    def __init__(self, opsets: dict[str, int]) -> None:
        self._opsets = opsets
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, Shape] = {}
        self.booleans: set[str] = set()
        self.nodes: list[Node] = []

    def add(self, proto: onnx.NodeProto) -> None:
        node = self._node(proto)
        if any(attribute.HasField("g") for attribute in proto.attribute) or node.operator in _RANDOM:
            raise node.refused("branches, loops and random draws are not supported; use plain tensor operations")
        if proto.domain not in ("", "ai.onnx"):
            raise node.refused(f"{proto.domain} is not an operator set of ONNX itself")
        unknown = [name for name in node.inputs if name and name not in self.constants and name not in self.shapes]
        if unknown:
            raise node.refused(f"its input {unknown[0]!r} is neither a weight nor computed before it")
        feeds = {name: self._example(name) for name in node.inputs if name}
        # Of Shape's input only the shape is used, so its values need not be constant.
        constant = node.operator == "Shape" or all(name in self.constants for name in feeds)
        results = self._run(node, proto, feeds)
        for name, value in zip(node.outputs, results, strict=False):
            if not name:
                continue
            if constant:
                self.constants[name] = value
                continue
            self.shapes[name] = tuple(int(size) for size in value.shape)
            if value.size == 0:
                raise node.refused("its result is empty")
            if value.dtype == np.bool_:
                self.booleans.add(name)
            elif value.dtype != np.float32:
                raise node.refused(f"its result is {value.dtype}, a policy's values must be float32")
        if not constant:
            self.nodes.append(node)

    def _run(self, node: Node, proto: onnx.NodeProto, feeds: dict[str, Array]) -> list[Array]:
        try:
            with np.errstate(all="ignore"):
                results: Any = ReferenceEvaluator(proto, opsets=self._opsets).run(None, feeds)
        except Exception as error:  # ONNX's implementation raises whatever numpy raises.
            raise node.refused(f"its result has no fixed shape ({first_line(error)})") from None
        return [np.asarray(value) for value in results]

    def _example(self, name: str) -> Array:
        if name in self.constants:
            return self.constants[name]
        return np.ones(self.shapes[name], np.bool_ if name in self.booleans else np.float32)

    def _node(self, proto: onnx.NodeProto) -> Node:
        attributes = {entry.name: _plain(onnx.helper.get_attribute_value(entry)) for entry in proto.attribute}
        name = proto.name or next((output for output in proto.output if output), "")
        shapes = [list(self.shapes.get(i, np.shape(self.constants.get(i, ())))) for i in proto.input if i]
        described = f"node {name!r} ({proto.op_type} of {', '.join(map(str, shapes)) or 'nothing'})"
        return Node(proto.op_type, name, tuple(proto.input), tuple(proto.output), attributes, described)


def _plain(value: Any) -> Any:
    """An attribute's value with text as text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def _one_robot(value: onnx.ValueInfoProto) -> Shape:
    """The input's shape with a batch of 1."""
    tensor = value.type.tensor_type
    dims = [dim.dim_value or 1 for dim in tensor.shape.dim]
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise BundleError(f"policy.onnx has input {value.name!r} as {kind}, expected FLOAT; keep the graph in float32")
    return tuple(dims)


def _reachable(nodes: list[Node], outputs: tuple[str, ...]) -> list[Node]:
    """The nodes that any output depends on."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
