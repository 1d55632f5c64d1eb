"""N legged robots that follow velocity commands on flat ground or terrain: what a walking task adds to MuJoCo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Truth
from sim.actuators import ActuatorModels
from sim.legged import kernels
from sim.legged.commands import VelocityCommands
from sim.legged.gait import Gait
from sim.legged.layout import Layout
from sim.legged.privileged import PrivilegedRows
from sim.legged.randomization import TARGET, Imperfections, Pushes
from sim.legged.rewards import track_velocity
from sim.legged.settings import LeggedSettings
from sim.physics.addresses import Addresses
from sim.physics.masks import mask_of
from sim.physics.protocol import JointedPhysics
from sim.robots.legged import LeggedRobot
from sim.task import Task
from sim.terms.compiled import CompiledRewards
from sim.terms.outcome import Outcomes, StepOutcome
from sim.terms.terms import joined
from sim.terms.view import View

EVENTS = 5
"""Control periods between looks at whose command or push is due, and between steps of steering to a heading."""


class Ground(Protocol):
    """Where robots start and how high the ground is."""

    def begin(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Where the worlds `ids` [K] start: points on the ground [K, 3] in m."""
        ...

    def height(self, points: Tensor) -> Tensor:
        """Height of the ground [N, P] in m below points [N, P, 2]."""
        ...

    def signals(self, truth: Truth) -> dict[str, Tensor]:
        """Further true sensor values, such as a height scan."""
        ...

    def snapshot(self) -> dict[str, Tensor]: ...
    def restore(self, snapshot: Mapping[str, Tensor]) -> None: ...


class LeggedScenario:
    """See `Scenario` in sim.environment for the contract.

    Truth [N, .]: base_position m and orientation (w x y z) in the world, linear_velocity and angular_velocity in the
    base's frame, gravity (its direction, base's frame), joint_position and joint_velocity as they are and as
    `measured_position` with the encoders' zero errors, joint_torque Nm, foot_contact (1 or 0), foot_height m above
    ground, foot_velocity m/s (world), base_height m above ground, velocity_command (followed in the step that has just
    ended), next_command (what the policy is told now), gait_clock (sin, cos), last_action, and `parameters` (what was
    drawn of friction, strength, mass and delay). What a `view` holds besides is said in `sim.legged.rewards`.
    """

    def __init__(
        self,
        task: Task,
        physics: JointedPhysics,
        actuators: ActuatorModels,
        robot: LeggedRobot,
        settings: LeggedSettings,
        *,
        randomized: bool,
        imperfections: float,
        ground: Ground | None = None,
    ) -> None:
        n, joints, device, period = physics.num_worlds, len(robot.joints), physics.device, task.period
        self.physics = physics
        self.robot = robot
        self.commands = VelocityCommands(settings.commands, n, EVENTS * period, curriculum=randomized, device=device)
        self.imperfections = Imperfections(settings.imperfections, physics, actuators, robot, randomized, imperfections)
        self.pushes = Pushes(settings.imperfections, physics, robot, EVENTS * period, imperfections)
        self.ground = ground
        self.settings = settings
        self._period = period
        self._stance = torch.tensor(robot.stance, device=device)
        self._per_scale = 1.0 / torch.tensor(robot.action_scale, device=device)
        self._middle = -self._stance * self._per_scale
        gait = Gait(settings.gait, settings.frequency, settings.duty, period).table.to(device)
        self._followed = self.commands.values
        self._steps = torch.zeros(n, dtype=torch.int64, device=device)
        self._action = torch.zeros(n, joints, device=device)
        self._last_action = torch.zeros(n, joints, device=device)
        self._older_action = torch.zeros(n, joints, device=device)
        # How long each foot has been in the air, before the step and after it.
        self._air = self._air_after = torch.zeros(n, len(robot.feet), device=device)
        # Below the feet and the base; flat ground is at 0.
        self._below = torch.zeros(n, len(robot.feet) + 1, device=device)
        self._before = physics.values
        self._tracked = torch.zeros(n, device=device)
        # Its own, so that a snapshot restored elsewhere goes on with the same draws.
        self._generator = torch.Generator(device)
        self._seeded = False
        self._ticks = 0
        self._layout = Layout(physics, robot)
        self._columns = self._layout.columns
        self._at = Addresses.of(physics.model, robot.base, robot.joints, device)
        self._plan_starts()
        limits = torch.tensor([robot.stance, robot.joint_low, robot.joint_high], device=device)
        rest = self._resting_height()
        clock = {
            "at": kernels.columns_at(self._columns), "joints": joints, "feet": len(robot.feet), "period": period,
            "gait": gait,
        }  # fmt: skip
        compiled = CompiledRewards(
            task.rewards, kernels.COUNTERPARTS, kernels.StepInputs, {**clock, "rest": rest, "pose": limits}, n, period,
            device,
        )  # fmt: skip
        self._outcomes = Outcomes(task.rewards, task.terminations, n, period, device, compiled)
        self._rows = PrivilegedRows(robot, clock, n, device)
        self._further = self._rows.further(task.privileged)
        self._privileged_terms = task.privileged
        self._gait = gait
        self._constants = {
            "stance": limits[:1], "joint_low": limits[1:2], "joint_high": limits[2:],
            "foot_rest_height": torch.full((1, 1), rest, device=device),
        }  # fmt: skip
        self._privileged = self._gravity = torch.empty(0)

    def _resting_height(self) -> float:
        """Height of the feet's centres above the ground in the stance, m."""
        model, robot = self.physics.model, self.robot
        data = mujoco.MjData(model)
        data.qpos[self._at.joints.tolist()] = robot.stance
        data.qpos[self._at.position.stop - 1] = robot.stand_height
        mujoco.mj_kinematics(model, data)
        return min(float(data.geom(foot).xpos[2]) for foot in robot.feet)

    @property
    def num_worlds(self) -> int:
        return self.physics.num_worlds

    @property
    def device(self) -> str:
        return self.physics.device

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Start the worlds `ids` [K] near the stance with any heading, new commands, bodies and motors."""
        # Pushes and commands are drawn between restarts, too.
        if not self._seeded:
            self._generator.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
            self._seeded = True
        steps = self._steps.index_select(0, ids)
        ended = steps > 0
        if ended.any():
            self.commands.learn((self._tracked.index_select(0, ids).double() / steps)[ended])
        points = None if self.ground is None else self.ground.begin(ids, generator)
        self.imperfections.draw(ids, generator)
        self.pushes.begin(ids, generator)
        changed = self._followed is not self.commands.values
        self.commands.begin(ids, generator)
        self._starts.index_copy_(0, ids, self._draw_starts(len(ids), points, generator))
        qpos, qvel = self._starts.split((self.physics.qpos.shape[1], self.physics.qvel.shape[1]), 1)
        stance = self._stance.expand(self.num_worlds, -1)
        self.physics.write(mask_of(ids, self.num_worlds), qpos, qvel, stance)
        # Nobody else holds these.
        for own in (self._steps, self._tracked, self._action, self._last_action):
            own.index_fill_(0, ids, 0)
        self._followed = self._followed.index_fill(0, ids, 0.0) if changed else self.commands.values
        self._layout.set_zeros(self.imperfections.joint_offset, ids)

    def _draw_starts(self, count: int, points: Tensor | None, generator: torch.Generator) -> Tensor:
        """Positions and velocities [count, nq + nv] near the stance with any heading, at `points` [count, 3] m or the
        origin."""
        at, height = self._at, self.robot.stand_height + 0.01
        u = torch.rand(count, 7 + 2 * len(self.robot.joints), generator=generator, device=self.device)
        u = u.mul_(2.0).sub_(1.0)
        rows = (self._start_middle + u.index_select(1, self._start_from) * self._start_half).to(self._starts.dtype)
        if points is not None:
            rows[:, at.position] = points.to(rows.dtype)
        rows[:, at.position.stop - 1] += height
        # The single-precision sine of numpy, because that of torch differs in the last bit, and a seed's episodes stay.
        half = 0.5 * (u[:, 0] * math.pi).cpu().numpy()
        rows[:, at.orientation.start] = torch.from_numpy(np.cos(half)).to(rows)
        rows[:, at.orientation.stop - 1] = torch.from_numpy(np.sin(half)).to(rows)
        return rows

    def _plan_starts(self) -> None:
        """Which of the numbers drawn for a start goes where: middle + half * u, in the columns of qpos and qvel."""
        at, joints, nq = self._at, len(self.robot.joints), self.physics.qpos.shape[1]
        self._starts = torch.cat((self.physics.qpos, self.physics.qvel), 1)
        """Where the worlds that restart begin; other rows are left from earlier."""
        width, device = self._starts.shape[1], self.device
        self._start_from = torch.zeros(width, dtype=torch.int64, device=device)
        self._start_half = torch.zeros(width, device=device)
        self._start_middle = torch.zeros(width, device=device)
        self._start_middle[:nq] = torch.tensor(self.physics.model.qpos0, device=device)
        self._start_middle[at.position] = 0.0
        self._start_middle[at.joints] = self._stance
        twist = slice(nq + at.velocity.start, nq + at.rates.stop)
        for columns, first, half in ((twist, 1, 0.3), (at.joints, 7, 0.1)):
            self._start_half[columns] = half
            self._start_from[columns] = torch.arange(first, first + (6 if first == 1 else joints), device=device)

    def advance(self, commands: Commands, applied: Commands, differentiable: bool) -> None:
        """One control period of physics; UserError when asked for gradients, which it does not have."""
        if differentiable:
            raise UserError(
                f"walking a {self.robot.name} gives no gradients to train by, because its physics has none; use ppo"
            )
        target = commands[TARGET]
        self._older_action = self._last_action
        self._last_action, self._action = self._action, torch.addcmul(self._middle, target, self._per_scale)
        self._before = self.physics.values
        self._air = self._air_after
        self._followed = self.commands.values
        due = self._ticks % EVENTS == 0
        self._ticks += 1
        if due:
            self.pushes.advance(self.physics, self._generator)
        self.physics.step(applied[TARGET])
        self._steps += 1
        if due:
            w, x, y, z = self.physics.values[:, self._columns["orientation"]].unbind(-1)
            heading = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
            self.commands.advance(heading, self._generator)

    def detach(self) -> None:
        """Nothing here carries gradients."""

    def truth(self) -> Truth:
        values = self.physics.values
        if self.ground is not None:
            feet = values[:, self._columns["foot_position"]].view(self.num_worlds, -1, 3)[:, :, :2]
            base = values[:, self._columns["base_position"]][:, None, :2]
            self._below = self.ground.height(torch.cat((feet, base), 1))
        self._privileged, observed, self._air_after = self._rows.fill(
            {
                "values": values, "steps": self._steps, "below": self._below, "command": self.commands.values,
                "action": self._action, "drawn": self.imperfections.parameters, "zeros": self._layout.zeros,
                "air": self._air,
            }
        )  # fmt: skip
        rows, parts = self._rows.signals(self._privileged), self._layout.parts(values, observed)
        self._gravity = rows["gravity"]
        # What the sensors measure stays side by side, on its way to their models.
        return Truth({**rows, **parts, "foot_contact": rows["foot_contact"], "velocity_command": self._followed})

    def signals(self, truth: Truth) -> dict[str, Tensor]:
        own = {
            "orientation": truth["orientation"],
            "angular_velocity": truth["angular_velocity"],
            "linear_acceleration": truth["linear_acceleration"],
            "joint_position": truth["measured_position"],
            "joint_velocity": truth["joint_velocity"],
            "velocity_command": truth["next_command"],
        }
        return own if self.ground is None else {**own, **self.ground.signals(truth)}

    def view(self, truth: Truth) -> View:
        """What terms read: the truth, and what else the step that led to it is described by."""
        feet = len(self.robot.feet)

        def clock(first: int) -> Tensor:
            return self._gait[self._steps % len(self._gait)][:, first : first + feet]

        tensors = {
            **truth, **self._constants, "action": self._action, "last_action": self._last_action,
            "older_action": self._older_action, "steps": self._steps, "foot_air_time": self._air,
            "failed": self.physics.failed,
        }  # fmt: skip
        before, columns = self._before, self._columns["joint_velocity"]
        computed = {
            "previous_joint_velocity": lambda: before[:, columns],
            "gait_contact": lambda: clock(2),
            "gait_swing": lambda: clock(2 + feet),
        }
        return View(tensors, self.num_worlds, self._period, self.device, computed)

    def outcome(self, truth: Truth, commands: Commands) -> StepOutcome:
        """Call it once a step: it adds up how well each episode goes."""
        view = self.view(truth)
        if self.commands.range < 1.0:
            self._tracked += track_velocity(view)
        return self._outcomes(
            view,
            {
                "values": self.physics.values, "before": self._before, "steps": self._steps,
                "privileged": self._privileged, "below": self._below, "command": self._followed,
                "action": self._action, "last_action": self._last_action, "older_action": self._older_action,
                "air": self._air, "failed": self.physics.failed,
            },
        )  # fmt: skip

    def critic_observation(self, truth: Truth) -> Tensor:
        """What a policy can't see, too: [N, task.critic_dim]."""
        view = View(truth, self.num_worlds, self._period, self.device)
        # The latest truth has been joined already; its gravity tells that it is this one.
        if self._further is None or truth["gravity"] is not self._gravity:
            return joined(self._privileged_terms, view)
        return torch.cat((self._privileged, joined(self._further, view)), -1) if self._further else self._privileged

    def keep_failures(self, folder: Path) -> None:
        """Write the last states of failed worlds into `folder`, where the physics can."""
        self.physics.keep_failures(folder)

    def metrics(self) -> dict[str, float]:
        """What a trainer reports beside its own figures."""
        return {
            **self._outcomes.metrics(),
            "command_range": self.commands.range,
            "failed_worlds": float(self.physics.failures),
        }

    def push(self, ids: Tensor, velocity: Tensor) -> None:
        """Kick the bases of the worlds `ids` [K]: their velocity changes by [K, 3] or [3] m/s in the world's frame."""
        self.physics.qvel[ids, self._at.velocity] += velocity

    def finish_curriculum(self) -> None:
        """Full command ranges from now on."""
        self.commands.finish_curriculum()

    def snapshot(self) -> dict[str, Tensor]:
        saved = {
            "steps": self._steps.clone(),
            "action": self._action.clone(),
            "last_action": self._last_action.clone(),
            "followed": self._followed.clone(),
            "air": self._air_after.clone(),
            "tracked": self._tracked.clone(),
            "ticks": torch.tensor(self._ticks),
            "generator": self._generator.get_state(),
        }
        parts = {
            "physics": self.physics.snapshot(),
            "commands": self.commands.snapshot(),
            "robot": self.imperfections.snapshot(),
            "push": self.pushes.snapshot(),
            "ground": {} if self.ground is None else self.ground.snapshot(),
        }
        for prefix, part in parts.items():
            saved |= {f"{prefix}.{name}": value for name, value in part.items()}
        return saved

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in snapshot.items() if k.startswith(prefix)}

        self._steps = snapshot["steps"].clone()
        self._action = snapshot["action"].clone()
        self._last_action = snapshot["last_action"].clone()
        self._followed = snapshot["followed"].clone()
        self._air = self._air_after = snapshot["air"].clone()
        self._tracked = snapshot["tracked"].clone()
        self._ticks = int(snapshot["ticks"])
        self._generator.set_state(snapshot["generator"])
        self._seeded = True
        self.physics.restore(part("physics."))
        self.commands.restore(part("commands."))
        self.imperfections.restore(part("robot."))
        self._layout.set_zeros(self.imperfections.joint_offset)
        self.pushes.restore(part("push."))
        if self.ground is not None:
            self.ground.restore(part("ground."))
