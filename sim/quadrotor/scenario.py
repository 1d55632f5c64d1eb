"""The quadrotor scenario: hold a target or track a figure under disturbances, from the published initial distribution.

Sources: arXiv 2311.13081 and its public code for the initial distribution, disturbances, termination and critic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.signals import Commands, Truth
from policies.terms.rotation import rotation_matrix
from sim.physics.masks import mask_of
from sim.physics.rotor.parameters import GRAVITY, RotorParameters
from sim.physics.rotor.physics import RotorPhysics
from sim.quadrotor.figures import Figures, Targets
from sim.quadrotor.randomization import RotorRandomization
from sim.quadrotor.starts import QuadrotorStart, StartPool

CRITIC_DIM = 28


@dataclass(frozen=True)
class QuadrotorSettings:
    """A world starts as `start` says, and fails when its position is more than `bound` m from the target in any
    axis.
    """

    start: QuadrotorStart = QuadrotorStart()
    bound: float = 0.6


class QuadrotorScenario:
    """N quadrotors with their targets. Truth: position_error and linear_velocity_error (minus the target), position,
    orientation, linear_velocity, angular_velocity, rotor_speed, force, torque, dynamics (parameter row), target_*.
    """

    def __init__(
        self,
        num_worlds: int,
        robot: RotorParameters,
        period: float,
        device: str,
        settings: QuadrotorSettings,
        figures: Figures | None,
        randomization: RotorRandomization | None,
    ) -> None:
        threads = torch.get_num_threads() if device == "cpu" else 1
        self.physics = RotorPhysics(num_worlds, robot, period, device, threads)
        self._settings = settings
        self._starts = StartPool(settings.start, self.physics.parameters[:1].clone(), randomization, num_worlds)
        self._targets = None if figures is None else Targets(figures, num_worlds, period, device)
        # Where the worlds that restart begin; other rows are left from earlier.
        self._rows = torch.zeros_like(self.physics.state)
        self._keep_constants()
        self._hover = 2.0 * robot.hover_fraction - 1.0
        self._actions_per_speed = 2.0 / robot.max_speed
        self._reward_weights = torch.tensor([20.0] * 3 + [-2.5] + [0.5] * 3 + [0.5] * 4, device=device)

    @property
    def num_worlds(self) -> int:
        return self.physics.num_worlds

    @property
    def device(self) -> str:
        return self.physics.device

    @property
    def bound(self) -> float:
        """Distance from the target, in m in any axis, at which a world fails."""
        return self._settings.bound

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Draw start, disturbance, target and, where asked, dynamics for the worlds `ids` [K]."""
        rows, wrench, parameters = self._starts.take(len(ids), generator)
        self.physics.parameters[ids] = parameters
        self.physics.wrench[ids] = wrench
        if self._targets is not None:
            self._targets.begin(ids, generator)
            rows = rows.clone()
            rows[:, 0:3] += self._targets.position[ids]
            rows[:, 7:10] += self._targets.velocity[ids]
        self._rows.index_copy_(0, ids, rows)
        self._start(ids)
        self._keep_constants()

    def _start(self, ids: Tensor) -> None:
        """Put the worlds `ids` [K] into the states that `_rows` has for them."""
        qpos, qvel, rotor_speed = self._rows.split((7, 6, 4), -1)
        self.physics.write(mask_of(ids, self.num_worlds), qpos, qvel, rotor_speed)

    def _keep_constants(self) -> None:
        """Copy what holds for a whole episode, so that a Truth taken now outlives the next restart."""
        wrench = self.physics.wrench.clone()
        self._constants = {
            "force": wrench[:, 0:3],
            "torque": wrench[:, 3:6],
            "dynamics": self.physics.parameters.clone(),
        }

    def advance(self, commands: Commands, applied: Commands, differentiable: bool) -> None:
        (self.physics.flow if differentiable else self.physics.step)(applied["rotor_speed"])
        if self._targets is not None:
            self._targets.advance()

    def push(self, ids: Tensor, velocity: Tensor) -> None:
        """Kick the worlds `ids` [K]: their velocity changes by [K, 3] or [3] m/s in the world's frame."""
        self.physics.detach()
        self.physics.qvel[ids, :3] += velocity

    def detach(self) -> None:
        self.physics.detach()

    def truth(self) -> Truth:
        values = {**self.physics.sensors(), **self._constants}
        position, velocity = values["position"], values["linear_velocity"]
        if self._targets is None:
            return Truth({**values, "position_error": position, "linear_velocity_error": velocity})
        targets = self._targets
        return Truth(
            {
                **values,
                "position_error": position - targets.position,
                "linear_velocity_error": velocity - targets.velocity,
                "target_position": targets.position,
                "target_velocity": targets.velocity,
            }
        )

    def signals(self, truth: Truth) -> dict[str, Tensor]:
        names = ["position", "orientation", "linear_velocity", "angular_velocity"]
        return {
            name: truth[name]
            for name in names + ([] if self._targets is None else ["target_position", "target_velocity"])
        }

    def reward(self, truth: Truth, commands: Commands) -> Tensor:
        """2 - 1/2 (20 |p|^2 + 2.5 (1 - q_w^2) + 0.5 |v|^2 + 0.5 |a - a_hover|^2): the published shape, part-way
        weights.
        """
        action_error = commands["rotor_speed"] * self._actions_per_speed - (1.0 + self._hover)
        errors = (truth["position_error"], truth["orientation"][:, :1], truth["linear_velocity_error"], action_error)
        # One squared row against one weight vector: at thousands of worlds the number of operations is what costs.
        cost = torch.cat(errors, -1).square() @ self._reward_weights
        return torch.where(self.failed(truth), 0.0, 2.0 - 0.5 * (2.5 + cost))

    def failed(self, truth: Truth) -> Tensor:
        # A comparison with NaN is false, so a world that is not finite counts as failed.
        return ~(truth["position_error"].abs().amax(-1) <= self._settings.bound)

    def critic_observation(self, truth: Truth) -> Tensor:
        """Noise-free state 18, disturbance 6 in units of m g / 20 and m g / 1e4, rotor speeds 4 in -1..1: [N, 28]."""
        weight = truth["dynamics"][:, :1] * GRAVITY
        return torch.cat(
            (
                truth["position_error"],
                rotation_matrix(truth["orientation"]),
                truth["linear_velocity_error"],
                truth["angular_velocity"],
                truth["force"] * (20.0 / weight),
                truth["torque"] * (1e4 / weight),
                truth["rotor_speed"] * (2.0 / truth["dynamics"][:, 10:11]) - 1.0,
            ),
            -1,
        )

    def snapshot(self) -> dict[str, Tensor]:
        saved = {**self.physics.snapshot(), **self._starts.snapshot()}
        return saved if self._targets is None else {**saved, **self._targets.snapshot()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self.physics.restore(snapshot)
        self._starts.restore(snapshot)
        self._keep_constants()
        if self._targets is not None:
            self._targets.restore(snapshot)
