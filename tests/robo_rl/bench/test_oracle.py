"""The open-loop oracle saves what can be saved and nothing that can't."""

from __future__ import annotations

import pytest
import torch

from policies.signals import Truth
from robo_rl.bench import oracle
from sim.physics.rotor.physics import parameter_row
from sim.robots.crazyflie import PARAMETERS
from sim.tasks.crazyflie import PERIOD


def test_a_level_start_is_savable_and_one_beyond_physics_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # A few plans and updates distinguish these starts.
    monkeypatch.setattr(oracle, "PLANS", 4)
    monkeypatch.setattr(oracle, "UPDATES", 10)
    robot = PARAMETERS["crazyflie"]
    zero = torch.zeros(3, 3)
    truth = Truth(
        {
            "position_error": torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -0.55], [0.2, 0.0, 0.0]]),
            "orientation": torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 3),
            # At 3 m/s downwards and 5 cm above the bound no thrust of 2.25 weights stops in time;
            # at 1.5 m/s sideways the first plan, the tuned controller's, flies too far, another one does not.
            "linear_velocity_error": torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.0, -3.0], [1.5, 0.0, 0.0]]),
            "angular_velocity": zero,
            "rotor_speed": torch.full((3, 4), 0.5 * robot.max_speed),
            "force": zero,
            "torque": zero,
            "dynamics": parameter_row(robot).repeat(3, 1),
        }
    )
    assert oracle.savable(truth, PERIOD).tolist() == [True, False, True]
