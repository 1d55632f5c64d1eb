"""The teachers of a training: the task's own or those of runs, checked, and what they say beside acting worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from policies.errors import UserError, one_line
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.starting import meaning, open_run, same
from robo_rl.training.runner import Trained
from robo_rl.training.sources import split
from sim.controllers.teacher import LearnedTeacher, Teacher
from sim.task import Task
from sim.tasks import find_task, is_task


class Labels:
    """What a teacher would do in acting worlds, step by step; another may act. `state` is the teacher's own."""

    def __init__(self, teacher: Teacher, worlds: int, device: torch.device) -> None:
        self.teacher = teacher
        self.state = teacher.initial_state(worlds, str(device))
        self._last: tuple[Sensors, State] | None = None

    def of(self, worlds: ActingWorlds) -> Tensor:
        """The teacher's action [N, A] without noise, within its bounds; `settle` must follow."""
        label, following = self.teacher.label(worlds.sensors, worlds.truth, self.state)
        self._last = worlds.sensors, following
        return self.teacher.action.bound(label)

    def settle(self, action: Tensor, done: Tensor) -> None:
        """`action` [N, A] was executed, and the episodes of the worlds `done` [N] ended."""
        assert self._last is not None
        sensors, following = self._last
        following = self.teacher.after(sensors, self.state, following, action)
        self.state = self.teacher.reset_where(following, done)


class TeacherByWorld(Teacher):
    """Several teachers of one action term; `places` [N] is the index of each world's."""

    def __init__(self, teachers: Sequence[Teacher], places: Tensor) -> None:
        self.action = teachers[0].action
        self._teachers = teachers
        self._places = places

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        return self._joined([teacher.initial_state(batch, device) for teacher in self._teachers])

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, State]:
        found = [t.label(sensors, truth, self._part(state, i)) for i, t in enumerate(self._teachers)]
        label = torch.stack([label for label, _ in found])
        return label[self._places, torch.arange(len(self._places), device=label.device)], self._joined(
            [own for _, own in found]
        )

    def after(self, sensors: Sensors, state: State, following: State, action: Tensor) -> State:
        parts = [
            teacher.after(sensors, self._part(state, i), self._part(following, i), action)
            for i, teacher in enumerate(self._teachers)
        ]
        return self._joined(parts)

    def _joined(self, parts: Sequence[State]) -> State:
        return State({f"{i}/{name}": value for i, part in enumerate(parts) for name, value in part.items()})

    def _part(self, state: State, index: int) -> State:
        own = f"{index}/"
        return State({name.removeprefix(own): value for name, value in state.items() if name.startswith(own)})


class _Guide(nn.Module):
    """A guide as a network: observations [N, D] to actions [N, A]."""

    def __init__(self, guide: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._guide = guide

    def forward(self, observation: Tensor) -> Tensor:
        return self._guide(observation)


def further_tasks(words: Sequence[str], task: Task) -> tuple[Task, ...]:
    """The tasks besides `task` that the setting `teacher` names a teacher for; none where it names kinds of ground."""
    keys = [split(word)[0] for word in words]
    if len(keys) > 1 and "" in keys:
        raise UserError("several teachers need a key each: --teacher flat=RUN1 stairs_up=RUN2, or tasks for keys")
    if not any(is_task(key) for key in keys):
        return ()
    taught = [find_task(key) for key in keys]
    others = tuple(other for other in taught if other.name != task.name)
    if len(others) == len(keys):
        raise UserError(
            f"the teachers are for {', '.join(keys)}; one must be for {task.name}, which the student learns"
        )
    for other in others:
        if meaning(other.sensors) != meaning(task.sensors) or other.commands != task.commands:
            raise UserError(
                f"{other.name} has other sensors or commands than {task.name}; one student can't act in both"
            )
        if not same(other.action, task.action) or other.period != task.period:
            raise UserError(
                f"{other.name} has another action or period than {task.name}; one student can't act in both"
            )
    return others


def find_teacher(words: Sequence[str], task: Task, blocks: WorldBlocks, first: tuple[Sensors, Truth]) -> Teacher:
    """The teacher that the setting `teacher` names, without words the task's own, or its guide; it has acted once, in
    the worlds' `first` sensors and truth.

    Raises UserError when there is none, and for one that can't act in these worlds.
    """
    device = blocks.device
    named = [split(word) for word in words]
    if not named:
        if task.teacher is not None:
            return task.teacher(str(device))
        if task.guide is None:
            raise UserError(f"{task.name} has neither a teacher nor a guide to imitate; name a run with --teacher")
        return LearnedTeacher([], _Guide(task.guide), task.action, None, task.observation_terms)
    teachers = [_checked(run, task, first, device) for _, run in named]
    if len(named) == 1 and not named[0][0]:
        return teachers[0]
    return TeacherByWorld(teachers, _places([key for key, _ in named], task, blocks))


def _checked(run: Path, task: Task, first: tuple[Sensors, Truth], device: torch.device) -> LearnedTeacher:
    """The teacher that a run has learned."""
    trained = open_run(run)
    if wrong := _unfit(trained, task):
        raise UserError(f"{run} can't teach in {task.name}: it was trained in {trained.task.name}, {wrong}")
    policy = trained.policy
    if isinstance(policy, PolicyGraph):
        policy = LearnedTeacher([], policy.network, policy.action, policy.normalizer, policy.observation)
    teacher = policy.to(device).requires_grad_(False)
    try:
        with torch.no_grad():
            teacher.label(*first, teacher.initial_state(len(next(iter(first[0].values()))), device))
    except (KeyError, RuntimeError, UserError) as error:
        raise UserError(
            f"{run} can't teach in {task.name}: it was trained in {trained.task.name}, whose truth is another "
            f"({one_line(error)[:160]})"
        ) from None
    return teacher


def _unfit(trained: Trained, task: Task) -> str:
    """Why a policy can't act in the worlds of `task`, in words; empty if it can as far as the specifications tell."""
    theirs, own = trained.task, trained.policy
    robots = [one.robot.name if one.robot else "" for one in (theirs, task)]
    if robots[0] != robots[1]:
        return f"with the robot {robots[0] or 'of that task'} instead of {robots[1] or 'of this one'}"
    if not same(own.action, task.action):
        return "whose actions have another scale or meaning"
    if theirs.period != task.period:
        return f"whose period is {theirs.period:g} s instead of {task.period:g} s"
    read = {name for term in own.observation for name in term.sensors}
    made, here = meaning(theirs.sensors), meaning(task.sensors)
    missing = [name for name in sorted(read) if name not in here]
    if missing:
        return f"and reads the sensor {missing[0]}, which is not here"
    changed = [name for name in sorted(read) if made[name] != here[name]]
    return f"whose sensor {changed[0]} is another (width, unit, frame or channels)" if changed else ""


def _places(keys: Sequence[str], task: Task, blocks: WorldBlocks) -> Tensor:
    """The index of each world's teacher [N] in `keys`, all of which are tasks or all kinds of ground."""
    if any(is_task(key) for key in keys):
        names = [find_task(key).name for key in keys]
        # The blocks are of the student's task, then of the others in order.
        own = names.index(task.name)
        ids = [own, *(index for index in range(len(names)) if index != own)]
        return torch.tensor(ids, device=blocks.device).repeat_interleave(blocks.size)
    parts = []
    for environment in blocks.environments:
        scenario = getattr(environment, "scenario", environment)
        if not hasattr(scenario, "terrain_places"):
            raise UserError(f"{task.name} has one kind of ground; name one teacher, --teacher FOLDER")
        kinds, kind, _ = scenario.terrain_places()
        if missing := [name for name in kinds if name not in keys]:
            raise UserError(f"no teacher is for {', '.join(missing)}; name one for each kind: {', '.join(kinds)}")
        if unknown := [key for key in keys if key not in kinds]:
            raise UserError(f"there is no ground {unknown[0]!r} in {task.name}; kinds: {', '.join(kinds)}")
        parts.append(torch.tensor([keys.index(name) for name in kinds], device=blocks.device)[kind])
    return torch.cat(parts)
