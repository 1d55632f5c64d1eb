"""Where quadrotor episodes start: drawn many at a time and handed out in order, because single draws cost as much.

The published initial distribution and disturbances (arXiv 2311.13081, public code).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import pi, sin
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from sim.physics.rotor.kernels import PARAMETER_DIM, STATE_DIM, WRENCH_DIM
from sim.robots.rotors import GRAVITY
from sim.terms.parameters import Limits, NonNegative, Share
from sim.terms.terms import Event

_FEWEST_AHEAD = 64
_WIDTH = STATE_DIM + WRENCH_DIM + PARAMETER_DIM

Angle = Annotated[float, Limits(low=0.0, high=pi)]


class StartPool:
    """Starts drawn ahead, as rows (see sim.physics.rotor.kernels) that start and restart events write: `state` [A, 17]
    relative to the target, `wrench` [A, 6] N and Nm, `parameters` [A, 12].

    An event is called for the rows `ids` of the A that are drawn at once; `scenario.starts` is then this pool. Before
    it, the rows hold the nominal vehicle at rest at the target; `uniform` [A, 11] in 0..1 and `normal` [A, 9] are
    numbers that have been drawn for them.
    """

    def __init__(self, nominal: Tensor, num_worlds: int, draw: Callable[[Tensor, torch.Generator], None]) -> None:
        """`nominal` is the parameter row [1, 12] of the vehicle; `draw` calls the events for the rows `ids`."""
        self._nominal = nominal
        self._draw_events = draw
        self._ahead = max(_FEWEST_AHEAD, num_worlds // 4)
        self._rows = torch.zeros(0, _WIDTH, device=nominal.device)
        self.state = self.wrench = self.parameters = self.uniform = self.normal = torch.zeros(0)

    def take(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """State rows [count, 17], wrenches [count, 6] and parameters [count, 12] of the next starts."""
        if count > len(self._rows):
            fresh = self._draw(max(self._ahead, count - len(self._rows)), generator)
            self._rows = torch.cat((self._rows, fresh))
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken[:, :17], taken[:, 17:23], taken[:, 23:]

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        device = self._nominal.device
        self.uniform = torch.rand(n, 11, generator=generator, device=device)
        self.normal = torch.randn(n, 9, generator=generator, device=device)
        self.state, self.wrench = torch.zeros(n, 17, device=device), torch.zeros(n, 6, device=device)
        self.state[:, 3] = 1.0
        self.parameters = self._nominal.repeat(n, 1)
        self._draw_events(torch.arange(n, device=device), generator)
        return torch.cat((self.state, self.wrench, self.parameters), -1)

    def snapshot(self) -> dict[str, Tensor]:
        return {"starts": self._rows.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        # Snapshots of earlier versions have no size, the last column.
        saved = snapshot["starts"]
        self._rows = pad(saved, (0, _WIDTH - saved.shape[1]), value=1.0)


def start(
    scenario: Any,
    ids: Tensor,
    generator: torch.Generator,
    *,
    at_target: Share = 0.1,
    position: NonNegative = 0.2,
    angle: Angle = pi / 2,
    linear_velocity: NonNegative = 1.0,
    angular_velocity: NonNegative = 1.0,
) -> None:
    """`at_target` is the share that starts level at the target; the others lie uniformly within `position` m of it in
    each axis, with an orientation uniform over all rotations of at most `angle` rad. Velocities are uniform within
    `linear_velocity` m/s and `angular_velocity` rad/s in each axis; rotors turn at half speed."""
    starts = scenario.starts
    uniform, normal = starts.uniform[ids], starts.normal[ids]
    level = uniform[:, :1] < at_target
    spread = uniform[:, 1:10] * 2.0 - 1.0
    turned = torch.where(level, 0.0, _interpolate(_angle_quantiles(angle).to(ids.device), uniform[:, 10:]))
    axis = torch.nn.functional.normalize(normal[:, 6:9], dim=-1)
    starts.state[ids] = torch.cat(
        (
            torch.where(level, 0.0, spread[:, 0:3] * position),
            torch.cos(0.5 * turned),
            torch.sin(0.5 * turned) * axis,
            spread[:, 3:6] * linear_velocity,
            spread[:, 6:9] * angular_velocity,
            (0.5 * starts.parameters[ids, 10:11]).expand(-1, 4),
        ),
        -1,
    )


def start_by_size(
    scenario: Any,
    ids: Tensor,
    generator: torch.Generator,
    *,
    arms: NonNegative = 10.0,
    at_target: Share = 0.1,
    angle: Angle = pi / 2,
    linear_velocity: NonNegative = 1.0,
    angular_velocity: NonNegative = 1.0,
) -> None:
    """As `start`, with positions within `arms` times the distance from a vehicle's centre to its rotors in each axis.

    Source: arXiv 2509.11481, public code.
    """
    start(
        scenario, ids, generator, at_target=at_target, position=arms, angle=angle, linear_velocity=linear_velocity,
        angular_velocity=angular_velocity,
    )  # fmt: skip
    starts = scenario.starts
    starts.state[ids, 0:3] *= scenario.rotor_distance * starts.parameters[ids, 11:12]


def disturbance(
    scenario: Any,
    ids: Tensor,
    generator: torch.Generator,
    *,
    force: NonNegative = 1.0 / 20.0,
    torque: NonNegative = 1.0 / 1e4,
) -> None:
    """A force and a torque that are constant for an episode: normal, with standard deviations of `force` m g and
    `torque` m g x 1 m in each axis."""
    starts = scenario.starts
    weight, normal = starts.parameters[ids, :1] * GRAVITY, starts.normal[ids]
    size = normal[:, 0:3] * (scenario.scale * force), normal[:, 3:6] * (scenario.scale * torque)
    starts.wrench[ids] = torch.cat(size, -1) * weight


FLIGHT_STARTS = {"start": Event(start, "start"), "disturbance": Event(disturbance, "start")}
"""Where the episodes of every Crazyflie task start; events that change the vehicle come before them."""


@lru_cache(maxsize=8)
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
