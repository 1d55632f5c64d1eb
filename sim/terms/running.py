"""The terms of a task in N worlds: the part that every family's scenario shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from sim.terms.events import Timers
from sim.terms.generators import restore_generator
from sim.terms.outcome import Outcomes, RewardPass, StepOutcome
from sim.terms.stateful import CommandTerm, CurriculumTerm, curriculum_term
from sim.terms.terms import Command, Curriculum, Event, Reward, Termination
from sim.terms.view import View


class NamedTerms(Protocol):
    """The parts of a `sim.task.Task` that run in its worlds."""

    @property
    def rewards(self) -> Mapping[str, Reward]: ...
    @property
    def terminations(self) -> Mapping[str, Termination]: ...
    @property
    def events(self) -> Mapping[str, Event]: ...
    @property
    def command_terms(self) -> Mapping[str, Command]: ...
    @property
    def curriculum(self) -> Mapping[str, Curriculum]: ...
    @property
    def period(self) -> float: ...
    @property
    def episode_steps(self) -> int: ...


class RunningTerms:
    """Events, commands, curricula, rewards and terminations of a scenario.

    `scale` is the environment's `imperfections`, `randomized` whether it draws the dynamics anew each episode; commands
    and interval events are looked at every `tick` s. A scenario calls `begin_curricula`, `begin_timers`,
    `begin_commands` and `begin_events`, in the order in which they draw, for worlds that restart; `tick` and
    `tick_events` as often as it said; and `outcome` once a step.
    """

    def __init__(
        self,
        task: NamedTerms,
        num_worlds: int,
        device: str,
        scale: float,
        randomized: bool,
        tick: float,
        compiled: RewardPass | None = None,
    ) -> None:
        self._events = task.events
        self._randomized = randomized and scale > 0.0
        self.event_parameters = {name: dict(event.parameters) for name, event in task.events.items()}
        """Parameters of the events that are called again and again; a curriculum may change them."""
        self.timers = Timers(task.events if scale > 0.0 else {}, num_worlds, tick, device)
        self.commands: dict[str, CommandTerm] = {
            name: term(num_worlds, tick, device) for name, term in task.command_terms.items()
        }
        self._read_by = {name: term.sensors[0].name for name, term in task.command_terms.items()}
        self.curriculum: dict[str, CurriculumTerm] = {}
        self.rewards = task.rewards
        self.episode_steps = task.episode_steps
        self.terminated = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        """Worlds [N] whose episode came to a true end in the last step."""
        self.resumed = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        """Worlds [N] whose episode began from a saved state: no curriculum judges the worlds' progress by them."""
        self._imperfections: list[Callable[[float], None]] = []
        self._share = 1.0
        self._outcomes = Outcomes(task.rewards, task.terminations, num_worlds, task.period, device, compiled)
        self.generator = torch.Generator(device)
        """Of what is drawn between restarts; its own, so that a snapshot restored elsewhere goes on alike."""
        self._seeded = False

    def commands_but(self, kind: type[CommandTerm]) -> dict[str, CommandTerm]:
        """The commands that are not of a `kind` which a scenario knows, by the sensor that shows their values."""
        return {self._read_by[name]: term for name, term in self.commands.items() if not isinstance(term, kind)}

    def start_curriculum(self, task: NamedTerms, scenario: Any, randomized: bool) -> None:
        """Make the curricula of a scenario that is complete otherwise; worlds that aren't randomized have finished
        them. Each finds those before it in `curriculum`."""
        for name, term in task.curriculum.items():
            self.curriculum[name] = curriculum_term(name, term, scenario)
        if not randomized:
            self.finish_curriculum()

    def finish_curriculum(self) -> None:
        """Give every later episode the task's whole difficulty."""
        for term in self.curriculum.values():
            term.finish()

    def begin_curricula(self, ids: Tensor, generator: torch.Generator) -> None:
        """The episodes of the worlds `ids` [K] have ended."""
        for term in self.curriculum.values():
            term.restart(ids, generator)
        self.resumed.index_fill_(0, ids, False)

    def resume(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        """As `CurriculumTerm.resume`, of the first curriculum that wants any of the worlds `ids`."""
        for term in self.curriculum.values():
            found = term.resume(ids, generator)
            if found is not None:
                self.resumed.index_fill_(0, found[0], True)
                return found
        return None

    def scale_rewards(self, factors: Mapping[str, float]) -> None:
        """Multiply the weights of the rewards named in `factors`; every other one has its own weight."""
        self._outcomes.scale(factors)

    def add_imperfection(self, scale: Callable[[float], None]) -> None:
        """Let `scale`, a function of a share, set what it draws to that share of its whole ranges."""
        self._imperfections.append(scale)
        if self._share != 1.0:
            scale(self._share)

    def scale_imperfections(self, share: float) -> None:
        """Set all ranges of randomization, disturbances and noise to this share of the whole ones, from the next draws
        on."""
        self._share = share
        for scale in self._imperfections:
            scale(share)

    def seed(self, generator: torch.Generator) -> None:
        """Draw the seed of what is drawn between restarts, once."""
        if not self._seeded:
            self.generator.manual_seed(int(torch.randint(2**62, (1,), generator=generator, device=generator.device)))
            self._seeded = True

    def begin_commands(self, ids: Tensor, generator: torch.Generator) -> None:
        """New commands for the worlds `ids` [K]."""
        for command in self.commands.values():
            command.begin(ids, generator)

    def begin_events(self, scenario: Any, ids: Tensor, generator: torch.Generator) -> None:
        """Call start events for the worlds `ids` [K], and restart events if worlds are randomized."""
        for name, event in self._events.items():
            if event.when == "start" or (event.when == "restart" and self._randomized):
                event.function(scenario, ids, generator, **self.event_parameters[name])

    def tick_events(self, scenario: Any) -> None:
        """Call the interval events that are due."""

        def happen(name: str, ids: Tensor) -> None:
            self._events[name].function(scenario, ids, self.generator, **self.event_parameters[name])

        self.timers.advance(happen, self.generator)

    def tick(self, view: View) -> None:
        """Move the commands on; the view holds what the physics measures of the robots."""
        for command in self.commands.values():
            command.advance(view, self.generator)

    def outcome(self, view: View, inputs: Mapping[str, Tensor] | None = None) -> StepOutcome:
        """The outcome of the step that a view shows; `inputs` are for the compiled terms."""
        for term in self.curriculum.values():
            term.step(view)
        outcome = self._outcomes(view, inputs)
        self.terminated = outcome.terminated
        return outcome

    def metrics(self) -> dict[str, float]:
        """Means of the terms since the last call, and what the curricula report."""
        own = {name: value for term in self.curriculum.values() for name, value in term.metrics().items()}
        return {**self._outcomes.metrics(), **own}

    def snapshot(self) -> dict[str, Tensor]:
        saved = {
            f"{name}.{key}": value for name, part in self._parts().items() for key, value in part.snapshot().items()
        }
        own = {"seeded": torch.tensor(self._seeded), "resumed": self.resumed.clone()}
        return {**saved, **own, "generator": self.generator.get_state()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for name, part in self._parts().items():
            prefix = f"{name}."
            part.restore({key.removeprefix(prefix): v for key, v in snapshot.items() if key.startswith(prefix)})
        restore_generator(self.generator, snapshot["generator"])
        self._seeded = bool(snapshot["seeded"])
        # Earlier versions saved none.
        self.resumed = snapshot.get("resumed", torch.zeros_like(self.resumed)).clone()

    def _parts(self) -> dict[str, Any]:
        """The parts that have a state, by name."""
        named = (("command", self.commands), ("curriculum", self.curriculum))
        parts = {f"{kind} {name}": term for kind, terms in named for name, term in terms.items()}
        return {"timers": self.timers, **parts}
