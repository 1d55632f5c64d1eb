"""A policy without training: a cascaded controller as the network of a policy graph, exported like any other.

It reads the observation of crazyflie-hover or crazyflie-track and returns the normalised rotor commands of
crazyflie-2025, with a model of the rotors' lag run over the action history to make up for it. The one that hovers
gives no number beyond 0.25 m of error along x: a fault that no test of an export can see, and that a flight with a
larger step meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deploy.bundle.golden import Episode
from deploy.export.exporter import export_bundle
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Commands, Sensors
from policies.terms.actions import ScaledCommand
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import GRAVITY
from sim.tasks import find_task

PERIOD = 0.01
LAG = 0.1  # s, between rise and fall of crazyflie-2025's rotors
MAX_VISITED_ERROR = 0.15
"""Position error in m that the recorded states stay within: what lies beyond it, an export has never seen."""


class CascadedController(nn.Module):
    """[N, 146] -> [N, 4]: position -> velocity -> acceleration -> attitude -> rates -> thrusts -> rotor commands.

    A tracking policy's observation has 6 values more, of which the last 3, a tenth of the target's acceleration, are
    fed forward.
    """

    mixer: Tensor
    lag: Tensor
    inertia: Tensor

    def __init__(self) -> None:
        super().__init__()
        p = self.p = PARAMETERS["crazyflie-2025"]
        rows = torch.tensor(
            [[1.0] * 4, list(p.rotor_y), [-x for x in p.rotor_x], [p.torque_per_thrust * s for s in p.yaw_sign]]
        )
        self.register_buffer("mixer", torch.linalg.inv(rows))
        self.register_buffer("inertia", torch.tensor(p.inertia))
        weight = torch.exp(-PERIOD / LAG * torch.arange(31.0, -1.0, -1.0))
        self.register_buffer("lag", torch.kron((weight / weight.sum())[:, None], torch.eye(4)))

    def forward(self, observation: Tensor) -> Tensor:
        error, rotation = observation[:, 0:3], observation[:, 3:12]
        velocity, rates = observation[:, 12:15], observation[:, 15:18]
        rotors = self._rotors(0.5 * (observation[:, 18:146] + 1.0))
        wanted = (-1.2 * error).clamp(-0.6, 0.6)
        acceleration = (2.2 * (wanted - velocity)).clamp(-2.5, 2.5)
        if observation.shape[1] > 146:
            acceleration = acceleration + 10.0 * observation[:, 149:152].clamp(-0.6, 0.6)
        force = acceleration + torch.tensor([0.0, 0.0, GRAVITY])
        axis_x, axis_y, axis_z = (
            torch.cat([rotation[:, 3 * k + j : 3 * k + j + 1] for k in range(3)], -1) for j in range(3)
        )
        thrust = self.p.mass * _dot(force, axis_z).clamp(min=0.3 * GRAVITY)
        direction = force / torch.sqrt(_dot(force, force))
        roll, pitch = -_dot(direction, axis_y), _dot(direction, axis_x)
        rate_error = 5.0 * torch.cat((roll, pitch, 0.0 * roll), -1) - rates
        torque = self.inertia * torch.tensor([14.0, 14.0, 3.0]) * rate_error
        thrusts = torch.cat((thrust, torque), -1) @ self.mixer.T
        share = self._share(thrusts)
        rise, fall = (max(15.0 * t, 1.0) for t in (self.p.rise_time, self.p.fall_time))
        return 2.0 * (rotors + _slopes(share - rotors, rise, fall)).clamp(0.0, 1.0) - 1.0

    def _rotors(self, history: Tensor) -> Tensor:
        """Rotor speeds [N, 4] as a share of the maximum, from the commanded shares [N, 128], oldest first.

        One linear filter with a middling time constant: the true one differs up and down, which needs a loop that
        makes the export slow.
        """
        return history @ self.lag

    def _share(self, thrusts: Tensor) -> Tensor:
        c0, c1, c2 = self.p.thrust
        within = thrusts.clamp(c0, c0 + c1 + c2)
        return (-c1 + torch.sqrt(c1 * c1 - 4.0 * c2 * (c0 - within))) / (2.0 * c2)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, [N, 3] and [N, 3] to [N, 1], without a reduction: small targets have none."""
    return (a * b) @ torch.ones(3, 1)


def _slopes(x: Tensor, above: float, below: float) -> Tensor:
    """x times `above` where x is positive and times `below` where it is negative."""
    return above * x.clamp(min=0.0) + below * x.clamp(max=0.0)


class FailingRotorSpeed(ScaledCommand):
    """Fault injection: rotor speeds that are not a number where the export never looked, beyond 0.25 m along x."""

    def __call__(self, action: Tensor, sensors: Sensors) -> Commands:
        speeds = super().__call__(action, sensors)[self.command]
        x = sensors["position"][:, 0:1]
        return Commands({self.command: speeds + 1e-6 * torch.sqrt(0.25**2 - x * x)})


def visited_states(sensors: Sequence[str]) -> Episode:
    """Random states near hover and, for those who follow one, near a target: 60 steps of 20 robots."""
    random = np.random.default_rng(0)
    shape = (60, 20, 3)
    half_angle = random.uniform(-0.1, 0.1, shape)
    orientation = np.concatenate((np.ones((60, 20, 1)), half_angle), -1)
    reset = np.zeros(shape[:2], bool)
    reset[0] = reset[30] = True
    visited = {
        "position": random.uniform(-MAX_VISITED_ERROR, MAX_VISITED_ERROR, shape),
        "orientation": orientation / np.linalg.norm(orientation, axis=-1, keepdims=True),
        "linear_velocity": random.uniform(-0.3, 0.3, shape),
        "angular_velocity": random.uniform(-0.5, 0.5, shape),
        "target_position": random.uniform(-0.1, 0.1, shape),
        "target_velocity": random.uniform(-0.1, 0.1, shape),
    }
    return Episode({name: visited[name] for name in sensors}, reset)


def export_controller(out: Path, task_name: str = "crazyflie-hover") -> None:
    """Write the controller as a bundle to the folder `out`."""
    task = find_task(task_name)
    command = task.commands[0]
    half = 0.5 * command.high[0]
    hovers = task_name == "crazyflie-hover"
    action = (FailingRotorSpeed if hovers else ScaledCommand)(command.name, command.dim, half, half)
    graph = PolicyGraph(task.sensors, task.commands, task.observation_terms, action, CascadedController(), task.period)
    provenance = {"algorithm": "cascaded controller, not learned"}
    export_bundle(
        graph, visited_states([s.name for s in task.sensors]), out, name="controller", task=task.name,
        kind=task.kind, safety=task.safety, provenance=provenance, evaluation={},
    )  # fmt: skip
