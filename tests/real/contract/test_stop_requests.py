"""Requests to stop: signals close together are one, and the handlers are put back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from real.contract.stop_requests import ONE_REQUEST, StopRequests

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture(autouse=True)
def unhandled() -> Iterator[list[int]]:
    """Signals that nobody else handled, in place of handlers that would end the test run."""
    seen: list[int] = []
    before = [signal.signal(number, lambda number, frame: seen.append(number)) for number in SIGNALS]
    yield seen
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def requests_at(*times: float) -> int:
    """How many requests signals at these times are."""
    clock = SetClock()
    with StopRequests(clock) as requests:
        for index, time in enumerate(times):
            clock.time = time
            os.kill(os.getpid(), SIGNALS[index % 2])
        return requests.count


@pytest.mark.parametrize(
    ("times", "count"),
    [
        ((0.0,), 1),
        ((0.0, ONE_REQUEST), 1),
        ((0.0, ONE_REQUEST + 0.01), 2),
        # Each signal prolongs the request that it belongs to.
        ((0.0, 0.15, 0.3, 0.45), 1),
        ((0.0, 0.15, 0.36, 0.5, 0.8), 3),
    ],
)
def test_signals_close_together_are_one_request(times: tuple[float, ...], count: int, unhandled: list[int]) -> None:
    assert requests_at(*times) == count
    assert unhandled == []


def test_the_clock_is_the_monotonic_one_unless_another_is_given(unhandled: list[int]) -> None:
    with StopRequests() as requests:
        for number in SIGNALS:
            os.kill(os.getpid(), number)
        assert requests.count == 1
    os.kill(os.getpid(), signal.SIGTERM)
    assert (requests.count, unhandled) == (1, [signal.SIGTERM])


def test_asking_counts_whenever_it_happens() -> None:
    requests = StopRequests(SetClock())
    requests.ask()
    requests.ask()
    assert requests.count == 2


def test_the_handlers_are_put_back_even_after_an_error() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    requests = StopRequests(SetClock())

    def fail() -> None:
        with requests:
            assert all(signal.getsignal(n) != old for n, old in zip(SIGNALS, before, strict=True))
            raise RuntimeError

    for _ in range(2):
        with pytest.raises(RuntimeError):
            fail()
        assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_leaves_the_handlers_alone() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    seen: list[object] = []

    def enter() -> None:
        with StopRequests(SetClock()) as requests:
            seen.extend(signal.getsignal(number) for number in SIGNALS)
            requests.ask()
            seen.append(requests.count)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [*before, 1]
