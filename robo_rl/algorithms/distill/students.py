"""The policies that distillation trains: students of sensors, and the truth that their training reads."""

from __future__ import annotations

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from robo_rl.algorithms.distill.config import DistillConfig, ppo_settings
from robo_rl.algorithms.ppo import actor
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task


def make_policy(config: DistillConfig, task: Task) -> PolicyGraph | LearnedTeacher:
    """What an arm trains, with weights freshly drawn from torch's global generator: a student, or the teacher."""
    return actor.make_policy(ppo_settings(config, reads="truth" if config.arm == "teacher" else "sensors"), task)


def make_student(config: DistillConfig, task: Task) -> PolicyGraph:
    """The student of an arm: a graph of sensors only."""
    student = actor.make_policy(ppo_settings(config), task)
    assert isinstance(student, PolicyGraph)
    return student


def privileged_columns(config: DistillConfig, task: Task) -> list[int]:
    """The columns of the critic's observation that `privileged_terms` names. Raises UserError for an unknown term."""
    columns: list[int] = []
    start = 0
    for name, term in task.privileged.items():
        if name in config.privileged_terms or not config.privileged_terms:
            columns += range(start, start + term.dim)
        start += term.dim
    if unknown := [name for name in config.privileged_terms if name not in task.privileged]:
        raise UserError(f"{task.name} has no privileged term {unknown[0]!r}; terms: {', '.join(task.privileged)}")
    return columns
