"""The terms of a task as data: a function, its parameters and, for a reward, a weight.

A term's name is its key in the task's mappings. A function's parameters are its keyword-only arguments with defaults
(see `sim.terms.parameters`); `parameters` overrides some of them and, once the term is built, holds them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Truth
from policies.specs import SensorSpec
from policies.validation import require_choice
from sim.terms.parameters import Limits, Parameter, merged, named, parameters_of
from sim.terms.view import View

WEIGHT = Parameter("weight", 1.0)
INTERVAL = Parameter("interval", (5.0, 10.0), Limits(above=0.0, ordered=True))


class Term:
    """What every term has. UserError when `parameters` names one that the function lacks, or gives a wrong value."""

    function: Callable[..., Any]
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise UserError(f"a term needs a function, got {self.function!r}")
        object.__setattr__(self, "parameters", merged(self.function, self.parameters))

    @property
    def adjustable(self) -> Mapping[str, Parameter]:
        """Everything that can be changed without another function: parameters and, for a reward, the weight."""
        return parameters_of(self.function)

    def settings(self) -> dict[str, Any]:
        """The present value of everything that is `adjustable`."""
        return dict(self.parameters)

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        """The term with other values for some of its `settings`. UserError for an unknown name or a wrong value."""
        return replace(self, parameters={**self.parameters, **changes})  # type: ignore[type-var]

    def __call__(self, *arguments: Any) -> Any:
        """The function of these arguments and of the term's parameters."""
        return self.function(*arguments, **self.parameters)


@dataclass(frozen=True)
class Reward(Term):
    """`function(view, **parameters)` gives [N]; the reward grows by `weight` times that each second.

    A term of weight 0 is not computed.
    """

    function: Callable[..., Tensor]
    weight: float
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(
            self, "weight", replace(WEIGHT, name=f"weight of {named(self.function)}").checked(self.weight)
        )
        if "weight" in self.parameters:
            raise UserError(f"{named(self.function)} must not have a parameter called weight: a reward has that itself")

    @property
    def adjustable(self) -> Mapping[str, Parameter]:
        return {"weight": WEIGHT, **super().adjustable}

    def settings(self) -> dict[str, Any]:
        return {"weight": self.weight, **self.parameters}

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        others = {name: value for name, value in changes.items() if name != "weight"}
        return replace(self, weight=changes.get("weight", self.weight), parameters={**self.parameters, **others})


@dataclass(frozen=True)
class Termination(Term):
    """`function(view, **parameters)` gives [N] bool: worlds whose episode has come to a true end, such as a fall."""

    function: Callable[..., Tensor]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event(Term):
    """A random draw for a world. `when` gives the signature of the function and says when it is called:

    "start"     function(scenario, ids, generator, **parameters) for the worlds `ids` [K] that restart: where they start
    "restart"   the same, in worlds that are randomized: what differs between them
    "interval"  the same, for worlds in which it is due: after times in s drawn from `interval`, (low, high)
    "model"     function(plan, **parameters), once, when randomized worlds are built: which model parameters differ, and
                by how much (see `sim.legged.randomization.Plan`)

    A scenario's `imperfections` scale what these draw: 0 switches all but "start" off.
    """

    function: Callable[..., Any]
    when: Literal["start", "restart", "interval", "model"]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    interval: tuple[float, float] = (5.0, 10.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self, "when", ("start", "restart", "interval", "model"))
        object.__setattr__(self, "interval", INTERVAL.checked(self.interval))

    @property
    def adjustable(self) -> Mapping[str, Parameter]:
        own = super().adjustable
        return {"interval": INTERVAL, **own} if self.when == "interval" else own

    def settings(self) -> dict[str, Any]:
        return {"interval": self.interval, **self.parameters} if self.when == "interval" else dict(self.parameters)

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        others = {name: value for name, value in changes.items() if name != "interval"}
        return replace(self, interval=changes.get("interval", self.interval), parameters={**self.parameters, **others})


@dataclass(frozen=True)
class Command(Term):
    """A command to a policy. `function` is a class like `sim.terms.stateful.CommandTerm`: called as
    function(num_worlds, period, device, **parameters) it makes the commands of N worlds, and its static method
    `sensor(**parameters)` gives the sensor, or sensors, that a policy reads them by."""

    function: type
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sensors(self) -> tuple[SensorSpec, ...]:
        """The sensors that a policy reads the command by."""
        found: SensorSpec | tuple[SensorSpec, ...] = self.function.sensor(**self.parameters)  # type: ignore[attr-defined]
        return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True)
class Curriculum(Term):
    """Makes a task harder while it is learned. Called with the scenario and its parameters, a class like
    `sim.terms.stateful.CurriculumTerm` follows the worlds; a plain function(scenario, ids, **parameters) is called for
    worlds `ids` [K] whose episodes have ended, and the number that it returns is the metric `curriculum/NAME`."""

    function: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Signal:
    """The function of a privileged term that shows a tensor [N, D] of the truth as it is."""

    name: str

    def __call__(self, view: View) -> Tensor:
        return view[self.name]


@dataclass(frozen=True)
class Privileged(Term):
    """`function(view, **parameters)` gives [N, `dim`]: what a critic sees that no sensor gives.

    It may read only the `Truth`.
    """

    function: Callable[..., Tensor]
    dim: int
    parameters: Mapping[str, Any] = field(default_factory=dict)


def joined(terms: Mapping[str, Privileged], view: View) -> Tensor:
    """Privileged terms side by side [N, D]. UserError that names a term with another shape than it says."""
    parts = []
    for name, term in terms.items():
        value: Tensor = term(view)
        wanted = [view.num_worlds, term.dim]
        if list(value.shape) != wanted:
            raise UserError(f"privileged {name} must give {wanted}, got {list(value.shape)}")
        parts.append(value)
    return torch.cat(parts, -1)


@dataclass(frozen=True)
class CriticsView:
    """What a task's critic observes, its privileged `terms` joined: [N, dim]. `period` s is the control period."""

    terms: Mapping[str, Privileged]
    period: float

    @property
    def dim(self) -> int:
        return sum(term.dim for term in self.terms.values())

    def __call__(self, truth: Truth) -> Tensor:
        example = next(iter(truth.values()))
        return joined(self.terms, View(truth, len(example), self.period, str(example.device)))
