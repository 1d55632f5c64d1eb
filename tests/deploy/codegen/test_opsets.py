"""Networks of other operator sets than the exporter's: C computes what onnxruntime computes, or they are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import version_converter

from deploy.bundle import onnx_graph
from deploy.bundle.reader import POLICY_FILE
from deploy.codegen.generate import generate
from deploy.codegen.lower import OPERATORS
from deploy.codegen.onnx_reader import read_graph
from deploy.errors import BundleError
from tests.deploy.codegen.harness import Floats, Model, design_for, files, fixed, session, step_all
from tests.deploy.codegen.operator_cases import flat, weights
from tests.deploy.damage import replace_policy
from tests.mcu_tools import needs_gcc


def norms(m: Model) -> str:
    """Softmax of before opset 13 is over all axes from its own on, and its own is the second if none is named."""
    x = m.input("batch", 2, 4)
    return flat(m, [m.node("Softmax", x), m.node("Softmax", x, axis=1), m.node("Softmax", x, axis=2)])


def sums(m: Model) -> str:
    """Axes of reductions, of Squeeze and of Unsqueeze are attributes."""
    x = m.input("batch", 3, 4)
    parts = [m.node(f"Reduce{kind}", x, axes=[1], keepdims=0) for kind in ("Sum", "Mean", "Max")]
    return flat(m, [*parts, m.node("Squeeze", m.node("Unsqueeze", m.node("Tanh", x), axes=[1]), axes=[1])])


def later_sums(m: Model) -> str:
    """In opsets 13 to 17 only ReduceSum has them as an input."""
    x = m.input("batch", 3, 4)
    parts = [m.node(f"Reduce{kind}", x, axes=[-1], keepdims=0) for kind in ("Mean", "Max")]
    return flat(m, [*parts, m.node("ReduceSum", x, m.constant([-1], np.int64), keepdims=0), m.node("Softmax", x)])


def parts(m: Model) -> str:
    """Split takes sizes as an attribute; without them it makes equal parts."""
    x = m.input("batch", 6)
    a, b = m.nodes_of("Split", [x], 2, axis=1, split=[2, 4])
    c, d, e = m.nodes_of("Split", [x], 3, axis=1)
    return m.node("Concat", b, m.node("Tanh", a), e, c, m.node("Mul", d, a), axis=1)


def limits(m: Model) -> str:
    """Clip, Slice and Dropout have attributes only."""
    x = m.input("batch", 6)
    parts = [m.node("Clip", x, min=-0.5, max=0.25), m.node("Clip", x, max=0.1), m.node("Clip", x, min=0.1)]
    parts += [m.node("Slice", x, axes=[1], starts=[1], ends=[4]), m.nodes_of("Dropout", [x], 1, ratio=0.3)[0]]
    return flat(m, parts)


def memory(m: Model) -> str:
    """Before opset 14 there is no layout; Gemm of opset 7 needs a bias."""
    x, h = m.input(1, "batch", 5), m.input(1, "batch", 6)
    arguments = [x, m.constant(weights(1, 18, 5)), m.constant(weights(1, 18, 6)), "", "", h]
    found = m.nodes_of("GRU", arguments, 2, hidden_size=6)
    layer = m.node("Gemm", m.input("batch", 4), m.constant(weights(4, 3)), m.constant(0.2))
    return flat(m, [found[1], layer])


@needs_gcc
@pytest.mark.parametrize(
    ("build", "opset"),
    [(norms, 11), (norms, 8), (sums, 11), (sums, 9), (later_sums, 13), (later_sums, 17), (parts, 11), (parts, 7),
     (limits, 9), (memory, 7), (memory, 13)],
)  # fmt: skip
def test_an_old_network_does_in_c_what_it_does_in_onnxruntime(build: Callable[[Model], str], opset: int) -> None:
    model = Model(opset=opset)
    model.output(build(model))
    design = design_for(model)
    sizes = [sensor.dim for sensor in design.manifest.sensors]
    values = np.random.default_rng(3).normal(size=(8, sum(sizes))).astype(np.float32)
    found = step_all(files(design), design.manifest, values, [0] * len(values))
    wanted = np.stack([onnxruntime_s(model, np.split(row, np.cumsum(sizes)[:-1])) for row in values])
    assert (found[:, 0] == 0.0).all()
    assert np.abs(found[:, 1:] - wanted).max() <= 2e-6
    assert wanted.std() > 0.05


def onnxruntime_s(model: Model, inputs: list[Floats]) -> Floats:
    """onnxruntime's result for one robot."""
    feeds = {name: x.reshape(fixed(shape)) for (name, shape), x in zip(model.inputs.items(), inputs, strict=True)}
    (result,) = session(model.build()).run(None, feeds)
    return np.asarray(result, np.float32).reshape(-1)


def refusal(model: Model) -> str:
    with pytest.raises(BundleError) as caught:
        read_graph(model.build())
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_onnx_can_not_convert_is_refused_in_one_line() -> None:
    model = Model(opset=5)
    arguments = [model.input(1, 1, 5), model.constant(weights(1, 18, 5)), model.constant(weights(1, 18, 6))]
    model.output(model.nodes_of("GRU", arguments, 2, hidden_size=6)[1])
    assert "is of opset 5, and onnx can't convert it to 18 (No Adapter" in refusal(model)


def test_an_opset_that_is_not_known_is_refused_in_one_line() -> None:
    model = Model(opset=onnx_graph.NEWEST_OPSET + 1)
    model.output(model.node("Tanh", model.input(1, 4)))
    assert f"the newest that is known is {onnx_graph.NEWEST_OPSET}; export it with opset 18" in refusal(model)


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_the_newest_opset_means_what_the_exporter_s_does(operator: str) -> None:
    """By onnx's own schemas: the same inputs, outputs, attributes and defaults, but for what numbers of 8 bits need."""
    newest = min(onnx_graph.NEWEST_OPSET, onnx.defs.onnx_opset_version())
    assert newest >= onnx_graph.OPSET

    def meaning(opset: int) -> tuple[object, ...]:
        schema = onnx.defs.get_schema(operator, opset)
        attributes = {
            name: (str(entry.type), entry.required, entry.default_value.SerializeToString())
            for name, entry in schema.attributes.items()
            if name not in ("saturate", "round_mode")
        }
        return [entry.name for entry in schema.inputs], [entry.name for entry in schema.outputs], attributes

    assert meaning(newest) == meaning(onnx_graph.OPSET)


def _of_opset_13(bundle: Path) -> None:
    model = onnx.load(bundle / POLICY_FILE)
    model.opset_import[0].version = 13
    replace_policy(bundle, model.SerializeToString())


def test_a_bundle_of_an_old_opset_becomes_c(bundle: Path, tmp_path: Path) -> None:
    _of_opset_13(bundle)
    done = generate(bundle, tmp_path / "c")
    assert done.multiply_accumulates > 0


def test_a_conversion_that_changes_the_policy_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _of_opset_13(bundle)
    faithful = version_converter.convert_version

    def unfaithful(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        result = faithful(model, opset)
        next(node for node in result.graph.node if node.op_type == "Tanh").op_type = "Sigmoid"
        return result

    monkeypatch.setattr(version_converter, "convert_version", unfaithful)
    with pytest.raises(BundleError, match="acts otherwise once onnx has converted its old opset: golden replay failed"):
        generate(bundle, tmp_path / "c")
    assert not (tmp_path / "c").exists()
