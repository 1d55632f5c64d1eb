"""Plain data into frozen dataclasses: strict types, and an error that names each mistake."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import cattrs

from policies.errors import UserError
from policies.validation import with_numbers


def strict_converter() -> cattrs.Converter:
    """A converter with strict types: no 3.7 for an integer, no "yes" for a boolean."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(bool, lambda value, _: _exactly(value, bool, "true or false"))
    converter.register_structure_hook(int, lambda value, _: _exactly(value, int, "a whole number"))
    converter.register_structure_hook(str, lambda value, _: _exactly(value, str, "text"))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    return converter


def structured(data: Any, kind: Any, source: str, converter: cattrs.Converter | None = None) -> Any:
    """`data` as a `kind`. Raises UserError that names `source`, the field, its value and what it may be."""
    try:
        return (converter or strict_converter()).structure(data, kind)
    except cattrs.BaseValidationError as error:
        raise UserError(f"{source}: {'; '.join(cattrs.transform_error(error, '', _explain))}") from None


def _exactly(value: Any, kind: type, what: str) -> Any:
    if type(value) is not kind:
        raise UserError(f"must be {what}, got {value!r}")
    return value


def _number(value: Any) -> float:
    value = with_numbers(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"must be a finite number, got {value!r}")
    return float(value)


def _explain(error: BaseException, kind: type | None) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = ", ".join(field.name for field in fields(error.cl))
        return f"unknown field {', '.join(sorted(error.extra_fields))}; fields: {known}"
    if isinstance(error, KeyError):
        return f"the field {error.args[0]} is missing"
    return str(error)
