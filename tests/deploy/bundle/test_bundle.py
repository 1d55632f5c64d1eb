"""The reader refuses every bundle that does not hold, in one line that says how to fix it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from deploy.bundle.reader import FILES, GOLDEN_FILE, MANIFEST_FILE, POLICY_FILE, load_bundle
from deploy.errors import BundleError
from deploy.export.exporter import ExportReport
from tests.deploy.damage import edit_golden, edit_manifest, replace_golden, replace_policy


def _refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_a_good_bundle_loads_and_steps(report: ExportReport) -> None:
    loaded = load_bundle(str(report.path))
    assert loaded.path == report.path
    assert loaded.manifest.identity.task == "crazyflie-hover"
    command = loaded.policy.step({"position": np.zeros(3), "orientation": np.array([1.0, 0.0, 0.0, 0.0])})
    assert command["rotor_speed"].shape == (4,)
    assert command["rotor_speed"].dtype == np.float32


@pytest.fixture(scope="module")
def scratch(report: ExportReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(report.path, tmp_path_factory.mktemp("scratch") / "bundle"))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), place=st.floats(0.0, 1.0, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_of_any_file_is_refused(scratch: Path, name: str, place: float, flip: int) -> None:
    good = (scratch / name).read_bytes()
    damaged = bytearray(good)
    damaged[int(place * len(good))] ^= flip
    try:
        (scratch / name).write_bytes(damaged)
        _refusal(scratch)
    finally:
        (scratch / name).write_bytes(good)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), place=st.floats(0.0, 1.0, exclude_max=True))
def test_a_truncated_file_is_refused(scratch: Path, name: str, place: float) -> None:
    good = (scratch / name).read_bytes()
    try:
        (scratch / name).write_bytes(good[: int(place * len(good))])
        _refusal(scratch)
    finally:
        (scratch / name).write_bytes(good)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"lacks {name}; copy the bundle again" in _refusal(bundle)


def test_a_path_that_is_no_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    assert "is a file; expected the folder that `robo-rl export` wrote" in _refusal(bundle / POLICY_FILE)
    assert "does not exist; expected the folder" in _refusal(tmp_path / "nowhere")


def test_files_of_two_bundles_do_not_mix(bundle: Path) -> None:
    edit_manifest(bundle, lambda document: document["identity"].update(golden_sha256="0" * 64))
    assert "golden.npz is damaged or of another bundle" in _refusal(bundle)


def _rename_sensor(document: dict[str, Any]) -> None:
    document["sensors"][0]["name"] = "place"


def _swap_sensors(document: dict[str, Any]) -> None:
    document["sensors"].reverse()


def _widen_state(document: dict[str, Any]) -> None:
    document["states"][0].update(dim=13, reset=[0.0] * 13)


def _drop_state(document: dict[str, Any]) -> None:
    document["states"] = []


def _rename_command(document: dict[str, Any]) -> None:
    document["commands"][0]["name"] = "motor"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_rename_sensor, "policy.onnx has inputs"),
        (_swap_sensors, "policy.onnx has inputs"),
        (_drop_state, "policy.onnx has inputs"),
        (_rename_command, "policy.onnx has outputs"),
        (_widen_state, r"policy.onnx has input 'state.action_history' tensor\(float\)"),
    ],
)
def test_a_manifest_of_another_network_is_refused(
    bundle: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)


def test_a_network_with_a_fixed_batch_is_refused(bundle: Path) -> None:
    model = onnx.load(bundle / POLICY_FILE)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    replace_policy(bundle, model.SerializeToString())
    assert "[1, 3], its manifest says tensor(float) ['batch', 3]" in _refusal(bundle)


def test_what_is_no_network_is_refused(bundle: Path) -> None:
    replace_policy(bundle, b"no network")
    assert "policy.onnx can't be loaded by onnxruntime" in _refusal(bundle)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_fail_the_golden_replay(bundle: Path, value: float) -> None:
    model = onnx.load(bundle / POLICY_FILE)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 2)
    array = numpy_helper.to_array(weight).copy()
    array[:] = value
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    replace_policy(bundle, model.SerializeToString())
    assert "golden replay failed: rotor_speed is off by" in _refusal(bundle)


def test_a_slightly_different_network_fails_the_golden_replay(bundle: Path) -> None:
    model = onnx.load(bundle / POLICY_FILE)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 2)
    array = numpy_helper.to_array(weight).copy()
    array[0, 0] += 1e-2
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    replace_policy(bundle, model.SerializeToString())
    assert "of its range, allowed is 1e-05; try another onnxruntime version" in _refusal(bundle)


def _wrong_state_reset(document: dict[str, Any]) -> None:
    document["states"][0]["reset"] = [0.0] * 12


def test_a_wrong_reset_value_is_refused(bundle: Path) -> None:
    edit_manifest(bundle, _wrong_state_reset)
    assert "state.action_history does not start from the manifest's reset value" in _refusal(bundle)


def _poison(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name][7, 0] = value

    return change


def _no_resets(arrays: dict[str, Any]) -> None:
    arrays["reset"][1:] = False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_poison("sensor.position", np.nan), "sensor.position holds values that are not finite"),
        (_poison("command.rotor_speed", np.inf), "command.rotor_speed holds values that are not finite"),
        (_poison("command.rotor_speed", 1.0), "golden replay failed"),
        (_poison("sensor.position", 0.123), "golden replay failed"),
        (_poison("state.action_history", 0.123), "golden replay failed"),
        (_poison("state.action_history", np.nan), "state.action_history holds values that are not finite"),
        (lambda arrays: arrays.pop("sensor.position"), "arrays sensor.position are missing or unknown"),
        (lambda arrays: arrays.update(extra=np.zeros(3)), "arrays extra are missing or unknown"),
        (lambda arrays: arrays.update(reset=np.zeros(60)), "reset is float64"),
        (lambda arrays: arrays.update(reset=np.ones(1, bool)), "expected bool .T., T > 1"),
        (_no_resets, "must start with a reset and hold another one"),
        (
            lambda arrays: arrays.update({"sensor.position": arrays["sensor.position"][:, :2]}),
            r"sensor.position is float32 \(60, 2\), expected float32 \(60, 3\)",
        ),
        (
            lambda arrays: arrays.update({"sensor.position": arrays["sensor.position"].astype(np.float64)}),
            "sensor.position is float64",
        ),
    ],
)
def test_a_golden_episode_that_does_not_fit_is_refused(
    bundle: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_golden(bundle, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)


class _Explosive:
    """Unpickling it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_in_the_golden_file_is_refused_unopened(bundle: Path, tmp_path: Path) -> None:
    trace = tmp_path / "unpickled"
    edit_golden(bundle, lambda arrays: arrays.update(reset=np.array([_Explosive(trace)], dtype=object)))
    assert "golden.npz can't be read" in _refusal(bundle)
    assert not trace.exists()


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x01\x00junk", b"junk"])
def test_what_is_no_npz_is_refused(bundle: Path, data: bytes) -> None:
    replace_golden(bundle, data)
    assert "golden.npz" in _refusal(bundle)


def test_a_bare_array_for_the_golden_file_is_refused(bundle: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    replace_golden(bundle, stream.getvalue())
    assert "golden.npz can't be read" in _refusal(bundle)


def test_a_manifest_that_is_no_text_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST_FILE).write_bytes(b"\xff\xfe{}")
    assert "manifest.json is no UTF-8 text" in _refusal(bundle)


def test_other_files_beside_the_three_do_not_matter(bundle: Path) -> None:
    (bundle / "README.md").write_text("notes")
    assert (bundle / GOLDEN_FILE).exists()
    load_bundle(bundle)
