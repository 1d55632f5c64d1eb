"""Sensor models: what stands between physics and policy, as on a robot.

For each named sensor, in this order: true value -> bias -> noise -> delay -> dropout. Terms never add noise themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.signals import Sensors


@dataclass(frozen=True)
class SensorModel:
    """The imperfections of one sensor. `noise` and `bias` are standard deviations in its unit, white and once an
    episode.

    `delay` is in control steps; `dropout` is the chance that a step delivers the previous value again. With `rotation`
    the sensor is a unit quaternion and noise and bias are rotation angles in rad about each axis.
    """

    sensor: str
    noise: float = 0.0
    bias: float = 0.0
    delay: int = 0
    dropout: float = 0.0
    rotation: bool = False

    def __post_init__(self) -> None:
        if self.noise < 0.0 or self.bias < 0.0 or self.delay < 0:
            raise ValueError(f"sensor {self.sensor}: noise, bias and delay must not be negative, got {self}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"sensor {self.sensor}: dropout must lie in [0, 1), got {self.dropout}")


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
        self._noisy = [name for name in dims if name in self._models and self._models[name].noise > 0.0]
        # Half the rotation angle moves a unit quaternion: dq = 1/2 angle.
        scales = [
            self._models[name].noise * (0.5 if self._models[name].rotation else 1.0)
            for name in self._noisy
            for _ in range(dims[name])
        ]
        self._scale = torch.tensor(scales, device=device)
        self._bias = {m.sensor: torch.zeros(num_worlds, dims[m.sensor], device=device) for m in models if m.bias > 0.0}
        self._past = {
            m.sensor: torch.zeros(m.delay + 1, num_worlds, dims[m.sensor], device=device) for m in models if m.delay > 0
        }
        self._held = {
            m.sensor: torch.zeros(num_worlds, dims[m.sensor], device=device) for m in models if m.dropout > 0.0
        }

    def measure(self, true: Mapping[str, Tensor], generator: torch.Generator) -> Sensors:
        """What the sensors of all worlds report for true values [N, dim].

        Differentiable in them, except that no gradient passes a delay or a repeated value.
        """
        values = self._disturb(true, self._bias, generator)
        for name, past in self._past.items():
            past = torch.cat((past[1:], values[name].detach()[None]))
            self._past[name] = past
            values[name] = past[0]
        for name, held in self._held.items():
            lost = torch.rand(held.shape[0], 1, generator=generator, device=held.device) < self._models[name].dropout
            values[name] = torch.where(lost, held, values[name])
            self._held[name] = values[name].detach()
        return Sensors(values)

    def restart(self, ids: Tensor, true: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Start the worlds `ids` [K] anew: new biases, empty delay lines. Returns their first readings [K, dim]."""
        for name, bias in self._bias.items():
            fresh = torch.randn(len(ids), bias.shape[1], generator=generator, device=bias.device)
            bias[ids] = fresh * self._models[name].bias * (0.5 if self._models[name].rotation else 1.0)
        values = self._disturb(true, {name: bias[ids] for name, bias in self._bias.items()}, generator)
        for name, past in self._past.items():
            past[:, ids] = values[name].detach()
        for name, held in self._held.items():
            held[ids] = values[name].detach()
        return values

    def _disturb(
        self, true: Mapping[str, Tensor], bias: Mapping[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        values = dict(true)
        for name, offset in bias.items():
            values[name] = values[name] + offset
        if self._noisy:
            rows = next(iter(true.values())).shape[0]
            noise = torch.randn(rows, len(self._scale), generator=generator, device=self._scale.device) * self._scale
            parts = noise.split([self._dims[name] for name in self._noisy], -1)
            for name, part in zip(self._noisy, parts, strict=True):
                values[name] = values[name] + part
        for name in values:
            model = self._models.get(name)
            if model is not None and model.rotation and (model.noise > 0.0 or model.bias > 0.0):
                values[name] = torch.nn.functional.normalize(values[name], dim=-1)
        return values

    def snapshot(self) -> dict[str, Tensor]:
        groups = {"bias": self._bias, "past": self._past, "held": self._held}
        return {f"{group}.{name}": t.clone() for group, tensors in groups.items() for name, t in tensors.items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for group, tensors in (("bias", self._bias), ("past", self._past), ("held", self._held)):
            for name in tensors:
                tensors[name] = snapshot[f"{group}.{name}"].clone()
