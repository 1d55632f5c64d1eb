"""From two streams to one reading: a main one (odometry, joint states) and an IMU, joined by their stamps."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

_WAITING = 8  # Messages kept for a partner that is late; at 200 Hz that is 40 ms.


class Stamped(Protocol):
    """A message's content with its stamp in ns on the robot's clock."""

    @property
    def stamp(self) -> int: ...


Main = TypeVar("Main", bound=Stamped)
Imu = TypeVar("Imu", bound=Stamped)


class Pairing(Generic[Main, Imu]):
    """Joins samples whose stamps differ by at most `tolerance` s; a main sample no newer than the last is refused."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = round(tolerance * 1e9)
        self._main: deque[Main] = deque(maxlen=_WAITING)
        self._imu: deque[Imu] = deque(maxlen=_WAITING)
        self._newest = -1

    def is_late(self, sample: Main) -> bool:
        """Whether a main sample of this age or a newer one has come already: messages were reordered or sent twice."""
        return sample.stamp <= self._newest or any(sample.stamp <= other.stamp for other in self._main)

    @property
    def apart(self) -> float | None:
        """The distance in s between the newest stamps of both kinds that wait; None while one kind is missing."""
        return 1e-9 * abs(self._main[-1].stamp - self._imu[-1].stamp) if self._main and self._imu else None

    def add_main(self, sample: Main) -> tuple[Main, Imu] | None:
        """Add a main sample; the pair it completes, or None while its IMU sample is missing or when it is late."""
        if self.is_late(sample):
            return None
        self._main.append(sample)
        return self._match()

    def add_imu(self, sample: Imu) -> tuple[Main, Imu] | None:
        """Add an IMU sample; the pair it completes, or None."""
        self._imu.append(sample)
        return self._match()

    def _match(self) -> tuple[Main, Imu] | None:
        for main in reversed(self._main):
            imu = min(self._imu, key=lambda candidate: abs(candidate.stamp - main.stamp), default=None)
            if imu is not None and abs(imu.stamp - main.stamp) <= self._tolerance:
                self._newest = main.stamp
                while self._main and self._main[0].stamp <= self._newest:
                    self._main.popleft()
                return main, imu
        return None
