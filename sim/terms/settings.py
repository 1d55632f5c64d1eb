"""Terms by name as plain nested data, and back: what the command line changes and a run's `config.yaml` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self, TypeVar

from policies.errors import UserError
from policies.validation import check
from sim.terms.parameters import Parameter, near
from sim.terms.terms import Reward

T = TypeVar("T")


class Adjustable(Protocol):
    """What has settings: a term, a sensor's model."""

    @property
    def adjustable(self) -> Mapping[str, Parameter]: ...
    def settings(self) -> dict[str, Any]: ...
    def with_settings(self, changes: Mapping[str, Any]) -> Self: ...


S = TypeVar("S", bound=Adjustable)
_AGREED = ("period",)
"""Fields of observation terms that must agree with the world and so are not settings."""


@dataclass(frozen=True)
class Observed:
    """An observation term's numbers as settings: the fields that are floats, such as scales and limits."""

    term: Any

    @property
    def function(self) -> type:
        """What documents the term."""
        return type(self.term)

    @property
    def adjustable(self) -> Mapping[str, Parameter]:
        values = {field.name: getattr(self.term, field.name) for field in fields(self.term) if field.init}
        return {n: Parameter(n, v) for n, v in values.items() if isinstance(v, float) and n not in _AGREED}

    def settings(self) -> dict[str, Any]:
        return {name: getattr(self.term, name) for name in self.adjustable}

    def with_settings(self, changes: Mapping[str, Any]) -> Self:
        return replace(self, term=replace(self.term, **{n: self.adjustable[n].checked(v) for n, v in changes.items()}))


def remembered(terms: Mapping[str, T], before: Mapping[str, T]) -> dict[str, T]:
    """Observation `terms`, where histories of terms that were others `before` follow them."""
    new = {id(old): terms[name] for name, old in before.items() if name in terms}

    def follow(term: Any) -> Any:
        parts = getattr(term, "terms", None)
        return term if parts is None else replace(term, terms=tuple(new.get(id(part), part) for part in parts))

    return {name: follow(term) for name, term in terms.items()}


def with_changes(terms: Mapping[str, T], changes: Mapping[str, T | None], group: str) -> dict[str, T]:
    """`terms` with others added or put in their place; None takes one out. UserError for one that isn't there."""
    check(isinstance(changes, Mapping), f"{group} must hold terms by name, got {changes!r}")
    result = dict(terms)
    for name, term in changes.items():
        if not name.isidentifier():
            raise UserError(f"{group}: a term's name is made of letters, digits and _, got {name!r}")
        if term is None:
            if name not in result:
                raise UserError(f"{group} has no {name!r} to take out{near(name, result)}")
            del result[name]
        else:
            result[name] = term
    return result


def settings_of(terms: Mapping[str, Adjustable]) -> dict[str, dict[str, Any]]:
    """Weight and parameters of every term by its name; a term with neither is left out."""
    return {name: own for name, term in terms.items() if (own := term.settings())}


def with_settings(terms: Mapping[str, S], changes: Mapping[str, Any], group: str) -> dict[str, S]:
    """`terms` with other weights and parameters; a bare number is a reward's weight.

    UserError, with the setting's whole name such as rewards.track_yaw.width, for an unknown one or a wrong value.
    """
    check(isinstance(changes, Mapping), f"{group} must hold terms by name, got {changes!r}")
    result = dict(terms)
    for name, own in changes.items():
        if name not in terms:
            raise UserError(f"there is no {group}.{name}{near(name, terms)}")
        term = terms[name]
        if isinstance(term, Reward) and not isinstance(own, Mapping):
            own = {"weight": own}
        check(isinstance(own, Mapping), f"{group}.{name} must hold settings by name, got {own!r}")
        known = term.adjustable
        for setting, value in own.items():
            if setting not in known:
                raise UserError(f"there is no {group}.{name}.{setting}{near(setting, known)}")
            replace(known[setting], name=f"{group}.{name}.{setting}").checked(value)
        result[name] = term.with_settings(own)
    return result
