"""Messages that wait for one client: answers in order, and for each topic only as many as the client asked for.

A slow client with queue_length 1 gets the newest message whenever it is ready again.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LaneOptions:
    """How a client wants one topic. `throttle` is the least time in s between two messages; `queue_length` 0 keeps all
    (up to the server's bound); messages longer than `fragment_size` characters are cut into fragments."""

    throttle: float = 0.0
    queue_length: int = 0
    fragment_size: float = math.inf


@dataclass
class _Lane:
    options: LaneOptions
    waiting: deque[tuple[int, str]]
    next_time: float = -math.inf


@dataclass
class Outbox:
    """Messages for one client. `max_backlog` bounds every queue; times are in s of the caller's clock."""

    max_backlog: int
    _answers: deque[str] = field(default_factory=deque)
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _arrivals: int = 0

    def open_lane(self, topic: str, options: LaneOptions) -> None:
        """Start the lane of `topic`, or change its options; waiting messages stay if they still fit."""
        limit = min(options.queue_length or self.max_backlog, self.max_backlog)
        old = self._lanes.get(topic)
        waiting = deque(old.waiting if old else (), maxlen=limit)
        self._lanes[topic] = _Lane(options, waiting, old.next_time if old else -math.inf)

    def close_lane(self, topic: str) -> None:
        """Forget the topic and what waits for it."""
        self._lanes.pop(topic, None)

    def answer(self, text: str) -> bool:
        """Queue an answer, sent before topics and never dropped; False when too many wait for the client."""
        self._answers.append(text)
        return len(self._answers) <= self.max_backlog

    def publish(self, topic: str, text: str, now: float) -> None:
        """Queue a message of an open lane; throttling without a queue drops what comes too early, as servers do."""
        lane = self._lanes[topic]
        if lane.options.throttle > 0.0 and lane.options.queue_length == 0:
            if now < lane.next_time:
                return
            lane.next_time = now + lane.options.throttle
        self._arrivals += 1
        lane.waiting.append((self._arrivals, text))

    def pop(self, now: float) -> tuple[str, float] | None:
        """The next text and its fragment size, the oldest of all lanes first; None while nothing may be sent."""
        if self._answers:
            return self._answers.popleft(), math.inf
        ready = [lane for lane in self._lanes.values() if lane.waiting and _due(lane) <= now]
        if not ready:
            return None
        lane = min(ready, key=lambda candidate: candidate.waiting[0][0])
        if lane.options.queue_length > 0:
            lane.next_time = now + lane.options.throttle
        return lane.waiting.popleft()[1], lane.options.fragment_size

    def next_due(self) -> float:
        """When a throttled lane may send again; infinity when nothing waits."""
        return min((_due(lane) for lane in self._lanes.values() if lane.waiting), default=math.inf)


def _due(lane: _Lane) -> float:
    # Without a queue length the throttle acted on arrival already.
    return lane.next_time if lane.options.queue_length > 0 else -math.inf
