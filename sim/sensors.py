"""Sensor models: the errors between true values and a policy's sensors, as on a robot.

For each named sensor, in this order: true value -> lag -> bias -> noise -> missing -> delay -> dropout. Terms never
add noise themselves. The sensors with a lag, bias or noise lie side by side in one tensor, because with thousands of
worlds the number of operations is what costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Sensors
from sim.physics.rows import side_by_side
from sim.terms.parameters import Limits, Parameter

_ADJUSTABLE = {
    "noise": Parameter("noise", 0.0, Limits(low=0.0)),
    "bias": Parameter("bias", 0.0, Limits(low=0.0)),
    "delay": Parameter("delay", 0, Limits(low=0)),
    "dropout": Parameter("dropout", 0.0, Limits(low=0.0, below=1.0)),
    "lag": Parameter("lag", 0.0, Limits(low=0.0, high=1.0)),
    "missing": Parameter("missing", 0.0, Limits(low=0.0, below=1.0)),
}


@dataclass(frozen=True)
class SensorModel:
    """The imperfections of one sensor. `noise` and `bias` are standard deviations in its unit, white and once an
    episode.

    `lag` is the longest age of a reading in control steps, at most 1: each world draws its own for an episode, uniform
    from 0, and the reading lies that far between the last two true values. `delay` is in whole control steps, the same
    in every world; `dropout` is the chance that a step delivers the previous value again. With `rotation`
    the sensor is a unit quaternion and noise and bias are rotation angles in rad about each axis.

    `missing` is the chance that a channel has no value in a step. It then gets that of the first of its `neighbours`
    that has one, as a robot fills the gaps in an elevation map; without any, its own.
    """

    sensor: str
    noise: float = 0.0
    bias: float = 0.0
    delay: int = 0
    dropout: float = 0.0
    rotation: bool = False
    lag: float = 0.0
    missing: float = 0.0
    neighbours: tuple[tuple[int, ...], ...] = ()
    """For each channel the others to take a missing value from, equally many, the nearest first."""

    def __post_init__(self) -> None:
        if self.noise < 0.0 or self.bias < 0.0 or self.delay < 0:
            raise ValueError(f"sensor {self.sensor}: noise, bias and delay must not be negative, got {self}")
        if not 0.0 <= self.lag <= 1.0:
            raise ValueError(f"sensor {self.sensor}: lag must be in [0, 1] control steps, got {self.lag}")
        for name in ("dropout", "missing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"sensor {self.sensor}: {name} must be in [0, 1), got {getattr(self, name)}")
        if self.missing and not self.neighbours:
            raise UserError(f"sensor {self.sensor} has no channels beside each other, so none can be missing")

    @property
    def adjustable(self) -> Mapping[str, Parameter]:
        """What a task's settings may change."""
        return _ADJUSTABLE

    def settings(self) -> dict[str, Any]:
        """The present value of everything that is `adjustable`."""
        return {name: getattr(self, name) for name in _ADJUSTABLE}

    def with_settings(self, changes: Mapping[str, Any]) -> SensorModel:
        """The model with other values for some of its `settings`. UserError for an unknown name or a wrong value."""
        checked: dict[str, Any] = {name: _ADJUSTABLE[name].checked(value) for name, value in changes.items()}
        return replace(self, **checked)

    def scaled(self, factor: float) -> SensorModel:
        """The model with `factor` times its noise, bias, lag, dropout and missing channels, the last three within what
        is possible."""
        dropout, missing = (min(factor * share, max(share, 0.9)) for share in (self.dropout, self.missing))
        lag = min(1.0, factor * self.lag)
        noise, bias = factor * self.noise, factor * self.bias
        return replace(self, noise=noise, bias=bias, lag=lag, dropout=dropout, missing=missing)


class SensorModels:
    """The models of all sensors of N robots; `dims` gives the width of each named sensor. Sensors without a model are
    exact.
    """

    def __init__(self, models: tuple[SensorModel, ...], dims: Mapping[str, int], num_worlds: int, device: str) -> None:
        unknown = [m.sensor for m in models if m.sensor not in dims]
        if unknown:
            raise ValueError(f"sensor models for {unknown}, which the robot does not have; it has {sorted(dims)}")
        self._dims = dict(dims)
        self._models = {m.sensor: m for m in models}
        self._flat = [name for name in dims if name in self._models and _disturbed(self._models[name])]
        self._widths = [dims[name] for name in self._flat]
        apart = {m.sensor for m in models if m.rotation or m.delay > 0 or m.dropout > 0.0 or m.missing > 0.0}
        self._joined = [name for name in self._flat if name not in apart]
        self._rotations = [name for name in self._flat if self._models[name].rotation]
        # Half the rotation angle moves a unit quaternion: dq = 1/2 angle.
        rows = [
            (m.noise * half, m.bias * half, m.lag)
            for name in self._flat
            for m, half in ((self._models[name], 0.5 if self._models[name].rotation else 1.0),)
            for _ in range(dims[name])
        ]
        self._whole = torch.tensor(rows, device=device).reshape(-1, 3).T.contiguous()
        self.scale(1.0)
        self._bias = torch.zeros(num_worlds, sum(self._widths), device=device)
        self._lag = torch.zeros_like(self._bias)
        self._last = torch.zeros_like(self._bias)
        owners = [index for index, width in enumerate(self._widths) for _ in range(width)]
        self._owner = torch.tensor(owners, dtype=torch.int64, device=device)
        self._lags = any(self._models[name].lag > 0.0 for name in self._flat)
        self._past = {
            m.sensor: torch.zeros(m.delay + 1, num_worlds, dims[m.sensor], device=device) for m in models if m.delay > 0
        }
        self._sources = {
            m.sensor: torch.tensor([(own, *others) for own, others in enumerate(m.neighbours)], device=device)
            for m in models
            if m.missing > 0.0
        }
        self._held = {
            m.sensor: torch.zeros(num_worlds, dims[m.sensor], device=device) for m in models if m.dropout > 0.0
        }

    def scale(self, share: float) -> None:
        """Set noise, bias, lag and dropout to this share of the models' own, from the next draws on."""
        self._noise, self._spread, self._longest = self._whole * share
        self._share = share

    def measure(self, true: Mapping[str, Tensor], generator: torch.Generator) -> Sensors:
        """What the sensors of all worlds report for true values [N, dim].

        Differentiable in them, except that no gradient passes a delay or a repeated value.
        """
        values = dict(true)
        if self._flat:
            flat = side_by_side([true[name] for name in self._flat])
            late = torch.lerp(flat, self._last, self._lag) if self._lags else flat
            self._last = flat.detach()
            values |= self._disturb(late, self._bias, generator)
        values |= self._fill(values, generator)
        for name, past in self._past.items():
            past = torch.cat((past[1:], values[name].detach()[None]))
            self._past[name] = past
            values[name] = past[0]
        for name, held in self._held.items():
            chance = self._models[name].dropout * self._share
            lost = torch.rand(held.shape[0], 1, generator=generator, device=held.device) < chance
            values[name] = torch.where(lost, held, values[name])
            self._held[name] = values[name].detach()
        return Sensors(values)

    def restart(self, ids: Tensor, true: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Start the worlds `ids` [K] anew: new biases, empty delay lines. Returns their first readings [K, dim]."""
        if not self._flat:
            return self._start(ids, true, torch.empty(0), generator)
        flat = side_by_side([true[name] for name in self._flat])
        if self._lags:
            self._last = self._last.index_copy(0, ids, flat.detach())
        return self._start(ids, true, flat, generator)

    def renew(self, sensors: Sensors, ids: Tensor, true: Mapping[str, Tensor], generator: torch.Generator) -> Sensors:
        """`sensors` with the worlds `ids` [K] started anew, as `restart` does.

        `true` [N, dim] are the true values of all worlds now; those of the other worlds are as when last measured.
        """
        rows = {name: true[name][ids] for name in self._models if name not in self._flat}
        few = torch.empty(0)
        if self._flat:
            # No row of the other worlds has changed.
            self._last = side_by_side([true[name] for name in self._flat]).detach()
            few = self._last[ids]
            rows |= zip(self._flat, few.split(self._widths, -1), strict=True)
        fresh = self._start(ids, rows, few, generator)
        # A sensor without a model is exact: its value is the true one.
        values = {n: sensors[n].index_copy(0, ids, fresh[n]) for n in self._models if n not in self._joined}
        if self._joined:
            was, new = (side_by_side([part[name] for name in self._joined]) for part in (sensors, fresh))
            widths = [self._dims[name] for name in self._joined]
            values |= zip(self._joined, was.index_copy(0, ids, new).split(widths, -1), strict=True)
        return Sensors({name: values.get(name, true[name]) for name in sensors})

    def _start(
        self, ids: Tensor, true: Mapping[str, Tensor], flat: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """First readings [K, dim] of the worlds `ids` [K]; `flat` are the `true` ones side by side."""
        values = dict(true)
        if self._flat:
            bias = torch.randn(flat.shape, generator=generator, device=flat.device) * self._spread
            self._bias[ids] = bias
            if self._lags:
                share = torch.rand(len(ids), len(self._flat), generator=generator, device=flat.device)
                self._lag[ids] = share[:, self._owner] * self._longest
            values |= self._disturb(flat, bias, generator)
        values |= self._fill(values, generator)
        for name, past in self._past.items():
            past[:, ids] = values[name].detach()
        for name, held in self._held.items():
            held[ids] = values[name].detach()
        return values

    def _disturb(self, flat: Tensor, bias: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        noise = torch.randn(flat.shape, generator=generator, device=flat.device)
        disturbed = (flat + bias).addcmul_(noise, self._noise)
        values = dict(zip(self._flat, disturbed.split(self._widths, -1), strict=True))
        for name in self._rotations:
            # Never near zero, so that no bound on the divisor is needed.
            values[name] = values[name] / torch.linalg.vector_norm(values[name], dim=-1, keepdim=True)
        return values

    def _fill(self, values: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The sensors with missing channels, which have their neighbours' values."""
        filled = {}
        for name, sources in self._sources.items():
            given = values[name]
            known = torch.rand(given.shape, generator=generator, device=given.device) >= self._models[name].missing
            # Of equal values, argmax gives the first.
            first = known[:, sources].byte().argmax(-1)
            filled[name] = given.gather(1, sources.expand(len(given), -1, -1).gather(2, first[..., None])[..., 0])
        return filled

    def snapshot(self) -> dict[str, Tensor]:
        groups = {"past": self._past, "held": self._held}
        saved = {f"{group}.{name}": t.clone() for group, tensors in groups.items() for name, t in tensors.items()}
        return {**saved, "bias": self._bias.clone(), "lag": self._lag.clone(), "last": self._last.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for group, tensors in (("past", self._past), ("held", self._held)):
            for name in tensors:
                tensors[name] = snapshot[f"{group}.{name}"].clone()
        self._bias, self._lag, self._last = (snapshot[name].clone() for name in ("bias", "lag", "last"))


def _disturbed(model: SensorModel) -> bool:
    return model.noise > 0.0 or model.bias > 0.0 or model.lag > 0.0
