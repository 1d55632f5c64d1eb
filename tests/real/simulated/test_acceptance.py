"""The command gate: what it lets through is finite, within limits, fresh, in order, and of one writer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.ros.messages import ActuatorSample
from real.simulated.acceptance import CommandGate, CommandLimits

LIMITS = CommandLimits((0.0,) * 4, (2000.0,) * 4)
NOW = 1000.0


def sample(
    writer: str = "a", sequence: int = 1, age: float = 0.01, velocity: tuple[float, ...] = (1.0,) * 4, now: float = NOW
) -> ActuatorSample:
    return ActuatorSample(round((now - age) * 1e9), writer, sequence, velocity)


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (sample(velocity=(1.0,) * 3), "wrong length"),
        (sample(velocity=(1.0,) * 5), "wrong length"),
        (sample(velocity=(1.0, 1.0, 1.0, math.nan)), "non-finite"),
        (sample(velocity=(1.0, 1.0, 1.0, math.inf)), "non-finite"),
        (sample(velocity=(1.0, 1.0, 1.0, -1.0)), "out of limits"),
        (sample(velocity=(1.0, 1.0, 1.0, 2001.0)), "out of limits"),
        (sample(age=0.11), "stale"),
        (sample(age=-0.01), "from the future"),
    ],
)
def test_each_check_has_its_cause(bad: ActuatorSample, cause: str) -> None:
    gate = CommandGate(LIMITS)
    assert gate.admit(bad, NOW) == cause
    assert gate.rejected == {cause: 1}
    assert (gate.accepted, gate.owner(NOW), gate.silence(NOW)) == (0, "", math.inf)


def test_the_first_writer_holds_the_lock_until_a_second_of_silence() -> None:
    gate = CommandGate(LIMITS)
    assert gate.admit(sample("a"), NOW) == ""
    assert gate.admit(sample("b", now=NOW + 0.9), NOW + 0.9) == "not the owner"
    assert gate.owner(NOW + 0.9) == "a"
    assert gate.owner(NOW + 1.1) == ""
    assert gate.admit(sample("b", now=NOW + 1.1), NOW + 1.1) == ""
    assert gate.owner(NOW + 1.1) == "b"


def test_rejected_commands_do_not_keep_the_lock() -> None:
    gate = CommandGate(LIMITS)
    gate.admit(sample("a", 1), NOW)
    gate.admit(sample("a", 2, age=0.5, now=NOW + 0.9), NOW + 0.9)
    assert gate.owner(NOW + 1.1) == ""


def test_a_sequence_never_goes_back_even_after_the_lock_was_lost() -> None:
    gate = CommandGate(LIMITS)
    gate.admit(sample("a", 5), NOW)
    for sequence in (5, 4, 0):
        assert gate.admit(sample("a", sequence), NOW) == "out of order"
    assert gate.admit(sample("a", 5, now=NOW + 2.0), NOW + 2.0) == "out of order"
    assert gate.admit(sample("a", 6, now=NOW + 2.0), NOW + 2.0) == ""


def test_single_precision_rounding_is_no_offence() -> None:
    gate = CommandGate(LIMITS)
    assert gate.admit(sample(velocity=(2000.0 * (1 + 1e-7),) * 4), NOW) == ""


commands = st.builds(
    sample,
    writer=st.sampled_from("ab"),
    sequence=st.integers(0, 6),
    age=st.floats(-0.2, 0.4),
    velocity=st.lists(st.floats(-100.0, 2100.0) | st.just(math.nan), min_size=3, max_size=5).map(tuple),
)


@given(st.lists(commands, max_size=40))
def test_what_passes_is_always_safe(arriving: list[ActuatorSample]) -> None:
    gate = CommandGate(LIMITS)
    passed = [command for command in arriving if gate.admit(command, NOW) == ""]
    assert len({command.writer for command in passed}) <= 1
    sequences = [command.sequence for command in passed]
    assert sequences == sorted(set(sequences))
    for command in passed:
        assert len(command.velocity) == 4
        assert all(-1e-2 <= v <= 2000.01 for v in command.velocity)
        assert 0.0 <= NOW - command.stamp * 1e-9 <= 0.1 + 1e-6
    assert gate.accepted + gate.rejected.total() == len(arriving)
