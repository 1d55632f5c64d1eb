from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.graph.symmetry import SignalMirror, SignedPermutation, observation_mirror, truth_mirror
from policies.signals import Sensors, State, Truth
from policies.specs import CommandSpec, SensorSpec, StateSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import ClippedError, Reading
from policies.terms.stateful import ActionHistory, RateOfChange

# Two legs of two joints: hip and knee of the left one, then of the right one. Hips turn round in the mirror.
JOINTS = SignedPermutation((2, 3, 0, 1), (-1.0, 1.0, -1.0, 1.0))
VECTOR = SignedPermutation((0, 1, 2), (1.0, -1.0, 1.0))
MIRROR = SignalMirror(
    sensors={"joint_position": JOINTS, "velocity": VECTOR, "target": VECTOR},
    action=JOINTS,
    truth={"velocity": VECTOR, "joint_position": JOINTS, "mass": None},
)
SENSORS = (
    SensorSpec("joint_position", 4, "rad", "joint", -3.0, 3.0),
    SensorSpec("velocity", 3, "m/s", "body", -100.0, 100.0),
    SensorSpec("target", 3, "m/s", "body", -100.0, 100.0),
)
ACTION = ScaledCommand("joint_position_target", 4, 0.5)
COMMAND = CommandSpec("joint_position_target", 4, "rad", -1.0, 1.0, 10.0, ("a", "b", "c", "d"))


@dataclass(frozen=True)
class Clock:
    """Runs from 0 to 1 by itself; half a turn swaps the legs."""

    mirrored: bool
    dim: int = 2
    sensors: tuple[str, ...] = ()

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec("phase", 2, (1.0, 0.0), between="first"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return state["phase"]

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        x, y = state["phase"].split(1, -1)
        return {"phase": torch.cat((0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y), -1)}

    def mirrored_reset(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: -value if self.mirrored else value for name, value in values.items()}


def test_a_mirror_of_every_kind_of_term_is_found() -> None:
    terms = (
        Reading("joint_position", 4, 0.7), ClippedError("velocity", 0.6, "target"),
        RateOfChange("velocity", 9.0, 1.0, 0.1),
        ActionHistory(3, 4), Clock(True),
    )  # fmt: skip
    found = observation_mirror(SENSORS, terms, ACTION, MIRROR)
    history = SignedPermutation.joined([JOINTS] * 3)
    clock = SignedPermutation((0, 1), (-1.0, -1.0))
    assert found == SignedPermutation.joined((JOINTS, VECTOR, VECTOR, history, clock))
    assert found.is_involution()


def test_a_clock_that_does_not_swap_legs_stays_as_it_is() -> None:
    found = observation_mirror(SENSORS, (Reading("velocity", 3), Clock(False)), ACTION, MIRROR)
    assert found == SignedPermutation.joined((VECTOR, SignedPermutation.identity(2)))


@dataclass(frozen=True)
class LeftKnee:
    """Looks at one side only."""

    dim: int = 1
    sensors: tuple[str, ...] = ("joint_position",)
    states: tuple[StateSpec, ...] = ()

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return sensors["joint_position"][:, 1:2]

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        return {}


def test_an_observation_of_one_side_is_refused() -> None:
    with pytest.raises(UserError, match=r"column 3 of the observation, LeftKnee.*no counterpart in the mirror"):
        observation_mirror(SENSORS, (Reading("velocity", 3), LeftKnee()), ACTION, MIRROR)


@pytest.mark.parametrize(
    ("source", "sign", "message"),
    [
        ((1, 2, 0), (1.0, 1.0, 1.0), "not an involution"),
        ((1, 0, 2), (1.0, -1.0, 1.0), "not an involution"),
        ((0, 0, 2), (1.0, 1.0, 1.0), "every channel once"),
        ((0, 1, 2), (1.0, 0.5, 1.0), r"a sign of \+1 or -1"),
    ],
)
def test_a_map_that_is_no_mirror_is_refused(source: tuple[int, ...], sign: tuple[float, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SignalMirror({"velocity": SignedPermutation(source, sign)}, JOINTS, {})


def test_a_critic_observation_is_mirrored_and_what_it_reads_unmirrored_is_named() -> None:
    example = Truth({"velocity": torch.zeros(9, 3), "mass": torch.zeros(9, 1), "colour": torch.zeros(9, 2)})

    def observe(truth: Truth) -> Tensor:
        return torch.cat((truth["mass"], 2.0 * truth["velocity"], truth["velocity"].square()), -1)

    found = truth_mirror(observe, example, MIRROR)
    assert found.source == tuple(range(7))
    assert found.sign == (1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0)
    with pytest.raises(UserError, match="no entry for truth 'colour'"):
        truth_mirror(lambda truth: truth["colour"], example, MIRROR)


def test_a_symmetrised_network_gives_mirrored_commands_in_the_mirror() -> None:
    terms = (Reading("joint_position", 4), Reading("velocity", 3), ActionHistory(2, 4))
    columns = observation_mirror(SENSORS, terms, ACTION, MIRROR)
    inner = torch.nn.Sequential(torch.nn.Linear(15, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))

    class Symmetrised(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = inner(x) + MIRROR.action(inner(columns(x)))
            return y

    graph = PolicyGraph(SENSORS, (COMMAND,), terms, ACTION, Symmetrised(), 0.02)
    state = reflected = graph.initial_state(8)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        sensors = Sensors({s.name: torch.randn(8, s.dim, generator=generator) for s in SENSORS})
        commands, state = graph(sensors, state)
        mirrored, reflected = graph(MIRROR.mirrored_sensors(sensors), reflected)
        name = "joint_position_target"
        torch.testing.assert_close(mirrored[name], JOINTS(commands[name]))
        assert float((commands[name] - mirrored[name]).detach().abs().max()) > 1e-3
