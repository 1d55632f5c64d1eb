"""Terms with a state of their own: commands and curricula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from policies.specs import SensorSpec
from sim.terms.terms import Curriculum
from sim.terms.view import View


class Stateful:
    """An object whose tensors and numbers are its state: they are saved and restored by name, whatever they mean."""

    def snapshot(self) -> dict[str, Tensor]:
        own = {name: value for name, value in vars(self).items() if isinstance(value, Tensor | int | float)}
        return {
            name: value.clone()
            if isinstance(value, Tensor)
            else torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
            for name, value in own.items()
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for name, value in snapshot.items():
            setattr(self, name, value.clone() if isinstance(getattr(self, name), Tensor) else value.item())


class CommandTerm(Stateful):
    """The commands of N worlds: `values` [N, D], replaced and never written into, because a step's results keep them.

    A subclass takes (num_worlds, period, device) and its parameters as keyword-only arguments; `period` s is that
    between calls of `advance`.
    """

    values: Tensor

    sensor: ClassVar[Callable[..., SensorSpec | tuple[SensorSpec, ...]]]
    """A static method: sensor(**parameters) is the sensor that a policy reads `values` by."""

    def begin(self, ids: Tensor, generator: Any) -> None:
        """New commands for the worlds `ids` [K], which restart."""

    def advance(self, view: View, generator: Any) -> None:
        """`period` seconds later: the view holds what the physics measures of the robot."""


class CurriculumTerm(Stateful):
    """Follows how well N worlds do, and makes them harder. Every method is optional.

    A subclass takes the scenario and its parameters as keyword-only arguments.
    """

    def step(self, view: View) -> None:
        """After every step, with what reward terms read."""

    def restart(self, ids: Tensor, generator: Any) -> None:
        """Before the worlds `ids` [K] restart."""

    def resume(self, ids: Tensor, generator: Any) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        """After the worlds `ids` [K] have restarted: those [L] among them that go on from saved states instead, and
        these [L, ...] as `sim.environment.VectorEnvironment.world_rows` names them; None for none."""
        return None

    def finish(self) -> None:
        """Give every later episode the task's whole difficulty."""

    def metrics(self) -> dict[str, float]:
        """Its metrics."""
        return {}


class _AtRestarts(CurriculumTerm):
    """A curriculum that is a plain function, called when episodes end."""

    def __init__(self, name: str, term: Curriculum, scenario: Any) -> None:
        self._name, self._term, self._scenario = name, term, scenario
        self._result = torch.zeros(())

    def restart(self, ids: Tensor, generator: Any) -> None:
        result = self._term(self._scenario, ids)
        if result is not None:
            self._result = torch.as_tensor(result, dtype=torch.float32)

    def metrics(self) -> dict[str, float]:
        return {f"curriculum/{self._name}": float(self._result)}


def curriculum_term(name: str, term: Curriculum, scenario: Any) -> CurriculumTerm:
    """The curriculum called `name` in a scenario's worlds."""
    made: CurriculumTerm = term(scenario) if isinstance(term.function, type) else _AtRestarts(name, term, scenario)
    return made
