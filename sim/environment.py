"""The vectorised environment: a scenario in a physics backend, seen through sensor and actuator models.

    commands -> actuator models -> physics -> scenario (truth, reward, end) -> sensor models -> sensors

Finished worlds restart within the step (autoreset mode "same step"); their last state is kept as terminal_*.
All random draws come from one generator on the environment's device, so a seed decides everything and a snapshot holds
everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Sensors, Truth
from sim.actuators import ActuatorModels
from sim.sensors import SensorModels
from sim.task import Resumed, Step
from sim.terms.generators import restore_generator
from sim.terms.outcome import StepOutcome


class Scenario(Protocol):
    """A task's part of a world, besides the physics; N worlds, of which `ids` [K] names some."""

    @property
    def num_worlds(self) -> int: ...
    @property
    def device(self) -> str: ...
    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Draw a new initial state, disturbance and target for the worlds `ids`."""
        ...

    def advance(self, commands: Commands, applied: Commands, differentiable: bool) -> None:
        """One control period of physics, targets included: the policy gave `commands`, the actuator models make of them
        what is `applied` (see `ActuatorModels.apply`)."""
        ...

    def detach(self) -> None:
        """Cut the gradient's way into the past."""
        ...

    def truth(self) -> Truth:
        """What is true now, as tensors that later steps do not change."""
        ...

    def signals(self, truth: Truth) -> dict[str, Tensor]:
        """The true value of every sensor [N, dim]."""
        ...

    def outcome(self, truth: Truth, commands: Commands) -> StepOutcome:
        """The reward of the step that led to `truth`, and the episodes that it ended; called once a step."""
        ...

    def critic_observation(self, truth: Truth) -> Tensor:
        """The privileged observation [N, D]."""
        ...

    def metrics(self) -> dict[str, float]:
        """Metrics since the last call: the means of terms, a curriculum's state."""
        ...

    def snapshot(self) -> dict[str, Tensor]: ...
    def restore(self, snapshot: Mapping[str, Tensor]) -> None: ...


class VectorEnvironment:
    """N robots of one scenario stepped together (see sim.task.Environment for the contract).

    `episode_steps` ends an episode by truncation. Most trainers use `step`; `flow` and `renew` are for those that
    differentiate through the physics: no reward, no restart within a stretch of steps.
    """

    def __init__(
        self, scenario: Scenario, sensors: SensorModels, actuators: ActuatorModels, episode_steps: int, seed: int
    ) -> None:
        if episode_steps < 1:
            raise UserError(f"episode_steps must be at least 1, got {episode_steps}")
        self.scenario = scenario
        self.episode_steps = episode_steps
        self._sensors = sensors
        self._actuators = actuators
        self._generator = torch.Generator(device=scenario.device).manual_seed(seed)
        self._age = torch.zeros(scenario.num_worlds, dtype=torch.int64, device=scenario.device)
        terms = getattr(scenario, "terms", None)
        if terms is not None:
            terms.add_imperfection(sensors.scale)

    @property
    def num_worlds(self) -> int:
        return self.scenario.num_worlds

    @property
    def device(self) -> str:
        return self.scenario.device

    @property
    def age(self) -> Tensor:
        """Steps [N] that each world's episode has lasted."""
        return self._age

    def critic_observation(self, truth: Truth) -> Tensor:
        return self.scenario.critic_observation(truth)

    @torch.no_grad()
    def reset(self) -> tuple[Sensors, Truth]:
        """Restart every world."""
        everyone = torch.arange(self.num_worlds, device=self.device)
        self.scenario.detach()
        truth = self._restart(everyone)
        first = self._sensors.restart(everyone, self.scenario.signals(truth), self._generator)
        return Sensors(first), truth

    @torch.no_grad()
    def step(self, commands: Commands) -> Step:
        """One control period for every world; finished ones restart."""
        self.scenario.advance(commands, self._actuators.apply(commands), differentiable=False)
        self._age += 1
        truth = self.scenario.truth()
        outcome = self.scenario.outcome(truth, commands)
        reward, terminated = outcome.reward, outcome.terminated
        timed_out = self._age >= self.episode_steps
        truncated = timed_out > terminated
        sensors = self._sensors.measure(self.scenario.signals(truth), self._generator)
        ids = (terminated | timed_out).nonzero()[:, 0]
        if not len(ids):
            return Step(sensors, truth, reward, terminated, truncated, sensors, truth)
        after, following = self._replace(ids, sensors)
        taken = self._resume(ids)
        if taken is None:
            return Step(after, following, reward, terminated, truncated, sensors, truth)
        chosen, rows = taken
        self.put(chosen, rows)

        def now(signals: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
            return {name: value.index_copy(0, chosen, rows[f"{kind}/{name}"]) for name, value in signals.items()}

        after, following = Sensors(now(after, "sensors")), Truth(now(following, "truth"))
        resumed = Resumed(chosen, _part(rows, "policy/"))
        return Step(after, following, reward, terminated, truncated, sensors, truth, resumed)

    def flow(self, commands: Commands) -> tuple[Sensors, Truth]:
        """One control period that carries gradients from what follows to the commands; worlds never restart here."""
        self.scenario.advance(commands, self._actuators.apply(commands), differentiable=True)
        self._age += 1
        truth = self.scenario.truth()
        return self._sensors.measure(self.scenario.signals(truth), self._generator), truth

    @torch.no_grad()
    def renew(self, finished: Tensor, sensors: Sensors) -> tuple[Sensors, Tensor]:
        """End a differentiable stretch: cut gradients, restart worlds that are `finished` [N] or out of time.

        Returns the sensors to go on with and the mask [N] of restarted worlds. UserError where a curriculum wants them
        to go on from saved states.
        """
        self.scenario.detach()
        self._actuators.detach()
        mask = finished | (self._age >= self.episode_steps)
        sensors = Sensors({name: value.detach() for name, value in sensors.items()})
        ids = mask.nonzero()[:, 0]
        if len(ids) and self._resume(ids) is not None:
            raise UserError("training through the physics can't begin from snapshots; use ppo, sac or distill")
        return (self._replace(ids, sensors)[0] if len(ids) else sensors), mask

    def metrics(self) -> dict[str, float]:
        """What the scenario reports since the last call: `reward/NAME` and `termination/NAME`, the means of each term
        over worlds and steps, per second; a curriculum's state."""
        return self.scenario.metrics()

    def finish_curriculum(self) -> None:
        """Give every later episode the task's whole difficulty, where it has a curriculum."""
        finish = getattr(self.scenario, "finish_curriculum", None)
        if finish is not None:
            finish()

    def keep_failures(self, folder: Path) -> None:
        """Let physics that can fail write the last states of failed worlds into `folder`, for inspection."""
        keep = getattr(self.scenario, "keep_failures", None)
        if keep is not None:
            keep(folder)

    def spread_ages(self) -> None:
        """Give each world a random age, so that episodes do not end in step."""
        self._age = torch.randint(
            0, self.episode_steps, (self.num_worlds,), generator=self._generator, device=self.device
        )

    def _restart(self, ids: Tensor) -> Truth:
        self.scenario.begin(ids, self._generator)
        self._actuators.restart(ids)
        self._age[ids] = 0
        return self.scenario.truth()

    def _replace(self, ids: Tensor, sensors: Sensors) -> tuple[Sensors, Truth]:
        truth = self._restart(ids)
        return self._sensors.renew(sensors, ids, self.scenario.signals(truth), self._generator), truth

    def _resume(self, ids: Tensor) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        resume = getattr(self.scenario, "resume", None)
        return None if resume is None else resume(ids, self._generator)

    def world_rows(self) -> dict[str, Tensor]:
        """The state of every world by itself, as `world/NAME` [N, ...]: robot, sensor and actuator models, commands,
        timers, place; not what worlds share, such as random generators and the clock that commands and interval events
        are looked at by."""
        return {
            f"world/{name}": value.movedim(axis, 0)
            for name, value in self.snapshot().items()
            if (axis := _axis_of_worlds(name, value, self.num_worlds)) is not None
        }

    def put(self, ids: Tensor, rows: Mapping[str, Tensor]) -> None:
        """Put the worlds `ids` [K] into states [K, ...] that `world_rows` gave, here or in another environment of the
        same task with any number of worlds."""
        snapshot = self.snapshot()
        for name, value in snapshot.items():
            axis = _axis_of_worlds(name, value, self.num_worlds)
            if axis is not None and f"world/{name}" in rows:
                value.movedim(axis, 0)[ids] = rows[f"world/{name}"]
        self.restore(snapshot)

    def snapshot(self) -> dict[str, Tensor]:
        parts = {
            "scenario": self.scenario.snapshot(),
            "sensors": self._sensors.snapshot(),
            "actuators": self._actuators.snapshot(),
        }
        saved = {f"{part}/{name}": t for part, tensors in parts.items() for name, t in tensors.items()}
        return {**saved, "age": self._age.clone(), "generator": self._generator.get_state()}

    @torch.no_grad()
    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        # A checkpoint is read onto the CPU, and may come from another device.
        snapshot = {name: value.to(self.device) for name, value in snapshot.items()}

        # Before the scenario, which may keep what follows from the actuators' zero errors.
        self._actuators.restore(_part(snapshot, "actuators/"))
        self.scenario.restore(_part(snapshot, "scenario/"))
        self._sensors.restore(_part(snapshot, "sensors/"))
        self._age.copy_(snapshot["age"])
        restore_generator(self._generator, snapshot["generator"])


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _axis_of_worlds(name: str, value: Tensor, num_worlds: int) -> int | None:
    """The axis of a snapshot's tensor along which each world has its own state; None for what worlds share and for a
    training's progress, which are the plans for the next episodes and the curricula."""
    if name.endswith(("generator", ".resumed")) or ".curriculum " in name or ".next_" in name:
        return None
    axis = int("past" in name.rpartition("/")[2].split("."))
    return axis if value.dim() > axis and value.shape[axis] == num_worlds else None
