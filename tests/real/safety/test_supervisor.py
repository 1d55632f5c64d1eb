"""The supervisor alone: nothing unsafe leaves it, for any behaviour of policy, robot and link."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.contract.events import EventLog, Listener
from real.contract.goal import Target
from real.contract.robot import ESTOPPED, FAILSAFE, LANDED, LinkStatus, RobotReading
from real.contract.state_machine import ACTIVE, State, Trigger
from real.safety.supervisor import Inspection, Supervisor, SupervisorSettings
from tests.real.fake_robot import HIGH, US, make_manifest

MANIFEST = make_manifest()
RATE = MANIFEST.commands[0].rate_limit
PERIOD = MANIFEST.timing.period
HERE = Target(np.zeros(3), np.zeros(3))


def reading(sequence: int, t: float, **sensors: Any) -> RobotReading:
    values: dict[str, Any] = {
        "position": np.zeros(3),
        "orientation": np.array([1.0, 0.0, 0.0, 0.0]),
        "linear_velocity": np.zeros(3),
        "angular_velocity": np.zeros(3),
    }
    values.update({name: np.array(value) for name, value in sensors.items()})
    return RobotReading(values, t, t, sequence)


def link(**changes: Any) -> LinkStatus:
    values: dict[str, Any] = {"connected": True, "heartbeat_age": 0.01, "owner": US, "robot_state": "flying"}
    values |= {"rejected": 0, "other_writers": 0}
    return LinkStatus(**{**values, **changes})


class Flight:
    """A supervisor in flight, its clock, and its log."""

    def __init__(self, listener: Listener | None = None, period: float | None = None) -> None:
        self.log = EventLog(listener)
        self.supervisor = Supervisor(MANIFEST, US, self.log, period=period)
        self.now = 0.0
        self.sequence = 0
        self.supervisor.arming_faults(0.0, reading(0, 0.0), link())
        self.supervisor.begin(0.0, 0.0, link())

    def tick(self, state: State = State.POLICY, status: LinkStatus | None = None, **sensors: Any) -> Inspection:
        self.now += PERIOD
        self.sequence += 1
        return self.supervisor.inspect(
            self.now, state, reading(self.sequence, self.now, **sensors), status or link(), HERE
        )

    def send(self, values: Any, state: State = State.POLICY) -> Any:
        approval = self.supervisor.approve(self.now, state, {"rotor_speed": values})
        if approval.command is not None:
            self.supervisor.sent(self.now, approval.command)
        return approval

    @property
    def causes(self) -> dict[str, int]:
        return {event.cause: event.count for event in self.log.events}


anything = st.one_of(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=4, max_size=4).map(np.array),
    st.lists(st.floats(-3000.0, 5000.0), min_size=4, max_size=4).map(np.array),
    st.sampled_from([None, "full speed", np.zeros(3), np.zeros((2, 2)), [1.0, None, 2.0, 3.0], 5.0]),
)


@given(st.lists(st.tuples(anything, st.sampled_from([State.POLICY, State.LAND])), max_size=30))
def test_every_command_that_leaves_is_finite_within_limits_and_changes_slowly(outputs: list[tuple[Any, State]]) -> None:
    flight = Flight()
    previous: np.ndarray[Any, Any] | None = None
    for output, state in outputs:
        flight.tick(state)
        approval = flight.send(output, state)
        if approval.command is None:
            assert approval.trigger == Trigger.DAMP
            break
        command = approval.command["rotor_speed"]
        assert command.shape == (4,)
        assert np.isfinite(command).all()
        assert ((command >= 0.0) & (command <= HIGH)).all()
        if previous is not None:
            assert (np.abs(command - previous) <= RATE * PERIOD * (1.0 + 1e-9)).all()
        previous = command


@pytest.mark.parametrize(("period", "change"), [(None, RATE * 2.0 * PERIOD), (0.002, RATE * 0.004)])
def test_a_gap_allows_the_change_of_two_ticks_whatever_they_last(period: float | None, change: float) -> None:
    flight = Flight(period=period)
    flight.tick()
    before = flight.send(np.full(4, 1000.0)).command["rotor_speed"]
    for _ in range(5):
        flight.tick()
    command = flight.send(np.full(4, 2000.0)).command["rotor_speed"]
    assert command - before == pytest.approx(np.full(4, min(change, 1000.0)))


@given(anything, st.sampled_from([s for s in State if s not in ACTIVE]))
def test_nothing_leaves_outside_a_flight(output: Any, state: State) -> None:
    flight = Flight()
    flight.tick()
    approval = flight.supervisor.approve(flight.now, state, {"rotor_speed": output})
    assert (approval.command, approval.trigger, approval.cause) == (None, None, "")
    assert flight.log.events == ()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", range(4))
def test_one_bad_channel_stops_the_whole_command(bad: float, channel: int) -> None:
    flight = Flight()
    flight.tick()
    command = np.full(4, 1000.0)
    command[channel] = bad
    approval = flight.send(command)
    assert (approval.command, approval.trigger) == (None, Trigger.DAMP)
    assert flight.causes == {"command_not_finite": 1}


def test_rounding_to_single_precision_is_no_clamp() -> None:
    flight = Flight()
    flight.tick()
    command = flight.send(np.full(4, np.nextafter(np.float32(HIGH), np.float32(1e9)))).command["rotor_speed"]
    assert (command <= HIGH).all()
    assert flight.causes == {}


def tilted(angle: float) -> list[float]:
    return [math.cos(0.5 * angle), math.sin(0.5 * angle), 0.0, 0.0]


@pytest.mark.parametrize(
    ("inside", "outside", "cause"),
    [
        ({"orientation": tilted(0.98)}, {"orientation": tilted(1.02)}, "tilt"),
        ({"orientation": tilted(-0.98)}, {"orientation": tilted(3.1)}, "tilt"),
        ({"position": [0.0, -0.49, 0.0]}, {"position": [0.0, -0.51, 0.0]}, "position_error"),
        ({"linear_velocity": [1.7, 1.7, 1.7]}, {"linear_velocity": [1.8, 1.8, 1.8]}, "speed"),
    ],
)
@pytest.mark.parametrize("state", [State.POLICY, State.LAND])
def test_leaving_the_envelope_damps(inside: Any, outside: Any, cause: str, state: State) -> None:
    flight = Flight()
    assert flight.tick(state, **inside).trigger is None
    inspection = flight.tick(state, **outside)
    assert (inspection.trigger, inspection.cause) == (Trigger.DAMP, cause)
    assert flight.causes == {cause: 1}


def test_heading_is_no_tilt() -> None:
    assert Flight().tick(orientation=[math.cos(1.5), 0.0, 0.0, math.sin(1.5)]).trigger is None


def test_the_fence_stands_relative_to_the_start_and_opens_to_the_ground_for_a_landing() -> None:
    flight = Flight()
    log, supervisor = flight.log, flight.supervisor
    start = reading(1, 1.0, position=[10.0, 0.0, 1.0])
    supervisor.arming_faults(1.0, start, link())
    supervisor.begin(1.0, 0.0, link())

    def at(x: float, z: float, state: State) -> Trigger | None:
        flight.sequence += 2
        t = 1.0 + 1e-3 * flight.sequence
        place = np.array([x, 0.0, z])
        target = Target(place, np.zeros(3))
        return supervisor.inspect(t, state, reading(flight.sequence, t, position=place), link(), target).trigger

    assert at(11.9, 1.0, State.POLICY) is None
    assert at(10.0, 0.3, State.POLICY) is None
    assert at(10.0, 0.1, State.LAND) is None
    assert at(10.0, 0.1, State.POLICY) == Trigger.DAMP
    assert at(12.1, 1.0, State.LAND) == Trigger.DAMP
    assert {event.cause for event in log.events} == {"geofence"}


@pytest.mark.parametrize(
    ("changes", "trigger", "cause"),
    [
        ({"connected": False}, Trigger.DAMP, "link_lost"),
        ({"heartbeat_age": 0.6}, Trigger.DAMP, "heartbeat_lost"),
        ({"heartbeat_age": math.inf}, Trigger.DAMP, "heartbeat_lost"),
        ({"heartbeat_age": math.nan}, Trigger.DAMP, "heartbeat_lost"),
        ({"robot_state": FAILSAFE}, Trigger.DAMP, "robot_failsafe"),
        ({"robot_state": LANDED}, Trigger.DAMP, "robot_failsafe"),
        ({"robot_state": ESTOPPED}, Trigger.DAMP, "robot_failsafe"),
        ({"owner": "them"}, Trigger.DAMP, "not_owner"),
        ({"other_writers": 1}, Trigger.END, "second_writer"),
        ({"other_writers": 1, "owner": "them"}, Trigger.DAMP, "not_owner"),
        ({"rejected": 1}, None, ""),
        ({"faults": {"odometry: null": 1}}, None, ""),
    ],
)
def test_what_the_link_reports(changes: dict[str, Any], trigger: Trigger | None, cause: str) -> None:
    flight = Flight()
    assert flight.tick().trigger is None
    inspection = flight.tick(status=link(**changes))
    assert (inspection.trigger, inspection.cause) == (trigger, cause)
    assert flight.causes


def test_a_foreign_command_counts_once_and_only_since_the_flight_began() -> None:
    log = EventLog()
    supervisor = Supervisor(MANIFEST, US, log)
    before = link(other_writers=7, rejected=3)
    supervisor.arming_faults(0.0, reading(0, 0.0), before)
    supervisor.begin(0.0, 0.0, before)
    for i in range(1, 4):
        supervisor.inspect(0.01 * i, State.POLICY, reading(i, 0.01 * i), before, HERE)
    assert log.events == ()


def test_the_robot_has_a_moment_to_take_us_as_its_owner_and_no_longer() -> None:
    flight = Flight()
    nobody = link(owner="")
    triggers = []
    for _ in range(60):
        triggers.append(flight.tick(status=nobody).trigger)
        flight.send(np.full(4, 1000.0))
    assert triggers[:50] == [None] * 50
    assert triggers[-1] == Trigger.DAMP
    assert set(flight.causes) == {"not_owner"}


def test_old_input_stops_the_commands_at_once_and_the_flight_soon_after() -> None:
    flight = Flight()
    flight.tick()
    flight.send(np.full(4, 1000.0))
    last = flight.now
    old = reading(flight.sequence, flight.now)
    for _ in range(40):
        flight.now += PERIOD
        inspection = flight.supervisor.inspect(flight.now, State.POLICY, old, link(), HERE)
        if flight.now - last > MANIFEST.safety.max_input_age + 1e-9:
            assert inspection.usable is None
        if inspection.trigger is not None:
            break
        if inspection.usable is not None:
            flight.send(np.full(4, 1000.0))
    assert (inspection.trigger, inspection.cause) == (Trigger.DAMP, "state_age")
    assert flight.now - last <= MANIFEST.safety.max_input_age + 0.15 + 2 * PERIOD


def test_a_stall_of_the_host_ends_the_flight_before_anything_is_sent() -> None:
    flight = Flight()
    flight.tick()
    flight.send(np.full(4, 1000.0))
    flight.now += 3.0
    inspection = flight.tick()
    assert (inspection.trigger, inspection.cause) == (Trigger.DAMP, "loop_stall")


def test_refusals_of_the_driver_end_the_flight_when_they_last() -> None:
    flight = Flight()
    triggers = []
    for _ in range(20):
        triggers.append(flight.tick().trigger)
        flight.supervisor.refused(flight.now, State.POLICY, "the socket is closed")
    assert triggers[:14] == [None] * 14
    assert triggers[-1] == Trigger.DAMP
    (event,) = flight.log.events
    assert (event.cause, event.state, event.detail) == ("link_refused", State.POLICY, "the socket is closed")


def test_before_a_flight_every_check_keeps_it_from_arming_and_none_is_logged() -> None:
    log = EventLog()
    supervisor = Supervisor(MANIFEST, US, log)
    bad = reading(0, 0.0, orientation=tilted(1.5), linear_velocity=[4.0, 0.0, 0.0])
    causes = {f.cause for f in supervisor.arming_faults(1.0, bad, link(connected=False, owner="them"))}
    assert causes == {"state_age", "tilt", "speed", "link_lost", "not_owner"}
    assert log.events == ()


@pytest.mark.parametrize("name", ["heartbeat_timeout", "silence_timeout", "ownership_grace"])
@pytest.mark.parametrize("value", [0.0, -1.0, 10.0, math.inf, math.nan])
def test_no_time_out_can_be_set_out_of_effect(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        SupervisorSettings(**{name: value})


def test_repeated_findings_are_counted_and_reported_once_a_second() -> None:
    reported: list[float] = []
    flight = Flight(lambda time, fault, event: reported.append(time))
    for _ in range(250):
        flight.tick()
        flight.send(np.full(4, 2500.0))
    assert flight.causes == {"command_clamped": 250}
    assert len(reported) == 3
