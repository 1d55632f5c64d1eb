"""What a bundle's ONNX graph may hold: only float32, finite weights, a small set of operators, and no trace of the
machine it was made on; and other forms of a graph: for a fixed batch, and converted from an older operator set. Of the
bundle's modules only this one imports `onnx`; the reader on a robot needs none.

The set is small on purpose: the C generator implements each operator again.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference, version_converter

from deploy.errors import BundleError, first_line

# Ref: https://onnxruntime.ai/docs/reference/compatibility.html: 1.14 is the first onnxruntime that knows both.
IR_VERSION, OPSET = 8, 18
"""What every policy.onnx declares."""
ONNXRUNTIME = ">=1.15,<2"
"""The versions of onnxruntime that a policy.onnx runs on; 1.15 is the oldest for the Pythons of this project."""
NEWEST_OPSET = 28
"""The newest operator set in which the operators that become C mean what they mean in `OPSET`."""
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
    """A copy without the parts that no runtime needs, and that keep some from loading it: paths and stack traces of the
    exporter, a clip of an equal clip, the IR version of torch's exporter, and Reshape's `allowzero`."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.ir_version = IR_VERSION
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
    _drop_allowzero(result.graph)
    _drop_repeated_clips(result.graph)
    _drop_unused_initializers(result.graph)
    return result


def static(model: onnx.ModelProto, batch: int = 1) -> onnx.ModelProto:
    """A copy for `batch` robots: every size that was free is `batch`, and the shape of every value is written down."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.value_info[:]
    for value in (*result.graph.input, *result.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value or batch
    return shape_inference.infer_shapes(result, check_type=True, strict_mode=True, data_prop=True)


def converted(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` itself if its operator set is `OPSET` or means the same, else a copy that onnx converted, for one robot.

    Older operator sets have other defaults: Softmax of opset 11 without an axis is over all axes but the first. Raises
    BundleError, one line, for a model that can't be converted.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
    if opset > NEWEST_OPSET:
        raise BundleError(
            f"policy.onnx is of opset {opset}, the newest that is known is {NEWEST_OPSET}; export it with opset {OPSET}"
        )
    if opset >= OPSET:
        return model
    try:
        return version_converter.convert_version(static(model), OPSET)
    except Exception as error:  # The converter, which is C++, raises RuntimeError or its own ConvertError.
        reason = first_line(error).rsplit("failed: ")[-1]
        raise BundleError(
            f"policy.onnx is of opset {opset}, and onnx can't convert it to {OPSET} ({reason}); "
            f"export it with opset {OPSET}"
        ) from None


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How often each operator occurs, by name."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def check(model: onnx.ModelProto) -> None:
    """Raise BundleError unless the graph is valid, plain float32, finite and self-contained."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BundleError(f"policy.onnx is not a valid ONNX model ({first_line(error)}); export again") from None
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


def check_operators(model: onnx.ModelProto) -> None:
    """Raise BundleError unless all operators are known to every target of an export."""
    unknown = sorted({f"{n.domain}.{n.op_type}".lstrip(".") for n in model.graph.node} - OPERATORS)
    if unknown:
        raise BundleError(
            f"policy.onnx uses {', '.join(unknown)}, which not every target of an export knows; "
            f"build the policy's terms and network of: {', '.join(sorted(OPERATORS))}"
        )


def load(data: bytes) -> onnx.ModelProto:
    """The model of policy.onnx's bytes, or BundleError."""
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError is not importable without depending on protobuf itself.
        raise BundleError(f"policy.onnx can't be parsed ({error}); copy the bundle again, or export again") from None


def _drop_allowzero(graph: onnx.GraphProto) -> None:
    """Remove `allowzero`, which says what a 0 in a new shape means, from each Reshape whose new shape has none: some
    runtimes and generators refuse the attribute."""
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape" and (shapes.get(node.input[1], np.zeros(1)) != 0).all():
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)


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
