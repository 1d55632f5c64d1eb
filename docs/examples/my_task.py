"""A task of one's own: walk a Go1 without dragging its feet, with a policy that feels landings.

robo-rl train my_task.py:TASK
"""

from dataclasses import dataclass

from torch import Tensor

from policies.signals import Sensors, State
from policies.terms.observations import OneSensor, Stateless
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT
from sim.terms.parameters import Positive
from sim.terms.terms import Reward
from sim.terms.view import View


def foot_drag(view: View, *, height: Positive = 0.05) -> Tensor:
    """Horizontal speed of the feet that are lower than `height` m above ground: sum over the feet [N], m/s."""
    speed: Tensor = view["foot_velocity"].unflatten(-1, (-1, 3))[..., :2].norm(dim=-1)
    return ((view["foot_height"] < height) * speed).sum(-1)


@dataclass(frozen=True)
class Jolt(OneSensor, Stateless):
    """How much the vertical acceleration differs from that of rest: [N, 1], in units of 10 m/s^2, at most `limit`."""

    limit: float = 3.0
    sensor: str = "linear_acceleration"
    dim: int = 1

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return ((sensors[self.sensor][:, 2:3] - 9.81) * 0.1).clamp(-self.limit, self.limit)


TASK = GO1_VELOCITY_FLAT.changed(
    name="go1-light-feet",
    summary="Walk a Go1 on flat ground at a commanded velocity without dragging its feet.",
    rewards={"foot_drag": Reward(foot_drag, weight=-0.1)},
    observation={"jolt": Jolt()},
)
