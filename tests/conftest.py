"""For every run of the tests: processes end with it when it is asked to end, and only a pause excuses a failure."""

from __future__ import annotations

import signal
import threading

import pytest
from hypothesis import Phase, settings

from tests.repeats import Repeats

# For `make mutants`: the same examples for every mutant, and a failure is enough, not its smallest example.
settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)


def pytest_configure(config: pytest.Config) -> None:
    # By itself SIGTERM would end Python on the spot, and leave bridges and robots behind.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.pluginmanager.register(Repeats(), "repeats")
