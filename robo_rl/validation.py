"""Checks of configuration fields, with messages that name the field, the value and the allowed range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from policies.errors import UserError


def require(
    config: Any, field: str, low: float | None = None, high: float | None = None, above: float | None = None
) -> None:
    """Raise UserError unless `config.field` is finite, >= `low`, <= `high` and > `above` (those that are given)."""
    value = getattr(config, field)
    if (
        math.isfinite(value)
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
    ):
        return
    bounds = [
        text
        for text, bound in ((f"at least {low}", low), (f"above {above}", above), (f"at most {high}", high))
        if bound is not None
    ]
    raise UserError(f"{field} must be {' and '.join(bounds) or 'finite'}, got {value}")


def require_choice(config: Any, field: str, choices: Sequence[str]) -> None:
    """Raise UserError unless `config.field` is one of `choices`."""
    value = getattr(config, field)
    if value not in choices:
        raise UserError(f"{field} must be one of {', '.join(choices)}, got {value!r}")


def require_widths(config: Any, field: str) -> None:
    """Raise UserError unless `config.field` holds at least one layer width and all are 1 or more."""
    widths = getattr(config, field)
    if not widths or min(widths) < 1:
        raise UserError(f"{field} must hold layer widths of at least 1, such as 64 64, got {tuple(widths)}")
