"""The settings of distillation: those of PPO and those of its arms."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from policies.validation import check, require, require_choice, require_widths
from robo_rl.algorithms.distill.arms import ARMS, Arm
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import RUN


@dataclass(frozen=True)
class DistillConfig(PpoConfig):
    """Settings of an arm of distillation; bc and dagger take num_worlds * rollout_steps environment steps and `updates`
    gradient steps in an iteration, the others are PPO."""

    arm: str = "dagger"
    """The method: bc, dagger, rma, hib, history, dropper, rpd, asymmetric, teacher or blind (docs/learning.md)."""
    teacher: tuple[str, ...] = field(default=(), metadata=RUN)
    """Folder of the teacher's run, or KEY=FOLDER for each kind of ground or task; none: the task's own teacher."""
    teacher_share: float = 1.0
    """For dagger: share of the worlds in which the teacher acts, at the start; it falls linearly to 0."""
    updates: int = 80
    """For bc, dagger, rma: gradient steps of the regression in an iteration."""
    batch: int = 1024
    """For bc, dagger, rma: states that each of these steps learns from."""
    capacity: int = 400_000
    """For bc, dagger, rma: labelled states that are kept, in a file of the run; the oldest are overwritten first."""
    bptt: int = 15
    """For bc, dagger: steps over which the gradient of a recurrent student goes back in time."""
    adaptation: int = 100
    """For rma: iterations, after PPO's, that regress the code from the past."""
    encoder_hidden: tuple[int, ...] = (64,)
    """For rma, hib: widths of the hidden layers of the network that encodes the truth."""
    privileged_terms: tuple[str, ...] = ()
    """For rma, hib, dropper: the terms of the critic's observation that are encoded, or shown; none: all of them."""
    contrast_coefficient: float = 0.3
    """For hib: weight of InfoNCE and, times `compression`, of the KL divergence."""
    compression: float = 1e-3
    """For hib: weight of the code's KL divergence to a standard normal beside InfoNCE."""
    temperature: float = 0.1
    """For hib: what cosines between codes are divided by."""
    contrast_batch: int = 512
    """For hib: rows of each minibatch that are compared with each other, in equal shares of the blocks."""
    cut_gradient: bool = False
    """For hib: keep the gradient of PPO's losses out of the encoder."""
    drop_until: float = 0.8
    """For dropper: share of the iterations after which all of the truth is masked."""
    label_coefficient: float = 1.0
    """For rpd: weight of the mean squared difference to the teacher's action."""
    label_annealed: bool = False
    """For rpd: let this weight fall to 0 along a cosine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self, "arm", tuple(ARMS))
        for name in ("updates", "batch", "bptt", "adaptation"):
            require(self, name, low=1)
        require(self, "capacity", low=2 * self.num_worlds)
        require(self, "contrast_batch", low=2)
        require(self, "temperature", above=0.0)
        require(self, "teacher_share", low=0.0, high=1.0)
        require(self, "drop_until", above=0.0, high=1.0)
        for name in ("contrast_coefficient", "compression", "label_coefficient"):
            require(self, name, low=0.0)
        require_widths(self, "encoder_hidden")
        self._check_arm()

    def _check_arm(self) -> None:
        """Raise UserError for settings that the arm has no use for, and that a student must not have."""
        arm, entry = self.arm, self.entry
        check(
            self.actor in entry.actors,
            f"arm {arm} trains --actor {' or '.join(entry.actors)}, not {self.actor}; choose one of them",
        )
        check(
            self.reads == "sensors",
            f"arm {arm} trains what reads {'the truth anyway' if arm == 'teacher' else 'sensors only'}; "
            "leave --reads out, and train what reads the truth with --arm teacher",
        )
        check(
            entry.teacher or not self.teacher,
            f"arm {arm} has no teacher; leave --teacher out, or use --arm "
            f"{' or '.join(name for name, other in ARMS.items() if other.teacher)}",
        )

    @property
    def entry(self) -> Arm:
        """What the table says of the arm."""
        return ARMS[self.arm]


def ppo_settings(config: DistillConfig, **changes: Any) -> PpoConfig:
    """The settings of PPO in those of an arm, with `changes`."""
    own = {field.name: getattr(config, field.name) for field in fields(PpoConfig)}
    return PpoConfig(**{**own, **changes})
