"""Snapshots of the worlds of a teacher, from which the curriculum `snapshots` lets episodes begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.training import checkpoint, config, runner, tasks
from sim.controllers.teacher import Teacher
from sim.environment import VectorEnvironment
from sim.task import Task
from sim.terms.curricula.snapshots import CLUSTER, clustered


def keep_snapshots(run_dir: Path) -> str:
    """Take the snapshots that a run's curriculum asks for, and keep them in the run; what was taken, in words.

    Nothing is done, and the text is empty, for a run without that curriculum. Errors as those of `take_snapshots`.
    """
    configuration = config.load(run_dir / runner.CONFIG)
    if not tasks.teacher_of(configuration):
        return ""
    task = tasks.task_of_run(run_dir, configuration)
    taken = take_snapshots(Path(tasks.teacher_of(configuration)), task, configuration.seed)
    checkpoint.save(run_dir / tasks.SNAPSHOTS, taken)
    rows = taken["rows"][CLUSTER]
    return (
        f"took {len(rows)} snapshots in {int(rows.max()) + 1} clusters from {taken['steps']} steps of "
        f"{taken['teacher']}, which was trained in {taken['teacher_steps']} steps"
    )


@torch.no_grad()
def take_snapshots(teacher: Path, task: Task, seed: int) -> dict[str, Any]:
    """Snapshots of worlds of `task`, in which the policy of the run `teacher` acts, as its `snapshots` curriculum says:
    `rows` are states as `VectorEnvironment.world_rows` gives them, sensors, truth and the policy's states, side by
    side, with the cluster of the critic's value; `steps` and `teacher_steps` are what they cost.

    UserError when the run has no critic, or was made for other signals, and when no episode lasts long enough.
    """
    trained = runner.load_trained(teacher)
    own, policy = trained.configuration.algorithm, trained.policy
    if not isinstance(own, PpoConfig):
        raise UserError(f"{teacher} has no critic to tell snapshots apart by; name a run of ppo")
    if _signals(trained.task) != _signals(task):
        raise UserError(
            f"{teacher} was trained on {trained.task.name}, which has other signals than {task.name}; name a run of "
            f"{task.name}"
        )
    critic = Critic(task.critic_dim, own.critic_hidden, own.activation)
    critic.load_state_dict(checkpoint.load(teacher / runner.CHECKPOINT)["algorithm"]["critic"])
    wanted = task.curriculum["snapshots"].parameters
    environment = task.make_environment(wanted["episodes"], seed, randomized=True)
    if not isinstance(environment, VectorEnvironment):
        raise UserError(f"{task.name} has worlds of its own, whose states can't be taken one by one")
    environment.finish_curriculum()
    sensors, truth = environment.reset()
    state = policy.initial_state(environment.num_worlds)
    alive = torch.ones(environment.num_worlds, dtype=torch.bool)
    taken: list[dict[str, Tensor]] = []
    steps = 0
    for t in range(task.episode_steps):
        if t and t % wanted["every"] == 0:
            rows = _rows(environment, sensors, truth, state)
            rows["value"] = critic(environment.critic_observation(truth))
            taken.append({name: value[alive] for name, value in rows.items()})
        commands, state = policy.step(sensors, truth, state) if isinstance(policy, Teacher) else policy(sensors, state)
        step = environment.step(commands)
        steps += int(alive.sum())
        alive &= ~(step.terminated | step.truncated)
        sensors, truth = step.sensors, step.truth
        if not bool(alive.any()):
            break
    if not sum(len(rows["value"]) for rows in taken):
        raise UserError(f"no episode of {teacher} lasts {wanted['every']} steps; name a better teacher")
    joined = {name: torch.cat([rows[name] for rows in taken]) for name in taken[0]}
    joined[CLUSTER] = clustered(joined.pop("value"), wanted["clusters"])
    return {"rows": joined, "teacher": str(teacher), "steps": steps, "teacher_steps": trained.steps}


def _rows(environment: VectorEnvironment, sensors: Sensors, truth: Truth, state: State) -> dict[str, Tensor]:
    parts = {"sensors": sensors, "truth": truth, "policy": state}
    beside = {f"{part}/{name}": value.clone() for part, signals in parts.items() for name, value in signals.items()}
    return {**environment.world_rows(), **beside}


def _signals(task: Task) -> list[tuple[str, int]]:
    """What a policy and a critic read and write."""
    specs = [(sensor.name, sensor.dim) for sensor in task.sensors] + [(c.name, c.dim) for c in task.commands]
    return [*specs, ("privileged", task.critic_dim)]
