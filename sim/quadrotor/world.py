"""The worlds of quadrotor tasks: from a task to an environment."""

from __future__ import annotations

from dataclasses import dataclass

from sim.actuators import ActuatorModels
from sim.environment import VectorEnvironment
from sim.physics.backends import make_rotor_physics
from sim.physics.world import Solver, WorldSpec
from sim.quadrotor.scenario import QuadrotorScenario
from sim.robots import find_robot
from sim.robots.rotors import RotorParameters
from sim.task import Task, Variation


@dataclass(frozen=True)
class QuadrotorWorld:
    """Makes a task's environments. `training_steps` is how many control periods an episode of a randomized world lasts
    (0: as many as the task says). `draws` names the event that draws a vehicle for each episode, if any: it is left out
    in worlds of a named robot."""

    robot: str
    training_steps: int = 0
    draws: str = ""

    def __call__(
        self, task: Task, num_worlds: int, seed: int, device: str, variation: Variation, /
    ) -> VectorEnvironment:
        """`randomized` draws other dynamics for a share of the episodes. `imperfections` scales sensor noise and the
        disturbance by force and torque. The task's period is that of an environment step, one of `task.substeps` in a
        control period, and an integration step of the physics."""
        randomized, imperfections = variation.randomized, variation.imperfections
        world = WorldSpec(find_robot(variation.robot or self.robot), task.period, Solver(timestep=task.period))
        if variation.robot and self.draws:
            task = task.changed(events={self.draws: None})
        physics = make_rotor_physics(variation.backend or "rotor", world, num_worlds, device)
        vehicle = world.robot.part(RotorParameters)
        scenario = QuadrotorScenario(task, physics, vehicle, imperfections=imperfections, randomized=randomized)
        rest = {"rotor_speed": scenario.physics.parameters[0, 10:11].expand(4) * 0.5}
        steps = self.training_steps * task.substeps if randomized else 0
        return VectorEnvironment(
            scenario,
            task.sensing(num_worlds, device, imperfections),
            ActuatorModels((), rest, task.period, num_worlds),
            steps or task.episode_steps,
            seed,
        )
