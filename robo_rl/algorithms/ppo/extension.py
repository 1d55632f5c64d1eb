"""What a method adds to PPO: networks, columns of the rollout, a loss. Distillation is made of these."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from policies.graph.symmetry import SignedPermutation
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.ppo.actor import Actor, Mirrors
from robo_rl.algorithms.ppo.minibatch import Minibatch


class Extension(nn.Module):
    """An extension that adds nothing. Its parameters are trained with the policy's, its state is in the checkpoint."""

    def columns(self) -> dict[str, int]:
        """Names and widths of the columns that it adds to the rollout; a `Minibatch` has them in `extra`."""
        return {}

    def mirrors(self, mirrors: Mirrors) -> dict[str, SignedPermutation]:
        """How each of these columns looks in the mirror."""
        return {name: SignedPermutation.identity(width) for name, width in self.columns().items()}

    def begin(self, iteration: int, worlds: ActingWorlds) -> None:
        """Called before each rollout."""
        return

    def see(self, seen: Tensor) -> Tensor:
        """What the policy sees [N, D] of its normalised observation."""
        return seen

    def record(self) -> Mapping[str, Tensor]:
        """Its columns [N, width] for the step that follows."""
        return {}

    def settle(self, action: Tensor, done: Tensor) -> None:
        """Called after each step with what was executed [N, A], and the worlds [N] whose episode ended."""
        return

    def loss(self, batch: Minibatch, means: Tensor, actor: Actor) -> tuple[Tensor, dict[str, Tensor]] | None:
        """A loss to add, and metrics, scalars without gradient; `means` are the policy's for the rows, before tanh."""
        return None

    def held(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Tensors [N, ...] of each world that it carries from step to step, by group and name."""
        return {}

    def hold(self, held: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Continue from what `held` returned."""
        return
