"""The worlds of walking tasks: from a task to an environment."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from policies.errors import UserError
from policies.terms.stateful import GaitClock
from policies.validation import check
from sim.actuators import ActuatorModel, ActuatorModels
from sim.environment import VectorEnvironment
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.ground.tiles import ScanSettings, TerrainGround
from sim.legged.plan import TARGET
from sim.legged.randomization import longest_delay
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import LeggedSettings
from sim.physics.backends import make_physics
from sim.physics.protocol import JointedPhysics
from sim.physics.world import WorldSpec
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.task import Task, Variation
from sim.terrain.terrain import TerrainSettings, build_terrain


@dataclass(frozen=True)
class LeggedWorld:
    """Makes a task's environments: N robots, each on a plane, or all on one `terrain` that they scan."""

    robot: Robot
    settings: LeggedSettings
    terrain: TerrainSettings | None = None
    scan: ScanSettings = ScanSettings()

    def __call__(
        self, task: Task, num_worlds: int, seed: int, device: str, variation: Variation, /
    ) -> VectorEnvironment:
        """`randomized` draws each episode's body and motors and lets the curricula run; `imperfections` 0 is the model
        itself. UserError when no such world can be made."""
        randomized, imperfections = variation.randomized, variation.imperfections
        self._check(task, variation)
        ground = None if self.terrain is None else build_terrain(self.terrain)
        spec = WorldSpec(self.robot, task.period, self.settings.solver, ground)
        physics = make_physics(variation.backend or "mujoco", spec, num_worlds, device)
        actuators = self._actuators(task, physics, imperfections if randomized else 0.0)
        given = task, physics, actuators, self.robot, self._settings(task)
        if self.terrain is None or ground is None:
            scenario = LeggedScenario(*given, randomized=randomized, imperfections=imperfections)
        else:
            sensed = any(sensor.name == "height_scan" for sensor in task.sensors)
            tiles = TerrainGround(ground, self.scan, num_worlds, imperfections, physics.device, sensed)
            scenario = TerrainScenario(*given, tiles, randomized=randomized, imperfections=imperfections)
        seen = task.sensing(num_worlds, scenario.device, imperfections)
        return VectorEnvironment(scenario, seen, actuators, task.episode_steps, seed)

    def _check(self, task: Task, variation: Variation) -> None:
        of, settings, imperfections = self.robot, self.settings, variation.imperfections
        if variation.robot not in ("", of.name):
            raise UserError(f"{task.name} has no robot {variation.robot!r}, only {of.name}")
        check(0.0 <= imperfections < math.inf, f"imperfections must be at least 0 and finite, got {imperfections}")
        if len(settings.gait) != len(of.part(Legs).feet):
            raise UserError(
                f"gait needs a phase for each of the {len(of.part(Legs).feet)} feet of {of.name}, got {settings.gait}"
            )

    def _settings(self, task: Task) -> LeggedSettings:
        """The gait is that of the clock that the policy observes, where it observes one."""
        clocks = [term for term in task.observation_terms if isinstance(term, GaitClock)]
        return replace(self.settings, frequency=clocks[0].frequency) if clocks else self.settings

    def _actuators(self, task: Task, physics: JointedPhysics, scale: float) -> ActuatorModels:
        """The motors' imperfections, `scale` times the task's; each world draws its own at its restarts."""
        event = task.events.get("delay")
        delay = 0 if event is None else longest_delay(event.parameters["longest"], scale, physics.dt)
        models = (ActuatorModel(TARGET, delay=delay),) if scale > 0.0 else ()
        rest = {TARGET: torch.tensor(self.robot.part(Legs).stance, device=physics.device)}
        return ActuatorModels(models, rest, task.period, physics.num_worlds, physics.substeps)
