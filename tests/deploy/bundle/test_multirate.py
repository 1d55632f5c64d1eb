"""Several calls a control period on a robot: numpy computes the bits of torch, and different rates are kept apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deploy.bundle.rates import substeps_at
from deploy.bundle.reader import load_bundle
from deploy.bundle.runtime import PolicyRuntime, PolicySession
from deploy.errors import BundleError, PolicyInputError
from deploy.export.exporter import ExportReport
from policies.graph.multirate import MultiRate
from policies.networks.memory import GruNetwork
from policies.signals import Commands, Sensors, State
from policies.terms.actions import rotor_speed
from policies.terms.observations import ClippedError
from policies.terms.stateful import ActionHistory, ErrorIntegral, RateOfChange
from tests.deploy.samples import episode, export, hover_graph

Arrays = dict[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> PolicySession:
    """A recurrent policy with every kind of state: pooled as a mean and as a first one."""
    torch.manual_seed(1)
    terms = (
        ClippedError("position", 0.6),
        ActionHistory(3, 4),
        ErrorIntegral("position", "target_position", 1.0, 1.0, 0.01),
        RateOfChange("target_position", 9.0, 0.1, 0.01),
    )
    network = GruNetwork(21, 6, (8,), 4, squash=True, output_gain=1.0)
    out: Path = tmp_path_factory.mktemp("bundles") / "remembering"
    export(hover_graph(observation=terms, network=network, action=rotor_speed(2272.6), normalizer=None), out)
    return load_bundle(out).policy.session


def _steps(count: int, seed: int = 5) -> list[Arrays]:
    flight = episode(steps=count, robots=1, seed=seed)
    return [{name: values[t, 0].astype(np.float64) for name, values in flight.sensors.items()} for t in range(count)]


def _in_torch(session: PolicySession, substeps: int) -> MultiRate:
    """The torch rule around the very same onnxruntime session."""

    def step(sensors: Sensors, state: State) -> tuple[Commands, State]:
        commands, following = session.evaluate(
            {name: value.numpy() for name, value in sensors.items()},
            {name: value.numpy() for name, value in state.items()},
        )
        as_tensors = [{name: torch.from_numpy(v) for name, v in part.items()} for part in (commands, following)]
        return Commands(as_tensors[0]), State(as_tensors[1])

    return MultiRate(step, session.manifest.states, substeps)


@pytest.mark.parametrize("substeps", [1, 2, 3, 5, 7])
def test_numpy_and_torch_keep_the_same_bits_resets_in_mid_period_included(
    remembering: PolicySession, substeps: int
) -> None:
    ours, theirs = PolicyRuntime(remembering, substeps), _in_torch(remembering, substeps)
    state = theirs.initial_state(1)
    for i, sensors in enumerate(_steps(40)):
        if i in (11, 25):
            ours.reset()
            state = theirs.reset_where(state, torch.tensor([True]))
        rows = Sensors({name: torch.from_numpy(v[None]).float() for name, v in sensors.items()})
        expected, state = theirs.step(rows, state)
        np.testing.assert_array_equal(ours.step(sensors)["rotor_speed"], expected["rotor_speed"][0].numpy())
        for name, value in ours.state.items():
            np.testing.assert_array_equal(value, state[name][0].numpy(), err_msg=name)


def test_one_call_a_period_is_the_session_itself(remembering: PolicySession) -> None:
    runtime, state = PolicyRuntime(remembering).with_substeps(1), remembering.initial_state(1)
    for sensors in _steps(10):
        rows = {name: v[None].astype(np.float32) for name, v in sensors.items()}
        commands, state = remembering.evaluate(rows, state)
        np.testing.assert_array_equal(runtime.step(sensors)["rotor_speed"], commands["rotor_speed"][0])
        for name, value in runtime.state.items():
            np.testing.assert_array_equal(value, state[name][0])


def test_a_refused_call_counts_for_nothing(remembering: PolicySession) -> None:
    plain, troubled = PolicyRuntime(remembering, 3), PolicyRuntime(remembering, 3)
    for sensors in _steps(8):
        with pytest.raises(PolicyInputError, match="not finite"):
            troubled.step(sensors | {"position": np.full(3, np.nan)})
        assert troubled.substep == plain.substep
        np.testing.assert_array_equal(plain.step(sensors)["rotor_speed"], troubled.step(sensors)["rotor_speed"])


def test_a_history_tells_of_as_long_a_time_at_a_faster_rate(report: ExportReport) -> None:
    policy = load_bundle(report.path).policy.with_substeps(5)
    for sensors in _steps(14):
        policy.step(sensors)
    # Two whole periods lie behind: one slot of three still holds the reset value.
    history = policy.state["action_history"].reshape(3, 4)
    assert (history[0] == 0.25).all()
    assert (history[1:] != 0.25).all()


@pytest.mark.parametrize(
    ("rate", "period", "calls"), [(100.0, 0.01, 1), (500.0, 0.01, 5), (200.0, 0.02, 4), (1000.0 / 3.0, 0.003, 1)]
)
def test_a_whole_multiple_of_the_policy_s_rate_is_a_number_of_calls(rate: float, period: float, calls: int) -> None:
    assert substeps_at(rate, period) == calls


@pytest.mark.parametrize(
    ("rate", "period", "right"),
    [
        (150.0, 0.01, "150 Hz is not a whole multiple of the policy's own 100 Hz; choose 100 or 200 Hz, or another"),
        (50.0, 0.01, "choose 100 or 200 Hz, or another multiple of 100 Hz"),
        (510.0, 0.02, "choose 500 or 550 Hz, or another multiple of 50 Hz"),
        (0.0, 0.01, "a rate of 0 Hz"),
        (-100.0, 0.01, "a rate of -100 Hz"),
        (float("inf"), 0.01, "a rate of inf Hz"),
        (float("nan"), 0.01, "a rate of nan Hz"),
    ],
)
def test_any_other_rate_is_refused_with_those_that_would_do(rate: float, period: float, right: str) -> None:
    with pytest.raises(BundleError, match=right):
        substeps_at(rate, period)


def test_less_than_one_call_a_period_is_refused(remembering: PolicySession) -> None:
    with pytest.raises(BundleError, match="at least once a control period, got 0"):
        PolicyRuntime(remembering, 0)
