"""The quadrotor scenario: hold a target or track a figure under disturbances, from the published initial distribution.

Sources: arXiv 2311.13081 and its public code for the initial distribution, disturbances, termination and critic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sin

import torch
from torch import Tensor

from policies.rotation import rotation_matrix
from policies.signals import Commands, Truth
from sim.figures import Figures, Targets
from sim.physics.rotor.parameters import GRAVITY, RotorParameters
from sim.physics.rotor.physics import RotorPhysics
from sim.randomization import RotorRandomization

CRITIC_DIM = 28


@dataclass(frozen=True)
class QuadrotorStart:
    """Where an episode starts: `at_target` is the share that starts level at the target; the others lie uniformly
    within `position` m of it in each axis, with an orientation uniform over all rotations of at most `angle` rad.
    Velocities are uniform within `linear_velocity` m/s and `angular_velocity` rad/s in each axis; rotors turn at half
    speed.
    """

    at_target: float = 0.1
    position: float = 0.2
    angle: float = pi / 2
    linear_velocity: float = 1.0
    angular_velocity: float = 1.0


@dataclass(frozen=True)
class QuadrotorSettings:
    """`force` and `torque` are the standard deviations of an episode's constant disturbance, in units of m g and m g x
    1 m; a world fails when its position is more than `bound` m from the target in any axis.
    """

    start: QuadrotorStart = QuadrotorStart()
    force: float = 1.0 / 20.0
    torque: float = 1.0 / 1e4
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
        self._nominal = self.physics.parameters.clone()
        self._randomization = randomization
        self._targets = None if figures is None else Targets(figures, num_worlds, period, device)
        self._keep_constants()
        self._hover = 2.0 * robot.hover_fraction - 1.0
        self._reward_weights = torch.tensor([20.0] * 3 + [-2.5] + [0.5] * 3 + [0.5] * 4, device=device)
        self._angle_table = _angle_quantiles(settings.start.angle).to(device)

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
        n, start = len(ids), self._settings.start
        uniform = torch.rand(n, 12, generator=generator, device=self.device)
        normal = torch.randn(n, 9, generator=generator, device=self.device)
        level = uniform[:, :1] < start.at_target
        spread = uniform[:, 1:10] * 2.0 - 1.0
        angle = torch.where(level, 0.0, _interpolate(self._angle_table, uniform[:, 10:11]))
        axis = torch.nn.functional.normalize(normal[:, 6:9], dim=-1)
        parameters = self._nominal[ids]
        if self._randomization is not None:
            parameters = self._randomization.draw(parameters, generator)
        self.physics.parameters[ids] = parameters
        weight = parameters[:, :1] * GRAVITY
        self.physics.wrench[ids] = torch.cat(
            (normal[:, 0:3] * self._settings.force * weight, normal[:, 3:6] * self._settings.torque * weight), -1
        )
        rows = torch.cat(
            (
                torch.where(level, 0.0, spread[:, 0:3] * start.position),
                torch.cos(0.5 * angle),
                torch.sin(0.5 * angle) * axis,
                spread[:, 3:6] * start.linear_velocity,
                spread[:, 6:9] * start.angular_velocity,
                (0.5 * parameters[:, 10:11]).expand(n, 4),
            ),
            -1,
        )
        if self._targets is not None:
            self._targets.begin(ids, generator)
            rows[:, 0:3] += self._targets.position[ids]
            rows[:, 7:10] += self._targets.velocity[ids]
        self.physics.write(ids, rows)
        self._keep_constants()

    def _keep_constants(self) -> None:
        """Copy what holds for a whole episode, so that a Truth taken now outlives the next restart."""
        wrench = self.physics.wrench.clone()
        self._constants = {
            "force": wrench[:, 0:3],
            "torque": wrench[:, 3:6],
            "dynamics": self.physics.parameters.clone(),
        }

    def advance(self, commands: Commands, differentiable: bool) -> None:
        (self.physics.flow if differentiable else self.physics.step)(commands["rotor_speed"])
        if self._targets is not None:
            self._targets.advance()

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
        speed = truth["dynamics"][:, 10:11]
        action = commands["rotor_speed"] * (2.0 / speed) - 1.0
        errors = (
            truth["position_error"],
            truth["orientation"][:, :1],
            truth["linear_velocity_error"],
            action - self._hover,
        )
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
        saved = self.physics.snapshot()
        return saved if self._targets is None else {**saved, **self._targets.snapshot()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self.physics.restore(snapshot)
        self._keep_constants()
        if self._targets is not None:
            self._targets.restore(snapshot)


def _angle_quantiles(limit: float, points: int = 1024) -> Tensor:
    """Quantiles of the angle of a rotation uniform (Haar) among those of at most `limit` rad: density ~ 1 -
    cos(angle).
    """
    angles = torch.linspace(0.0, limit, 20 * points, dtype=torch.float64)
    share = (angles - torch.sin(angles)) / max(limit - sin(limit), 1e-12)
    wanted = torch.linspace(0.0, 1.0, points, dtype=torch.float64)
    return angles[torch.searchsorted(share, wanted).clamp(max=len(angles) - 1)].float()


def _interpolate(table: Tensor, u: Tensor) -> Tensor:
    """Read `table`, sampled evenly over [0, 1], at `u` in [0, 1)."""
    x = u * (len(table) - 1)
    low = x.long()
    return torch.lerp(table[low], table[low + 1], x - low)
