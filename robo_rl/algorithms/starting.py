"""Policies of earlier runs: opened, compared with what a training needs, and taken as its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import torch

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.specs import SensorSpec
from robo_rl.training import runner
from robo_rl.training.runner import Trained
from sim.controllers.teacher import LearnedTeacher


def open_run(run: Path) -> Trained:
    """What a run has learned (`runner.load_trained`), without effect on the random draws and threads of a training."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            return runner.load_trained(run)
    finally:
        torch.set_num_threads(threads)


def start_from(policy: PolicyGraph | LearnedTeacher, run: str) -> None:
    """Give `policy` the weights and the normaliser of the policy of a `run`; nothing for "".

    Raises UserError when the two do not observe the same, in the same order, at the same period.
    """
    if not run:
        return
    made = open_run(Path(run)).policy
    if difference := _difference(made, policy):
        raise UserError(f"can't start from {run}: {difference}")
    policy.load_state_dict(made.state_dict())


def meaning(sensors: Sequence[SensorSpec]) -> dict[str, tuple[object, ...]]:
    """What a policy must know of each sensor to read it, by name; limits and rates only watch it."""
    return {s.name: (s.dim, s.unit, s.frame, s.relative_to, s.labels) for s in sensors}


def same(ours: object, theirs: object) -> bool:
    """Whether two terms are equal; a class of a task's file is another one each time that the file is loaded."""
    kinds = [(type(term).__module__, type(term).__qualname__) for term in (ours, theirs)]
    if type(ours) is type(theirs) or kinds[0] != kinds[1] or not is_dataclass(ours):
        return ours == theirs
    return all(getattr(ours, field.name) == getattr(theirs, field.name) for field in fields(ours))


def _difference(made: PolicyGraph | LearnedTeacher, policy: PolicyGraph | LearnedTeacher) -> str:
    """The first difference of a policy to the one that it would replace, in words; empty if there is none."""
    if isinstance(made, PolicyGraph) != isinstance(policy, PolicyGraph):
        kinds = ["the truth" if isinstance(one, LearnedTeacher) else "sensors only" for one in (made, policy)]
        return f"its policy reads {kinds[0]}, this one {kinds[1]}"
    if isinstance(made, PolicyGraph) and isinstance(policy, PolicyGraph):
        theirs, ours = meaning(made.used_sensors), meaning(policy.used_sensors)
        if list(theirs) != list(ours):
            return f"its policy reads the sensors {', '.join(theirs)}; this task's {', '.join(ours)}"
        if changed := [name for name in ours if ours[name] != theirs[name]]:
            return f"its sensor {changed[0]} has another width, unit, frame or order of channels than this task's"
        if made.period != policy.period:
            return f"its policy acts every {made.period:g} s, this task's every {policy.period:g} s"
    terms = len(made.observation), len(policy.observation)
    if terms[0] != terms[1] or not all(map(same, made.observation, policy.observation)):
        names = [", ".join(type(term).__name__ for term in one.observation) for one in (made, policy)]
        return (
            f"its policy observes {names[0]}; this task's {names[1]}"
            if names[0] != names[1]
            else "its observation terms have other settings than this task's"
        )
    if not same(made.action, policy.action):
        return "its actions have another scale or meaning than this task's"
    if type(made.normalizer) is not type(policy.normalizer):
        names = [type(one.normalizer).__name__ for one in (made, policy)]
        return f"its normaliser is {names[0]}, this training's is {names[1]}"
    shapes = [{name: tuple(value.shape) for name, value in one.state_dict().items()} for one in (made, policy)]
    if shapes[0] != shapes[1]:
        return "its network has another form; give --actor, --actor-hidden and so on as in its config.yaml"
    return ""
