"""Worlds and forks: a forked process has none of its parent's threads."""

from __future__ import annotations

import os

from policies.errors import UserError

_home: list[int] = []
"""The process that made the first worlds, also as a fork sees it."""


def check_process() -> None:
    """Raise UserError in a process that was forked from one with worlds; call it before worlds are made.

    A fork copies no threads: the parent's pool of threads does not run in it, and a step of its worlds would never end.
    """
    if _home and _home[0] != os.getpid():
        raise UserError(
            "this process was forked from one in which worlds have lived, and would hang; start it as a new process: "
            "by vector_kwargs={'context': 'spawn'} in gymnasium.make_vec, or by multiprocessing.get_context('spawn')"
        )
    _home[:] = [os.getpid()]
