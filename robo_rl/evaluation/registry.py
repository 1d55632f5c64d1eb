"""The evaluations by name: how the policies of a task are evaluated, and the tables of the results.

Importing this needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from policies.errors import UserError
from robo_rl.evaluation.rows import Table, flying_tables, walking_tables

if TYPE_CHECKING:
    from sim.task import Task


class Outcome(Protocol):
    """The result of an evaluation."""

    def summary(self) -> dict[str, Any]:
        """The measures in JSON's own types; "evaluation" is the name in `EVALUATIONS`, "task" and "episodes" say what
        was evaluated."""
        ...


@dataclass(frozen=True)
class EvaluationEntry:
    """Where an evaluation lives: `module`, in it a `function` with the parameters of `evaluate_policy`, and the tables
    of its summary, the measures first."""

    module: str
    function: str
    tables: Callable[[Mapping[str, Any]], Sequence[Table]]


EVALUATIONS: dict[str, EvaluationEntry] = {
    "flying": EvaluationEntry("robo_rl.evaluation.flying", "evaluate", flying_tables),
    "walking": EvaluationEntry("robo_rl.evaluation.walking", "evaluate_walker", walking_tables),
}
"""Every evaluation; a new one is its own file and one line here."""


def evaluate_policy(policy: Any, task: Task, *arguments: Any, **settings: Any) -> Outcome:
    """Evaluate a policy in the way that `task` names; arguments as those of robo_rl.evaluation.flying.evaluate.

    Raises UserError for an unknown evaluation, and as that evaluation does.
    """
    if task.evaluation not in EVALUATIONS:
        raise UserError(
            f"{task.name} is evaluated by {task.evaluation!r}, which does not exist; choose one of "
            f"{', '.join(EVALUATIONS)}"
        )
    entry = EVALUATIONS[task.evaluation]
    outcome: Outcome = getattr(import_module(entry.module), entry.function)(policy, task, *arguments, **settings)
    return outcome


def evaluation_tables(summary: Mapping[str, Any]) -> Sequence[Table]:
    """The tables of an evaluation's summary, as the console and the report show them."""
    return EVALUATIONS[summary["evaluation"]].tables(summary)
