"""Behaviour cloning and DAgger (Ross et al., arXiv 1011.0686): a student regresses what a teacher would do.

The student acts, except in a share of the worlds, where the teacher does: all of them in behaviour cloning, a share
that falls to none in DAgger. The teacher labels every visited state without noise, also where the student acted; the
student regresses the labels of all states that are kept, a recurrent one through windows of `bptt` steps.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from policies.graph.policy_graph import PolicyGraph
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.distill.lessons import Rows
from robo_rl.algorithms.distill.regression import Regression
from robo_rl.algorithms.distill.students import make_student
from robo_rl.algorithms.distill.teachers import Labels, find_teacher, further_tasks
from robo_rl.algorithms.starting import start_from
from sim.task import Task


class Imitation(Regression):
    """Behaviour cloning or DAgger, in the worlds of one task or of several. Bit-reproducible from (config, task, seed)
    on one CPU, also after a resume.

    Raises UserError for a teacher that is missing or does not fit.
    """

    def __init__(self, config: DistillConfig, task: Task, seed: int, device: str = "cpu") -> None:
        others = further_tasks(config.teacher, task)
        super().__init__(config, task, seed, device, task.action.dim, others)

    def build(self, task: Task) -> PolicyGraph:
        student = make_student(self.config, task)
        start_from(student, self.config.start_from)
        return student.to(self.device)

    def make_labels(self, task: Task) -> Labels:
        worlds = self._worlds
        teacher = find_teacher(self.config.teacher, task, self._blocks, (worlds.sensors, worlds.truth))
        return Labels(teacher, self.config.num_worlds, self.device)

    def trained(self) -> Iterable[nn.Parameter]:
        return self.graph.parameters()

    def predicted(self, rows: Rows) -> Tensor:
        return self._lessons.actions(rows)

    @property
    def share(self) -> float:
        """The share of the worlds in which the teacher acts."""
        left = 1.0 - self.iteration / self.config.iterations
        return 1.0 if self.config.arm == "bc" else left * self.config.teacher_share

    def executed(self, label: Tensor, action: Tensor) -> Tensor:
        taught = torch.arange(len(action), device=self.device)[:, None] < self.share * len(action)
        return torch.where(taught, label, action)

    def iterate(self) -> dict[str, float]:
        share = self.share
        return {**super().iterate(), "teacher_share": share}
