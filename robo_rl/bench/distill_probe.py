"""What a policy knows of its world's hidden parameters: a ridge probe from its memory to each of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import GruNetwork, HistoryNetwork
from policies.signals import Sensors, State, Truth
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task
from sim.terms.terms import Privileged
from sim.terms.view import View

RIDGE = 1e-2
"""Weight of the squared coefficients for each row, with features of spread 1."""
SKIPPED, EVERY = 100, 20
"""Steps at the start of an episode that fill the memory, and steps between the rows after them."""


def source(policy: PolicyGraph | LearnedTeacher) -> str:
    """What is probed: a recurrent network's memory, the code of the past, or the observation of other policies."""
    kinds = {GruNetwork: "memory", HistoryNetwork: "code"}
    return next((name for kind, name in kinds.items() if isinstance(policy.network, kind)), "observation")


def remembered(policy: PolicyGraph | LearnedTeacher, sensors: Sensors, truth: Truth, state: State) -> Tensor:
    """What `source` names [N, F]."""
    network = policy.network
    if isinstance(network, GruNetwork):
        return state[network.STATE]
    if isinstance(network, HistoryNetwork):
        return network.encode(state[network.STATE])
    if isinstance(policy, LearnedTeacher):
        seen = policy.observe(sensors, truth, state)
    else:
        seen = policy.observe(sensors, state)
    normalised: Tensor = policy.normalizer(seen)
    return normalised


@torch.no_grad()
def probe(
    policy: PolicyGraph | LearnedTeacher,
    task: Task,
    hidden: Mapping[str, Privileged],
    worlds: int,
    steps: int,
    seed: int,
    imperfections: float,
) -> dict[str, float | None]:
    """R^2 of each of the `hidden` parameters, the mean over its numbers, on a third of the worlds' first episodes, of a
    ridge regression on the others; None where too few worlds were still up to tell.

    Each of `worlds` walks for `steps`, with the whole task's randomization times `imperfections`.
    """
    environment = task.make_environment(worlds, seed, randomized=True, imperfections=imperfections)
    sensors, truth = environment.reset()
    state = policy.initial_state(worlds)
    alive = torch.ones(worlds, dtype=torch.bool)
    features, values, episodes = [], [], []
    for step in range(steps):
        if step >= SKIPPED and (step - SKIPPED) % EVERY == 0:
            view = View(truth, worlds, task.period, environment.device)
            features.append(remembered(policy, sensors, truth, state)[alive])
            values.append(torch.cat([term(view) for term in hidden.values()], -1)[alive])
            episodes.append(alive.nonzero()[:, 0])
        if isinstance(policy, LearnedTeacher):
            commands, state = policy.step(sensors, truth, state)
        else:
            commands, state = policy(sensors, state)
        done = environment.step(commands)
        sensors, truth = done.sensors, done.truth
        alive &= ~(done.terminated | done.truncated)
    x, y, episode = torch.cat(features).double(), torch.cat(values).double(), torch.cat(episodes)
    held_out = episode % 3 == 0
    enough = min(len(episode[part].unique()) for part in (held_out, ~held_out)) > 1
    scores = r_squared(x[~held_out], y[~held_out], x[held_out], y[held_out]).split([t.dim for t in hidden.values()])
    return {name: float(score.mean()) if enough else None for name, score in zip(hidden, scores, strict=True)}


def r_squared(x: Tensor, y: Tensor, new_x: Tensor, new_y: Tensor) -> Tensor:
    """R^2 [k] on rows `new_x` [M, F] and `new_y` [M, k] of a ridge regression of `y` [N, k] on `x` [N, F]."""
    mean, spread = x.mean(0), x.std(0).clamp_min(1e-6)
    x, new_x = ((part - mean) / spread for part in (x, new_x))
    middle = y.mean(0)
    gram = x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, x.T @ (y - middle))
    rest = (new_y - middle - new_x @ weights).square().sum(0)
    scores: Tensor = 1.0 - rest / (new_y - new_y.mean(0)).square().sum(0).clamp_min(1e-12)
    return scores
