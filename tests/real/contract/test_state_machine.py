"""The transition table: total, latched where it must be, and with a way to a safe state from everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.contract.state_machine import (
    FLIGHT,
    LATCHED,
    WALK,
    State,
    StateMachine,
    Table,
    Transition,
    Trigger,
    strongest,
    transitions,
)

triggers = st.lists(st.sampled_from(Trigger), max_size=30)
tables = st.sampled_from([FLIGHT, WALK])
CELLS = [(table, state) for table in (FLIGHT, WALK) for state in State if state in table]


def run(sequence: list[Trigger], table: Table = FLIGHT) -> StateMachine:
    machine = StateMachine(table)
    for i, trigger in enumerate(sequence):
        machine.fire(trigger, float(i), "test")
    return machine


def test_the_tables_have_a_cell_for_every_state_and_trigger() -> None:
    assert set(FLIGHT) | set(WALK) == set(State)
    for table in (FLIGHT, WALK):
        assert all(set(row) == set(Trigger) for row in table.values())
        assert {state for row in table.values() for state in row.values()} <= set(table)


def test_a_table_is_made_of_its_steps_and_can_not_be_changed() -> None:
    table = transitions({State.IDLE: {Trigger.ARM: State.READY}, State.READY: {Trigger.END: State.IDLE}})
    stays = {state: dict.fromkeys(Trigger, state) for state in (State.IDLE, State.READY, State.DAMP, State.ESTOP)}
    stopped = {Trigger.DAMP: State.DAMP, Trigger.ESTOP: State.ESTOP}
    assert {state: dict(row) for state, row in table.items()} == {
        State.IDLE: stays[State.IDLE] | stopped | {Trigger.ARM: State.READY},
        State.READY: stays[State.READY] | stopped | {Trigger.END: State.IDLE},
        State.DAMP: stays[State.DAMP] | stopped,
        State.ESTOP: stays[State.ESTOP],
    }
    for frozen in (table, table[State.IDLE]):
        with pytest.raises(TypeError):
            frozen[State.IDLE] = State.POLICY  # type: ignore[index]


@pytest.mark.parametrize(("table", "state"), CELLS)
def test_one_trigger_leads_from_every_state_to_the_emergency_stop(table: Table, state: State) -> None:
    assert table[state][Trigger.ESTOP] == State.ESTOP


@pytest.mark.parametrize(("table", "state"), CELLS)
def test_damp_is_one_trigger_away_unless_the_actuators_are_off_already(table: Table, state: State) -> None:
    expected = State.ESTOP if state == State.ESTOP else State.DAMP
    assert table[state][Trigger.DAMP] == expected


@given(before=triggers, latch=st.sampled_from([Trigger.DAMP, Trigger.ESTOP]), after=triggers, table=tables)
def test_no_sequence_of_triggers_leads_out_of_a_latched_state(
    before: list[Trigger], latch: Trigger, after: list[Trigger], table: Table
) -> None:
    machine = run([*before, latch], table)
    assert machine.state in LATCHED
    was_off = machine.state == State.ESTOP
    for i, trigger in enumerate(after):
        machine.fire(trigger, float(i), "test")
        assert machine.state in LATCHED
        assert not was_off or machine.state == State.ESTOP
        was_off = machine.state == State.ESTOP


@given(triggers, st.sampled_from([(FLIGHT, State.READY), (WALK, State.STAND)]))
def test_the_policy_runs_only_after_arming_and_starting(sequence: list[Trigger], kind: tuple[Table, State]) -> None:
    table, before = kind
    for entry in run(sequence, table).history:
        if entry.target == State.POLICY:
            assert (entry.source, entry.trigger) == (before, Trigger.START)
        if entry.target == State.READY:
            assert (entry.source, entry.trigger) == (State.IDLE, Trigger.ARM)


@given(triggers)
def test_the_history_is_one_chain_of_real_changes(sequence: list[Trigger]) -> None:
    machine = run(sequence)
    states = [State.IDLE, *(entry.target for entry in machine.history)]
    assert [entry.source for entry in machine.history] == states[:-1]
    assert all(a != b for a, b in zip(states, states[1:], strict=False))
    assert machine.state == states[-1]


def test_a_landing_ends_at_rest() -> None:
    assert run([Trigger.ARM, Trigger.START, Trigger.END, Trigger.DONE]).state == State.IDLE


def test_a_walk_begins_and_ends_in_the_stance_and_lies_down() -> None:
    sequence = [Trigger.ARM, Trigger.START, Trigger.START, Trigger.END, Trigger.END, Trigger.END, Trigger.DONE]
    machine = run(sequence, WALK)
    assert [entry.target for entry in machine.history] == ["READY", "STAND", "POLICY", "HALT", "STAND", "LIE", "IDLE"]


def test_a_change_of_state_is_reported_and_written_down_with_its_time_and_cause() -> None:
    machine = StateMachine()
    assert machine.fire(Trigger.ARM, 1.5, "ready")
    assert not machine.fire(Trigger.ARM, 2.0, "again")
    assert machine.fire(Trigger.DAMP, 2.5, "tilt")
    assert not machine.fire(Trigger.END, 3.0, "late")
    assert machine.history == [
        Transition(1.5, State.IDLE, Trigger.ARM, State.READY, "ready"),
        Transition(2.5, State.READY, Trigger.DAMP, State.DAMP, "tilt"),
    ]


def test_of_several_triggers_the_most_drastic_counts() -> None:
    assert strongest([Trigger.END, Trigger.ESTOP, Trigger.DAMP]) == Trigger.ESTOP
    assert strongest([Trigger.DAMP, Trigger.END]) == Trigger.DAMP
    assert strongest([]) is None
