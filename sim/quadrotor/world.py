"""The worlds of quadrotor tasks: from a task to an environment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sim.actuators import ActuatorModels
from sim.environment import VectorEnvironment
from sim.physics.backends import make_rotor_physics
from sim.physics.world import Solver, WorldSpec
from sim.quadrotor.figures import Figures
from sim.quadrotor.randomization import RotorRandomization
from sim.quadrotor.scenario import QuadrotorScenario
from sim.quadrotor.starts import QuadrotorStart
from sim.robots import ROBOTS
from sim.robots.rotors import RotorParameters
from sim.sensors import SensorModel, SensorModels
from sim.task import Task


@dataclass(frozen=True)
class Flights:
    """Where episodes start, the figures that the target moves along (None: it stands at the origin), and how many
    control periods an episode lasts (0: as many as the task says)."""

    start: QuadrotorStart = QuadrotorStart()
    figures: Figures | None = None
    steps: int = 0


@dataclass(frozen=True)
class QuadrotorWorld:
    """Makes a task's environments. `flights` are flown as the task is evaluated, `training` those that are learned from
    if they are others."""

    robot: str
    noise: tuple[SensorModel, ...]
    flights: Flights = Flights()
    training: Flights | None = None
    randomization: RotorRandomization = RotorRandomization()

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
        flights = self.training if randomized and self.training is not None else self.flights
        start = replace(
            flights.start, force=imperfections * flights.start.force, torque=imperfections * flights.start.torque
        )
        world = WorldSpec(ROBOTS[robot or self.robot], task.period, Solver(timestep=task.period))
        scenario = QuadrotorScenario(
            task,
            make_rotor_physics(backend, world, num_worlds, device),
            world.robot.part(RotorParameters),
            start,
            flights.figures,
            self.randomization if randomized else None,
        )
        noise = tuple(replace(model, noise=imperfections * model.noise) for model in self.noise)
        rest = {"rotor_speed": scenario.physics.parameters[0, 10:11].expand(4) * 0.5}
        return VectorEnvironment(
            scenario,
            SensorModels(noise, {spec.name: spec.dim for spec in task.sensors}, num_worlds, device),
            ActuatorModels((), rest, task.period, num_worlds),
            flights.steps * substeps or task.episode_steps,
            seed,
        )
