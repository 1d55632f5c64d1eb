"""Recurrent networks: their memory is an explicit state of the policy graph, reset like any other state.

`forward` maps observations [N, inputs] and the memory, by name, to outputs and the next memory; `latent` does the same
before the output's tanh. They consist of plain layers, so a microcontroller needs no special operators.

When called several times per control period, both keep the memory of the period's first call: the memory then takes the
values that it has at the training rate, and has no meaning in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.networks.mlp import MLP, Activation
from policies.specs import StateSpec


class _Recurrent(nn.Module, ABC):
    """A network whose `latent` carries a memory; with `squash`, its outputs go through a tanh."""

    squash: bool

    @abstractmethod
    def latent(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs [N, outputs] before the tanh, and the next memory by name."""

    def forward(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        y, following = self.latent(x, state)
        return (torch.tanh(y) if self.squash else y), following


class GruNetwork(_Recurrent):
    """A gated recurrent unit (Cho et al., arXiv 1406.1078) and an MLP on its hidden state: [N, inputs] -> [N, outputs].

    The gates follow the variant of torch.nn.GRU, whose reset gate acts after the recurrent matrix.
    """

    STATE = "hidden"

    def __init__(
        self,
        inputs: int,
        memory: int,
        hidden: tuple[int, ...],
        outputs: int,
        activation: Activation = "elu",
        squash: bool = False,
        output_gain: float = 0.01,
    ) -> None:
        super().__init__()
        if memory < 1:
            raise UserError(f"a recurrent network needs at least 1 unit of memory, got {memory}")
        self.memory = memory
        self.from_input = nn.Linear(inputs, 3 * memory)
        self.from_memory = nn.Linear(memory, 3 * memory)
        for linear in (self.from_input, self.from_memory):
            for part in linear.weight.split(memory):
                nn.init.orthogonal_(part)
            nn.init.zeros_(linear.bias)
        self.head = MLP(memory, hidden, outputs, activation, squash, output_gain)
        self.squash = squash
        self.recurrent = True

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.STATE, self.memory, between="first"),)

    def latent(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = self._update(self.from_input(x), state[self.STATE])
        return self.head.latent(hidden), {self.STATE: hidden}

    def unroll(self, x: Tensor, hidden: Tensor, done: Tensor) -> Tensor:
        """The latent outputs [T, N, outputs] for `x` [T, N, inputs] from `hidden` [N, memory], with gradients to step
        0.

        `done` [T, N] is true where an episode ended with the step: the next step starts from a memory of zero.
        """
        entering = self.from_input(x)
        keep = (~done).to(x.dtype)[..., None]
        hiddens = []
        for t in range(x.shape[0]):
            if t:
                hidden = hidden * keep[t - 1]
            hidden = self._update(entering[t], hidden)
            hiddens.append(hidden)
        return self.head.latent(torch.stack(hiddens))

    def _update(self, entering: Tensor, hidden: Tensor) -> Tensor:
        m = self.memory
        recalled = self.from_memory(hidden)
        gates = torch.sigmoid(entering[:, : 2 * m] + recalled[:, : 2 * m])
        reset, update = gates[:, :m], gates[:, m:]
        candidate = torch.tanh(entering[:, 2 * m :] + reset * recalled[:, 2 * m :])
        return candidate + update * (hidden - candidate)


class HistoryNetwork(_Recurrent):
    """An MLP on the current observation and a code of the last `length` ones: [N, inputs] -> [N, outputs].

    The encoder applies one shared layer to each past observation (a convolution of width 1 over time) and maps the
    results, oldest first, to `code` numbers. Its memory holds normalised observations, zero before the first.
    """

    STATE = "past"

    def __init__(
        self,
        inputs: int,
        length: int,
        code: int,
        hidden: tuple[int, ...],
        outputs: int,
        activation: Activation = "elu",
        squash: bool = False,
        output_gain: float = 0.01,
    ) -> None:
        super().__init__()
        if length < 1 or code < 1:
            raise UserError(f"a history network needs a length and a code of at least 1, got {length} and {code}")
        self.inputs = inputs
        self.length = length
        self.each = MLP(inputs, (), code, activation, output_gain=2**0.5)
        self.encoder = MLP(length * code, (2 * code,), code, activation, output_gain=1.0)
        self.head = MLP(inputs + code, hidden, outputs, activation, squash, output_gain)
        self.squash = squash
        self.recurrent = False
        self.cut = False
        """Whether the gradient of the outputs ends at the code, so that only losses on the code train the encoder."""

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.STATE, self.length * self.inputs, between="first"),)

    def encode(self, past: Tensor) -> Tensor:
        """The code [N, code] of the past observations [N, length * inputs]."""
        each = self.each(past.reshape(-1, self.length, self.inputs)).flatten(1)
        code: Tensor = self.encoder(torch.tanh(each))
        return code

    def latent(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        past = state[self.STATE]
        code = self.encode(past)
        joined = torch.cat((x, code.detach() if self.cut else code), -1)
        return self.head.latent(joined), {self.STATE: torch.cat((past[:, self.inputs :], x), -1)}
