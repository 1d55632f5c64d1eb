"""The arms of distillation, by name: what each one is, and which students it can train. Importing this needs no torch.

A new arm is its own file and one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["mlp", "gru", "history"]
STUDENTS: tuple[Kind, ...] = ("mlp", "gru", "history")


@dataclass(frozen=True)
class Arm:
    """`trainer` names a module of robo_rl.algorithms.distill and in it what makes the training: a function of
    (config, task, seed, device)."""

    summary: str
    trainer: str
    actors: tuple[Kind, ...] = STUDENTS
    """The policy networks that it can train."""
    teacher: bool = False
    """Whether it needs a teacher, a run or the task's own."""
    shares_worlds: bool = True
    """Whether several processes can share it."""


ARMS: dict[str, Arm] = {
    "bc": Arm("the teacher acts, the student regresses its actions", "imitation:Imitation", STUDENTS, True, False),
    "dagger": Arm("the student acts, the teacher labels", "imitation:Imitation", STUDENTS, True, False),
    "rma": Arm(
        "PPO on a code of the truth, then the code is regressed from the past", "rma:RmaTrainer", ("history",), False,
        False,
    ),
    "hib": Arm("PPO; the code of the past is tied to the truth, and kept small", "hib:make_trainer", ("history",)),
    "history": Arm("PPO with a code of the past, and nothing more", "plain:make_trainer", ("history",)),
    "dropper": Arm("PPO on the truth, more and more of which is masked", "dropper:DropperTrainer", ("mlp", "gru")),
    "rpd": Arm("PPO, drawn towards the teacher's actions", "rpd:make_trainer", STUDENTS, True),
    "asymmetric": Arm("PPO whose critic alone reads the truth", "plain:make_trainer", ("mlp", "gru")),
    "teacher": Arm("PPO on the truth: the teacher itself", "plain:make_trainer", STUDENTS),
    "blind": Arm("PPO without memory", "plain:make_trainer", ("mlp",)),
}  # fmt: skip
