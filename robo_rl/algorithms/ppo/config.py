"""The settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from policies.networks.mlp import Activation
from policies.validation import require, require_choice, require_widths
from robo_rl.algorithms.blocks import MOST_BLOCKS
from robo_rl.algorithms.registry import RUN


@dataclass(frozen=True)
class PpoConfig:
    """Settings of PPO. One iteration takes num_worlds * rollout_steps environment steps."""

    num_worlds: int = 1024
    """Simulated robots that act at once, over all processes together."""
    blocks: int = 1
    """Equal blocks of worlds, each with its own random draws; processes share the training by whole blocks."""
    randomized: bool = True
    """Whether to draw the robot's dynamics anew for every episode, if the task randomizes them."""
    iterations: int = 300
    """Rollouts with updates until training ends."""
    rollout_steps: int = 32
    """Steps of every world in a rollout."""
    epochs: int = 5
    """Passes over each rollout."""
    minibatches: int = 4
    """Parts that each pass splits the rollout into; one gradient step each."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    target_kl: float = 0.01
    """KL divergence per gradient step that the step size adapts to; 0 keeps the step size as it is."""
    discount: float = 0.99
    """Discount factor per step."""
    gae_lambda: float = 0.95
    """Decay of generalised advantage estimation: 0 trusts the critic, 1 the rollout."""
    clip: float = 0.2
    """Range of the probability ratio outside which the loss rewards no further change."""
    value_clip: float = 0.0
    """Range in which the value may move in one update, in spreads of the return; 0 leaves it free."""
    value_coefficient: float = 1.0
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus."""
    max_gradient_norm: float = 1.0
    """Largest norm of the gradient of all weights together."""
    distribution: Literal["clipped", "squashed"] = "clipped"
    """How a Gaussian sample becomes an action in [-1, 1]: cut off, or through tanh."""
    initial_std: float = 0.5
    """Standard deviation of the normalised action at the start."""
    final_std: float = 0.0
    """Bound of the standard deviation from half of the iterations on, reached exponentially; 0: no bound."""
    start_from: str = field(default="", metadata=RUN)
    """Folder of a run whose policy is trained further, with its normaliser and with the spread `initial_std`."""
    critic_warmup: int = 0
    """Iterations at the start in which only the critic learns, and the policy stays as it is."""
    imitation: int = 0
    """Iterations at the start that learn to act as the task's scripted guide would; the critic learns as usual."""
    imitation_minibatches: int = 32
    """Minibatches of each pass while imitating: many small steps, because no policy gradient makes them noisy."""
    imitation_coefficient: float = 10.0
    """Weight of the imitation loss, the mean squared difference of normalised actions."""
    symmetry: Literal["none", "augment", "double", "loss"] = "none"
    """Use of the robot's mirror symmetry: none, half of the samples mirrored, each with its image, or a loss."""
    symmetry_coefficient: float = 1.0
    """Weight of the symmetry loss."""
    reads: Literal["sensors", "truth"] = "sensors"
    """What the policy observes: its sensors, or also what the critic does, as a teacher that is never deployed."""
    actor: Literal["mlp", "gru", "history"] = "mlp"
    """The policy's network: without memory, recurrent, or with a code of past observations."""
    memory: int = 128
    """Units of a recurrent policy's memory."""
    history: int = 10
    """Past observations that a history policy remembers."""
    history_code: int = 32
    """Numbers that a history policy encodes the past observations in."""
    update_threads: int = 1
    """Threads that share each minibatch; results differ in the last bits with another number."""
    actor_hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers; a recurrent policy may do without."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critic's hidden layers."""
    activation: Activation = "tanh"
    """Activation of both networks."""

    def __post_init__(self) -> None:
        for name in ("num_worlds", "iterations", "rollout_steps", "epochs", "minibatches", "memory", "history"):
            require(self, name, low=1)
        require(self, "blocks", low=1, high=MOST_BLOCKS)
        require(self, "history_code", low=1)
        require(self, "update_threads", low=1, high=64)
        for name in ("learning_rate", "clip", "max_gradient_norm", "initial_std"):
            require(self, name, above=0.0)
        for name in ("target_kl", "value_clip", "value_coefficient", "entropy_coefficient", "symmetry_coefficient"):
            require(self, name, low=0.0)
        require(self, "final_std", low=0.0, high=self.initial_std)
        require(self, "imitation", low=0)
        require(self, "critic_warmup", low=0)
        require(self, "imitation_minibatches", low=1)
        require(self, "imitation_coefficient", above=0.0)
        rows = max(1, self.num_worlds // self.blocks) * (1 if self.actor == "gru" else self.rollout_steps)
        require(self, "minibatches", high=rows)
        require(self, "discount", low=0.0, high=1.0)
        require(self, "gae_lambda", low=0.0, high=1.0)
        require_choice(self, "distribution", ("clipped", "squashed"))
        require_choice(self, "symmetry", ("none", "augment", "double", "loss"))
        require_choice(self, "reads", ("sensors", "truth"))
        require_choice(self, "actor", ("mlp", "gru", "history"))
        require_choice(self, "activation", ("tanh", "relu", "elu"))
        if self.actor != "gru" or self.actor_hidden:
            require_widths(self, "actor_hidden")
        require_widths(self, "critic_hidden")
