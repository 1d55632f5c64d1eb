"""Several calls per control period in torch: how states are pooled, for worlds at different points of their periods."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.multirate import SUBSTEP, MultiRate
from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import GruNetwork
from policies.signals import Sensors, State
from policies.specs import CommandSpec, SensorSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import Reading
from policies.terms.stateful import ActionHistory, ErrorIntegral, RateOfChange

SENSORS = (
    SensorSpec("position", 2, "m", "world", -10.0, 10.0),
    SensorSpec("target_position", 2, "m", "world", -10.0, 10.0),
)
COMMANDS = (CommandSpec("push", 2, "N", -1.0, 1.0, 100.0, ("x", "y")),)
WORLDS, PERIOD = 4, 0.02


class Echo(nn.Module):
    """Acts as the first two columns of the observation: what it remembers is then known in advance."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :2]


def echoing() -> PolicyGraph:
    terms = (
        Reading("position", 2),
        ActionHistory(3, 2),
        ErrorIntegral("position", "target_position", 1.0, 1.0, PERIOD, dim=2),
        RateOfChange("position", 50.0, 1.0, PERIOD, dim=2),
    )
    return PolicyGraph(SENSORS, COMMANDS, terms, ScaledCommand("push", 2, 1.0), Echo(), PERIOD)


def recurrent() -> PolicyGraph:
    torch.manual_seed(3)
    terms = (Reading("position", 2), Reading("target_position", 2), ActionHistory(2, 2))
    network = GruNetwork(8, 5, (6,), 2, output_gain=1.0)
    return PolicyGraph(SENSORS, COMMANDS, terms, ScaledCommand("push", 2, 1.0), network, PERIOD)


def readings(count: int, seed: int = 0) -> list[Sensors]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Sensors({s.name: 2.0 * torch.rand(WORLDS, 2, generator=generator) - 1.0 for s in SENSORS})
        for _ in range(count)
    ]  # fmt: skip


@torch.no_grad()
def test_one_call_a_period_is_the_graph_itself() -> None:
    graph = recurrent()
    slow, state, plain = MultiRate(graph, graph.states, 1), graph.initial_state(WORLDS), graph.initial_state(WORLDS)
    for sensors in readings(7):
        (ours, state), (theirs, plain) = slow.step(sensors, state), graph(sensors, plain)
        assert torch.equal(ours["push"], theirs["push"])
        assert set(state) == set(plain)
        assert all(torch.equal(state[name], plain[name]) for name in plain)


@torch.no_grad()
@pytest.mark.parametrize("substeps", [2, 3, 5])
def test_sensors_that_stand_still_for_a_period_give_what_one_call_gives(substeps: int) -> None:
    graph = recurrent()
    fast = MultiRate(graph, graph.states, substeps)
    state, plain = fast.initial_state(WORLDS), graph.initial_state(WORLDS)
    for sensors in readings(12):
        expected, plain = graph(sensors, plain)
        for _ in range(substeps):
            commands, state = fast.step(sensors, state)
            torch.testing.assert_close(commands["push"], expected["push"], atol=1e-6, rtol=0.0)
        for name, value in plain.items():
            torch.testing.assert_close(state[name], value, atol=1e-6, rtol=0.0)


@torch.no_grad()
@pytest.mark.parametrize("substeps", [2, 4, 5])
def test_each_slot_is_the_mean_of_its_period_and_shifts_once_in_it(substeps: int) -> None:
    graph = echoing()
    fast, seen = MultiRate(graph, graph.states, substeps), readings(3 * substeps)
    state = fast.initial_state(WORLDS)
    for call, sensors in enumerate(seen):
        before = state
        commands, state = fast.step(sensors, state)
        torch.testing.assert_close(commands["push"], sensors["position"])
        held = all(torch.equal(state[s.name], before[s.name]) for s in graph.states)
        assert held == ((call + 1) % substeps != 0)
    periods = [seen[i : i + substeps] for i in range(0, len(seen), substeps)]
    actions = [torch.stack([s["position"] for s in period]).mean(0) for period in periods]
    torch.testing.assert_close(state["action_history"], torch.cat(actions, -1))
    errors = torch.stack([s["position"] - s["target_position"] for s in seen])
    torch.testing.assert_close(state["error_integral"], PERIOD / substeps * errors.sum(0))
    torch.testing.assert_close(state["last_position"][:, :2], actions[-1])
    assert torch.equal(state["last_position"][:, 2], torch.ones(WORLDS))


@torch.no_grad()
def test_the_rate_of_a_ramp_is_its_slope_on_average_over_a_period() -> None:
    term = RateOfChange("position", 50.0, 1.0, PERIOD, dim=2)
    graph = PolicyGraph(SENSORS, COMMANDS, (term,), ScaledCommand("push", 2, 1.0), Echo(), PERIOD)
    fast, slope, found = MultiRate(graph, graph.states, 5), 0.7, []
    state = fast.initial_state(WORLDS)
    for call in range(15):
        sensors = Sensors({s.name: torch.full((WORLDS, 2), slope * call * PERIOD / 5) for s in SENSORS})
        if call >= 5:
            found.append(term(sensors, state))
        _, state = fast.step(sensors, state)
    torch.testing.assert_close(torch.stack(found).mean(0), torch.full((WORLDS, 2), slope), atol=1e-4, rtol=0.0)


@torch.no_grad()
def test_a_memory_runs_as_if_only_the_first_call_of_a_period_were_made() -> None:
    graph, substeps = recurrent(), 3
    fast, seen = MultiRate(graph, graph.states, substeps), readings(4 * substeps)
    state = fast.initial_state(WORLDS)
    for i, sensors in enumerate(seen):
        if i % substeps == 0:
            _, following = graph(sensors, State({s.name: state[s.name] for s in graph.states}))
        _, state = fast.step(sensors, state)
        if i % substeps == substeps - 1:
            assert torch.equal(state["hidden"], following["hidden"])


@torch.no_grad()
def test_a_world_reset_in_mid_period_starts_a_period_and_leaves_the_others_alone() -> None:
    graph = recurrent()
    fast, seen = MultiRate(graph, graph.states, 3), readings(20)
    state, untouched = fast.initial_state(WORLDS), fast.initial_state(WORLDS)
    fresh = fast.initial_state(WORLDS)
    mask = torch.tensor([False, True, False, False])
    for i, sensors in enumerate(seen):
        if i == 7:
            state = fast.reset_where(state, mask)
            assert state[SUBSTEP][:, 0].tolist() == [1, 0, 1, 1]
        (commands, state), (others, untouched) = fast.step(sensors, state), fast.step(sensors, untouched)
        assert torch.equal(commands["push"][~mask], others["push"][~mask])
        if i >= 7:
            restarted, fresh = fast.step(sensors, fresh)
            assert torch.equal(commands["push"][mask], restarted["push"][mask])
    assert not torch.equal(commands["push"][mask], others["push"][mask])


@torch.no_grad()
def test_a_call_that_is_refused_leaves_the_state_as_it_was() -> None:
    graph = recurrent()
    fast, seen = MultiRate(graph, graph.states, 3), readings(5)
    state = fast.initial_state(WORLDS)
    for sensors in seen:
        kept = {name: value.clone() for name, value in state.items()}
        with pytest.raises(KeyError):
            fast.step(Sensors({"position": sensors["position"]}), state)
        assert all(torch.equal(value, kept[name]) for name, value in state.items())
        _, state = fast.step(sensors, state)


def test_less_than_one_call_a_period_is_refused() -> None:
    graph = echoing()
    with pytest.raises(UserError, match="substeps must be at least 1, the calls in a control period, got 0"):
        MultiRate(graph, graph.states, 0)
