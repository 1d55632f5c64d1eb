"""Verification names the check that failed and goes on with those that still can be made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deploy.bundle import onnx_graph
from deploy.bundle.reader import GOLDEN_FILE, MANIFEST_FILE, POLICY_FILE
from deploy.bundle.verification import verify_bundle
from deploy.errors import BundleError
from deploy.export.exporter import ExportReport
from tests.deploy.damage import edit_golden, edit_manifest, replace_policy

_ALL = ["files", "manifest", "hashes", "golden episode", "network", "weights", "golden replay", "batch", "limits"]


def test_a_good_bundle_passes_every_check(report: ExportReport) -> None:
    found = verify_bundle(report.path)
    assert [check.name for check in found.checks] == _ALL
    assert found.ok
    assert 0.0 <= found.parity["rotor_speed"] <= 1e-5
    assert found.parity["next_state.action_history"] <= 1e-5
    assert found.drift <= 1e-4
    assert found.parity_si["rotor_speed"] == pytest.approx(2272.6 * found.parity["rotor_speed"])
    assert found.operators == report.operators


def _flip(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0xFF
        (folder / name).write_bytes(data)

    return damage


def _shift_command(arrays: dict[str, Any]) -> None:
    arrays["command.rotor_speed"][3, 2] += 1.0


def _narrow(document: dict[str, Any]) -> None:
    document["commands"][0]["high"] = [1000.0] * 4


def _infinite_weight(folder: Path) -> None:
    model = onnx.load(folder / POLICY_FILE)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 2)
    array = numpy_helper.to_array(weight).copy()
    array[0, 0] = np.inf
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    replace_policy(folder, model.SerializeToString())


@pytest.mark.parametrize(
    ("damage", "failed"),
    [
        (lambda folder: (folder / GOLDEN_FILE).unlink(), ["files"]),
        (_flip(MANIFEST_FILE), ["manifest"]),
        (lambda folder: (folder / POLICY_FILE).write_bytes(b"junk"), ["hashes", "network", "weights"]),
        (lambda folder: (folder / GOLDEN_FILE).write_bytes(b"junk"), ["hashes", "golden episode"]),
        (lambda folder: edit_golden(folder, _shift_command), ["golden replay", "batch"]),
        (lambda folder: edit_manifest(folder, _narrow), ["limits"]),
        (_infinite_weight, ["weights", "golden replay", "batch"]),
    ],
)
def test_each_fault_fails_its_own_check(bundle: Path, damage: Callable[[Path], object], failed: list[str]) -> None:
    damage(bundle)
    found = verify_bundle(bundle)
    assert not found.ok
    assert [check.name for check in found.checks if not check.ok] == failed
    assert all("\n" not in check.detail for check in found.checks)


def test_operators_of_other_exporters_are_named_and_are_no_fault(bundle: Path) -> None:
    """The C generator knows Softmax, for example, although no export here uses it."""
    model = onnx.load(bundle / POLICY_FILE)
    model.graph.node.extend([helper.make_node("Softmax", ["position"], ["spare"])])
    replace_policy(bundle, model.SerializeToString())
    found = verify_bundle(bundle)
    assert found.ok
    assert any(check.detail.endswith("; no export uses Softmax") for check in found.checks)


def test_a_path_that_is_no_folder_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        verify_bundle(tmp_path / "nowhere")


def _tiny(kind: int = TensorProto.FLOAT, operator: str = "Add", value: Any = 1.0) -> onnx.ModelProto:
    constant = numpy_helper.from_array(np.array([value], helper.tensor_dtype_to_np_dtype(kind)), "c")
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "c"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", kind, ["batch", 1])],
        [helper.make_tensor_value_info("y", kind, ["batch", 1])],
        [constant],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_the_graph_check_holds_types_operators_and_weights() -> None:
    onnx_graph.check(_tiny())
    with pytest.raises(BundleError, match="holds 'c' as DOUBLE, expected FLOAT"):
        onnx_graph.check(_tiny(TensorProto.DOUBLE))
    with pytest.raises(BundleError, match="uses PRelu, which not every target of an export knows; build"):
        onnx_graph.check_operators(_tiny(operator="PRelu"))
    with pytest.raises(BundleError, match="weight 'c' is not finite, training diverged"):
        onnx_graph.check(_tiny(value=np.nan))
    broken = _tiny()
    broken.graph.node[0].input[0] = "nothing"
    with pytest.raises(BundleError, match="is not a valid ONNX model"):
        onnx_graph.check(broken)


def test_cleaning_drops_equal_clips_alone() -> None:
    constants = {"lo": -1.0, "hi": 1.0, "hi_too": 1.0, "two": 2.0}
    bounds = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in constants.items()]
    nodes = [
        helper.make_node("Clip", ["x", "lo", "hi"], ["a"]),
        helper.make_node("Clip", ["a", "lo", "hi_too"], ["b"]),
        helper.make_node("Clip", ["b", "lo", "two"], ["c"]),
        helper.make_node("Neg", ["c"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 1]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "clips", values[:1], values[1:], bounds)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, doc_string="secret")
    cleaned = onnx_graph.clean(model)
    onnx_graph.check(cleaned)
    assert onnx_graph.operators(cleaned) == {"Clip": 2, "Neg": 1}
    assert [t.name for t in cleaned.graph.initializer] == ["lo", "hi", "two"]
    assert cleaned.doc_string == ""
    assert len(model.graph.node) == 4, "the original stays as it was"
