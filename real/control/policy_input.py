"""From a reading and a goal to the policy's sensors, by name."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import UserError
from policies.specs import SensorSpec
from real.contract.goal import Goal, Target
from real.contract.robot import Array, RobotReading


class PolicyInput:
    """Feeds a policy: sensors that come from the goal get it, and sensors relative to the target get it subtracted.

    What is subtracted follows from the sensor's unit: the target's position from m, its velocity from m/s. Raises
    UserError for a sensor that is relative to the target in another unit.
    """

    def __init__(self, sensors: Sequence[SensorSpec]) -> None:
        self._sensors = tuple(sensors)
        for sensor in self._sensors:
            if sensor.relative_to == "target" and (sensor.unit not in ("m", "m/s") or sensor.dim != 3):
                raise UserError(
                    f"sensor {sensor.name} [{sensor.dim}] in {sensor.unit} can't be relative to the target; "
                    "only a position [3] in m or a velocity [3] in m/s can"
                )

    def __call__(self, reading: RobotReading, goal: Goal) -> dict[str, Array]:
        """Every sensor of the policy, [dim]; a `Target` is in the world frame."""
        values: dict[str, Array] = {}
        for sensor in self._sensors:
            value = goal.sensors[sensor.name] if sensor.name in goal.sensors else reading.sensors[sensor.name]
            if sensor.relative_to == "target":
                if not isinstance(goal, Target):
                    raise TypeError(f"sensor {sensor.name} is relative to a target, and there is none")
                value = value - (goal.position if sensor.unit == "m" else goal.velocity)
            values[sensor.name] = value
        return values
