"""The real loop at rates above the policy's own, over true rotor physics in time that a fake clock keeps.

The policy is a cascaded controller that knows its rotors' speeds from the action history alone.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deploy.bundle.reader import Bundle, load_bundle
from real.contract.robot import RobotReading
from real.missions.setpoint import Step
from real.recording.report import FlightReport
from real.robots.flight_wire import FlightWire
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS
from tests.e2e.controller_policy import export_controller
from tests.real.fake_robot import CLOCK_OFFSET, DELAY, STATUS_PERIOD, FakeClock, FakeRobot, fly

TICK = 0.002
"""Time in s between two readings, and the physics' step."""


class FakeQuadrotor(FakeRobot):
    """A quadrotor in rotor physics behind the fake robot's link, on the ground of z = 0."""

    offer = FlightWire.offer

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        robot = PARAMETERS["crazyflie-2025"]
        self._physics = RotorPhysics(1, robot, TICK)
        row = torch.zeros(1, 17)
        row[0, 2], row[0, 3] = 0.6, 1.0
        row[0, 13:] = robot.hover_fraction * robot.max_speed
        self._physics.write(torch.ones(1, dtype=torch.bool), *row.split((7, 6, 4), -1))

    def _advance(self) -> None:
        while self._time + TICK <= self.clock.time:
            self._time += TICK
            if self.commands:
                self._physics.step(torch.tensor(self.command, dtype=torch.float32)[None])
                row = self._physics.state.clone()
                if float(row[0, 2]) < 0.0:
                    row[0, :13] = torch.tensor([*row[0, :2], 0.0, 1.0, *(0.0,) * 9])
                    self._physics.write(torch.ones(1, dtype=torch.bool), *row.split((7, 6, 4), -1))
            self._report()

    def _report(self) -> None:
        self._sequence += 1
        if self._time - self._beat >= STATUS_PERIOD:
            self._beat = self._time
        names = ("position", "orientation", "linear_velocity", "angular_velocity")
        sensors = {name: self._physics.sensors()[name][0].numpy().astype(np.float64) for name in names}
        self._on_the_way.append(RobotReading(sensors, self._time - CLOCK_OFFSET, self._time + DELAY, self._sequence))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "controller"
    export_controller(out)
    return load_bundle(out)


def flown(bundle: Bundle, rate: float | None) -> FlightReport:
    clock = FakeClock()
    return fly(bundle, FakeQuadrotor(clock), clock, duration=5.0, setpoint=Step(2.0, (0.15, 0.0, 0.0)), rate=rate)


def test_it_flies_as_well_in_a_loop_five_times_as_fast(bundle: Bundle) -> None:
    slow, fast = flown(bundle, None), flown(bundle, 500.0)
    for report, period in ((slow, 10.0), (fast, 2.0)):
        assert report.success, report.outcome
        assert report.schedule.period_ms == pytest.approx(period)
        assert report.after_step is not None
        assert report.after_step.last_second is not None
        assert report.after_step.last_second < 0.02
    assert fast.position_error.mean == pytest.approx(slow.position_error.mean, abs=0.002)
    assert fast.commands_sent == pytest.approx(5 * slow.commands_sent, rel=0.05)
