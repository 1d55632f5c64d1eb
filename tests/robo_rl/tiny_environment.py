"""A tiny made-up environment for tests: a point that is pushed along a line and belongs at the origin.

x' = x + 0.2 clip(u, -1, 1), and the reward is 1 - x'^2, so the optimum is known: push by -x / 0.2, clipped. Leaving
+-2 m ends the episode, and so does the time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from policies.graph.symmetry import SignalMirror, SignedPermutation
from policies.signals import Commands, Sensors, Truth
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import Reading
from policies.terms.stateful import ActionHistory
from sim.task import Environment, Step, Task, Variation
from sim.terms.generators import restore_generator
from sim.terms.terms import Privileged, Signal

_TURNED = SignedPermutation((0,), (-1.0,))
STEP = 0.2
LIMIT = 2.0
EPISODE_STEPS = 20


class PointEnvironment:
    """N points on a line; the sensor is the position with a little noise."""

    def __init__(self, num_worlds: int, seed: int, device: str = "cpu", episode_steps: int = EPISODE_STEPS) -> None:
        self.num_worlds = num_worlds
        self.device = device
        self.episode_steps = episode_steps
        self._generator = torch.Generator().manual_seed(seed)
        self._x = torch.zeros(num_worlds, 1)
        self._age = torch.zeros(num_worlds, dtype=torch.int64)

    def reset(self) -> tuple[Sensors, Truth]:
        self._restart(torch.ones(self.num_worlds, dtype=torch.bool))
        return self._sensors(), self._truth()

    def step(self, commands: Commands) -> Step:
        push = commands["push"].clamp(-1.0, 1.0)
        self._x = self._x + STEP * push
        self._age += 1
        terminated = self._x.abs().squeeze(-1) > LIMIT
        truncated = (self._age >= self.episode_steps) & ~terminated
        reward = self.reward()
        terminal_sensors, terminal_truth = self._sensors(), self._truth()
        self._restart(terminated | truncated)
        return Step(self._sensors(), self._truth(), reward, terminated, truncated, terminal_sensors, terminal_truth)

    def reward(self) -> Tensor:
        return 1.0 - self._x.square().squeeze(-1)

    def critic_observation(self, truth: Truth) -> Tensor:
        return truth["position"]

    def snapshot(self) -> dict[str, Tensor]:
        return {"x": self._x.clone(), "age": self._age.clone(), "random": self._generator.get_state()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._x, self._age = snapshot["x"].clone(), snapshot["age"].clone()
        restore_generator(self._generator, snapshot["random"])

    def _restart(self, mask: Tensor) -> None:
        fresh = torch.rand(self.num_worlds, 1, generator=self._generator) * 2.0 - 1.0
        self._x = torch.where(mask[:, None], fresh, self._x)
        self._age = torch.where(mask, 0, self._age)

    def _sensors(self) -> Sensors:
        noise = torch.randn(self.num_worlds, 1, generator=self._generator)
        return Sensors({"position": self._x + 0.01 * noise})

    def _truth(self) -> Truth:
        return Truth({"position": self._x.clone(), "position_error": torch.nn.functional.pad(self._x, (0, 2))})


class RewardOfOne(PointEnvironment):
    """Pays 1 for every step whatever happens, and never ends but for a time limit of 5 steps."""

    def __init__(self, num_worlds: int, seed: int, device: str = "cpu") -> None:
        super().__init__(num_worlds, seed, device, episode_steps=5)

    def reward(self) -> Tensor:
        return torch.ones(self.num_worlds)


class BrokenWorld(PointEnvironment):
    """The first world reports a position that is not finite."""

    def _sensors(self) -> Sensors:
        position = super()._sensors()["position"].clone()
        position[0] = float("nan")
        return Sensors({"position": position})


def point_task(make: Callable[[int, int, str], Environment] = PointEnvironment) -> Task:
    """The task of pushing a point to the origin."""

    def world(task: Task, num_worlds: int, seed: int, device: str, variation: Variation, /) -> Environment:
        return make(num_worlds, seed, device)

    return Task(
        name="point",
        summary="push a point to the origin",
        kind="point",
        sensors=(SensorSpec("position", 1, "m", "world", -10.0, 10.0),),
        commands=(CommandSpec("push", 1, "m/s", -1.0, 1.0, 100.0, ("push",)),),
        observation={"position": Reading("position", 1), "action_history": ActionHistory(2, 1)},
        action=ScaledCommand("push", 1, 1.0),
        period=0.1,
        episode_steps=EPISODE_STEPS,
        privileged={"position": Privileged(Signal("position"), 1)},
        safety=SafetyEnvelope(1.0, 0.1, 0.1, 1.0, 1.0, (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)),
        world=world,
        mirror=SignalMirror({"position": _TURNED}, _TURNED, {"position": _TURNED}),
    )
