"""The exporter: one graph, exactly named, equal to PyTorch, or no bundle at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from deploy.bundle import onnx_graph
from deploy.bundle.golden import TOLERANCE, Episode
from deploy.bundle.reader import FILES, POLICY_FILE, load_bundle
from deploy.bundle.verification import verify_bundle
from deploy.errors import BundleError
from deploy.export.exporter import ExportReport
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Sensors, State, Truth
from policies.specs import SensorSpec
from policies.terms.observations import ClippedError, ObservationTerm, Reading
from tests.deploy.samples import SAFETY, SENSORS, episode, export, hover_graph, tracking_graph


@pytest.fixture(scope="module")
def model(report: ExportReport) -> onnx.ModelProto:
    return onnx.load(report.path / POLICY_FILE)


def test_inputs_and_outputs_are_the_contracts(model: onnx.ModelProto) -> None:
    def signature(values: Any) -> list[tuple[str, int, str, int]]:
        types = [(v.name, v.type.tensor_type) for v in values]
        return [(n, t.elem_type, t.shape.dim[0].dim_param, t.shape.dim[1].dim_value) for n, t in types]

    single = onnx.TensorProto.FLOAT
    assert signature(model.graph.input) == [
        ("position", single, "batch", 3),
        ("orientation", single, "batch", 4),
        ("state.action_history", single, "batch", 12),
    ]
    assert signature(model.graph.output) == [
        ("rotor_speed", single, "batch", 4),
        ("next_state.action_history", single, "batch", 12),
    ]


def test_the_graph_is_small_folded_and_tells_nothing_of_its_maker(model: onnx.ModelProto, report: ExportReport) -> None:
    found = onnx_graph.operators(model)
    assert found == report.operators
    assert set(found) <= onnx_graph.OPERATORS
    assert found["Clip"] == 3, "position, normaliser and action are clipped once each"
    assert sum(found.values()) < 60
    assert {t.data_type for t in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert len(model.opset_import) == 1
    data = (report.path / POLICY_FILE).read_bytes()
    for word in (b".py", b"/home", b"/root", b"stack_trace", b"torch.nn"):
        assert word not in data


def test_the_report_holds_parity_in_both_units(report: ExportReport) -> None:
    assert report.visited == 1200
    assert report.golden_steps == 60
    assert {p.output: p.unit for p in report.parity} == {"rotor_speed": "rad/s", "next_state.action_history": ""}
    for parity in report.parity:
        assert parity.normalised <= TOLERANCE
    speed = report.parity[0]
    assert speed.si == pytest.approx(speed.normalised * 2272.6)
    assert report.parameters == (24 * 16 + 16) + (16 * 16 + 16) + (16 * 4 + 4)


def test_the_manifest_repeats_the_specifications(report: ExportReport) -> None:
    manifest = load_bundle(report.path).manifest
    assert manifest.sensors[0] == SensorSpec(
        "position", 3, "m", "world", (-10.0,) * 3, (10.0,) * 3, relative_to="target", labels=()
    )
    assert [s.name for s in manifest.sensors] == ["position", "orientation"]
    assert manifest.timing.period == 0.01
    assert manifest.kind == "flight"
    assert manifest.safety == SAFETY


def test_an_equal_policy_gives_an_equal_network(report: ExportReport, tmp_path: Path) -> None:
    """And leaves the caller's graph in training mode, its weights its own."""
    graph = hover_graph().train()
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    export(graph, tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (report.path / name).read_bytes()
    assert graph.training
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())


def test_a_policy_that_carries_nothing_and_tracks_a_target(tmp_path: Path) -> None:
    graph = tracking_graph()
    report = export(graph, tmp_path / "track")
    loaded = load_bundle(tmp_path / "track")
    assert loaded.manifest.input_names == ("position", "voltage", "target_position")
    assert loaded.manifest.output_names == ("thrust",)
    assert loaded.manifest.sensors[2].low == (-9.0, -9.0, 0.0)
    assert "Elu" in report.operators
    session = ort.InferenceSession(str(tmp_path / "track" / POLICY_FILE), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 77):
        torch.manual_seed(batch)
        feeds = {s.name: torch.randn(batch, s.dim) for s in graph.used_sensors}
        expected, _ = graph(Sensors(feeds), State({}))
        (thrust,) = session.run(["thrust"], {name: value.numpy() for name, value in feeds.items()})
        np.testing.assert_allclose(thrust, expected["thrust"].detach().numpy(), atol=1e-5)


class _Deceiver(nn.Module):
    """A network that behaves otherwise while it is exported, as one that branches on its mode would."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y * 0.999 if torch.compiler.is_exporting() else y


def test_a_mismatch_fails_the_export_and_leaves_the_old_bundle(bundle: Path) -> None:
    before = {name: (bundle / name).read_bytes() for name in FILES}
    graph = hover_graph(seed=1)
    graph.network = _Deceiver(graph.network)
    with pytest.raises(BundleError, match=r"differs from PyTorch: .* allowed is 1e-05.; rounding does not explain it"):
        export(graph, bundle)
    assert {name: (bundle / name).read_bytes() for name in FILES} == before
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def _amplified(gain: float) -> PolicyGraph:
    graph = hover_graph()
    with torch.no_grad():
        for parameter in graph.network.parameters():
            parameter.mul_(gain)
    return graph


def test_a_policy_that_amplifies_its_own_rounding_over_time_is_still_exact_step_by_step(tmp_path: Path) -> None:
    """Its actions come back through the history; without a robot in the loop differences grow from step to step."""
    once = np.zeros((500, 2), bool)
    once[0] = True
    report = export(_amplified(3.0), tmp_path / "bundle", episode(steps=500, robots=2, reset=once))
    assert max(p.normalised for p in report.parity) <= TOLERANCE
    found = verify_bundle(tmp_path / "bundle")
    assert found.ok
    assert found.drift > 10 * TOLERANCE, "the test needs a policy that strays"


def test_a_network_too_steep_for_float32_is_distinguished_from_a_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"PyTorch itself is off by .* from float64: train smaller weights"):
        export(_amplified(50.0), tmp_path / "bundle")


def test_an_old_bundle_is_replaced_whole(bundle: Path) -> None:
    export(tracking_graph(), bundle, name="second")
    assert load_bundle(bundle).manifest.identity.name == "second"
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


@dataclass(frozen=True)
class _Sneaky(Reading):
    """A term that reads a signal which it does not declare."""

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return sensors["true_velocity"]


@dataclass(frozen=True)
class _Mixing(Reading):
    """A term in which robots see each other."""

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        value = sensors[self.sensor]
        return value - value.mean(0, keepdim=True)


def _with(term: ObservationTerm) -> Callable[[], Any]:
    return lambda: hover_graph(
        observation=(ClippedError("position", 1.0), term), network=nn.Linear(6, 4), normalizer=None
    )


def _diverged() -> Any:
    graph = hover_graph()
    with torch.no_grad():
        next(graph.network.parameters())[0, 0] = float("nan")
    return graph


def _critic(truth: Truth) -> Tensor:
    return truth["mass"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(3, 4), "only a PolicyGraph can be exported, got Linear"),
        (
            lambda: _critic,
            "only a PolicyGraph can be exported, got function: critics, teachers and all else that reads Truth",
        ),
        (_diverged, "weights are not all finite, training diverged; export an earlier checkpoint"),
        (_with(_Sneaky("position", 3)), "does not measure: no sensors named 'true_velocity'"),
        (_with(_Mixing("position", 3)), "uses ReduceMean, which not every target of an export knows"),
    ],
)
def test_what_can_not_be_deployed_is_refused(make: Callable[[], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=message):
        export(make(), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("visited", "message"),
    [
        (episode(steps=33, robots=30), "only 990 visited states, at least 1000 prove an export"),
        (episode(steps=1, robots=1000), "has one step, the golden episode needs at least 2"),
        (episode(sensors={"position": np.zeros((60, 20, 2))}), "'position' has 2 channels, the robot's has 3"),
        (
            Episode({"position": np.zeros((60, 20, 3))}, episode().reset),
            "visited states lack sensor 'orientation', which the policy reads",
        ),
    ],
)
def test_flights_that_prove_nothing_are_refused(visited: Episode, message: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=message):
        export(hover_graph(), tmp_path / "bundle", visited)


@pytest.mark.parametrize(
    ("sensors", "reset", "message"),
    [
        ({"a": np.zeros((5, 3, 2))}, np.zeros((5, 3), bool), "every robot must start with a reset"),
        ({"a": np.zeros((5, 3, 2))}, np.ones((5, 3)), "reset must be bool"),
        ({"a": np.zeros((5, 2, 2))}, np.ones((5, 3), bool), r"'a' has shape \(5, 2, 2\), expected \(5, 3, dim\)"),
        ({"a": np.full((5, 3, 2), np.nan)}, np.ones((5, 3), bool), "'a' holds values that are not finite"),
    ],
)
def test_an_episode_is_checked_when_it_is_built(sensors: Any, reset: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Episode(sensors, reset)


def test_provenance_that_is_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"provenance.when is of type object, expected numbers, text"):
        export(hover_graph(), tmp_path / "bundle", provenance={"when": object()})
    with pytest.raises(BundleError, match=r"evaluation.rmse is nan, expected a finite number"):
        export(hover_graph(), tmp_path / "bundle", evaluation={"rmse": float("nan")})


def test_sensors_scaled_far_out_of_range_are_refused_by_name(tmp_path: Path) -> None:
    endless = [s if s.name != "position" else type(s)("position", 3, "m", "world", -np.inf, np.inf) for s in SENSORS]
    with pytest.raises(BundleError, match=r"sensors\[0\].low\[0\] is -inf, expected a finite number"):
        export(hover_graph(sensors=endless), tmp_path / "bundle")


def test_the_golden_episode_gets_a_reset_when_the_flight_had_none(tmp_path: Path) -> None:
    never = np.zeros((60, 20), bool)
    never[0] = True
    export(hover_graph(), tmp_path / "bundle", episode(reset=never))
    with np.load(tmp_path / "bundle" / "golden.npz") as golden:
        assert np.flatnonzero(golden["reset"]).tolist() == [0, 30]
