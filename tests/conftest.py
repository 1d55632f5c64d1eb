"""A run of the tests that is asked to end takes the processes it has started along."""

from __future__ import annotations

import signal
import threading


def pytest_configure() -> None:
    # By itself SIGTERM would end Python on the spot, and leave bridges and robots behind.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
