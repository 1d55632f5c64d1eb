"""The vehicle by itself: it holds its start, obeys, takes itself over, lands level, and stays down until armed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from real.contract.robot import ESTOPPED, FAILSAFE, LANDED
from real.ros.messages import ActuatorSample
from real.simulated.robot_log import RobotLog
from real.simulated.vehicle import FLYING, HOLDING, READY, WATCHDOG, Vehicle
from sim.robots.crazyflie import PARAMETERS

DT = 0.0025
START = (0.0, 0.0, 1.0)


class Flight:
    """A vehicle and its clock."""

    def __init__(self, name: str = "crazyflie-2025", log: RobotLog | None = None) -> None:
        self.parameters = PARAMETERS[name]
        self.hover = self.parameters.hover_fraction * self.parameters.max_speed
        self.vehicle = Vehicle(self.parameters, START, DT, log or RobotLog("", "rotor_speed"))
        self.now = 100.0
        self.sequence = 0

    def command(self, speed: float | None = None, age: float = 0.01) -> str:
        self.sequence += 1
        speeds = (self.hover if speed is None else speed,) * 4
        return self.vehicle.command(ActuatorSample(round((self.now - age) * 1e9), "a", self.sequence, speeds), self.now)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        for _ in range(round(seconds / DT)):
            self.now += DT
            self.vehicle.step(self.now)
            if until():
                return

    @property
    def tilt(self) -> float:
        _, x, y, _ = self.vehicle.state[3:7]
        return math.acos(min(1.0, 1.0 - 2.0 * (x * x + y * y)))


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_it_holds_its_start(name: str) -> None:
    flight = Flight(name)
    flight.run(3.0)
    assert flight.vehicle.mode == HOLDING
    np.testing.assert_allclose(flight.vehicle.state[0:3], START, atol=0.01)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_it_holds_against_a_push(name: str) -> None:
    flight = Flight(name)
    flight.vehicle._physics.state[0, 7:10] = flight.vehicle._physics.state.new_tensor([0.5, -0.5, 0.3])
    flight.run(5.0)
    np.testing.assert_allclose(flight.vehicle.state[0:3], START, atol=0.05)


TILTS = {"crazyflie": 47.0, "crazyflie-2025": 47.0, "crazyflie-firmware": 35.0}
"""Degrees of tilt, 2 m up, after which the vehicle still comes down gently; one with less thrust needs more height."""


@pytest.mark.parametrize("name", sorted(PARAMETERS))
@pytest.mark.parametrize("seed", range(3))
def test_left_alone_it_comes_down_level_and_stays_down(name: str, seed: int) -> None:
    flight = Flight(name)
    random = np.random.default_rng(seed)
    heading = random.uniform(-math.pi, math.pi)
    state = flight.vehicle._physics.state
    half = 0.5 * math.radians(TILTS[name])
    axis = math.sin(half) * np.array([math.cos(heading), math.sin(heading), 0.0])
    directions = random.normal(size=(2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    state[0, 2:7] = state.new_tensor([2.0, math.cos(half), *axis])
    state[0, 7:13] = state.new_tensor(directions.ravel().tolist())  # 1 m/s and 1 rad/s
    assert flight.command() == ""
    flight.run(WATCHDOG + 2 * DT)
    assert flight.vehicle.mode == FAILSAFE
    flight.run(1.0)
    assert flight.tilt < 0.2
    flight.run(6.0, until=lambda: flight.vehicle.on_ground)
    assert flight.vehicle.on_ground
    assert flight.vehicle.mode == FAILSAFE
    assert flight.command() == "not armed"
    flight.run(1.0)
    assert flight.vehicle.on_ground
    assert flight.vehicle.state[13:17].max() < 100.0


def test_commands_within_the_time_out_keep_it_flying() -> None:
    flight = Flight()
    for _ in range(20):
        assert flight.command() == ""
        flight.run(WATCHDOG - 2 * DT)
        assert flight.vehicle.mode == FLYING


def test_a_command_after_the_time_out_comes_too_late_even_before_the_next_step() -> None:
    flight = Flight()
    flight.command()
    flight.now += WATCHDOG + 0.01
    assert flight.command() == "not armed"
    assert flight.vehicle.mode == FAILSAFE


def test_stale_commands_do_not_feed_the_watchdog() -> None:
    flight = Flight()
    flight.command()
    for _ in range(30):
        flight.run(4 * DT)
        assert flight.command(age=0.3) in ("stale", "not armed")
    assert flight.vehicle.mode == FAILSAFE


def test_arming_is_granted_at_rest_on_the_ground_only() -> None:
    flight = Flight()
    flight.command()
    flight.vehicle.request("stop", flight.now)
    assert flight.vehicle.mode == FAILSAFE
    flight.vehicle.request("arm", flight.now)
    assert flight.vehicle.mode == FAILSAFE
    flight.run(8.0, until=lambda: flight.vehicle.on_ground)
    flight.run(0.1)
    flight.vehicle.request("arm", flight.now)
    assert flight.vehicle.mode == READY
    assert flight.command() == ""
    assert flight.vehicle.mode == FLYING


def test_a_stop_on_the_ground_ends_a_landing() -> None:
    flight = Flight()
    while not flight.vehicle.on_ground:
        flight.command(0.9 * flight.hover)
        flight.run(4 * DT)
        assert flight.now < 110.0
    flight.vehicle.request("stop", flight.now)
    assert flight.vehicle.mode == LANDED
    flight.run(1.0)
    assert flight.vehicle.on_ground


@pytest.mark.parametrize("before", [HOLDING, FLYING, FAILSAFE])
def test_an_emergency_stop_cuts_the_rotors_at_once_and_holds(before: str) -> None:
    flight = Flight()
    if before != HOLDING:
        flight.command()
    if before == FAILSAFE:
        flight.vehicle.request("stop", flight.now)
    assert flight.vehicle.mode == before
    flight.vehicle.request("estop", flight.now)
    flight.run(0.3)
    assert flight.vehicle.state[9] < -0.5
    assert flight.command() == "not armed"
    assert flight.vehicle.mode == ESTOPPED


def test_a_crash_turns_the_rotors_off() -> None:
    flight = Flight()
    while not flight.vehicle.on_ground:
        flight.command(0.0)
        flight.run(4 * DT)
    assert (flight.vehicle.mode, flight.vehicle.cause) == (ESTOPPED, "crashed")


def test_a_vehicle_that_flies_can_not_be_placed() -> None:
    flight = Flight()
    flight.command()
    flight.vehicle.place(flight.now)
    assert flight.vehicle.mode == FLYING
    flight.vehicle.request("estop", flight.now)
    flight.run(1.0)
    flight.vehicle.place(flight.now)
    flight.run(0.5)
    assert flight.vehicle.mode == HOLDING
    np.testing.assert_allclose(flight.vehicle.state[0:3], START, atol=0.01)


def test_an_accelerometer_at_rest_reads_gravity() -> None:
    flight = Flight()
    flight.run(2.0)
    np.testing.assert_allclose(flight.vehicle.specific_force(), (0.0, 0.0, 9.81), atol=0.2)


def test_the_log_tells_what_reached_the_rotors(tmp_path: Path) -> None:
    log = RobotLog(str(tmp_path / "rotor.jsonl"), "rotor_speed")
    flight = Flight(log=log)
    flight.run(0.05)
    flight.command(1000.0)
    flight.command(9000.0)
    flight.run(0.5)
    log.close()
    records = [json.loads(line) for line in (tmp_path / "rotor.jsonl").read_text().splitlines()]
    by_kind = {kind: [r for r in records if r["kind"] == kind] for kind in ("accepted", "rejected", "state", "applied")}
    assert len(by_kind["accepted"]) == 1
    assert [r["cause"] for r in by_kind["rejected"]] == ["out of limits"]
    assert [(r["before"], r["after"]) for r in by_kind["state"]] == [(HOLDING, FLYING), (FLYING, FAILSAFE)]
    policy = [r for r in by_kind["applied"] if r["source"] == "policy"]
    assert {tuple(r["rotor_speed"]) for r in policy} == {(1000.0,) * 4}
    assert max(r["silence"] for r in policy) <= WATCHDOG
    assert len(by_kind["applied"]) == 220
