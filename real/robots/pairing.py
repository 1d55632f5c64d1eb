"""From two streams to one reading: odometry and IMU messages joined by their stamps, oldest never after newest."""

from __future__ import annotations

from collections import deque

from real.ros.messages import ImuSample, OdometrySample

_WAITING = 8  # Messages kept for a partner that is late; at 200 Hz that is 40 ms.


class Pairing:
    """Joins samples whose stamps differ by at most `tolerance` s; odometry no newer than the last is refused."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = round(tolerance * 1e9)
        self._odometry: deque[OdometrySample] = deque(maxlen=_WAITING)
        self._imu: deque[ImuSample] = deque(maxlen=_WAITING)
        self._newest = -1

    def is_late(self, sample: OdometrySample) -> bool:
        """Whether odometry of this age or a newer one has come already: messages were reordered or sent twice."""
        return sample.stamp <= self._newest or any(sample.stamp <= other.stamp for other in self._odometry)

    def add_odometry(self, sample: OdometrySample) -> tuple[OdometrySample, ImuSample] | None:
        """Add odometry; the pair it completes, or None while its IMU sample is missing or when it is late."""
        if self.is_late(sample):
            return None
        self._odometry.append(sample)
        return self._match()

    def add_imu(self, sample: ImuSample) -> tuple[OdometrySample, ImuSample] | None:
        """Add an IMU sample; the pair it completes, or None."""
        self._imu.append(sample)
        return self._match()

    def _match(self) -> tuple[OdometrySample, ImuSample] | None:
        for odometry in reversed(self._odometry):
            imu = min(self._imu, key=lambda candidate: abs(candidate.stamp - odometry.stamp), default=None)
            if imu is not None and abs(imu.stamp - odometry.stamp) <= self._tolerance:
                self._newest = odometry.stamp
                while self._odometry and self._odometry[0].stamp <= self._newest:
                    self._odometry.popleft()
                return odometry, imu
        return None
