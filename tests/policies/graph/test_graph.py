"""The policy graph: state is explicit, robots do not mix, and privileged state stays out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.networks.mlp import MLP, all_finite, parameter_count
from policies.networks.normalizer import RunningNormalizer
from policies.signals import Sensors, State, Truth
from policies.specs import CommandSpec, SensorSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import ObservationTerm, Reading, RotationMatrix
from policies.terms.stateful import ActionHistory

_SENSORS = (
    SensorSpec("unused", 1, "V", "none", 0.0, 5.0),
    SensorSpec("gyro", 3, "rad/s", "body", -40.0, 40.0),
    SensorSpec("orientation", 4, "1", "world", -1.01, 1.01),
)
_COMMANDS = (CommandSpec("effort", 2, "N", -2.0, 4.0, 1e3, ("left", "right")),)


def _graph(**changes: Any) -> PolicyGraph:
    torch.manual_seed(0)
    terms: tuple[ObservationTerm, ...] = (RotationMatrix(), Reading("gyro", 3), ActionHistory(3, 2, reset=0.5))
    normalizer = RunningNormalizer(18)
    normalizer.update(torch.randn(100, 18))
    arguments: dict[str, Any] = {
        "sensors": _SENSORS,
        "commands": _COMMANDS,
        "observation": terms,
        "action": ScaledCommand("effort", 2, 3.0, 1.0),
        "network": MLP(18, (16,), 2, output_gain=2.0),
        "period": 0.02,
        "normalizer": normalizer,
    }
    return PolicyGraph(**(arguments | changes))


def _sensors(n: int, seed: int = 1) -> Sensors:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(n, 4, generator=generator)
    return Sensors({"gyro": torch.randn(n, 3, generator=generator), "orientation": q / q.norm(dim=-1, keepdim=True)})


def _rows(values: Sensors | State, index: Any) -> dict[str, Tensor]:
    return {name: value[index] for name, value in values.items()}


def test_inputs_are_the_sensors_that_terms_read_in_the_robots_order() -> None:
    assert [s.name for s in _graph().used_sensors] == ["gyro", "orientation"]


def test_permuted_robots_give_permuted_commands_and_states() -> None:
    graph, sensors, order = _graph(), _sensors(6), torch.tensor([5, 3, 1, 0, 2, 4])
    state = State({"action_history": torch.randn(6, 6)})
    commands, following = graph(sensors, state)
    permuted = graph(Sensors(_rows(sensors, order)), State(_rows(state, order)))
    torch.testing.assert_close(permuted[0]["effort"], commands["effort"][order])
    torch.testing.assert_close(permuted[1]["action_history"], following["action_history"][order])


def test_a_batch_equals_its_robots_one_by_one() -> None:
    graph, sensors = _graph(), _sensors(5)
    state = State({"action_history": torch.randn(5, 6)})
    commands, _ = graph(sensors, state)
    for i in range(5):
        row, _ = graph(Sensors(_rows(sensors, slice(i, i + 1))), State(_rows(state, slice(i, i + 1))))
        torch.testing.assert_close(row["effort"], commands["effort"][i : i + 1])


def test_state_remembers_actions_as_executed_and_the_graph_itself_nothing() -> None:
    graph, sensors = _graph(network=MLP(18, (16,), 2, output_gain=50.0)), _sensors(32)
    state = graph.initial_state(32)
    first, following = graph(sensors, state)
    again, _ = graph(sensors, state)
    assert torch.equal(first["effort"], again["effort"])
    remembered = following["action_history"][:, -2:]
    assert bool((remembered.abs() == 1.0).any()), "the test needs a saturated action"
    torch.testing.assert_close(first["effort"], 1.0 + 3.0 * remembered)
    assert bool((first["effort"] >= -2.0).all())
    assert bool((first["effort"] <= 4.0).all())


def test_reset_touches_the_masked_rows_alone() -> None:
    # A copy, because the rows are written in place.
    graph, before = _graph(), torch.randn(4, 6)
    mask = torch.tensor([True, False, False, True])
    after = graph.reset_where(State({"action_history": before.clone()}), mask)["action_history"]
    assert torch.equal(after[~mask], before[~mask])
    assert torch.equal(after[mask], graph.initial_state(2)["action_history"])
    assert torch.equal(after[mask], torch.full((2, 6), 0.5))


def test_reset_leaves_a_state_that_carries_gradients_as_it_was_and_cuts_the_reset_rows() -> None:
    graph, source = _graph(), torch.randn(3, 6, requires_grad=True)
    state = State({"action_history": 2.0 * source})
    before = state["action_history"].detach().clone()
    after = graph.reset_where(state, torch.tensor([False, True, False]))
    assert torch.equal(state["action_history"], before)
    after["action_history"].sum().backward()
    assert source.grad is not None
    assert torch.equal(source.grad, torch.tensor([[2.0], [0.0], [2.0]]).expand(3, 6))


def test_reset_rows_forget_and_the_others_go_on() -> None:
    """A robot reset at step 3 acts as a fresh one; its neighbour acts as if nothing had happened."""
    graph = _graph()
    state, fresh, untouched = graph.initial_state(2), graph.initial_state(2), graph.initial_state(2)
    for t in range(8):
        sensors = _sensors(2, seed=t)
        if t == 3:
            state = graph.reset_where(state, torch.tensor([True, False]))
            fresh = graph.initial_state(2)
        commands, state = graph(sensors, state)
        restarted, fresh = graph(sensors, fresh)
        uninterrupted, untouched = graph(sensors, untouched)
        if t >= 3:
            assert torch.equal(commands["effort"][0], restarted["effort"][0])
        assert torch.equal(commands["effort"][1], uninterrupted["effort"][1])


def test_both_signs_of_the_orientation_give_one_command() -> None:
    graph, sensors = _graph(), _sensors(8)
    mirrored = Sensors({"gyro": sensors["gyro"], "orientation": -sensors["orientation"]})
    state = graph.initial_state(8)
    assert torch.equal(graph(sensors, state)[0]["effort"], graph(mirrored, state)[0]["effort"])


def test_truth_is_refused() -> None:
    graph = _graph()
    truth = Truth(dict(_sensors(2)))
    with pytest.raises(TypeError, match="reads Sensors, got Truth: privileged state can't be deployed"):
        graph(truth, graph.initial_state(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observation": (Reading("true_mass", 1),)}, r"Reading reads true_mass, .*its sensors: gyro, orientation"),
        ({"action": ScaledCommand("torque", 2, 1.0)}, r"produces \['torque'\], the robot takes \['effort'\]"),
        ({"period": 0.0}, "period must be above 0 s"),
        ({"period": float("nan")}, "period must be above 0 s"),
        ({"observation": (ActionHistory(2, 2), ActionHistory(3, 2))}, "two states have the same name"),
    ],
)
def test_graph_refuses_what_the_robot_lacks(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _graph(**change)


def test_weights_that_are_not_finite_are_found() -> None:
    graph = _graph()
    assert all_finite(graph)
    assert parameter_count(graph) == 18 * 16 + 16 + 16 * 2 + 2
    with torch.no_grad():
        next(graph.network.parameters())[0, 0] = float("inf")
    assert not all_finite(graph)


@pytest.mark.parametrize(
    ("activation", "hidden", "message"),
    [("gelu", (4,), "'gelu' is unknown; choose one of tanh, relu, elu"), ("tanh", (0,), "at least 1 unit")],
)
def test_mlp_refuses(activation: Any, hidden: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MLP(3, hidden, 2, activation)


def test_squashed_mlp_stays_inside_and_starts_near_zero() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 5)
    assert float(MLP(5, (32,), 2, squash=True)(x).detach().abs().max()) < 0.2
    assert float(MLP(5, (32,), 2, squash=True, output_gain=100.0)(100 * x).detach().abs().max()) <= 1.0
