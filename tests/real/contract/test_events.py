"""What is found in a session: one line each, one event a cause, and no flood of reports."""

from __future__ import annotations

import pytest

from real.contract.events import Event, EventLog, Fault
from real.contract.reactions import REACTIONS
from real.contract.state_machine import State, Trigger


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("link_lost"), "link_lost"),
        (Fault("tilt", 1.23456, 1.0), "tilt: 1.235 (limit 1)"),
        (Fault("tilt", 0.0, 0.0), "tilt: 0 (limit 0)"),
        (Fault("geofence", -1.25, -1.0, "x"), "geofence: -1.25 (limit -1), x"),
        (Fault("heartbeat_lost", None, 0.5), "heartbeat_lost (limit 0.5)"),
        (Fault("link_refused", detail="the socket is closed"), "link_refused, the socket is closed"),
    ],
)
def test_a_fault_is_one_line(fault: Fault, words: str) -> None:
    assert str(fault) == words


def test_a_fault_fires_what_its_cause_does() -> None:
    for cause, reaction in REACTIONS.items():
        assert Fault(cause).trigger == reaction.trigger


@pytest.mark.parametrize(
    ("count", "trigger", "words"),
    [
        (1, Trigger.DAMP, "tilt: 1.47 (limit 1.4), roll in POLICY, 1 time, fired DAMP"),
        (2, Trigger.DAMP, "tilt: 1.47 (limit 1.4), roll in POLICY, 2 times, fired DAMP"),
        (3, None, "tilt: 1.47 (limit 1.4), roll in POLICY, 3 times"),
    ],
)
def test_an_event_is_one_line(count: int, trigger: Trigger | None, words: str) -> None:
    assert Event("tilt", State.POLICY, 1.0, 2.0, count, 1.47, 1.4, "roll", trigger).describe() == words


def test_an_event_keeps_its_first_finding_and_counts_the_others() -> None:
    log = EventLog()
    log.record(1.0, State.POLICY, Fault("tilt", 1.5, 1.4, "first"))
    log.record(2.0, State.POLICY, Fault("speed", 9.0, 3.0))
    log.record(3.0, State.LAND, Fault("tilt", 1.6, 1.3, "second"), Trigger.DAMP)
    log.record(4.0, State.DAMP, Fault("tilt", 1.7), Trigger.ESTOP, count=5)
    assert log.events == (
        Event("tilt", State.POLICY, 1.0, 4.0, 7, 1.5, 1.4, "first", Trigger.DAMP),
        Event("speed", State.POLICY, 2.0, 2.0, 1, 9.0, 3.0, "", None),
    )


def test_an_event_may_fire_at_once() -> None:
    log = EventLog()
    log.record(1.0, State.POLICY, Fault("tilt"), Trigger.DAMP)
    assert log.events[0].trigger == Trigger.DAMP


def test_equal_findings_may_be_recorded_together_from_the_first() -> None:
    log = EventLog()
    log.record(1.0, State.POLICY, Fault("command_rejected"), count=4)
    assert log.events[0].count == 4


def test_an_unknown_cause_is_refused() -> None:
    with pytest.raises(ValueError, match="'boredom' is not a known cause; known: sensor_missing, sensor_malformed, "):
        EventLog().record(0.0, State.POLICY, Fault("boredom"))


def test_a_cause_is_reported_at_once_then_once_in_a_while_and_whenever_it_fires() -> None:
    reports: list[tuple[float, str, int]] = []
    log = EventLog(lambda time, fault, event: reports.append((time, fault.cause, event.count)), repeat_after=2.0)
    for time, cause, fired in (
        (10.0, "tilt", None), (10.5, "tilt", None), (11.0, "speed", None), (11.9, "tilt", None), (12.0, "tilt", None),
        (12.5, "tilt", Trigger.DAMP), (13.0, "speed", None), (14.0, "tilt", None), (14.5, "tilt", None),
    ):  # fmt: skip
        log.record(time, State.POLICY, Fault(cause), fired)
    assert reports == [
        (10.0, "tilt", 1), (11.0, "speed", 1), (12.0, "tilt", 4), (12.5, "tilt", 5), (13.0, "speed", 2),
        (14.5, "tilt", 7),
    ]  # fmt: skip


def test_by_default_a_cause_is_reported_once_a_second() -> None:
    times: list[float] = []
    log = EventLog(lambda time, fault, event: times.append(time))
    for tick in range(21):
        log.record(0.25 * tick, State.POLICY, Fault("tilt"))
    assert times == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
