"""The pilot on this machine, under sanitizers: states, watchdog, faults, limits, descent."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path

import pytest

from real.robots.serial_frames import Ask, ChipFault, Heartbeat, Hello, Info, Request, Setpoint, Status
from tests.deploy.firmware import stand_in
from tests.deploy.firmware.chaos import messages, noise, shake, upset
from tests.deploy.firmware.chip import (
    BOOT,
    ESTOPPED,
    FAILSAFE,
    FLYING,
    HERE,
    IDLE,
    LANDED,
    READY,
    REFUSED,
    Chip,
    Reply,
    compile_host,
    host_chip,
)
from tests.mcu_tools import needs_gcc

pytestmark = needs_gcc
SAFE = (0.0,) * 4
NAN = math.nan


def fly(chip: Chip, setpoint: Setpoint = HERE) -> Reply:
    assert chip.step(Request(Ask.ARM)).state == READY
    reply = chip.step(setpoint)
    assert reply.state == FLYING
    return reply


def faults(chip: Chip) -> ChipFault:
    """The fault bits of a status that is not older than now."""
    messages = [message for _ in range(6) for message in chip.step(Heartbeat(0)).messages]
    return [ChipFault(message.faults) for message in messages if isinstance(message, Status)][-1]


def test_it_starts_idle_and_flies_only_when_armed_and_given_a_setpoint(chip: Chip) -> None:
    assert chip.step().state == IDLE
    assert chip.step(HERE).state == IDLE
    ready = chip.step(Request(Ask.ARM))
    assert (ready.state, ready.command) == (READY, SAFE)
    flying = chip.step(HERE)
    assert flying.state == FLYING
    assert min(flying.command) > 0.0


def test_a_setpoint_is_subtracted_from_the_position(chip: Chip) -> None:
    at = fly(chip).command[0]
    below = chip.step(Setpoint((0.0, 0.0, 0.5), (0.0, 0.0, 0.0), 0)).command[0]
    assert below < at  # The stand-in slows its rotors by 400 rad/s for every metre that it is too high.


def test_a_hello_is_answered(chip: Chip) -> None:
    messages = chip.step(Hello()).messages
    assert [m for m in messages if isinstance(m, Info)] == [Info(0x5CA1AB1E, 3, 10_000, 1)]


def test_status_and_odometry_come_at_their_rates(chip: Chip) -> None:
    messages = [m for _ in range(100) for m in chip.step().messages]
    assert sum(isinstance(m, Status) for m in messages) == 20
    assert sum(not isinstance(m, Status) for m in messages) == 100
    assert chip.status is not None
    assert chip.status.boot_id == BOOT


def test_silence_of_the_host_begins_the_descent(chip: Chip) -> None:
    fly(chip)
    states = [chip.step().state for _ in range(21)]
    assert states == [FLYING] * 20 + [FAILSAFE]
    assert chip.step(HERE).state == FAILSAFE
    assert ChipFault.WATCHDOG in faults(chip)


def test_heartbeats_alone_keep_it_flying_and_requests_do_not(chip: Chip) -> None:
    fly(chip)
    assert {chip.step(Heartbeat(i)).state for i in range(100)} == {FLYING}
    assert chip.step(*[Hello()]).state == FLYING
    assert [chip.step(Hello()).state for _ in range(25)][-1] == FAILSAFE


def test_a_refused_setpoint_does_not_feed_the_watchdog(chip: Chip) -> None:
    fly(chip)
    far = Setpoint((50.0, 0.0, 1.0), (0.0, 0.0, 0.0), 0)
    assert [chip.step(far).state for _ in range(25)][-1] == FAILSAFE
    assert ChipFault.SETPOINT_REFUSED in faults(chip)


@pytest.mark.parametrize(
    "body",
    [
        (NAN, 0.0, 1.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, math.inf, 0.0, 0.0, 0.0),
        (2.1, 0.0, 1.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, -1.1, 0.0, 0.0, 0.0),
        (0.0, 0.0, 1.0, 3.0, 3.0, 0.0),
        (0.0, 0.0, 1.0, 0.0, 0.0, -NAN),
    ],
)
def test_a_setpoint_that_is_wrong_far_or_fast_is_refused(chip: Chip, body: tuple[float, ...]) -> None:
    class Raw:
        TYPE = Setpoint.TYPE

        def pack(self) -> bytes:
            return struct.pack("<6fI", *body, 0)

    chip.step(Request(Ask.ARM))
    before = chip.status
    assert chip.step(Raw()).state == READY  # type: ignore[arg-type]
    assert ChipFault.SETPOINT_REFUSED in faults(chip)
    assert chip.status is not None and before is not None
    assert chip.status.rejected == before.rejected + 1


@pytest.mark.parametrize("what", ["position", "orientation", "linear_velocity", "angular_velocity"])
@pytest.mark.parametrize("wrong", [NAN, math.inf, -math.inf, 1e30])
def test_a_bad_sensor_gives_the_safe_output_at_once_and_then_stops(chip: Chip, what: str, wrong: float) -> None:
    fly(chip)
    good = getattr(chip.vehicle, what)
    chip.put(**{what: (wrong, *good[1:])})
    replies = [chip.step(HERE) for _ in range(5)]
    if replies[0].state == FLYING:  # Not caught as a distance or a speed before.
        assert {(r.command, r.policy_status) for r in replies[:3]} == {(SAFE, 1)}
        assert [r.state for r in replies] == [FLYING] * 3 + [ESTOPPED] * 2
        assert ChipFault.BAD_SENSOR in faults(chip)
    assert all(math.isfinite(v) for r in replies for v in r.command)
    assert replies[-1].state in (ESTOPPED, FAILSAFE)


def test_one_bad_reading_is_survived(chip: Chip) -> None:
    fly(chip)
    chip.put(position=(NAN, 0.0, 1.0))
    assert chip.step(HERE).command == SAFE
    chip.put(position=(0.0, 0.0, 1.0))
    reply = chip.step(HERE)
    assert (reply.state, reply.policy_status) == (FLYING, 0)
    assert min(reply.command) > 0.0


def test_a_tilt_beyond_the_limit_cuts_the_motors(chip: Chip) -> None:
    fly(chip)
    chip.put(orientation=upset(79.0))
    assert chip.step(HERE).state == FLYING  # The limit is 1.4 rad: 80.2 degrees.
    chip.put(orientation=tuple(-v for v in upset(82.0)))
    reply = chip.step(HERE)
    assert (reply.state, reply.command) == (ESTOPPED, SAFE)
    assert ChipFault.TILT in faults(chip)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"position": (0.0, 0.9, 1.0)}, ChipFault.POSITION_ERROR),
        ({"position": (2.1, 0.0, 1.0)}, ChipFault.GEOFENCE | ChipFault.POSITION_ERROR),
        ({"linear_velocity": (0.0, 0.0, -4.1)}, ChipFault.SPEED),
    ],
)
def test_leaving_the_envelope_begins_the_descent(
    chip: Chip, change: dict[str, tuple[float, ...]], fault: ChipFault
) -> None:
    fly(chip)
    chip.put(**change)
    assert chip.step(HERE).state == FAILSAFE
    assert faults(chip) == fault


def test_an_emergency_stop_cuts_the_motors_in_the_same_step_from_everywhere(chip: Chip) -> None:
    for _ in range(2):
        fly(chip)
        reply = chip.step(HERE, Request(Ask.EMERGENCY_STOP))
        assert (reply.state, reply.command) == (ESTOPPED, SAFE)
        assert chip.step(HERE).state == ESTOPPED
    fly(chip)
    assert chip.step(Request(Ask.STOP)).state == FAILSAFE
    assert chip.step(Request(Ask.EMERGENCY_STOP)).state == ESTOPPED


def test_a_stop_is_accepted_even_out_of_order_and_an_arming_is_not(chip: Chip) -> None:
    fly(chip)
    chip.sequence -= 10
    assert chip.step(HERE).state == FLYING  # Counted as rejected.
    chip.sequence -= 10
    assert chip.step(Request(Ask.EMERGENCY_STOP)).state == ESTOPPED
    chip.sequence -= 10
    assert chip.step(Request(Ask.ARM)).state == ESTOPPED
    assert chip.status is not None
    chip.step(Hello())  # Restarts the count.
    assert chip.step(Request(Ask.ARM)).state == READY
    faults(chip)
    assert chip.status.rejected == 2


def test_arming_again_needs_an_upright_vehicle_at_rest_with_good_sensors(chip: Chip) -> None:
    fly(chip)
    chip.step(Request(Ask.EMERGENCY_STOP))
    for change in (
        {"linear_velocity": (0.0, 0.0, -0.2)},
        {"angular_velocity": (1.0, 0.0, 0.0)},
        {"orientation": upset(85.0)},
        {"position": (NAN, 0.0, 1.0)},
        {"orientation": (0.0, 0.0, 0.0, 0.0)},
    ):
        good = chip.vehicle
        chip.put(**change)
        assert chip.step(Request(Ask.ARM)).state == ESTOPPED
        chip.vehicle = good
    assert chip.step(Request(Ask.ARM)).state == READY
    assert faults(chip) == ChipFault(0)


def test_the_descent_sinks_at_its_speed_and_ends_on_the_ground(chip: Chip) -> None:
    fly(chip)
    chip.put(linear_velocity=(0.0, 0.0, -0.3))
    assert chip.step(Request(Ask.STOP)).state == FAILSAFE
    # The vehicle keeps its height, so that the stand-in sees the setpoint sink, and follows it after a while.
    speeds = [chip.step().command[0] for _ in range(100)]
    assert speeds[50] - speeds[60] == pytest.approx(400.0 * 0.3 * 0.1 * 1.05, rel=0.05)  # 5 % by the stand-in's memory.
    chip.put(linear_velocity=(0.0, 0.0, 0.0))
    states = [chip.step().state for _ in range(60)]
    assert states.index(LANDED) in range(49, 52)
    landed = chip.step(HERE)
    assert (landed.state, landed.command) == (LANDED, SAFE)


def test_the_descent_ends_in_any_case(chip: Chip) -> None:
    fly(chip)
    chip.put(linear_velocity=(0.0, 0.0, -0.3))
    chip.step(Request(Ask.STOP))
    states = [chip.step().state for _ in range(1210)]
    assert states.index(LANDED) in range(1199, 1202)


def test_a_stop_before_the_flight_needs_a_new_arming(chip: Chip) -> None:
    chip.step(Request(Ask.ARM))
    assert chip.step(Request(Ask.STOP)).state == LANDED
    assert chip.step(HERE).state == LANDED
    assert chip.step(Request(Ask.ARM)).state == READY


def test_damaged_frames_are_counted_and_ignored(chip: Chip) -> None:
    fly(chip)
    frame = bytearray(chip.frame(Request(Ask.EMERGENCY_STOP)))
    frame[3] ^= 0x10
    assert chip.step(link=bytes(frame)).state == FLYING
    faults(chip)
    assert chip.status is not None
    assert chip.status.bad_frames == 1


def test_a_frame_may_come_in_pieces(chip: Chip) -> None:
    frame = chip.frame(Request(Ask.ARM))
    states = [chip.step(link=bytes([byte])).state for byte in frame]
    assert states == [IDLE] * (len(frame) - 1) + [READY]


def test_the_clock_may_wrap_and_jump(chip: Chip) -> None:
    chip.time_us = 2**32 - 15_000
    fly(chip)
    assert {chip.step(Heartbeat(0)).state for _ in range(20)} == {FLYING}
    chip.time_us = 5  # Back: that long silence is a silence.
    assert chip.step(HERE).state == FAILSAFE


def test_a_corrupted_weight_is_refused_for_ever(tmp_path: Path) -> None:
    folder = stand_in.write_generated(tmp_path / "bad", stand_in.manifest(), ("-150.0f", "-151.0f"))
    with host_chip(compile_host(folder, tmp_path / "build", flags=("-O1",))) as chip:
        assert chip.step().state == REFUSED
        for message in (Request(Ask.ARM), HERE, Request(Ask.STOP), Request(Ask.EMERGENCY_STOP), Request(Ask.ARM)):
            reply = chip.step(message)
            assert (reply.state, reply.command) == (REFUSED, SAFE)
        assert faults(chip) == ChipFault.SELF_TEST


def test_a_policy_that_takes_no_setpoint_gets_safe_outputs_instead_of_a_descent(tmp_path: Path) -> None:
    absolute = (stand_in.sensor("position", 3, "m", "world", 100.0), *stand_in.SENSORS[1:])
    folder = stand_in.write_generated(tmp_path / "blind", stand_in.manifest(sensors=absolute))
    with host_chip(compile_host(folder, tmp_path / "build", flags=("-O1",))) as chip:
        fly(chip)
        stopped = chip.step(Request(Ask.STOP))
        assert (stopped.state, stopped.command) == (FAILSAFE, SAFE)
        assert [chip.step().state for _ in range(60)][-1] == LANDED


LIMIT = 1e4
"""rad/s per s: 100 rad/s in a step."""


def test_commands_are_finite_limited_and_rate_limited_for_any_input(tmp_path: Path) -> None:
    """Random sensors, frames, noise and gaps; a command may jump to the safe value alone."""
    folder = stand_in.write_generated(tmp_path / "slow", stand_in.manifest(rate_limit=LIMIT))
    with host_chip(compile_host(folder, tmp_path / "build")) as chip:
        chaos = random.Random(5)
        before: tuple[float, ...] = SAFE
        seen, clamped = set(), 0
        for _ in range(8_000):
            chip.time_us = (chip.time_us + chaos.choice((0, 0, 0, 3_000, 250_000))) % 2**32
            reply = chip.step(*messages(chaos), link=noise(chaos))
            seen.add(reply.state)
            for now, then in zip(reply.command, before, strict=True):
                assert stand_in.LOWEST <= now <= stand_in.HIGHEST
                assert now == 0.0 or abs(now - then) <= LIMIT * 0.01 * (1.0 + 1e-6)
                clamped += abs(now - then) > 0.999 * LIMIT * 0.01
            if reply.state not in (FLYING, FAILSAFE):
                assert reply.command == SAFE
            before = reply.command
            shake(chip, chaos)
        assert seen == {IDLE, READY, FLYING, FAILSAFE, LANDED, ESTOPPED}
        assert clamped > 50
