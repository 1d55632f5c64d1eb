"""The settings of SAC."""

from __future__ import annotations

from dataclasses import dataclass

from policies.networks.mlp import Activation
from policies.validation import require, require_choice, require_widths


@dataclass(frozen=True)
class SacConfig:
    """Settings of SAC. One iteration takes num_worlds * steps environment steps and `updates` gradient steps."""

    num_worlds: int = 64
    """Simulated robots that act at once."""
    randomized: bool = True
    """Whether to draw the robot's dynamics anew for every episode, if the task randomizes them."""
    iterations: int = 1000
    """Rounds of acting and learning until training ends."""
    steps: int = 4
    """Steps of every world in an iteration."""
    updates: int = 16
    """Gradient steps in an iteration."""
    warm_up: int = 8192
    """Environment steps with random actions before the first gradient step."""
    capacity: int = 400_000
    """Environment steps that the replay memory holds, in a file of the run."""
    batch: int = 256
    """Environment steps in the batch of each gradient step."""
    lookahead: int = 1
    """Steps whose rewards are taken from the replay before the critic's value of what follows."""
    discount: float = 0.99
    """Discount factor per step."""
    reward_scale: float = 1.0
    """Factor on the rewards: values far above 10 learn slowly."""
    actor_rate: float = 1e-3
    """Adam's step size of the policy and of the temperature."""
    critic_rate: float = 1e-3
    """Adam's step size of the critics."""
    max_gradient_norm: float = 10.0
    """Largest norm of the gradient of a network's weights."""
    target_rate: float = 0.005
    """Share of the way that the target critics move towards the critics after each gradient step."""
    critics: int = 2
    """Number of critics; the lowest value counts."""
    layer_norm: bool = True
    """Normalise the critics' hidden layers, which keeps the values of untried actions bounded."""
    initial_temperature: float = 0.1
    """Weight of the entropy against the reward at the start."""
    target_entropy: float = -1.0
    """Entropy, in nats per channel of the action, that the temperature aims at."""
    actor_hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critics' hidden layers."""
    activation: Activation = "relu"
    """Activation of the policy; the critics have relu."""

    def __post_init__(self) -> None:
        for field in ("num_worlds", "iterations", "steps", "updates", "batch", "lookahead", "critics"):
            require(self, field, low=1)
        require(self, "warm_up", low=0)
        require(self, "capacity", low=2 * self.num_worlds)
        for field in ("actor_rate", "critic_rate", "max_gradient_norm", "reward_scale", "initial_temperature"):
            require(self, field, above=0.0)
        require(self, "target_entropy")
        require(self, "discount", low=0.0, high=1.0)
        require(self, "target_rate", above=0.0, high=1.0)
        require_choice(self, "activation", ("tanh", "relu", "elu"))
        require_widths(self, "actor_hidden")
        require_widths(self, "critic_hidden")
