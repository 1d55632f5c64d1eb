"""The repeats of tests in real time, in runs of pytest of their own whose witness is a stand-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
import time
from tests.repeats import Repeats

class Witness:
    def __init__(self):
        self.begun = time.monotonic()

    def pauses(self):
        return [(self.begun, self.begun + {pause})]

    def close(self):
        print("the witness is closed")

def pytest_configure(config):
    config.pluginmanager.register(Repeats(Witness), "repeats")
"""
TEST = """
import time
from itertools import count

import pytest

attempts = [count() for _ in range({tests})]

@pytest.mark.{mark}
@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    time.sleep(0.1)
    assert next(attempts[number]) >= {failures}
"""


def run(folder: Path, pause: float, failures: int = 1, tests: int = 1, mark: str = "realtime") -> str:
    """What pytest prints of `tests` tests of 0.1 s that fail at their first `failures` attempts.

    The pause begins with the first test and lasts `pause` s.
    """
    (folder / "conftest.py").write_text(CONFTEST.format(pause=pause))
    (folder / "test_inner.py").write_text(TEST.format(tests=tests, mark=mark, failures=failures))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    command.append(f"--confcutdir={folder}")  # No conftest.py that happens to lie above it.
    finished = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (finished.returncode == 0) == ("failed" not in finished.stdout), finished.stdout
    return finished.stdout


def test_a_failure_during_a_pause_is_repeated_and_reported(tmp_path: Path) -> None:
    output = run(tmp_path, pause=0.05)
    assert "1 passed, 1 rerun" in output
    assert "test_inner.py::test_it[0]: the machine paused meanwhile" in output
    assert "the whole machine paused 1 times for 10 ms or more, longest 50 ms" in output
    assert "the witness is closed" in output


@pytest.mark.parametrize(("pause", "mark"), [(0.009, "realtime"), (0.05, "slow")])
def test_without_a_pause_or_not_in_real_time_a_failure_stands(tmp_path: Path, pause: float, mark: str) -> None:
    output = run(tmp_path, pause=pause, mark=mark)
    assert "1 failed" in output
    assert "1 rerun" not in output


def test_a_pause_before_an_attempt_does_not_excuse_it(tmp_path: Path) -> None:
    assert "1 failed, 1 rerun" in run(tmp_path, pause=0.05, failures=2)


def test_more_than_three_repeats_fail_the_run(tmp_path: Path) -> None:
    assert "1 failed, 3 passed, 3 rerun" in run(tmp_path, pause=60.0, tests=4)
