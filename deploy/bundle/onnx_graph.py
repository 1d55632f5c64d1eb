"""What a bundle's ONNX graph may hold: only float32, finite weights, a small set of operators, and no trace of the
machine it was made on. Of the bundle's modules only this one imports `onnx`; the reader on a robot needs none.

The set is small on purpose: the C generator implements each operator again.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

from deploy.errors import BundleError

OPERATORS = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Reciprocal", "Sqrt", "Pow", "Exp", "Log", "Sin", "Cos"),
        *("Min", "Max", "Clip", "Relu", "Elu", "Tanh", "Sigmoid", "Softplus"),
        *("Gemm", "MatMul"),
        *("Concat", "Slice", "Split", "Reshape", "Squeeze", "Unsqueeze"),
    }
)
_ALLOWED_TYPES = {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
"""Values are float32; int64 appears only as the constant bounds and axes of Slice, Split, Reshape and their like."""


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the parts that no runtime needs: paths and stack traces of the exporter, and a clip of an equal
    clip."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.doc_string = ""
    result.graph.doc_string = ""
    result.graph.name = "policy"
    for holder in (result, result.graph, *result.graph.node, *result.graph.input, *result.graph.output):
        del holder.metadata_props[:]
        holder.doc_string = ""
    for tensor in result.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    del result.graph.value_info[:]
    del result.functions[:]
    _drop_repeated_clips(result.graph)
    _drop_unused_initializers(result.graph)
    return result


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How often each operator occurs, by name."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def check(model: onnx.ModelProto) -> None:
    """Raise BundleError unless the graph is valid, plain float32, finite, self-contained and of known operators."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"policy.onnx is not a valid ONNX model ({reason}); export again") from None
    unknown = sorted({f"{n.domain}.{n.op_type}".lstrip(".") for n in model.graph.node} - OPERATORS)
    if unknown:
        raise BundleError(
            f"policy.onnx uses {', '.join(unknown)}, which no microcontroller target knows; "
            f"build the policy's terms and network of: {', '.join(sorted(OPERATORS))}"
        )
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise BundleError(f"policy.onnx keeps weight {tensor.name!r} in another file; export the policy again")
        if tensor.data_type not in _ALLOWED_TYPES:
            kind = onnx.TensorProto.DataType.Name(tensor.data_type)
            raise BundleError(f"policy.onnx holds {tensor.name!r} as {kind}, expected FLOAT; keep the graph in float32")
        if not np.isfinite(numpy_helper.to_array(tensor)).all():
            raise BundleError(
                f"policy.onnx: weight {tensor.name!r} is not finite, training diverged; export an earlier checkpoint"
            )


def load(data: bytes) -> onnx.ModelProto:
    """The model of policy.onnx's bytes, or BundleError."""
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError is not importable without depending on protobuf itself.
        raise BundleError(f"policy.onnx can't be parsed ({error}); copy the bundle again, or export again") from None


def _drop_repeated_clips(graph: onnx.GraphProto) -> None:
    """Remove each Clip whose input is a Clip with the same bounds: action terms bound what the graph has bounded."""
    values = {t.name: numpy_helper.to_array(t).tobytes() for t in graph.initializer}
    clips = {node.output[0]: node for node in graph.node if node.op_type == "Clip"}
    outputs = {value.name for value in graph.output}

    def bounds(node: onnx.NodeProto) -> list[bytes]:
        return [values.get(name, name.encode()) for name in node.input[1:]]

    for name, node in clips.items():
        inner = clips.get(node.input[0])
        if inner is None or name in outputs or bounds(node) != bounds(inner):
            continue
        for reader in graph.node:
            for i, source in enumerate(reader.input):
                if source == name:
                    reader.input[i] = inner.output[0]
        graph.node.remove(node)


def _drop_unused_initializers(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)
