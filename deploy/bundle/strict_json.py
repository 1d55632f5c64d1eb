"""JSON that must match a dataclass exactly: no missing, unknown or repeated fields, no wrong types, no infinities.

It uses only the standard library, because a robot reads its manifest with it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class JsonError(ValueError):
    """What is wrong, after the dotted name of the field where it is wrong."""


def parse(text: str) -> Any:
    """The value of a JSON text. Raises JsonError on broken JSON, repeated keys and numbers that are not finite."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise JsonError(f"line {error.lineno} is not JSON: {error.msg}") from None
    except JsonError:
        raise
    except (ValueError, RecursionError):
        # An integer of thousands of digits, or thousands of nested brackets.
        raise JsonError("it holds a number too long or brackets too deep to read") from None


def decode(kind: type[T], value: Any, where: str = "") -> T:
    """`value` as the dataclass `kind`, field by field, or JsonError naming the first field that does not fit."""
    result: T = _decode(kind, value, where)
    return result


def encode(value: Any, where: str = "") -> Any:
    """`value` as plain JSON data. Raises JsonError for anything that is not a finite number, text, list or dict."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name), _join(where, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise JsonError(f"{where}: key {key!r} must be text")
        return {key: encode(item, _join(where, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise JsonError(f"{where} is {value}, expected a finite number")
        return float(value)
    raise JsonError(f"{where} is of type {type(value).__name__}, expected numbers, text, lists or dicts")


def _decode(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:
        (present,) = (option for option in typing.get_args(kind) if option is not types.NoneType)
        return None if value is None else _decode(present, value, where)
    if origin is typing.Literal:
        choices = typing.get_args(kind)
        _expect(value in choices, value, where, f"one of {', '.join(map(repr, choices))}")
        return value
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, where)
    if origin is dict:
        _expect(isinstance(value, dict), value, where, "an object")
        _finite(value, where)
        return value
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _expect(number, value, where, "a number")
        try:
            converted = float(value)
        except OverflowError:
            converted = math.inf
        _expect(math.isfinite(converted), value, where, "a finite number")
        return converted
    if kind is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), value, where, "a whole number")
        return value
    if kind is str:
        _expect(isinstance(value, str), value, where, "text")
        return value
    raise TypeError(f"{where}: fields of type {kind} are not supported")


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), value, where or "the document", "an object")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    missing = [name for name in names if name not in value]
    if missing:
        raise JsonError(f"field {_join(where, missing[0])} is missing")
    unknown = [name for name in value if name not in names]
    if unknown:
        raise JsonError(f"field {_join(where, unknown[0])} is unknown; known are: {', '.join(names)}")
    return kind(**{name: _decode(hints[name], value[name], _join(where, name)) for name in names})


def _decode_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(value, list), value, where, "a list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise JsonError(f"field {where} has {len(value)} values, expected {len(kinds)}")
    return tuple(_decode(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def _finite(value: Any, where: str) -> None:
    """Refuse the infinities that a number such as 1e999 becomes, anywhere inside free-form data."""
    if isinstance(value, float) and not math.isfinite(value):
        raise JsonError(f"field {where} is {value}, expected a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            _finite(item, _join(where, key))
    if isinstance(value, list):
        for i, item in enumerate(value):
            _finite(item, f"{where}[{i}]")


def _expect(good: bool, value: Any, where: str, wanted: str) -> None:
    if not good:
        shown = repr(value)
        raise JsonError(f"field {where} is {shown if len(shown) <= 40 else shown[:40] + '...'}, expected {wanted}")


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"it contains {name}, expected only finite numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise JsonError(f"field {next(n for n in names if names.count(n) > 1)} is given twice")
    return result
