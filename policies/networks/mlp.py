"""Multilayer perceptrons, and checks of any network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from policies.errors import UserError

Activation = Literal["tanh", "relu", "elu"]
# In place where the gradient can be computed from the result: an ELU's backward pass then needs no second exponential.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh, "relu": lambda: nn.ReLU(inplace=True), "elu": lambda: nn.ELU(inplace=True),
}  # fmt: skip


class MLP(nn.Module):
    """Fully connected layers with one activation between them: [N, inputs] -> [N, outputs].

    `squash` adds a tanh after the last layer, so outputs lie in (-1, 1). Hidden layers are initialised orthogonally
    with gain sqrt 2, the last one with `output_gain` (small, so that a fresh policy acts near zero).
    """

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        outputs: int,
        activation: Activation = "tanh",
        squash: bool = False,
        output_gain: float = 0.01,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise UserError(f"activation {activation!r} is unknown; choose one of {', '.join(_ACTIVATIONS)}")
        if min((inputs, outputs, *hidden)) < 1:
            raise UserError(f"every layer needs at least 1 unit, got {(inputs, *hidden, outputs)}")
        layers: list[nn.Module] = []
        widths = (inputs, *hidden)
        for a, b in zip(widths, widths[1:], strict=False):
            linear = nn.Linear(a, b)
            nn.init.orthogonal_(linear.weight, 2**0.5)
            nn.init.zeros_(linear.bias)
            layers += [linear, _ACTIVATIONS[activation]()]
        last = nn.Linear(widths[-1], outputs)
        nn.init.orthogonal_(last.weight, output_gain)
        nn.init.zeros_(last.bias)
        layers.append(last)
        if squash:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)
        self.squash = squash

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y

    def latent(self, x: Tensor) -> Tensor:
        """The output [N, outputs] before the tanh, or the output itself without `squash`."""
        for layer in list(self.layers)[: -1 if self.squash else None]:
            x = layer(x)
        return x


def parameter_count(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def all_finite(module: nn.Module) -> bool:
    """Whether every parameter and buffer is finite."""
    return all(bool(torch.isfinite(t).all()) for t in module.state_dict().values())
