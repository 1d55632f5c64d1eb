"""What is changed for a flight is put back after it, also when the flight fails."""

from __future__ import annotations

import gc
import os
import sys
import threading

import pytest

from real.timing.realtime import SWITCH_INTERVAL, uncollected, undisturbed

pytestmark = pytest.mark.realtime


def scheduling() -> tuple[int, int]:
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


def fail_in_flight(realtime: bool) -> None:
    with uncollected(), undisturbed(realtime):
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        assert not gc.isenabled()
        raise RuntimeError("the flight failed")


@pytest.mark.parametrize("realtime", [False, True])
def test_everything_is_put_back(realtime: bool) -> None:
    before = (scheduling(), sys.getswitchinterval(), gc.isenabled())
    with pytest.raises(RuntimeError, match="the flight failed"):
        fail_in_flight(realtime)
    assert (scheduling(), sys.getswitchinterval(), gc.isenabled()) == before


def test_other_threads_are_raised_with_the_loop_and_stay_below_it() -> None:
    seen: list[tuple[int, int]] = []
    look, looked, end = threading.Event(), threading.Event(), threading.Event()

    def neighbour() -> None:
        for _ in range(2):
            look.wait(10.0)
            look.clear()
            seen.append(scheduling())
            looked.set()
        end.wait(10.0)

    thread = threading.Thread(target=neighbour)
    thread.start()
    before = scheduling()
    with undisturbed(realtime=True):
        own = scheduling()
        look.set()
        assert looked.wait(10.0)
        looked.clear()
    look.set()
    assert looked.wait(10.0)
    end.set()
    thread.join()
    if own == before:
        pytest.skip("this user may not use real-time scheduling")
    assert seen[0][0] == own[0]
    assert seen[0][1] < own[1]
    assert seen[1] == before
