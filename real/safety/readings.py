"""Which readings are good: shape, range, order and age, without a clock shared with the robot."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from policies.errors import UserError
from policies.specs import SensorSpec
from real.contract.events import Fault
from real.contract.offer import Signal
from real.contract.robot import Array, RobotReading
from real.timing.clock_offset import ClockOffset

STAMP_JUMP = 1.0
"""How far, in s, a stamp may run ahead of the host's time since the previous reading: delayed messages catch up."""
QUATERNION_TOLERANCE = 0.1


class ReadingGate:
    """Passes on the newest good reading, and knows how old it is."""

    def __init__(self, sensors: Iterable[SensorSpec], demanded: Iterable[Signal]) -> None:
        """`sensors`: those that the policy reads of the robot; `demanded`: what every reading must have besides."""
        self._limits = {s.name: (s.dim, np.array(s.low), np.array(s.high)) for s in sensors}
        for signal in demanded:
            dim = signal.dim
            assert dim is not None  # Only an offer leaves `dim` open.
            known = self._limits.setdefault(signal.name, (dim, np.full(dim, -np.inf), np.full(dim, np.inf)))
            if known[0] != dim:
                raise UserError(f"sensor {signal.name} has dim {known[0]}, the supervisor needs {dim}")
        self.newest: RobotReading | None = None
        self.reading_period = math.nan
        """The time in s between readings, smoothed; NaN before the second."""
        self._offset = ClockOffset()
        self._seen: tuple[float, int] | None = None

    def admit(self, reading: RobotReading | None) -> Fault | None:
        """Check the robot's newest reading, each one once, and keep it as `newest` if it is good."""
        if reading is None or self._seen == (reading.stamp, reading.sequence):
            return None
        self._seen = (reading.stamp, reading.sequence)
        fault = self._order_fault(reading)
        if fault is not None:
            return fault
        sensors: dict[str, Array] = {}
        for name in self._limits:
            value = self._sensor(name, reading)
            if isinstance(value, Fault):
                return value
            sensors[name] = value
        self._keep(RobotReading(sensors, reading.stamp, reading.received, reading.sequence))
        return None

    def age(self, now: float) -> float:
        """Age in s at the host's time `now` of the newest good reading; infinite when there is none."""
        return math.inf if self.newest is None else self._offset.age(self.newest.stamp, now)

    def _order_fault(self, reading: RobotReading) -> Fault | None:
        if not (math.isfinite(reading.stamp) and math.isfinite(reading.received)):
            return Fault("sensor_not_finite", detail="stamp")
        if self.newest is None:
            return None
        if reading.sequence <= self.newest.sequence:
            return Fault("stale_reading", reading.sequence, self.newest.sequence, "sequence")
        if reading.stamp <= self.newest.stamp:
            return Fault("stale_reading", reading.stamp, self.newest.stamp, "stamp")
        ahead = (reading.stamp - self.newest.stamp) - (reading.received - self.newest.received)
        return Fault("stamp_jump", ahead, STAMP_JUMP) if ahead > STAMP_JUMP else None

    def _sensor(self, name: str, reading: RobotReading) -> Array | Fault:
        dim, low, high = self._limits[name]
        if name not in reading.sensors:
            return Fault("sensor_missing", detail=name)
        value = as_numbers(reading.sensors[name])
        if value is None or value.shape != (dim,):
            return Fault("sensor_malformed", None if value is None else value.size, dim, name)
        if not np.isfinite(value).all():
            return Fault("sensor_not_finite", detail=name)
        excess = np.maximum(low - value, value - high)
        worst = int(np.argmax(excess))
        if excess[worst] > 0.0:
            limit = low[worst] if value[worst] < low[worst] else high[worst]
            return Fault("sensor_out_of_range", float(value[worst]), float(limit), f"{name}[{worst}]")
        if name == "orientation":
            norm = float(np.linalg.norm(value))
            if abs(norm - 1.0) > QUATERNION_TOLERANCE:
                return Fault("orientation_norm", norm, 1.0)
        return value

    def _keep(self, reading: RobotReading) -> None:
        self._offset.observe(reading.stamp, reading.received)
        if self.newest is not None:
            period = (reading.stamp - self.newest.stamp) / (reading.sequence - self.newest.sequence)
            smoothed = 0.95 * self.reading_period + 0.05 * period
            self.reading_period = period if math.isnan(smoothed) else smoothed
        self.newest = reading


def as_numbers(value: Any) -> Array | None:
    """A fresh float64 array of `value`, or None when it is not an array of real numbers; strings of digits are none."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array.astype(np.float64) if array.dtype.kind in "fiu" else None
