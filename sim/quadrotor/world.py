"""The worlds of quadrotor tasks: from a task to an environment."""

from __future__ import annotations

from dataclasses import dataclass

from sim.actuators import ActuatorModels
from sim.environment import VectorEnvironment
from sim.physics.backends import make_rotor_physics
from sim.physics.world import Solver, WorldSpec
from sim.quadrotor.scenario import QuadrotorScenario
from sim.robots import ROBOTS
from sim.robots.rotors import RotorParameters
from sim.sensors import SensorModels
from sim.task import Task


@dataclass(frozen=True)
class QuadrotorWorld:
    """Makes a task's environments. `training_steps` is how many control periods an episode of a randomized world lasts
    (0: as many as the task says)."""

    robot: str
    training_steps: int = 0

    def __call__(
        self,
        task: Task,
        num_worlds: int,
        seed: int,
        device: str = "cpu",
        /,
        *,
        robot: str = "",
        randomized: bool = False,
        imperfections: float = 1.0,
        substeps: int = 1,
        backend: str = "rotor",
    ) -> VectorEnvironment:
        """`randomized` draws other dynamics for a share of the episodes. `imperfections` scales sensor noise and the
        disturbance by force and torque. The task's period is that of an environment step, one of `substeps` in a
        control period, and an integration step of the physics."""
        world = WorldSpec(ROBOTS[robot or self.robot], task.period, Solver(timestep=task.period))
        physics = make_rotor_physics(backend, world, num_worlds, device)
        vehicle = world.robot.part(RotorParameters)
        scenario = QuadrotorScenario(task, physics, vehicle, imperfections=imperfections, randomized=randomized)
        models = tuple(model.scaled(imperfections) for model in task.sensor_models.values())
        rest = {"rotor_speed": scenario.physics.parameters[0, 10:11].expand(4) * 0.5}
        steps = self.training_steps * substeps if randomized else 0
        return VectorEnvironment(
            scenario,
            SensorModels(models, {spec.name: spec.dim for spec in task.sensors}, num_worlds, device),
            ActuatorModels((), rest, task.period, num_worlds),
            steps or task.episode_steps,
            seed,
        )
