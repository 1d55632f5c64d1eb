"""A scripted gait that uses the robot's geometry and has no balance: learning to walk may start from it.

A foot on the ground moves backward at the commanded velocity, a foot in the air moves forward in an arc; the robot's
Jacobian in its stance turns the feet's displacements into joint angles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.terms.observations import ObservationTerm, Reading
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
    gain: float = 1.25
    """Ratio of the feet's speed to the commanded one, because motors fall short of their targets."""
    turn_gain: float = 1.5
    """The same for the yaw rate."""
    drift: float = 0.2
    """Speed in m/s at which a robot that trots on the spot moves backward, to be compensated."""


class GaitGuide:
    """Normalised actions [N, A] for velocity commands [N, 3] and the gait's clock (sin, cos) [N, 2]."""

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
        self._scale = torch.tensor(robot.part(Legs).action_scale)
        self._gait = torch.tensor(settings.gait)

    def __call__(self, command: Tensor, clock: Tensor) -> Tensor:
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
        feet = torch.stack((x * length, y * length, height), -1).flatten(1)
        moves = (command != 0.0).any(-1, keepdim=True)
        return torch.where(moves, feet @ self._inverse.T / self._scale, 0.0).clamp(-1.0, 1.0)


class ObservedGuide:
    """A gait guide that finds command and clock in the columns of a policy's observation: [N, D] -> [N, A]."""

    def __init__(
        self,
        robot: Robot,
        settings: LeggedSettings,
        own: GaitSettings,
        observation: Sequence[ObservationTerm],
    ) -> None:
        self._made_of = (robot, settings, own)
        self._clock: slice | None = None
        self._command: slice | None = None
        self._command_scale = 1.0
        start = 0
        for term in observation:
            columns = slice(start, start + term.dim)
            if isinstance(term, Reading) and term.sensor == "velocity_command":
                self._command, self._command_scale = columns, term.scale
            if isinstance(term, GaitClock):
                self._clock = columns
            start = columns.stop

    def observing(self, observation: Sequence[ObservationTerm]) -> ObservedGuide | None:
        """The guide for another observation; None for one without a velocity command or a gait clock."""
        guide = ObservedGuide(*self._made_of, observation)
        return None if guide._clock is None or guide._command is None else guide

    @cached_property
    def _guide(self) -> GaitGuide:
        # The model is compiled at its first use, because listing the tasks must not wait for it.
        robot, settings, own = self._made_of
        return GaitGuide(robot, build_model(robot), settings, own)

    def __call__(self, observation: Tensor) -> Tensor:
        command = observation[:, self._command] / self._command_scale
        # Normalising and denormalising leaves a rounding error in a command of zero.
        command = torch.where(command.abs() < 1e-4, 0.0, command)
        return self._guide(command, observation[:, self._clock])


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
