"""Worlds and forks: a forked process has none of its parent's threads."""

from __future__ import annotations

import os

from policies.errors import UserError

_home: list[int] = []
"""The process that made the first worlds, also as a fork sees it."""


def check_process() -> None:
    """Raise UserError in a process that was forked from one with worlds; call it before worlds are made.

    A fork copies no threads: a pool of threads that worlds have started is there in name only, and whoever waits for it
    waits for ever.
    """
    if _home and _home[0] != os.getpid():
        raise UserError(
            "this process was forked from one in which worlds have lived, and would hang; let it start anew, with "
            "vector_kwargs={'context': 'spawn'} in gymnasium.make_vec, or with multiprocessing.get_context('spawn')"
        )
    _home[:] = [os.getpid()]
