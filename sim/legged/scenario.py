"""N legged robots that follow velocity commands on flat ground or terrain: what a walking task adds to MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import mujoco
import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Truth
from policies.terms.rotation import Quaternion, right_product, turning
from sim.actuators import ActuatorModels
from sim.legged import kernels
from sim.legged.commands import VelocityCommands
from sim.legged.gait import Gait
from sim.legged.layout import Layout
from sim.legged.plan import TARGET, Randomization
from sim.legged.privileged import PrivilegedRows
from sim.legged.settings import LeggedSettings
from sim.legged.starts import Starts
from sim.physics.addresses import Addresses
from sim.physics.masks import mask_of
from sim.physics.protocol import JointedPhysics
from sim.robots.legs import Legs, foot_place
from sim.robots.robot import Robot
from sim.task import Task
from sim.terms.compiled import CompiledRewards
from sim.terms.outcome import StepOutcome
from sim.terms.running import RunningTerms
from sim.terms.terms import joined
from sim.terms.view import View

EVENTS = 5
"""Control periods between steps of the commands, and between looks at which interval events are due."""
VELOCITY = "velocity"
"""The name of the command term that every walking task has."""


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

    def scale_imperfections(self, share: float) -> None:
        """Let what is drawn have this share of its whole ranges."""
        ...

    def snapshot(self) -> dict[str, Tensor]: ...
    def restore(self, snapshot: Mapping[str, Tensor]) -> None: ...


class LeggedScenario:
    """See `Scenario` in sim.environment for the contract.

    Truth [N, .]: base_position m and orientation (w x y z) in the world, linear_velocity and angular_velocity in the
    base's frame, gravity (its direction, base's frame), joint_position and joint_velocity as they are and as
    `measured_position` with the encoders' zero errors, joint_torque Nm, foot_contact (1 or 0), foot_height m above
    ground, foot_velocity m/s (world), base_height m above ground, velocity_command (followed in the step that has just
    ended), next_command (observed by the policy now), gait_clock (sin, cos), last_action, and `parameters` (what was
    drawn of friction, strength, mass and delay). `sim.legged.rewards` lists the further tensors of a `view`.
    """

    def __init__(
        self,
        task: Task,
        physics: JointedPhysics,
        actuators: ActuatorModels,
        robot: Robot,
        settings: LeggedSettings,
        *,
        randomized: bool,
        imperfections: float,
        ground: Ground | None = None,
    ) -> None:
        n, joints, device, period = physics.num_worlds, len(robot.joints), physics.device, task.period
        self.physics = physics
        self.robot = robot
        self.ground = ground
        self.settings = settings
        self.scale = self._whole_scale = imperfections
        """Factor on the ranges of all random draws."""
        scale = imperfections if randomized else 0.0
        self.randomization = Randomization(task.events, physics, actuators, robot, scale)
        self._period = period
        self._mount = None if robot.imu is None else _mount(robot.imu, device)
        self._stance = torch.tensor(robot.part(Legs).stance, device=device)
        self._first_targets = self._stance.double().repeat(n, 1)
        self._per_scale = 1.0 / torch.tensor(robot.part(Legs).action_scale, device=device)
        self._middle = -self._stance * self._per_scale
        self._gait = Gait(settings.gait, settings.frequency, settings.duty, period).table.to(device)
        self._steps = torch.zeros(n, dtype=torch.int64, device=device)
        self._action = torch.zeros(n, joints, device=device)
        self._last_action = torch.zeros(n, joints, device=device)
        self._older_action = torch.zeros(n, joints, device=device)
        # How long each foot has been in the air, before the step and after it.
        self._air = self._air_after = torch.zeros(n, len(robot.part(Legs).feet), device=device)
        # Below the feet and the base; flat ground is at 0.
        self._below = torch.zeros(n, len(robot.part(Legs).feet) + 1, device=device)
        self._before = physics.values
        self._ticks = 0
        self._layout = Layout(physics, robot)
        self._columns = self._layout.columns
        self._at = Addresses.of(physics.model, robot.base, robot.joints, device)
        self.twist = slice(self._at.velocity.start, self._at.rates.stop)
        """Columns of the base's velocity (world) and rates (body) in qvel."""
        self.starts = Starts(physics, robot)
        self.terms = self._prepare_terms(task, randomized)
        commands = self.terms.commands.get(VELOCITY)
        if not isinstance(commands, VelocityCommands):
            raise UserError(f"walking needs a command term named {VELOCITY!r} that is made by VelocityCommands")
        self.commands = commands
        self._followed = commands.values
        # The velocity that was followed is not the next command.
        self._plain_commands = self.terms.commands_but(VelocityCommands)
        for part in (self, self.randomization, *(() if ground is None else (ground,))):
            self.terms.add_imperfection(part.scale_imperfections)
        self.terms.start_curriculum(task, self, randomized)

    def _prepare_terms(self, task: Task, randomized: bool) -> RunningTerms:
        """The passes over all worlds, and the constants of a view."""
        n, robot, device, period = self.num_worlds, self.robot, self.device, self._period
        limits = torch.tensor([robot.part(Legs).stance, robot.joint_low, robot.joint_high], device=device)
        rest = self._resting_height()
        clock = {
            "at": kernels.columns_at(self._columns), "joints": len(robot.joints), "feet": len(robot.part(Legs).feet),
            "period": period, "gait": self._gait,
        }  # fmt: skip
        compiled = CompiledRewards(
            task.rewards, kernels.COUNTERPARTS, kernels.StepInputs, {**clock, "rest": rest, "pose": limits}, n, period,
            device,
        )  # fmt: skip
        self._rows = PrivilegedRows(robot, clock, n, device)
        self._further = self._rows.further(task.privileged)
        self._privileged_terms = task.privileged
        self._constants = {
            "stance": limits[:1], "joint_low": limits[1:2], "joint_high": limits[2:],
            "foot_rest_height": torch.full((1, 1), rest, device=device),
        }  # fmt: skip
        self._privileged = self._gravity = torch.empty(0)
        return RunningTerms(task, n, device, self.scale, randomized, EVENTS * period, compiled)

    def _resting_height(self) -> float:
        """Height of the feet's centres above the ground in the stance, m."""
        model, robot = self.physics.model, self.robot
        data = mujoco.MjData(model)
        data.qpos[self._at.joints.tolist()] = robot.part(Legs).stance
        for joint, value in robot.passive:
            data.joint(joint).qpos[0] = value
        data.qpos[self._at.position.stop - 1] = robot.part(Legs).stand_height
        mujoco.mj_kinematics(model, data)
        legs = robot.part(Legs)
        return min(float(foot_place(legs, model, data, foot)[0][2]) for foot in legs.feet)

    def scale_imperfections(self, share: float) -> None:
        """Let the events' draws have this share of their whole ranges."""
        self.scale = share * self._whole_scale

    @property
    def num_worlds(self) -> int:
        return self.physics.num_worlds

    @property
    def device(self) -> str:
        return self.physics.device

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Start the worlds `ids` [K] anew: curricula, ground, bodies and motors, commands, then the start events."""
        self.terms.begin_curricula(ids, generator)
        self.terms.seed(generator)
        self.starts.points = None if self.ground is None else self.ground.begin(ids, generator)
        self.randomization.draw(ids, generator)
        self.terms.timers.begin(ids, generator)
        changed = self._followed is not self.commands.values
        self.terms.begin_commands(ids, generator)
        self.terms.begin_events(self, ids, generator)
        self.physics.write(mask_of(ids, self.num_worlds), self.starts.qpos, self.starts.qvel, self._first_targets)
        # No other object holds these.
        for own in (self._steps, self._action, self._last_action):
            own.index_fill_(0, ids, 0)
        self._followed = self._followed.index_fill(0, ids, 0.0) if changed else self.commands.values
        self._layout.set_zeros(self.randomization.joint_offset, ids)

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
            self.terms.tick_events(self)
        self.physics.step(applied[TARGET])
        self._steps += 1
        if due:
            values = self.physics.values
            measured = {name: values[:, columns] for name, columns in self._columns.items()}
            self.terms.tick(View(measured, self.num_worlds, self._period, self.device))

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
                "action": self._action, "drawn": self.randomization.parameters, "zeros": self._layout.zeros,
                "air": self._air,
            }
        )  # fmt: skip
        own = {name: term.values for name, term in self._plain_commands.items()}
        own |= self.randomization.shown
        own["velocity_command"] = self._followed
        # What the sensors measure stays side by side, on its way to their models.
        rows = ((observed, self._layout.measured), (self._privileged, self._rows.columns), (values, self._columns))
        truth = Truth(own, rows)
        self._gravity = truth["gravity"]
        return truth

    def signals(self, truth: Truth) -> dict[str, Tensor]:
        own = {
            **self._imu(truth),
            "joint_position": truth["measured_position"],
            "joint_velocity": truth["joint_velocity"],
            "velocity_command": truth["next_command"],
        }
        own |= {name: truth[name] for name in self._plain_commands}
        return own if self.ground is None else {**own, **self.ground.signals(truth)}

    def _imu(self, truth: Truth) -> dict[str, Tensor]:
        """What the IMU measures, along its own axes."""
        own = {name: truth[name] for name in ("orientation", "angular_velocity", "linear_acceleration")}
        if self._mount is None:
            return own
        turn, product = self._mount
        return {name: value @ (product if name == "orientation" else turn) for name, value in own.items()}

    def view(self, truth: Truth) -> View:
        """What terms read: the truth, and further tensors that describe the step that led to it."""
        feet = len(self.robot.part(Legs).feet)

        def clock(first: int) -> Tensor:
            return self._gait[self._steps % len(self._gait)][:, first : first + feet]

        own = {
            **self._constants, "action": self._action, "last_action": self._last_action,
            "older_action": self._older_action, "steps": self._steps, "foot_air_time": self._air,
            "failed": self.physics.failed,
        }  # fmt: skip
        before, columns = self._before, self._columns["joint_velocity"]
        computed = {
            "previous_joint_velocity": lambda: before[:, columns],
            "gait_contact": lambda: clock(2),
            "gait_swing": lambda: clock(2 + feet),
        }
        return View(own, self.num_worlds, self._period, self.device, computed, truth)

    def outcome(self, truth: Truth, commands: Commands) -> StepOutcome:
        """Call it once a step: it adds up how well each episode goes."""
        return self.terms.outcome(
            self.view(truth),
            {
                "values": self.physics.values, "before": self._before, "steps": self._steps,
                "privileged": self._privileged, "below": self._below, "command": self._followed,
                "action": self._action, "last_action": self._last_action, "older_action": self._older_action,
                "air": self._air, "failed": self.physics.failed,
            },
        )  # fmt: skip

    def critic_observation(self, truth: Truth) -> Tensor:
        """Also values that a policy can't observe: [N, task.critic_dim]."""
        view = View(truth, self.num_worlds, self._period, self.device)
        # The latest truth has been joined already; its gravity tells that it is this one.
        if self._further is None or truth["gravity"] is not self._gravity:
            return joined(self._privileged_terms, view)
        return torch.cat((self._privileged, joined(self._further, view)), -1) if self._further else self._privileged

    def keep_failures(self, folder: Path) -> None:
        """Write the last states of failed worlds into `folder`, where the physics can."""
        self.physics.keep_failures(folder)

    def metrics(self) -> dict[str, float]:
        """Metrics that a trainer reports besides its own."""
        return {**self.terms.metrics(), "failed_worlds": float(self.physics.failures)}

    def push(self, ids: Tensor, velocity: Tensor) -> None:
        """Kick the bases of the worlds `ids` [K]: their velocity changes by [K, 3] or [3] m/s in the world's frame."""
        self.physics.qvel[ids, self._at.velocity] += velocity

    def resume(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        """Those of the worlds `ids` [K] that go on from saved states, and these (see `CurriculumTerm.resume`)."""
        return self.terms.resume(ids, generator)

    def finish_curriculum(self) -> None:
        """Give every later episode the task's whole difficulty."""
        self.terms.finish_curriculum()

    def snapshot(self) -> dict[str, Tensor]:
        saved = {
            "steps": self._steps.clone(),
            "action": self._action.clone(),
            "last_action": self._last_action.clone(),
            "followed": self._followed.clone(),
            "air": self._air_after.clone(),
            "ticks": torch.tensor(self._ticks),
        }
        parts = {
            "physics": self.physics.snapshot(),
            "robot": self.randomization.snapshot(),
            "terms": self.terms.snapshot(),
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
        self._ticks = int(snapshot["ticks"])
        self.physics.restore(part("physics."))
        self.terms.restore(part("terms."))
        self.randomization.restore(part("robot."))
        self._layout.set_zeros(self.randomization.joint_offset)
        if self.ground is not None:
            self.ground.restore(part("ground."))


def _mount(imu: Quaternion, device: str) -> tuple[Tensor, Tensor]:
    """What rows of vectors and of quaternions of the base are multiplied by to be those of an IMU turned by `imu`."""
    return turning(imu).T.to(device), right_product(imu).T.to(device)
