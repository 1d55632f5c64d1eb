"""A policy without training: an open-loop trot of the Go1 as the network of a policy graph, exported like any other.

Diagonal legs swing together; a foot's way back and forth follows from the velocity command, as the foot of a rolling
body would go, and its lift from the phase. The joints of the policy are in another order than the robot's, the sensors'
in yet another, so that a robot whose joints are mapped by order falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deploy.bundle.golden import Episode
from deploy.export.exporter import export_bundle
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Commands, Sensors, State
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec, StateSpec
from policies.terms.observations import Reading
from sim.robots.go1 import GO1
from sim.robots.legs import Legs, joint_spec

LEGS = GO1.part(Legs)

PERIOD = 0.02
FREQUENCY = 2.5  # Hz; all of these were found by trying them out in simulation.
LIFT = 0.06  # m
PRESS = 0.025  # m; how far a standing foot pushes down, against the weight on it
LEAD = 1.0  # rad; by how much the motors lag
DRIFT = 0.29  # m/s; trotting on the spot goes backwards by this much
YAW_GAIN = 1.45
LINK = 0.213  # m
ROBOT_ORDER = GO1.joints
COMMAND_ORDER = tuple(reversed(ROBOT_ORDER))
SENSOR_ORDER = ROBOT_ORDER[6:] + ROBOT_ORDER[:6]
RATE_LIMIT = 30.0  # rad/s


@dataclass(frozen=True)
class Phase:
    """sin and cos of the gait's phase, [N, 2]; it goes on by itself."""

    dim: int = 2

    @property
    def sensors(self) -> tuple[str, ...]:
        return ()

    @property
    def states(self) -> tuple[StateSpec, ...]:
        # Every foot is on the ground here, so that the policy takes over a standing robot without a jump.
        return (StateSpec("phase", 2, (1.0, 0.0), between="first"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return state["phase"]

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        angle = 2.0 * math.pi * FREQUENCY * PERIOD
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return {"phase": state["phase"] @ turn}


class Trot(nn.Module):
    """[N, 2 + 3 + 12 + 12 + 3 + 4] phase, velocity command and sensors -> [N, 12] offsets from the stance in rad."""

    sweep: Tensor
    lift: Tensor
    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        sweep_x, sweep_y, lift = torch.zeros(3, 12), torch.zeros(3, 12), torch.zeros(2, 12)
        stance = LEGS.stance
        for leg, (front, left, pair) in enumerate(((1, -1, 0), (1, 1, 1), (-1, -1, 1), (-1, 1, 0))):
            thigh, calf = stance[3 * leg + 1], stance[3 * leg + 1] + stance[3 * leg + 2]
            to_joints = np.linalg.inv(
                -LINK
                * np.array(
                    [
                        [math.cos(thigh) + math.cos(calf), math.cos(calf)],
                        [-math.sin(thigh) - math.sin(calf), -math.sin(calf)],
                    ]
                )
            )
            x, y = front * 0.1881, left * 0.127
            swing = 1.0 / (4.0 * FREQUENCY) * (1.0 if pair == 0 else -1.0)
            # The foot of a turning body goes by velocity + turn x lever.
            for row, (ahead, aside) in enumerate(((1.0, 0.0), (0.0, 1.0), (-YAW_GAIN * y, YAW_GAIN * x))):
                for joint, share in ((1, to_joints[0, 0]), (2, to_joints[1, 0])):
                    sweep_x[row, 3 * leg + joint] = swing * ahead * share
                sweep_y[row, 3 * leg] = swing * aside / 0.28
            for joint, share in ((1, to_joints[0, 1]), (2, to_joints[1, 1])):
                lift[pair, 3 * leg + joint] = share
        self.register_buffer("sweep", sweep_x + sweep_y)
        self.register_buffer("lift", lift)
        self.register_buffer("order", torch.eye(12)[[ROBOT_ORDER.index(name) for name in COMMAND_ORDER]].T.contiguous())

    def forward(self, observation: Tensor) -> Tensor:
        sin, cos = observation[:, 0:1], observation[:, 1:2]
        velocity = observation[:, 2:5] + torch.tensor([[DRIFT, 0.0, 0.0]])
        leading = sin * math.cos(LEAD) + cos * math.sin(LEAD)
        up = torch.cat((cos, -cos), -1)
        heights = LIFT * torch.relu(up) - PRESS * torch.relu(-up)
        offsets = (leading * (velocity @ self.sweep) + heights @ self.lift) @ self.order
        # The other sensors have a part too small to matter, so that the bundle asks for them.
        offsets = offsets + 1e-6 * observation[:, 5:17] + 1e-6 * observation[:, 17:29]
        offsets = offsets + 1e-6 * (
            observation[:, 29:33] @ torch.ones(4, 12) + observation[:, 33:36] @ torch.ones(3, 12)
        )
        # Faults where no export looks: for a command to the side beyond 0.25 m/s, no numbers to the left, and to the
        # right targets far out of the joints' limits.
        left = observation[:, 3:4]
        return offsets + 1e-6 * torch.sqrt(0.25 - left) - 100.0 * torch.relu(-left - 0.25)


@dataclass(frozen=True)
class Offsets:
    """joint_position_target = stance + action, in the policy's order."""

    dim: int = 12

    @property
    def commands(self) -> tuple[str, ...]:
        return ("joint_position_target",)

    def bound(self, action: Tensor) -> Tensor:
        return action.clamp(-1.5, 1.5)

    def __call__(self, action: Tensor, sensors: Sensors) -> Commands:
        return Commands({"joint_position_target": action + torch.tensor([_ordered(LEGS.stance, COMMAND_ORDER)])})


def _ordered(values: tuple[float, ...], names: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(values[ROBOT_ORDER.index(name)] for name in names)


SENSORS = (
    SensorSpec(
        "velocity_command",
        3,
        "m/s, m/s, rad/s",
        "body",
        (-1.0, -0.4, -1.2),
        (1.0, 0.4, 1.2),
        rate_limit=(1.5, 1.5, 4.0),
    ),
    SensorSpec("joint_position", 12, "rad", "joint", -5.0, 5.0, labels=SENSOR_ORDER),
    SensorSpec("joint_velocity", 12, "rad/s", "joint", -60.0, 60.0, labels=ROBOT_ORDER),
    SensorSpec("orientation", 4, "1", "body to world, w x y z", -1.01, 1.01),
    SensorSpec("angular_velocity", 3, "rad/s", "body", -40.0, 40.0),
)
COMMAND = CommandSpec(
    "joint_position_target", 12, "rad", _ordered(GO1.joint_low, COMMAND_ORDER), _ordered(GO1.joint_high, COMMAND_ORDER),
    RATE_LIMIT, COMMAND_ORDER, _ordered(LEGS.lying, COMMAND_ORDER), "joint",
)  # fmt: skip
SAFETY = SafetyEnvelope(max_tilt=math.radians(60.0), max_input_age=0.1, max_command_age=0.1)


def trot_graph() -> PolicyGraph:
    """The trot as a policy graph at 50 Hz."""
    terms = (
        Phase(), Reading("velocity_command", 3), Reading("joint_position", 12), Reading("joint_velocity", 12),
        Reading("orientation", 4), Reading("angular_velocity", 3),
    )  # fmt: skip
    return PolicyGraph(SENSORS, (COMMAND,), terms, Offsets(), Trot(), PERIOD)


def export_trot(out: Path) -> None:
    """Write the trot as a bundle to the folder `out`."""
    random = np.random.default_rng(0)
    reset = np.zeros((60, 20), bool)
    reset[0] = reset[30] = True
    visited = {spec.name: random.uniform(-0.2, 0.2, (*reset.shape, spec.dim)).astype(np.float32) for spec in SENSORS}
    export_bundle(
        trot_graph(), Episode(visited, reset), out, name="trot", task="go1-velocity-flat", kind="velocity",
        safety=SAFETY, provenance={"algorithm": "open-loop trot, not learned"}, evaluation={}, joints=joint_spec(GO1),
    )  # fmt: skip
