"""The task that a command line of `robo-rl train` names, before, between or after the flags."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import UserError

VALUED = (
    "algorithm", "checkpoint-every", "device", "label", "logger", "processes", "robot.mjcf", "robot.spec", "run-dir",
    "seed", "threads",
)  # fmt: skip
"""The flags whose value names no task, whatever it looks like."""


def look_up(argv: Sequence[str], flag: str) -> str | None:
    """The value of `--flag VALUE` or `--flag=VALUE`; parsing reports what is wrong with it."""
    for index, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == f"--{flag}":
            return value if equals else next(iter(argv[index + 1 : index + 2]), None)
    return None


def with_task(argv: Sequence[str], resumed: str = "") -> tuple[list[str], str]:
    """The arguments with the task's full name in them, and that name; "" when they name no task.

    A robot of the user's own completes the name of a kind of task; `resumed` is the task of the run to continue, which
    need not be named again. UserError for a robot of the user's own that nothing would use, or that is missing.
    """
    from sim.tasks import is_task
    from sim.tasks.own_robot import KINDS, kind_of, own_name, same_robot

    words = list(argv)
    own = kind_of(resumed) if kind_of(resumed) in KINDS else ""
    places = (i for i in range(len(words)) if not _is_flag_or_value(words, i))
    at = next((i for i in places if words[i] in KINDS or is_task(words[i])), None)
    mjcf, spec = look_up(words, "robot.mjcf") or "", look_up(words, "robot.spec") or ""
    if at is None and resumed and words[0].startswith("-"):
        words.insert(0, own or resumed)
        at = 0
    if at is None:
        return words, ""
    if mjcf or spec:
        full = own_name(words[at], mjcf, spec)
        words[at] = resumed if same_robot(full, resumed) else full
    elif words[at] in KINDS:
        if words[at] == own:
            words[at] = resumed
        elif {"-h", "--help"} & set(words):
            return [word for word in words if word != words[at]], ""
        else:
            raise UserError(f"{words[at]} needs a robot of your own: add --robot.mjcf FILE or --robot.spec FILE")
    return words, words[at]


def _is_flag_or_value(words: Sequence[str], at: int) -> bool:
    before = words[at - 1].replace("_", "-") if at else ""
    return words[at].startswith("-") or before in {f"--{flag}" for flag in VALUED}
