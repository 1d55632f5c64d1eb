"""Flags for weights and parameters of a task's terms: `--rewards.track_yaw 1.5`, `--rewards.track_yaw.width 0.3`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from policies.errors import UserError

if TYPE_CHECKING:
    from sim.task import Task
    from sim.terms.parameters import Parameter
    from sim.terms.settings import Adjustable

WEIGHT = "weight"
"""The setting of a reward whose flag is the term's own name."""


def flags_of(task: Task) -> tuple[type[Any], Any]:
    """A dataclass whose fields are the flags of all of a task's terms, and an instance of it with the task's values.

    Every group of terms is a nested dataclass, so that --help shows it as a section of its own.
    """
    terms = task.adjustable()
    groups = {name: _group(name, own) for name, own in terms.items() if any(term.adjustable for term in own.values())}
    kind = make_dataclass("Terms", [(name, type(values)) for name, values in groups.items()], frozen=True)
    kind.__doc__ = "Terms of the task."
    return kind, kind(**groups)


def with_curricula(argv: Sequence[str], task: Task) -> tuple[list[str], list[str], Task]:
    """The arguments without `--curriculum NAME...`, its names, and the task with these curricula and with those that
    flags such as `--curriculum.NAME.start` set. UserError for a curriculum that the task can't have."""
    from sim.tasks import is_task

    rest: list[str] = []
    named: list[str] = []
    into = rest
    for word in argv:
        flag, _, value = word.partition("=")
        if word.startswith("-"):
            into = named if flag == "--curriculum" else rest
            if into is named:
                named += [value] if value else []
                continue
        elif into is named and is_task(word):
            into = rest
        into.append(word)
    set_by_flag = [word.split(".")[1].replace("-", "_") for word in rest if word.startswith("--curriculum.")]
    known = [*task.curriculum, *(name for name in task.curricula if name not in task.curriculum)]
    for name in (*named, *set_by_flag):
        if name not in known:
            raise UserError(f"{task.name} has no curriculum {name!r}; there are {', '.join(known)}")
    return rest, named, task.with_settings({"curriculum": {name: {} for name in (*named, *set_by_flag)}})


def settings_from(flags: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """The settings, as `Task.with_settings` takes them, that an instance of `flags_of`'s dataclass holds."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for group in fields(flags):
        values = getattr(flags, group.name)
        for flag in fields(values):
            term, setting = flag.metadata["setting"]
            found.setdefault(group.name, {}).setdefault(term, {})[setting] = getattr(values, flag.name)
    return found


def _group(group: str, terms: Mapping[str, Adjustable]) -> Any:
    flags: list[tuple[str, Any, Any]] = []
    values = {}
    for name, term in terms.items():
        present = term.settings()
        for setting, parameter in term.adjustable.items():
            shown = f"{group}.{name}" + ("" if setting == WEIGHT else f".{setting}")
            flag = tyro.conf.arg(name=shown, help=_help(term, setting))
            own = f"{name}__{setting}"
            kind = cast(Any, Annotated)[_type_of(parameter), flag]
            flags.append((own, kind, field(metadata={"setting": (name, setting)})))
            values[own] = present[setting]
    made = make_dataclass(group, flags, frozen=True)
    made.__doc__ = f"Settings of the task's {group}" + (", weights per second." if group == "rewards" else ".")
    return made(**values)


def _type_of(parameter: Parameter) -> Any:
    kind = type(parameter.default)
    return tuple[(float,) * len(parameter.default)] if isinstance(parameter.default, tuple) else kind  # type: ignore[misc]


def _help(term: Adjustable, setting: str) -> str:
    """The term's description, for its weight or first setting; the others refer to it."""
    if setting not in (WEIGHT, next(iter(term.adjustable))):
        return f"`{setting}`: see above."
    return " ".join((inspect.getdoc(getattr(term, "function", term)) or "").split())
