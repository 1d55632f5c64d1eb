"""Checks of configuration fields, with messages that name the field, the value and the allowed range."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from typing import Any

from policies.errors import UserError


def check(holds: bool, message: str) -> None:
    """Raise UserError with `message` unless `holds`."""
    if not holds:
        raise UserError(message)


def require(
    config: Any,
    field: str,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Raise UserError unless `config.field`, or every value of it if it is a tuple, is finite and >= `low`, <= `high`,
    > `above` and < `below`, where given."""
    value = getattr(config, field)
    values = value if isinstance(value, tuple) else (value,)
    tests = (
        (low, "at least", operator.ge), (above, "above", operator.gt),
        (high, "at most", operator.le), (below, "below", operator.lt),
    )  # fmt: skip
    given = [(bound, word, holds) for bound, word, holds in tests if bound is not None]
    wanted = " and ".join(f"{word} {bound}" for bound, word, _ in given) or "finite"
    good = all(math.isfinite(v) and all(holds(v, bound) for bound, _, holds in given) for v in values)
    check(good, f"{field} must be {wanted}, got {value}")


def require_choice(config: Any, field: str, choices: Sequence[str]) -> None:
    """Raise UserError unless `config.field` is one of `choices`."""
    value = getattr(config, field)
    check(value in choices, f"{field} must be one of {', '.join(choices)}, got {value!r}")


def require_widths(config: Any, field: str) -> None:
    """Raise UserError unless `config.field` holds at least one layer width and all are 1 or more."""
    widths = getattr(config, field)
    good = bool(widths) and min(widths) >= 1
    check(good, f"{field} must hold layer widths of at least 1, such as 64 64, got {tuple(widths)}")


_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def with_numbers(value: Any) -> Any:
    """`value` as a number where it is a text such as "4e1", also within lists and mappings.

    YAML 1.1 takes a number with an exponent for text unless it has a dot and the exponent a sign, as 4.0e+1 does.
    """
    if isinstance(value, dict):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
