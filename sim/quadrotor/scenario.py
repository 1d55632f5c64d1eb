"""The quadrotor scenario: hold a target or track a figure under disturbances, from the published initial distribution.

Source: arXiv 2311.13081 and its public code.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Truth
from sim.physics.masks import mask_of
from sim.physics.rotor.physics import RotorPhysics
from sim.quadrotor import kernels
from sim.quadrotor.figures import Targets
from sim.quadrotor.starts import StartPool
from sim.robots.rotors import RotorParameters
from sim.task import Task
from sim.terms.compiled import CompiledRewards
from sim.terms.outcome import StepOutcome
from sim.terms.running import RunningTerms
from sim.terms.terms import joined
from sim.terms.view import View


class QuadrotorScenario:
    """N quadrotors with their targets. Truth: position_error and linear_velocity_error (minus the target), position,
    orientation, linear_velocity, angular_velocity, rotor_speed, force, torque, dynamics (parameter row),
    rotor_distance (m, from the centre to a rotor), target_*.
    """

    def __init__(
        self,
        task: Task,
        physics: RotorPhysics,
        robot: RotorParameters,
        *,
        imperfections: float,
        randomized: bool,
    ) -> None:
        num_worlds, device, period = physics.num_worlds, physics.device, task.period
        self.physics = physics
        self.scale = self._whole_scale = imperfections
        """Factor on the ranges of all random draws."""
        self.rotor_distance = robot.rotor_distance
        """Distance from the centre to a rotor of the nominal vehicle, m."""
        self._hover = torch.full((1, 1), 2.0 * robot.hover_fraction - 1.0, device=device)
        compiled = CompiledRewards(
            task.rewards, kernels.COUNTERPARTS, kernels.StepInputs, {"hover": float(self._hover)}, num_worlds, period,
            device, contiguous=False,
        )  # fmt: skip
        self.terms = RunningTerms(task, num_worlds, device, imperfections, randomized, period, compiled)
        targets = [term for term in self.terms.commands.values() if isinstance(term, Targets)]
        self._targets = targets[0] if targets else None
        self._plain_commands = self.terms.commands_but(Targets)
        self.starts = StartPool(physics.parameters[:1].clone(), num_worlds, self._draw_starts)
        # Where the worlds that restart begin; other rows are out of date.
        self._rows = torch.zeros_like(self.physics.state)
        self._parts = self._rows.split((7, 6, 4), -1)
        self._keep_constants()
        self._sensors = tuple(spec.name for spec in task.sensors)
        self._period = period
        self._actions_per_speed = 2.0 / robot.max_speed
        self._privileged = task.privileged
        self.terms.add_imperfection(self.scale_imperfections)
        self.terms.start_curriculum(task, self, randomized)

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
        """Draw start, disturbance, target and, where asked, dynamics for the worlds `ids` [K]."""
        self.terms.begin_curricula(ids, generator)
        rows, wrench, parameters = self.starts.take(len(ids), generator)
        self.physics.parameters.index_copy_(0, ids, parameters)
        self.physics.wrench.index_copy_(0, ids, wrench)
        if self.terms.timers.active:
            self.terms.seed(generator)
            self.terms.timers.begin(ids, generator)
        self.terms.begin_commands(ids, generator)
        if self._targets is not None:
            rows = rows.clone()
            rows[:, 0:3] += self._targets.position[ids]
            rows[:, 7:10] += self._targets.velocity[ids]
        self._rows.index_copy_(0, ids, rows)
        self._start(ids)
        self._keep_constants()

    def _draw_starts(self, ids: Tensor, generator: torch.Generator) -> None:
        """Let events write the rows `ids` of the starts drawn in advance."""
        self.terms.begin_events(self, ids, generator)

    def _start(self, ids: Tensor) -> None:
        """Put the worlds `ids` [K] into the states that `_rows` has for them."""
        self.physics.write(mask_of(ids, self.num_worlds), *self._parts)

    def _keep_constants(self) -> None:
        """Copy what is constant in an episode, so that a Truth stays valid after the next restart."""
        wrench = self.physics.wrench.clone()
        self._constants = {
            "force": wrench[:, 0:3],
            "torque": wrench[:, 3:6],
            "dynamics": self.physics.parameters.clone(),
            "rotor_distance": self.rotor_distance * self.physics.parameters[:, 11:12],
        }

    def advance(self, commands: Commands, applied: Commands, differentiable: bool) -> None:
        if self.terms.timers.active:
            if differentiable:
                raise UserError("interval events have no gradients to train by; take them out of the task, or use ppo")
            self.terms.tick_events(self)
        (self.physics.flow if differentiable else self.physics.step)(applied["rotor_speed"])
        if self.terms.commands:
            measured = self.physics.sensors() if self._plain_commands else {}
            self.terms.tick(View(measured, self.num_worlds, self._period, self.device))

    def push(self, ids: Tensor, velocity: Tensor) -> None:
        """Kick the worlds `ids` [K]: their velocity changes by [K, 3] or [3] m/s in the world's frame."""
        self.physics.detach()
        self.physics.qvel[ids, :3] += velocity

    def detach(self) -> None:
        self.physics.detach()

    def truth(self) -> Truth:
        values = {**self.physics.sensors(), **self._constants}
        values |= {name: term.values for name, term in self._plain_commands.items()}
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
        return {name: truth[name] for name in self._sensors}

    def view(self, truth: Truth, commands: Commands) -> View:
        """What terms read: the truth, and further tensors that describe the step that led to it."""
        own = {
            "action": commands["rotor_speed"] * self._actions_per_speed - 1.0,
            "hover_action": self._hover,
        }
        return View(own, self.num_worlds, self._period, self.device, truth=truth)

    def outcome(self, truth: Truth, commands: Commands) -> StepOutcome:
        view = self.view(truth, commands)
        names = ("position_error", "orientation", "linear_velocity_error", "action")
        return self.terms.outcome(view, {name: view[name] for name in names})

    def critic_observation(self, truth: Truth) -> Tensor:
        return joined(self._privileged, View(truth, self.num_worlds, self._period, self.device))

    def metrics(self) -> dict[str, float]:
        """How much each term contributed, and what curricula report."""
        return self.terms.metrics()

    def resume(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        """Those of the worlds `ids` [K] that go on from saved states, and these (see `CurriculumTerm.resume`)."""
        return self.terms.resume(ids, generator)

    def finish_curriculum(self) -> None:
        """Give every later episode the task's whole difficulty."""
        self.terms.finish_curriculum()

    def snapshot(self) -> dict[str, Tensor]:
        own = {f"terms.{name}": value for name, value in self.terms.snapshot().items()}
        return {**self.physics.snapshot(), **self.starts.snapshot(), **own}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self.physics.restore(snapshot)
        self.starts.restore(snapshot)
        self.terms.restore({k.removeprefix("terms."): v for k, v in snapshot.items() if k.startswith("terms.")})
        self._keep_constants()
