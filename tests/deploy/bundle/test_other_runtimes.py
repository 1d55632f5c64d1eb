"""The exported network in other runtimes than our onnxruntime: each golden step from its recorded state."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deploy.bundle import onnx_graph
from deploy.bundle.golden import TOLERANCE, Floats, Golden
from deploy.bundle.reader import GOLDEN_FILE, POLICY_FILE, STATIC_FILE, compare, load_bundle
from deploy.bundle.verification import verify_bundle
from tests.deploy.samples import export, hover_graph

ROOT = Path(__file__).parents[3]
# The newest opset and IR version of each release.
# Ref: https://onnxruntime.ai/docs/reference/compatibility.html
# Ref: https://github.com/onnx/onnx/blob/main/docs/Versioning.md
ONNXRUNTIME = {
    "1.13": (17, 8), "1.14": (18, 8), "1.15": (19, 9), "1.16": (19, 9), "1.17": (20, 9), "1.18": (21, 10),
}  # fmt: skip
Inputs = Mapping[str, Floats]
BOTH = pytest.mark.parametrize("name", [POLICY_FILE, STATIC_FILE])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a network for one robot beside the usual one."""
    return export(hover_graph(), tmp_path_factory.mktemp("exported") / "bundle", batch=1).path


def worst(folder: Path, run: Callable[[Sequence[Inputs]], Sequence[Inputs]]) -> float:
    """The largest difference from the golden episode, as a share of its range, of a runtime that gives the outputs by
    name, each [1, dim], for the inputs of each step."""
    manifest = load_bundle(folder).manifest
    golden = Golden.from_bytes((folder / GOLDEN_FILE).read_bytes(), manifest)
    given = {**golden.sensors, **{f"state.{name}": values for name, values in golden.states.items()}}
    results = run([{name: values[t : t + 1] for name, values in given.items()} for t in range(len(golden))])
    outputs = {name: np.concatenate([result[name] for result in results]) for name in manifest.output_names}
    return compare(manifest, golden, outputs).worst


def test_it_declares_what_every_onnxruntime_of_its_range_knows(folder: Path) -> None:
    manifest = load_bundle(folder).manifest
    assert manifest.runtime is not None
    oldest = manifest.runtime.onnxruntime.removeprefix(">=").split(",")[0]
    for name in (POLICY_FILE, STATIC_FILE):
        model = onnx.load(folder / name)
        declared = model.opset_import[0].version, model.ir_version
        assert declared == (manifest.runtime.opset, manifest.runtime.ir_version)
        for release in list(ONNXRUNTIME)[list(ONNXRUNTIME).index(oldest) :]:
            assert all(np.less_equal(declared, ONNXRUNTIME[release])), release
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ("robot", "train"):
        assert f"onnxruntime{manifest.runtime.onnxruntime}" in project["optional-dependencies"][extra]


@BOTH
def test_it_has_no_attribute_that_some_runtimes_refuse(folder: Path, name: str) -> None:
    model = onnx.load(folder / name)
    assert "Reshape" in onnx_graph.operators(model)
    assert [a.name for node in model.graph.node for a in node.attribute if a.name == "allowzero"] == []


def test_the_static_network_has_every_shape(folder: Path) -> None:
    model = onnx.load(folder / STATIC_FILE)
    known = {v.name: v.type.tensor_type.shape.dim for v in (*model.graph.value_info, *model.graph.output)}
    assert {name for node in model.graph.node for name in node.output} == set(known)
    assert all(dim.dim_value > 0 for dims in known.values() for dim in dims)
    assert all(value.type.tensor_type.shape.dim[0].dim_value == 1 for value in model.graph.input)


def static_check(folder: Path) -> tuple[bool, str]:
    """Whether `verify` finds the static network right, and what it says of it."""
    (found,) = [check for check in verify_bundle(folder).checks if check.name == "static network"]
    return found.ok, found.detail


def test_the_static_network_is_the_same_and_is_verified(folder: Path, tmp_path: Path) -> None:
    bundle = export(hover_graph(), tmp_path / "bundle", batch=3).path
    assert (bundle / POLICY_FILE).read_bytes() == (folder / POLICY_FILE).read_bytes()
    for one, batch in ((folder, 1), (bundle, 3)):
        ok, detail = static_check(one)
        assert ok
        assert f"for a batch of {batch};" in detail

    model = onnx.load(bundle / STATIC_FILE)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.CopyFrom(onnx.numpy_helper.from_array(1.1 * onnx.numpy_helper.to_array(weights), weights.name))
    onnx.save(model, bundle / STATIC_FILE)
    assert not static_check(bundle)[0]

    export(hover_graph(), bundle)
    assert not (bundle / STATIC_FILE).exists()


def openvino(path: Path, **settings: Any) -> tuple[Any, Callable[[Sequence[Inputs]], Sequence[Inputs]]]:
    ov = pytest.importorskip("openvino")
    compiled = ov.Core().compile_model(str(path), "CPU", settings)

    def run(steps: Sequence[Inputs]) -> Sequence[Inputs]:
        results = [compiled(dict(inputs)) for inputs in steps]
        return [{port.any_name: result[port].copy() for port in compiled.outputs} for result in results]

    return compiled, run


@BOTH
def test_openvino_agrees_in_float32(folder: Path, name: str) -> None:
    assert worst(folder, openvino(folder / name, INFERENCE_PRECISION_HINT="f32")[1]) <= TOLERANCE


def test_openvino_rounds_where_it_may_choose_a_shorter_type(folder: Path) -> None:
    compiled, run = openvino(folder / POLICY_FILE)
    if "float32" in str(compiled.get_property("INFERENCE_PRECISION_HINT")):
        pytest.skip("this processor computes in float32 only")
    assert TOLERANCE < worst(folder, run) < 0.05


@pytest.mark.parametrize(
    ("engine", "name"),
    [("ENGINE_NEW", POLICY_FILE), ("ENGINE_NEW", STATIC_FILE), ("ENGINE_CLASSIC", STATIC_FILE)],
)
def test_opencv_agrees(folder: Path, engine: str, name: str) -> None:
    """Its classic engine can't infer the shapes of a network with a free batch."""
    cv2 = pytest.importorskip("cv2")
    net = cv2.dnn.readNetFromONNX(str(folder / name), getattr(cv2.dnn, engine))
    names = list(load_bundle(folder).manifest.output_names)

    def run(steps: Sequence[Inputs]) -> Sequence[Inputs]:
        results = []
        for inputs in steps:
            for key, values in inputs.items():
                net.setInput(values, key)
            results.append({key: np.array(value) for key, value in zip(names, net.forward(names), strict=True)})
        return results

    assert worst(folder, run) <= TOLERANCE


@BOTH
def test_tract_agrees(folder: Path, name: str) -> None:
    tract = pytest.importorskip("tract")
    network = tract.onnx().load(str(folder / name)).into_model().into_runnable()
    manifest = load_bundle(folder).manifest

    def run(steps: Sequence[Inputs]) -> Sequence[Inputs]:
        """Inputs and outputs are in the order of the manifest: tract calls outputs by names of its own."""
        results = []
        for inputs in steps:
            found = network.run([inputs[key] for key in manifest.input_names])
            results.append(dict(zip(manifest.output_names, (value.to_numpy() for value in found), strict=True)))
        return results

    assert worst(folder, run) <= TOLERANCE


NODE = """
const ort = require('onnxruntime-node');
const given = JSON.parse(require('fs').readFileSync(0));
(async () => {
  const session = await ort.InferenceSession.create(given.model);
  const rows = [];
  for (const step of given.steps) {
    const feeds = {};
    for (const [k, v] of Object.entries(step)) {
      feeds[k] = new ort.Tensor('float32', Float32Array.from(v), [1, v.length]);
    }
    const results = await session.run(feeds);
    rows.push(Object.fromEntries(Object.entries(results).map(([k, v]) => [k, Array.from(v.data)])));
  }
  console.log(JSON.stringify(rows));
})();
"""


@BOTH
def test_onnxruntime_node_agrees(folder: Path, name: str) -> None:
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('onnxruntime-node')"], capture_output=True).returncode:
        pytest.skip("node finds no onnxruntime-node: npm install onnxruntime-node, and NODE_PATH")

    def run(steps: Sequence[Inputs]) -> Sequence[Inputs]:
        given = [{key: values[0].tolist() for key, values in inputs.items()} for inputs in steps]
        text = json.dumps({"model": str(folder / name), "steps": given})
        done = subprocess.run([node, "-e", NODE], input=text, capture_output=True, text=True, check=True, timeout=60)
        return [{key: np.array([v], np.float32) for key, v in row.items()} for row in json.loads(done.stdout)]

    assert worst(folder, run) <= TOLERANCE
