"""The runtime on a robot: the commands PyTorch gives, explicit state, and inputs refused without harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deploy.bundle.reader import load_bundle
from deploy.bundle.runtime import PolicyRuntime
from deploy.errors import PolicyInputError
from deploy.export.exporter import ExportReport
from policies.signals import Sensors
from tests.deploy.samples import episode, hover_graph

Arrays = dict[str, NDArray[np.float64]]


@pytest.fixture
def policy(report: ExportReport) -> PolicyRuntime:
    return load_bundle(report.path).policy


def _steps(count: int, seed: int = 5) -> list[Arrays]:
    flight = episode(steps=count, robots=1, seed=seed)
    names = ("position", "orientation")
    return [{name: flight.sensors[name][t, 0].astype(np.float64) for name in names} for t in range(count)]


def test_steps_follow_pytorch_with_the_state_it_carries(policy: PolicyRuntime) -> None:
    graph = hover_graph().eval()
    state = graph.initial_state(1)
    for sensors in _steps(20):
        with torch.no_grad():
            rows = {name: torch.from_numpy(value[None]).float() for name, value in sensors.items()}
            commands, state = graph(Sensors(rows), state)
        ours = policy.step(sensors)["rotor_speed"]
        assert np.abs(ours - commands["rotor_speed"][0].numpy()).max() <= 1e-5 * 2272.6
        np.testing.assert_allclose(policy.state["action_history"], state["action_history"][0].numpy(), atol=1e-5)


def test_reset_starts_the_very_same_flight_again(policy: PolicyRuntime) -> None:
    first = [policy.step(s)["rotor_speed"] for s in _steps(6)]
    policy.reset()
    np.testing.assert_array_equal(policy.state["action_history"], np.full(12, 0.25, np.float32))
    second = [policy.step(s)["rotor_speed"] for s in _steps(6)]
    np.testing.assert_array_equal(first, second)


def test_without_a_reset_the_past_matters(policy: PolicyRuntime) -> None:
    first = policy.step(_steps(1)[0])["rotor_speed"]
    assert np.abs(policy.step(_steps(1)[0])["rotor_speed"] - first).max() > 1e-3


def test_warming_leaves_no_trace(report: ExportReport, policy: PolicyRuntime) -> None:
    policy.warm(10)
    fresh = load_bundle(report.path).policy
    np.testing.assert_array_equal(policy.step(_steps(1)[0])["rotor_speed"], fresh.step(_steps(1)[0])["rotor_speed"])


def test_two_runtimes_share_a_session_and_no_state(policy: PolicyRuntime) -> None:
    other = PolicyRuntime(policy.session)
    for sensors in _steps(5):
        policy.step(sensors)
    np.testing.assert_array_equal(other.state["action_history"], np.full(12, 0.25, np.float32))


def test_what_a_caller_does_to_the_state_it_was_given_changes_nothing(policy: PolicyRuntime) -> None:
    policy.state["action_history"][:] = 7.0
    assert float(policy.state["action_history"].max()) == 0.25


def test_sensors_that_the_policy_does_not_read_are_ignored(policy: PolicyRuntime) -> None:
    sensors = _steps(1)[0]
    plain = policy.step(sensors)["rotor_speed"]
    policy.reset()
    more = policy.step(sensors | {"voltage": np.array([np.nan]), "sonar": np.zeros(9)})["rotor_speed"]
    np.testing.assert_array_equal(plain, more)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("orientation"), "sensor 'orientation' is missing; given are: position"),
        (lambda s: s.update(position=np.zeros(2)), r"'position' has shape \(2,\), expected \(3,\)"),
        (lambda s: s.update(position=np.zeros((1, 3))), r"'position' has shape \(1, 3\), expected \(3,\)"),
        (lambda s: s.update(position=np.array([0.0, np.nan, 0.0])), "'position' is not finite"),
        (lambda s: s.update(position=np.array([0.0, -np.inf, 0.0])), "'position' is not finite"),
        (lambda s: s.update(position=np.array([0.0, 1e300, 0.0])), "'position' is not finite"),
        (lambda s: s.update(position=np.array(["a", "b", "c"])), "'position' is not an array of numbers"),
        (lambda s: s.update(position=None), "'position'"),
        (lambda s: s.update(position=[0.0, None, 0.0]), "'position'"),
    ],
)
def test_a_bad_sensor_is_refused_and_the_state_stays(
    policy: PolicyRuntime, damage: Callable[[Arrays], object], message: str
) -> None:
    good = _steps(3)
    policy.step(good[0])
    before, bad = policy.state, dict(good[1])
    damage(bad)
    with pytest.raises(PolicyInputError, match=message):
        policy.step(bad)
    np.testing.assert_array_equal(policy.state["action_history"], before["action_history"])
    assert np.isfinite(policy.step(good[2])["rotor_speed"]).all()
