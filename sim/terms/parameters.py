"""Parameters of term functions: the keyword-only arguments that have a default, with their types and limits.

    def track_yaw(view: View, *, width: Positive = 0.25) -> Tensor: ...

has one parameter, `width`, which must be a number above 0. A parameter is a number, a truth value, a text or a tuple of
numbers: plain data, so that it can stand in a YAML file and on the command line.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, get_args

from policies.errors import UserError
from policies.validation import check, require, with_numbers

Value = float | int | bool | str | tuple[float, ...]
"""What a parameter may be."""


@dataclass(frozen=True)
class Limits:
    """Limits of a number, or of every number of a tuple; `ordered` asks a tuple (low, high) to be in that order."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    ordered: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise UserError unless `value` lies within the limits."""
        bounds = {bound: getattr(self, bound) for bound in ("low", "high", "above", "below")}
        require(SimpleNamespace(**{name: value}), name, **bounds)
        check(not self.ordered or value[0] <= value[1], f"{name} must be low, then high, got {value}")


Positive = Annotated[float, Limits(above=0.0)]
NonNegative = Annotated[float, Limits(low=0.0)]
Share = Annotated[float, Limits(low=0.0, high=1.0)]
Range = Annotated[tuple[float, float], Limits(low=0.0, ordered=True)]
"""(low, high), neither negative."""


@dataclass(frozen=True)
class Parameter:
    """A parameter's default and limits."""

    name: str
    default: Value
    limits: Limits | None = None

    def checked(self, value: Any) -> Value:
        """`value` in the parameter's own type. UserError when it is of another type or outside the limits."""
        result = _as_type_of(self.default, value, self.name)
        if self.limits is not None:
            self.limits.check(self.name, result)
        return result


@cache
def parameters_of(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    """The parameters of a term's function, or of a class's constructor, in the order of the signature."""
    found = {}
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind is argument.KEYWORD_ONLY and argument.default is not argument.empty:
            found[name] = Parameter(name, argument.default, _limits(function, argument.annotation))
    return found


def merged(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Value]:
    """Every parameter of `function`: its default unless it is given. UserError for an unknown name or a wrong value."""
    known = parameters_of(function)
    for name in given:
        if name not in known:
            raise UserError(f"{named(function)} has no parameter {name!r}{near(name, known)}")
    values = {}
    for name, parameter in known.items():
        try:
            values[name] = parameter.checked(given.get(name, parameter.default))
        except UserError as error:
            raise UserError(f"{named(function)}: {error}") from None
    return values


def named(function: Callable[..., Any]) -> str:
    """The name that a function was defined under."""
    return str(getattr(function, "__name__", type(function).__name__))


def near(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown `name`: near matches among those `known`, else all of them."""
    names = list(known)
    found = get_close_matches(name, names, n=3)
    if found:
        return f"; did you mean {' or '.join(found)}?"
    return f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "; there is none"


def _limits(function: Callable[..., Any], annotation: Any) -> Limits | None:
    """The limits in an annotation. One that can't be evaluated (a name imported for type checkers only) has none."""
    if isinstance(annotation, str):
        namespace = getattr(inspect.unwrap(getattr(function, "__init__", function)), "__globals__", None)
        namespace = getattr(function, "__globals__", namespace)
        try:
            annotation = eval(annotation, dict(namespace or {}))
        except NameError:
            return None
    return next((part for part in get_args(annotation) if isinstance(part, Limits)), None)


def _as_type_of(default: Value, value: Any, name: str) -> Value:
    if isinstance(default, bool):
        check(isinstance(value, bool), f"{name} must be true or false, got {value!r}")
        return bool(value)
    if isinstance(default, str):
        check(isinstance(value, str), f"{name} must be text, got {value!r}")
        return str(value)
    if isinstance(default, tuple):
        check(isinstance(value, list | tuple), f"{name} must be {len(default)} numbers, got {value!r}")
        check(len(value) == len(default) or not default, f"{name} must be {len(default)} numbers, got {value!r}")
        return tuple(_number(item, name) for item in value)
    if isinstance(default, int):
        check(isinstance(value, int) and not isinstance(value, bool), f"{name} must be a whole number, got {value!r}")
        return int(value)
    return _number(value, name)


def _number(value: Any, name: str) -> float:
    value = with_numbers(value)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    check(good, f"{name} must be a finite number, got {value!r}")
    return float(value)
