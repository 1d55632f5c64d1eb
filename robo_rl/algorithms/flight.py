"""The fast trainer for flight: imitate a controller for a second or two, then descend through the physics.

1. Warm-up (DAgger, Ross et al. 2011): the student flies, the task's teacher labels every state it visits, the student
   regresses the labels. A stabilised vehicle has contracting dynamics, so gradients through time stay
   bounded.
2. Descent: unroll the policy through the differentiable physics for `horizon` steps, sum a cost, back-propagate through
   all of it (analytic policy gradient), step Adam. Worlds continue from where they stopped; those that left the task's
   bounds, or reached the time limit, restart.

docs/flight-training.md says what else was tried, and why this was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.networks.mlp import MLP
from policies.signals import Sensors, State, Truth
from policies.validation import require, require_choice, require_widths
from robo_rl.algorithms.registry import Algorithm
from sim.controllers.teacher import LearnedTeacher
from sim.environment import VectorEnvironment
from sim.quadrotor.scenario import QuadrotorScenario
from sim.quadrotor.terminations import allowed_distance
from sim.task import Task


@dataclass(frozen=True)
class FlightConfig:
    """Settings of the flight trainer; docs/flight-training.md says how the defaults were chosen."""

    reads: Literal["sensors", "truth"] = "sensors"
    """What the policy observes: its sensors, or also what the critic does, as a teacher that is never deployed."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the policy's hidden layers (tanh)."""
    warm_up_iterations: int = 20
    """Iterations of imitation, each of `warm_up_steps` steps."""
    warm_up_worlds: int = 1024
    """Worlds that fly during imitation."""
    warm_up_steps: int = 20
    """Control periods flown per iteration of imitation."""
    warm_up_updates: int = 40
    """Gradient steps per iteration of imitation."""
    warm_up_batch: int = 2048
    """Samples per gradient step of imitation."""
    warm_up_rate: float = 3e-3
    """Adam step size of imitation at its start; it falls linearly."""
    teacher_share: float = 0.3
    """Share of the worlds that the teacher itself flies during imitation."""
    iterations: int = 140
    """Iterations of descent through the physics."""
    worlds: int = 256
    """Worlds per iteration of descent."""
    horizon: int = 100
    """Control periods unrolled and differentiated per iteration."""
    learning_rate: float = 6e-3
    """Adam step size of descent at its peak; it falls along a cosine."""
    max_gradient_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    precision: float = 0.01
    """Distance to the target, m, below which the cost of distance turns from linear to quadratic."""
    velocity_weight: float = 0.05
    """Cost of speed relative to the target, s^2/m."""
    rate_weight: float = 0.002
    """Cost of body rates, m s^2."""
    change_weight: float = 0.01
    """Cost of the change of the action from step to step, m."""
    barrier_weight: float = 20.0
    """Cost of leaving two thirds of the task's bounds, 1/m."""

    def __post_init__(self) -> None:
        require_choice(self, "reads", ("sensors", "truth"))
        require_widths(self, "hidden")
        require(self, "warm_up_iterations", low=0)
        for name in ("warm_up_worlds", "warm_up_steps", "warm_up_updates", "warm_up_batch"):
            require(self, name, low=1)
        for name in ("iterations", "worlds", "horizon"):
            require(self, name, low=1)
        for name in ("warm_up_rate", "learning_rate", "max_gradient_norm", "precision"):
            require(self, name, above=0.0)
        for name in ("velocity_weight", "rate_weight", "change_weight", "barrier_weight"):
            require(self, name, low=0.0)
        require(self, "teacher_share", low=0.0, high=1.0)


def make_policy(config: FlightConfig, task: Task) -> PolicyGraph | LearnedTeacher:
    """The policy or teacher to train, its weights freshly drawn from torch's global generator."""
    inputs = task.observation_dim + (task.critic_dim if config.reads == "truth" else 0)
    network = MLP(inputs, config.hidden, task.action.dim, "tanh", squash=True, output_gain=0.5)
    with torch.no_grad():
        # Positions are a tenth of the other inputs in size; with equal initial gains, theirs would be learned last.
        next(network.parameters())[:, :3] *= 4.0
    return task.learned_teacher(network) if config.reads == "truth" else task.policy_graph(network)


class FlightTrainer(Algorithm):
    """Trains a quadrotor task's policy or teacher. Bit-reproducible from (config, task, seed) on one CPU, also after a
    resume.

    Raises UserError for a task whose environment is not a differentiable quadrotor.
    """

    later_metrics = ("cost", "failed_share", "gradient_norm", "skipped_updates")

    def __init__(self, config: FlightConfig, task: Task, seed: int, device: str = "cpu") -> None:
        self.config = config
        self.device = device
        self.total_iterations = config.warm_up_iterations + config.iterations
        self._random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # initial weights
        self.graph = make_policy(config, task).to(device)
        self._task = task
        self._seed = seed
        self._parameters = list(self.graph.parameters())
        self._warm_optimizer = torch.optim.Adam(self._parameters, lr=config.warm_up_rate, fused=True)
        self._optimizer = torch.optim.Adam(self._parameters, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        warming = config.warm_up_iterations > 0
        self._start_environment(config.warm_up_worlds if warming else config.worlds, seed)
        if warming and task.teacher is None:
            raise UserError(f"{task.name} has no teacher to imitate; use --warm-up-iterations 0 or --algorithm ppo")
        self._teacher = None if task.teacher is None else task.teacher(device)

    def _start_environment(self, worlds: int, seed: int) -> None:
        environment = self._task.make_environment(worlds, seed, self.device, randomized=True)
        if not (isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, QuadrotorScenario)):
            raise UserError(
                f"the flight trainer needs a quadrotor task, {self._task.name} is none; use --algorithm ppo"
            )
        self._environment = environment
        self._sensors, self._truth = environment.reset()
        self._state = self.graph.initial_state(worlds, self.device)
        environment.spread_ages()

    def iterate(self) -> dict[str, float]:
        """One iteration of imitation or of descent; returns its metrics."""
        if self.iteration < self.config.warm_up_iterations:
            metrics = self._imitate()
        else:
            if self.iteration == self.config.warm_up_iterations > 0:
                self._start_environment(self.config.worlds, self._seed + 1)
            metrics = self._descend()
        self.iteration += 1
        return metrics

    def _observe(self, sensors: Sensors, truth: Truth, state: State) -> Tensor:
        """What the policy or teacher observes [N, D]."""
        if isinstance(self.graph, LearnedTeacher):
            return self.graph.observe(sensors, truth, state)
        return self.graph.observe(sensors, state)

    # --- 1. imitation --------------------------------------------------------------------------------------------

    def _imitate(self) -> dict[str, float]:
        c = self.config
        left = 1.0 - self.iteration / c.warm_up_iterations
        self._warm_optimizer.param_groups[0]["lr"] = c.warm_up_rate * left
        observations, labels = self._fly_and_label()
        losses = torch.zeros(c.warm_up_updates)
        for k in range(c.warm_up_updates):
            batch = torch.randint(0, len(labels), (c.warm_up_batch,), generator=self._random).to(self.device)
            loss = nn.functional.mse_loss(self.graph.act(observations[batch]), labels[batch])
            self._warm_optimizer.zero_grad()
            loss.backward()
            self._warm_optimizer.step()
            losses[k] = loss.detach()
        return {"imitation_loss": float(losses.mean())}

    @torch.no_grad()
    def _fly_and_label(self) -> tuple[Tensor, Tensor]:
        """Observations [M, D] that the student visits and the teacher's normalised actions [M, A] there."""
        c, graph, env = self.config, self.graph, self._environment
        assert self._teacher is not None
        taught = torch.arange(env.num_worlds, device=self.device)[:, None] < c.teacher_share * env.num_worlds
        observations, labels = [], []
        teacher_state = self._teacher.initial_state(env.num_worlds, self.device)
        for _ in range(c.warm_up_steps):
            observation = self._observe(self._sensors, self._truth, self._state)
            label, teacher_state = self._teacher.label(self._sensors, self._truth, teacher_state)
            observations.append(observation)
            labels.append(label)
            action = torch.where(taught, label, graph.act(observation))
            commands, state = graph.apply_action(action, self._sensors, self._state)
            step = env.step(commands)
            self._sensors, self._truth = step.sensors, step.truth
            done = step.terminated | step.truncated
            self._state = graph.reset_where(state, done)
            teacher_state = self._teacher.reset_where(teacher_state, done)
        self.steps += c.warm_up_steps * env.num_worlds
        return torch.cat(observations), torch.cat(labels)

    # --- 2. descent through the physics --------------------------------------------------------------------------

    def _descend(self) -> dict[str, float]:
        c = self.config
        done = (self.iteration - c.warm_up_iterations) / c.iterations
        warm = min(1.0, (self.iteration - c.warm_up_iterations + 1) / 10.0)
        self._optimizer.param_groups[0]["lr"] = c.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1.0 + cos(pi * done)))
        cost, failed = self._unroll()
        self._optimizer.zero_grad()
        cost.backward()
        norm = nn.utils.clip_grad_norm_(self._parameters, c.max_gradient_norm)
        finite = bool(torch.isfinite(norm))
        if finite:
            self._optimizer.step()
        self._sensors, restarted = self._environment.renew(failed, self._sensors)
        self._truth = self._environment.scenario.truth()
        state = State({name: value.detach() for name, value in self._state.items()})
        self._state = self.graph.reset_where(state, restarted)
        self.steps += c.horizon * c.worlds
        return {
            "cost": float(cost.detach()),
            "failed_share": float(failed.float().mean()),
            "gradient_norm": float(norm),
            "skipped_updates": 0.0 if finite else 1.0,
        }

    def _unroll(self) -> tuple[Tensor, Tensor]:
        """Fly `horizon` steps; returns the mean cost per step and the worlds [N] that failed on the way."""
        graph, env = self.graph, self._environment
        truths: list[Truth] = []
        actions: list[Tensor] = []
        sensors, truth, state = self._sensors, self._truth, self._state
        for _ in range(self.config.horizon):
            action = graph.act(self._observe(sensors, truth, state))
            commands, state = graph.apply_action(action, sensors, state)
            sensors, truth = env.flow(commands)
            truths.append(truth)
            actions.append(action)
        self._sensors, self._state = sensors, state
        return self._cost(truths, torch.stack(actions))

    def _cost(self, truths: list[Truth], actions: Tensor) -> tuple[Tensor, Tensor]:
        """Distance to the target plus small terms, until a world fails; by then the barrier has been added.

        The distance enters as sqrt(|p|^2 + precision^2), not squared, so that small offsets still matter.
        """
        c = self.config
        position = torch.stack([t["position_error"] for t in truths])
        velocity = torch.stack([t["linear_velocity_error"] for t in truths])
        rates = torch.stack([t["angular_velocity"] for t in truths])
        reach = position.abs()
        bound = allowed_distance(self._task.terminations["astray"], truths[0])
        with torch.no_grad():
            outside = ~(reach <= bound).all(-1)
            failed_before = torch.cumsum(outside, 0) - outside.long() > 0
        cost = (
            torch.sqrt(position.square().sum(-1) + c.precision**2)
            + c.velocity_weight * velocity.square().sum(-1)
            + c.rate_weight * rates.square().sum(-1).clamp(max=400.0)
            + c.barrier_weight * (reach - bound / 1.5).clamp_min(0.0).square().sum(-1)
        )
        change = c.change_weight * (actions[1:] - actions[:-1]).square().sum(-1)
        cost = cost + torch.cat((torch.zeros_like(change[:1]), change))
        return torch.where(failed_before, 0.0, cost).mean(), outside.any(0)

    # --- exact checkpoints ---------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the rest of the training."""
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.graph.state_dict(),
            "warm_optimizer": self._warm_optimizer.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "worlds": self._environment.num_worlds,
            "environment": self._environment.snapshot(),
            "sensors": dict(self._sensors),
            "truth": dict(self._truth),
            "state": dict(self._state),
            "random": self._random.get_state(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        self.iteration, self.steps = saved["iteration"], saved["steps"]
        self.graph.load_state_dict(saved["graph"])
        self._warm_optimizer.load_state_dict(saved["warm_optimizer"])
        self._optimizer.load_state_dict(saved["optimizer"])
        if saved["worlds"] != self._environment.num_worlds:
            self._start_environment(saved["worlds"], self._seed)
        self._environment.restore(saved["environment"])
        here = {name: _moved(saved[name], self.device) for name in ("sensors", "truth", "state")}
        self._sensors, self._truth, self._state = Sensors(here["sensors"]), Truth(here["truth"]), State(here["state"])
        self._random.set_state(saved["random"])


def _moved(values: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in values.items()}
