"""Each check of the supervisor by itself, at its very limit, and all that it records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from policies.errors import UserError
from policies.specs import CommandSpec, JointSpec, MotorSpec, SafetyEnvelope, SensorSpec
from real.contract.events import Event, EventLog, Fault
from real.contract.goal import Target
from real.contract.robot import FAILSAFE, LANDED, LinkStatus, RobotReading
from real.contract.state_machine import State, Trigger
from real.safety.supervisor import Approval, Inspection, Supervisor, SupervisorSettings
from tests.real.fake_robot import US, make_manifest

HERE = Target(np.zeros(3), np.zeros(3))
# Powers of two, so that sums of times are exact and a limit can be met exactly.
TICK, INPUT_AGE, COMMAND_AGE, SILENCE, GRACE = 0.0625, 0.125, 0.25, 0.5, 0.75
SETTINGS = SupervisorSettings(0.5, SILENCE, GRACE)
STAY = np.array([1.0, 0.75])
# Ranges of 4 and 0.5 N; one tick allows a change of 0.0625 N.
PUSH = CommandSpec("push", 2, "N", (-1.0, 0.5), (3.0, 1.0), 1.0, ("left", "right"), (0.0, 0.5))
ENVELOPE = SafetyEnvelope(1.0, INPUT_AGE, COMMAND_AGE, 0.5, 3.0)
MANIFEST = make_manifest(commands=(PUSH,), safety=ENVELOPE)


def link(**changes: Any) -> LinkStatus:
    values: dict[str, Any] = {"connected": True, "heartbeat_age": 0.01, "owner": US, "robot_state": "flying"}
    values |= {"rejected": 0, "other_writers": 0}
    return LinkStatus(**{**values, **changes})


def reading(time: float, **sensors: Any) -> RobotReading:
    values: dict[str, Any] = {name: np.zeros(3) for name in ("position", "linear_velocity", "angular_velocity")}
    values |= {"orientation": np.array([1.0, 0.0, 0.0, 0.0])}
    values |= {name: np.array(value) for name, value in sensors.items()}
    return RobotReading(values, time, time, round(1024 * time))


class Run:
    """A supervisor whose run began at 0 s, and what it recorded."""

    def __init__(self, begun: LinkStatus | None = None, manifest: Any = MANIFEST, **options: Any) -> None:
        self.log = EventLog()
        self.supervisor = Supervisor(manifest, US, self.log, **{"settings": SETTINGS, "period": TICK, **options})
        self.supervisor.arming_faults(0.0, reading(0.0), link())
        self.supervisor.begin(0.0, 0.0, begun or link())

    @property
    def events(self) -> list[Event]:
        return list(self.log.events)

    def inspect(self, now: float, status: LinkStatus | None = None, **sensors: Any) -> Inspection:
        return self.supervisor.inspect(now, State.POLICY, reading(now, **sensors), status or link(), HERE)

    def sent(self, now: float, command: Any = STAY) -> None:
        self.supervisor.sent(now, {"push": np.array(command)})

    def approve(self, now: float, command: Any, **options: bool) -> Approval:
        return self.supervisor.approve(now, State.POLICY, {"push": np.array(command)}, **options)

    def approved(self, now: float, command: Any, **options: bool) -> list[float]:
        """What may leave instead of `command`."""
        approval = self.approve(now, command, **options)
        assert approval.command is not None
        assert (approval.trigger, approval.cause) == (None, "")
        return approval.command["push"].tolist()  # type: ignore[no-any-return]


def event(fault: Fault, first: float, trigger: Trigger | None = None, **rest: Any) -> Event:
    values: dict[str, Any] = {"state": State.POLICY, "last": first, "count": 1} | rest
    return Event(fault.cause, first=first, value=fault.value, limit=fault.limit, detail=fault.detail, trigger=trigger,
                 **values)  # fmt: skip


@pytest.mark.parametrize("name", ["heartbeat_timeout", "silence_timeout", "ownership_grace"])
def test_a_time_out_may_be_as_long_as_its_bound(name: str) -> None:
    highest = 1.0 if name == "silence_timeout" else 2.0
    assert getattr(SupervisorSettings(**{name: highest}), name) == highest
    for value in (math.nextafter(highest, 9.0), 0.0):
        with pytest.raises(UserError) as caught:
            SupervisorSettings(**{name: value})
        assert str(caught.value) == f"{name} must lie above 0 and up to {highest} s, got {value}"


def test_the_time_outs_are_those_of_the_documentation() -> None:
    assert SupervisorSettings() == SupervisorSettings(0.5, 0.15, 0.5)
    run = Run(settings=None, period=None)
    assert run.inspect(0.15).trigger is None
    assert run.inspect(0.16).cause == "loop_stall"


@pytest.mark.parametrize(
    ("command", "limited", "fault"),
    [
        ([2.0, 0.75], [2.0, 0.75], None),
        ([5.0, 0.75], [3.0, 0.75], (5.0, 3.0, "push left")),
        ([-2.0, 0.75], [-1.0, 0.75], (-2.0, -1.0, "push left")),
        ([1.0, 0.25], [1.0, 0.5], (0.25, 0.5, "push right")),
        # The channel that is farthest out is named.
        ([3.5, 3.0], [3.0, 1.0], (3.0, 1.0, "push right")),
        # Rounding is limited and not recorded: up to 1e-5 of the range.
        ([3.0 + 3e-5, 0.75], [3.0, 0.75], None),
        ([3.0 + 5e-5, 0.75], [3.0, 0.75], (3.0 + 5e-5, 3.0, "push left")),
        ([1.0, 1.0 + 4e-6], [1.0, 1.0], None),
        ([1.0, 1.0 + 6e-6], [1.0, 1.0], (1.0 + 6e-6, 1.0, "push right")),
    ],
)
def test_a_command_is_clamped_to_its_limits(command: Any, limited: Any, fault: Any) -> None:
    run = Run()
    run.inspect(TICK)
    assert run.approved(TICK, command) == limited
    assert run.events == ([] if fault is None else [event(Fault("command_clamped", *fault), TICK)])


@pytest.mark.parametrize(
    ("command", "limited", "fault"),
    [
        ([1.0625, 0.6875], [1.0625, 0.6875], None),
        ([2.0, 0.75], [1.0625, 0.75], (1.0, "push left")),
        ([-1.0, 0.75], [0.9375, 0.75], (2.0, "push left")),
        ([1.0, 0.5], [1.0, 0.6875], (0.25, "push right")),
        ([1.125, 0.5], [1.0625, 0.6875], (0.25, "push right")),
        ([1.0625 + 3e-5, 0.75], [1.0625, 0.75], None),
        ([1.0625 + 5e-5, 0.75], [1.0625, 0.75], (0.0625 + 5e-5, "push left")),
        ([1.0, 0.6875 - 4e-6], [1.0, 0.6875], None),
        ([1.0, 0.6875 - 6e-6], [1.0, 0.6875], (0.0625 + 6e-6, "push right")),
    ],
)
def test_a_command_changes_by_no_more_than_its_rate(command: Any, limited: Any, fault: Any) -> None:
    for options in ({}, {"quiet": False}, {"quiet": True}):
        run = Run()
        run.sent(0.0)
        run.inspect(TICK)
        assert run.approved(TICK, command, **options) == limited
        if fault is None or options.get("quiet"):
            assert run.events == []
        else:
            wanted, label = fault
            (found,) = run.events
            assert found.value == pytest.approx(wanted, abs=1e-12)
            assert found == event(Fault("command_rate_clamped", found.value, TICK, label), TICK)


def test_the_first_command_may_be_any_and_so_may_that_of_a_new_run() -> None:
    run = Run()
    assert run.approved(0.0, [3.0, 1.0]) == [3.0, 1.0]
    run.sent(0.0, [3.0, 1.0])
    assert run.approved(0.0, [-1.0, 1.0]) == [3.0, 1.0]
    run.supervisor.begin(0.0, 0.0, link())
    assert run.approved(0.0, [-1.0, 1.0]) == [-1.0, 1.0]


@pytest.mark.parametrize("before", [[9.0, 9.0], [-9.0, -9.0]])
def test_whatever_left_before_a_command_is_within_its_limits(before: Any) -> None:
    run = Run()
    run.sent(0.0, before)
    for command in ([1.0, 0.75], before):
        assert run.approved(TICK, command) == ([3.0, 1.0] if before[0] > 0.0 else [-1.0, 0.5])


def test_what_is_approved_can_not_be_changed_afterwards() -> None:
    command = Run().approve(0.0, STAY).command
    with pytest.raises(TypeError):
        command["push"] = np.zeros(2)  # type: ignore[index]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ({}, Fault("command_malformed", detail="push is missing")),
        ({"push": np.zeros(3)}, Fault("command_malformed", 3, 2, "push")),
        ({"push": np.zeros((2, 1))}, Fault("command_malformed", 2, 2, "push")),
        ({"push": ["1", "2"]}, Fault("command_malformed", None, 2, "push")),
        ({"push": np.array([1.0, np.nan])}, Fault("command_not_finite", detail="push")),
        ({"push": np.array([np.inf, 0.75])}, Fault("command_not_finite", detail="push")),
    ],
)
def test_a_command_that_is_none_ends_the_run_in_the_same_tick(command: Any, fault: Fault) -> None:
    run = Run()
    approval = run.supervisor.approve(0.0, State.LAND, command)
    assert approval == Approval(None, Trigger.DAMP, fault.cause)
    assert run.events == [event(fault, 0.0, Trigger.DAMP, state=State.LAND)]


def test_no_command_leaves_that_was_computed_from_an_old_reading() -> None:
    run = Run()
    assert run.approve(COMMAND_AGE, STAY).command is not None
    late = COMMAND_AGE + 2**-10
    assert run.approve(late, STAY) == Approval(None, None, "")
    assert run.events == [event(Fault("command_age", late, COMMAND_AGE), late)]


def test_a_reading_is_usable_until_it_is_too_old() -> None:
    run = Run()
    old, late = reading(0.0), INPUT_AGE + 2**-10
    at_limit = run.supervisor.inspect(INPUT_AGE, State.POLICY, old, link(), HERE)
    assert at_limit.usable is run.supervisor.gate.newest is not None
    assert run.events == []
    assert run.supervisor.inspect(late, State.POLICY, old, link(), HERE) == Inspection(None, None, "")
    assert run.events == [event(Fault("state_age", late, INPUT_AGE), late)]


def test_before_a_run_readings_must_be_young_too() -> None:
    supervisor = Supervisor(MANIFEST, US, EventLog(), SETTINGS)
    assert supervisor.arming_faults(0.0, None, link()) == [Fault("state_age", None, INPUT_AGE)]
    with pytest.raises(RuntimeError, match=r"^a run begins with a good reading$"):
        supervisor.begin(0.0, 0.0, link())
    missing = RobotReading({}, 0.0, 0.0, 0)
    assert [f.cause for f in supervisor.arming_faults(0.0, missing, link())] == ["sensor_missing", "state_age"]
    assert supervisor.arming_faults(1.0 + INPUT_AGE, reading(1.0), link()) == []
    late = INPUT_AGE + 2**-10
    assert supervisor.arming_faults(1.0 + late, None, link()) == [Fault("state_age", late, INPUT_AGE)]


def test_what_a_mission_gives_is_not_demanded_of_the_robot() -> None:
    sensors = (*MANIFEST.sensors, SensorSpec("target_position", 3, "m", "world", -9.0, 9.0))
    manifest = make_manifest(sensors=sensors, commands=(PUSH,), safety=ENVELOPE)
    for goals, faults in (((), {"sensor_missing", "state_age"}), (("target_position",), set())):
        supervisor = Supervisor(manifest, US, EventLog(), SETTINGS, goals=goals)
        assert {fault.cause for fault in supervisor.arming_faults(0.0, reading(0.0), link())} == faults


def test_a_silence_that_lasts_ends_the_run_by_its_own_cause() -> None:
    run = Run()
    run.inspect(SILENCE)
    assert run.events == []
    late = SILENCE + 2**-10
    assert run.inspect(late).cause == "loop_stall"
    assert run.events == [event(Fault("loop_stall", late, SILENCE), late, Trigger.DAMP)]
    # A refusal names the cause of the silence after it, until a command leaves again.
    run = Run()
    run.supervisor.refused(0.25, State.POLICY, "no link")
    assert run.events == [event(Fault("link_refused", detail="no link"), 0.25)]
    assert run.inspect(late).cause == "link_refused"
    run.sent(late)
    assert run.inspect(late + SILENCE).trigger is None
    assert run.inspect(late + late).cause == "loop_stall"


def test_a_run_that_never_began_ends_in_its_first_tick() -> None:
    log = EventLog()
    supervisor = Supervisor(MANIFEST, US, log, SETTINGS)
    status = link(other_writers=1, rejected=1, faults={"imu: late": 1})
    inspection = supervisor.inspect(0.0, State.POLICY, reading(0.0), status, HERE)
    assert (inspection.trigger, inspection.cause) == (Trigger.DAMP, "loop_stall")
    # Nothing is known of the link before, so all that it reports is new.
    assert {e.cause: e.value for e in log.events if e.cause != "loop_stall"} == {
        "second_writer": 1,
        "command_rejected": 1,
        "reading_dropped": None,
    }
    assert supervisor.approve(0.0, State.POLICY, {"push": STAY}).command is not None


def test_a_slow_policy_may_be_silent_for_two_and_a_half_of_its_ticks() -> None:
    run = Run(period=0.25)
    assert run.inspect(0.625).trigger is None
    assert run.inspect(0.626).cause == "loop_stall"
    assert [e.limit for e in run.events] == [0.625]


def test_outside_a_run_a_bad_reading_is_recorded_and_nothing_fires() -> None:
    run, bad = Run(), reading(1.0, position=[0.0, np.nan, 0.0])
    found = run.supervisor.inspect(1.0, State.READY, bad, link(connected=False, other_writers=3), HERE)
    assert found == Inspection(None, None, "")
    assert run.events == [event(Fault("sensor_not_finite", detail="position"), 1.0, state=State.READY)]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"connected": False}, Fault("link_lost")),
        ({"heartbeat_age": 0.5}, None),
        ({"heartbeat_age": 0.625}, Fault("heartbeat_lost", 0.625, 0.5)),
        ({"heartbeat_age": math.inf}, Fault("heartbeat_lost", None, 0.5)),
        ({"robot_state": LANDED}, Fault("robot_failsafe", detail="it reports landed")),
        (
            {"robot_state": FAILSAFE, "cause": "low battery"},
            Fault("robot_failsafe", detail="it reports failsafe, for low battery"),
        ),
        ({"owner": "them"}, Fault("not_owner", detail="it obeys them")),
        ({"boot": "b"}, Fault("robot_restarted", detail="it was a and is b")),
    ],
)
def test_a_fault_of_the_link_releases_the_robot(changes: Any, fault: Fault | None) -> None:
    run = Run(link(boot="a"))
    inspection = run.inspect(TICK, link(**{"boot": "a", **changes}))
    assert inspection.usable is not None
    if fault is None:
        assert (inspection.trigger, inspection.cause, run.events) == (None, "", [])
    else:
        assert (inspection.trigger, inspection.cause) == (Trigger.DAMP, fault.cause)
        assert run.events == [event(fault, TICK, Trigger.DAMP)]


def test_a_robot_that_did_not_say_which_process_it_is_and_then_does_has_restarted() -> None:
    run = Run()
    assert run.inspect(TICK, link(boot="b")).cause == "robot_restarted"
    assert run.events[0].detail == "it was unknown and is b"


def test_from_the_first_command_on_the_robot_has_a_moment_to_obey() -> None:
    run, nobody = Run(), link(owner="")
    run.sent(0.25)
    for now in (0.5, 0.75, 1.0):
        assert run.inspect(now, nobody).trigger is None
        run.sent(now)
    assert run.inspect(1.0 + 2**-10, nobody).cause == "not_owner"
    assert run.events[0].detail == "it obeys nobody"
    # A new run gives a new moment.
    run.supervisor.begin(2.0, 0.0, nobody)
    assert run.inspect(2.25, nobody).trigger is None
    run.sent(2.25)
    assert run.inspect(2.5, nobody).trigger is None


def test_foreign_commands_and_rejected_ones_are_counted_from_the_last_status() -> None:
    run = Run(link(other_writers=5, rejected=7))
    assert run.inspect(TICK, link(other_writers=5, rejected=7)).trigger is None
    assert run.inspect(2 * TICK, link(other_writers=7, rejected=10)).trigger == Trigger.END
    assert run.events == [
        event(Fault("second_writer", 2, 0, "foreign commands"), 2 * TICK, Trigger.END),
        event(Fault("command_rejected", 3, 0), 2 * TICK),
    ]
    # The same numbers again are no news; a robot that counts from zero again is counted from there.
    for i, (count, new) in enumerate([(7, False), (0, False), (1, True), (1, False), (3, True)]):
        inspection = run.inspect((3 + i) * TICK, link(other_writers=count, rejected=10))
        assert inspection.trigger == (Trigger.END if new else None)
    assert [e.count for e in run.events] == [3, 1]


def test_dropped_readings_are_recorded_by_cause_when_their_number_grows() -> None:
    run = Run(link(faults={"odometry: null": 2}))
    details = []
    for i, faults in enumerate([{"odometry: null": 2}, {"imu: late": 1, "odometry: null": 2}, {"imu: late": 1},
                                {"imu: late": 2, "odometry: null": 1}, {"odometry: null": 1}]):  # fmt: skip
        before = {e.cause: e.count for e in run.events}.get("reading_dropped", 0)
        assert run.inspect((1 + i) * TICK, link(faults=faults)).trigger is None
        details.append({e.cause: e.count for e in run.events}.get("reading_dropped", 0) - before)
    assert details == [0, 1, 0, 2, 0]
    (found,) = run.events
    assert (found.detail, found.state, found.first, found.trigger) == ("imu: late", State.POLICY, 2 * TICK, None)


def test_of_several_faults_the_strongest_fires_under_its_first_cause() -> None:
    run = Run()
    bad = {"linear_velocity": [9.0, 0.0, 0.0], "orientation": [0.0, 1.0, 0.0, 0.0]}
    status = link(connected=False, other_writers=1, rejected=1)
    inspection = run.inspect(TICK, status, **bad)
    assert (inspection.trigger, inspection.cause) == (Trigger.DAMP, "link_lost")
    fired = {e.cause: e.trigger for e in run.events}
    assert fired == {
        "link_lost": Trigger.DAMP,
        "second_writer": None,
        "command_rejected": None,
        "tilt": Trigger.DAMP,
        "speed": Trigger.DAMP,
    }


def test_the_checks_of_the_envelope_limit_commands_by_the_newest_reading() -> None:
    motors = MotorSpec((40.0,), (1.0,), (20.0,))
    joint = JointSpec(("knee",), (-2.5,), (2.5,), motors)
    command = CommandSpec("joint_position_target", 1, "rad", -2.5, 2.5, 100.0, ("knee",), frame="joint")
    sensors = (
        SensorSpec("joint_position", 1, "rad", "joint", -5.0, 5.0, labels=("knee",)),
        SensorSpec("joint_velocity", 1, "rad/s", "joint", -50.0, 50.0, labels=("knee",)),
    )
    safety = SafetyEnvelope(None, INPUT_AGE, COMMAND_AGE)
    manifest = make_manifest(sensors=sensors, commands=(command,), joints=joint, safety=safety)
    log = EventLog()
    supervisor = Supervisor(manifest, US, log, SETTINGS, TICK)

    def at(time: float, position: float) -> RobotReading:
        return RobotReading({"joint_position": [position], "joint_velocity": [0.0]}, time, time, round(time / TICK))  # type: ignore[dict-item]

    supervisor.arming_faults(0.0, at(0.0, 1.0), link())
    supervisor.begin(0.0, 0.0, link())
    supervisor.inspect(TICK, State.STAND, at(TICK, 0.5), link(), HERE)
    approval = supervisor.approve(TICK, State.STAND, {"joint_position_target": np.array([2.0])})
    assert approval.command is not None
    # 20 Nm at 40 Nm/rad from where the joint is now.
    assert approval.command["joint_position_target"].tolist() == [1.0]
    assert log.events == (event(Fault("torque_clamped", 60.0, 20.0, "knee"), TICK, state=State.STAND),)
    # A run begins with the joints where they are: the first command differs by the rate limit alone.
    supervisor.begin(TICK, 0.0, link())
    slow = supervisor.approve(TICK, State.STAND, {"joint_position_target": np.array([0.75])}).command
    assert slow is not None
    assert slow["joint_position_target"].tolist() == [0.5]
