"""The witness of machine pauses: what every core saw at once counts, what one core saw does not."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from robo_rl.bench.stalls import Witness, common, witness

pytestmark = pytest.mark.realtime


def running_witnesses() -> int:
    commands = (folder / "cmdline" for folder in Path("/proc").iterdir() if folder.name.isdigit())
    found = 0
    for command in commands:
        try:
            found += b"robo_rl.bench.stalls" in command.read_bytes()
        except OSError:  # It ended meanwhile.
            continue
    return found


def test_only_what_all_cores_saw_counts_and_only_where_they_overlap() -> None:
    first = [(1.000, 1.030), (2.000, 2.010), (3.0, 3.004)]
    second = [(1.010, 1.050), (5.000, 5.100), (3.003, 3.1)]
    assert common([first, second]) == [(1.010, 1.030)]
    assert common([first, []]) == []
    assert common([first]) == first


def test_a_process_that_is_stopped_has_a_stall_and_a_pause_is_one_of_all_of_them() -> None:
    with closing(Witness()) as witness:
        first, *others = witness._processes
        begun = time.monotonic()
        for stopped in ([first], [first, *others]):
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            for process in stopped:
                process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
            long = [(begin, end) for begin, end in witness.pauses() if end - begin > 0.08]
            assert len(long) == (stopped != [first] or not others)
        ((begin, end),) = long
        assert begun < begin < end < time.monotonic()


def test_the_witnesses_run_within_the_block_only_and_leave_findings() -> None:
    before = running_witnesses()
    with witness() as findings:
        time.sleep(0.5)
        assert running_witnesses() > before
        assert findings == {}
    assert running_witnesses() == before
    assert set(findings) == {"machine_pauses_over_3_ms", "longest_machine_pause_ms"}
    assert findings["longest_machine_pause_ms"] >= 0.0
