"""Where a model's sensors are in the rows of values that a backend gives."""

from __future__ import annotations

from difflib import get_close_matches

import mujoco

from policies.errors import UserError


class SensorColumns:
    """The slice of each named sensor of `model` in rows of `model.nsensordata` values."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._slices = {
            model.sensor(i).name: slice(model.sensor_adr[i], model.sensor_adr[i] + model.sensor_dim[i])
            for i in range(model.nsensor)
        }

    def __call__(self, name: str) -> slice:
        """A UserError names near matches of a sensor that the model does not have."""
        try:
            return self._slices[name]
        except KeyError:
            near = get_close_matches(name, self._slices, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; it has {', '.join(self._slices)}"
            raise UserError(f"the model has no sensor {name!r}{hint}") from None

    def group(self, names: list[str]) -> slice:
        """Sensors that follow each other, as one slice; a ValueError if they do not."""
        parts = [self(name) for name in names]
        for a, b in zip(parts, parts[1:], strict=False):
            if a.stop != b.start:
                raise ValueError(f"sensors {names} do not follow each other in the model")
        return slice(parts[0].start, parts[-1].stop)
