"""The outbox: the newest for slow clients, fair between topics, throttled in s, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from real.bridge.outbox import LaneOptions, Outbox


def drain(outbox: Outbox, now: float = 0.0) -> list[str]:
    taken = []
    while (item := outbox.pop(now)) is not None:
        taken.append(item[0])
    return taken


@given(st.integers(1, 20), st.integers(0, 60))
def test_a_queue_keeps_the_newest(length: int, messages: int) -> None:
    outbox = Outbox(max_backlog=1000)
    outbox.open_lane("/a", LaneOptions(queue_length=length))
    for number in range(messages):
        outbox.publish("/a", str(number), 0.0)
    assert drain(outbox) == [str(n) for n in range(messages)][-length:]


def test_without_a_queue_length_the_servers_bound_holds() -> None:
    outbox = Outbox(max_backlog=3)
    outbox.open_lane("/a", LaneOptions())
    for number in range(5):
        outbox.publish("/a", str(number), 0.0)
    assert drain(outbox) == ["2", "3", "4"]


def test_topics_keep_their_common_order_and_answers_go_first() -> None:
    outbox = Outbox(max_backlog=10)
    outbox.open_lane("/a", LaneOptions())
    outbox.open_lane("/b", LaneOptions())
    for topic, text in (("/a", "a1"), ("/b", "b1"), ("/a", "a2")):
        outbox.publish(topic, text, 0.0)
    outbox.answer("answer")
    assert drain(outbox) == ["answer", "a1", "b1", "a2"]


def test_throttling_with_a_queue_sends_the_newest_when_due() -> None:
    outbox = Outbox(max_backlog=10)
    outbox.open_lane("/a", LaneOptions(throttle=1.0, queue_length=1))
    outbox.publish("/a", "first", 0.0)
    assert drain(outbox, 0.0) == ["first"]
    outbox.publish("/a", "old", 0.1)
    outbox.publish("/a", "new", 0.2)
    assert drain(outbox, 0.9) == []
    assert outbox.next_due() == 1.0
    assert drain(outbox, 1.0) == ["new"]


def test_throttling_without_a_queue_drops_what_comes_too_early() -> None:
    outbox = Outbox(max_backlog=10)
    outbox.open_lane("/a", LaneOptions(throttle=1.0))
    for now in (0.0, 0.5, 0.99, 1.0, 1.5):
        outbox.publish("/a", str(now), now)
    assert drain(outbox, 5.0) == ["0.0", "1.0"]


def test_a_client_that_reads_no_answers_is_noticed() -> None:
    outbox = Outbox(max_backlog=2)
    assert [outbox.answer("x") for _ in range(3)] == [True, True, False]
