"""A scripted gait that uses the robot's geometry and little balance: learning to walk may start from it.

A foot on the ground moves backward at the commanded velocity, a foot in the air moves forward in an arc; the robot's
Jacobian in its stance turns the feet's displacements into joint angles. Three things keep the base level and straight:

- Targets of standing legs are ahead of the angles by what the weight bends them. Without it two legs in diagonal give
  way outward, the ground holds their feet, and that pair of forces turns the base: once to each side in every stride.
- Standing feet turn with the base's excess of yaw rate, which brakes it.
- Swinging feet land further in the direction in which the base leans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.terms.observations import ObservationTerm, ProjectedGravity, Reading
from policies.terms.stateful import GaitClock
from sim.legged.settings import LeggedSettings
from sim.physics.mujoco.model import build_model
from sim.robots.legs import Legs, foot_place
from sim.robots.robot import Robot

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GaitSettings:
    """How the feet are moved."""

    lift: float = 0.08
    """Height in m of a swinging foot's arc."""
    press: float = 0.0
    """Distance in m by which a standing foot is pushed into the ground, against the weight on it."""
    lead: float = 1.0
    """Phase in rad by which the gait runs ahead of the clock, because motors lag behind their targets."""
    gain: float = 1.15
    """Ratio of the feet's speed to the commanded one, because motors fall short of their targets."""
    turn_gain: float = 1.1
    """The same for the yaw rate."""
    drift: float = 0.1
    """Speed in m/s at which a robot that trots on the spot moves backward, to be compensated."""
    carry: float = 0.7
    """Share of its weight that the robot's standing legs are made to carry without giving way."""
    steady: float = 0.2
    """Angle in rad by which standing feet turn for each rad/s of yaw rate beyond the commanded one."""
    lean: float = 0.05
    """Distance in m by which swinging feet land further for each rad that the base leans, or will in `AHEAD` s."""


AHEAD = 0.1
"""How far ahead in s the lean is extrapolated with the present rates."""


class GaitGuide:
    """Normalised actions [N, A] for velocity commands [N, 3], the gait's clock (sin, cos) [N, 2], the direction of
    gravity [N, 3] and the base's rates [N, 3] rad/s, both in the base's frame."""

    def __init__(
        self, robot: Robot, model: mujoco.MjModel, settings: LeggedSettings, own: GaitSettings | None = None
    ) -> None:
        self._settings = settings
        self._own = own or GaitSettings()
        feet, jacobian = _at_stance(robot, model)
        self._feet = torch.tensor(feet, dtype=torch.float32)
        # One damped inverse for each foot: few joints can't follow every displacement of a foot.
        inverse = [j.T @ np.linalg.inv(j @ j.T + 1e-4 * np.eye(3)) for j in jacobian]
        self._inverse = torch.tensor(np.concatenate(inverse, 1), dtype=torch.float32)
        # How far the targets must be from the angles for one foot to carry the robot's whole weight, rad.
        weight = float(model.body_subtreemass[int(model.body(robot.base).id)] * -model.opt.gravity[2])
        sag = [-weight * j[2] / np.array(robot.stiffness) for j in jacobian]
        self._sag = torch.tensor(np.array(sag), dtype=torch.float32)
        self._scale = torch.tensor(robot.part(Legs).action_scale)
        self._gait = torch.tensor(settings.gait)

    def __call__(self, command: Tensor, clock: Tensor, gravity: Tensor, rates: Tensor) -> Tensor:
        s, own = self._settings, self._own
        turn = torch.atan2(clock[:, :1], clock[:, 1:]) + own.lead
        phase = torch.remainder(turn * (0.5 / math.pi) + self._gait, 1.0)
        swing = (phase - s.duty) * (1.0 / (1.0 - s.duty))
        down = phase < s.duty
        # From +1/2 to -1/2 of a step's length on the ground, back in the air with no speed at both ends.
        way = torch.where(down, 0.5 - phase / s.duty, -0.5 * torch.cos(math.pi * swing))
        height = torch.where(
            down, -own.press * torch.sin(math.pi * phase / s.duty), own.lift * torch.sin(math.pi * swing)
        )
        velocity = command * torch.tensor([own.gain, own.gain, own.turn_gain])
        x = velocity[:, 0:1] + own.drift - velocity[:, 2:3] * self._feet[:, 1]
        y = velocity[:, 1:2] + velocity[:, 2:3] * self._feet[:, 0]
        length = way * (s.duty / s.frequency)
        # Where the base falls to, as the horizontal part of gravity in a moment.
        fall = own.lean * torch.stack((gravity[:, 0] + AHEAD * rates[:, 1], gravity[:, 1] - AHEAD * rates[:, 0]), -1)
        excess = own.steady * (rates[:, 2:] - command[:, 2:]) * down
        x = x * length + (way + 0.5) * fall[:, :1] - excess * self._feet[:, 1]
        y = y * length + (way + 0.5) * fall[:, 1:] + excess * self._feet[:, 0]
        # Weight passes smoothly from the feet that are about to leave the ground to those that have just reached it.
        load = torch.where(down, torch.sin(math.pi * phase / s.duty), 0.0)
        load = load / load.sum(-1, keepdim=True).clamp_min(1e-3)
        offset = torch.stack((x, y, height), -1).flatten(1) @ self._inverse.T + own.carry * load @ self._sag
        moves = (command != 0.0).any(-1, keepdim=True)
        return torch.where(moves, offset / self._scale, 0.0).clamp(-1.0, 1.0)


class ObservedGuide:
    """A gait guide that finds what it reads in the columns of a policy's observation: [N, D] -> [N, A]."""

    def __init__(
        self,
        robot: Robot,
        settings: LeggedSettings,
        own: GaitSettings,
        observation: Sequence[ObservationTerm],
    ) -> None:
        self._made_of = (robot, settings, own)
        # The columns of each value, and what it is multiplied by there.
        self._columns: dict[str, tuple[slice, float]] = {}
        start = 0
        for term in observation:
            columns = slice(start, start + term.dim)
            if isinstance(term, Reading) and term.sensor in ("velocity_command", "angular_velocity"):
                self._columns[term.sensor] = columns, term.scale
            elif isinstance(term, (GaitClock, ProjectedGravity)):
                self._columns["clock" if isinstance(term, GaitClock) else "gravity"] = columns, 1.0
            start = columns.stop

    def observing(self, observation: Sequence[ObservationTerm]) -> ObservedGuide | None:
        """The guide for another observation, in the rhythm of its clock; None for one that lacks a value that the guide
        reads."""
        robot, settings, own = self._made_of
        clocks = [term for term in observation if isinstance(term, GaitClock)]
        if clocks:
            settings = replace(settings, frequency=clocks[0].frequency)
        guide = ObservedGuide(robot, settings, own, observation)
        return guide if len(guide._columns) == 4 else None

    @cached_property
    def _guide(self) -> GaitGuide:
        # The model is compiled at its first use, because listing the tasks must not wait for it.
        robot, settings, own = self._made_of
        return GaitGuide(robot, build_model(robot), settings, own)

    def __call__(self, observation: Tensor) -> Tensor:
        values = {name: observation[:, columns] / scale for name, (columns, scale) in self._columns.items()}
        # Normalising and denormalising leaves a rounding error in a command of zero.
        command = values["velocity_command"]
        command = torch.where(command.abs() < 1e-4, 0.0, command)
        return self._guide(command, values["clock"], values["gravity"], values["angular_velocity"])


def _at_stance(robot: Robot, model: mujoco.MjModel) -> tuple[Array, list[Array]]:
    """Feet [F, 3] in the base's frame, and their Jacobians [3, joints] each, m/rad."""
    data = mujoco.MjData(model)
    data.qpos[3:7] = (1.0, 0.0, 0.0, 0.0)
    ids = [model.joint(joint).id for joint in robot.joints]
    data.qpos[[int(model.jnt_qposadr[i]) for i in ids]] = robot.part(Legs).stance
    for joint, value in robot.passive:
        data.joint(joint).qpos[0] = value
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    columns = [int(model.jnt_dofadr[i]) for i in ids]
    base = data.body(robot.base).xpos
    feet, jacobians = [], []
    for foot in robot.part(Legs).feet:
        place, body = foot_place(robot.part(Legs), model, data, foot)
        full = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, full, None, place, body)
        feet.append(place - base)
        jacobians.append(full[:, columns])
    return np.array(feet), jacobians
