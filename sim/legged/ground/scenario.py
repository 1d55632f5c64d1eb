"""Walking on terrain: a legged scenario whose worlds each stay on a tile of their own level and kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Truth
from sim.actuators import ActuatorModels
from sim.legged.ground.tiles import TerrainGround
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import LeggedSettings
from sim.physics.protocol import JointedPhysics
from sim.robots.robot import Robot
from sim.task import Task


@runtime_checkable
class Walker(Protocol):
    """A curriculum that follows how far robots walk."""

    def walk(self, command: Tensor, velocity: Tensor, moved: Tensor, period: float) -> None:
        """One control period: `command` and `velocity` [N, 2] in the base's frame, m/s; `moved` [N, 2] world, m."""
        ...

    def cross(self, ids: Tensor, generator: torch.Generator) -> None:
        """The worlds `ids` [K] have walked off their tiles."""
        ...


class TerrainScenario(LeggedScenario):
    """A robot that leaves its tile comes back in at the opposite edge, where the ground has the same height: so an
    episode, however far it goes, is all on one kind, and on one level unless the curriculum moves it up there. Its
    base_position jumps then.

    Truth has `height_scan` [N, k] m, exact.
    """

    def __init__(
        self,
        task: Task,
        physics: JointedPhysics,
        actuators: ActuatorModels,
        robot: Robot,
        settings: LeggedSettings,
        ground: TerrainGround,
        *,
        randomized: bool,
        imperfections: float,
    ) -> None:
        self.tiles = ground
        super().__init__(
            task, physics, actuators, robot, settings, randomized=randomized, imperfections=imperfections, ground=ground
        )

    def terrain_places(self) -> tuple[Sequence[str], Tensor, Tensor]:
        """The names of the kinds, and every world's kind [N] (an index into them) and level [N]."""
        columns = self.tiles.terrain.kinds
        names = tuple(dict.fromkeys(columns))
        of_column = torch.tensor([names.index(kind) for kind in columns], device=self.device)
        return names, of_column[self.tiles.columns], self.tiles.levels

    def advance(self, commands: Commands, applied: Commands, differentiable: bool) -> None:
        before = self._horizontal()
        command = self.commands.values
        super().advance(commands, applied, differentiable)
        after = self._horizontal()
        velocity = self.physics.values[:, self._columns["linear_velocity"]][:, :2]
        for walker in self._walkers():
            walker.walk(command[:, :2], velocity, after - before, self._period)
        self._come_back(after)

    def _walkers(self) -> list[Walker]:
        """The curricula that follow how far robots have walked."""
        return [term for term in self.terms.curriculum.values() if isinstance(term, Walker)]

    def _horizontal(self) -> Tensor:
        """Positions [N, 2] of the bases in m: a copy."""
        place = self._at.position.start
        return self.physics.qpos[:, place : place + 2].to(torch.float32, copy=True)

    def _come_back(self, position: Tensor) -> None:
        """Move robots that left their tile to the opposite edge of the tile they continue on."""
        tile, middles = self.tiles.terrain.tile, self.tiles.middles()
        off = position - middles
        jump = -tile * (off > tile / 2).float() + tile * (off < -tile / 2).float()
        ids = (jump.any(-1) & ~self.physics.failed).nonzero()[:, 0]
        if len(ids):
            for walker in self._walkers():
                walker.cross(ids, self.terms.generator)
            self.tiles.follow(ids)
            jump += self.tiles.middles() - middles
            place = self._at.position.start
            self.physics.qpos[ids, place : place + 2] += jump[ids]
            # The sensors of this step follow, so that heights are looked up where the robot now is.
            values = self.physics.values.clone()
            values[ids, self._columns["base_position"].start] += jump[ids, 0]
            values[ids, self._columns["base_position"].start + 1] += jump[ids, 1]
            feet = self._columns["foot_position"]
            for axis in (0, 1):
                columns = torch.arange(feet.start + axis, feet.stop, 3)
                values[ids[:, None], columns] += jump[ids, axis, None]
            self.physics.values = values

    def truth(self) -> Truth:
        truth = super().truth()
        return Truth({**truth, "height_scan": self.tiles.exact(truth)})

    def metrics(self) -> dict[str, float]:
        names, kinds, levels = self.terrain_places()
        report = {**super().metrics(), "terrain_level": float(levels.float().mean())}
        for index, name in enumerate(names):
            on = kinds == index
            if bool(on.any()):
                report[f"terrain_level_{name}"] = float(levels[on].float().mean())
        return report

    def fix_level(self, level: int, kind: str = "") -> None:
        """Put every world on one level, and on one kind of ground if it is named, from its next episode on, and keep it
        there."""
        kinds = self.tiles.terrain.kinds
        if kind and kind not in kinds:
            raise UserError(f"there is no ground {kind!r} here; there is {', '.join(dict.fromkeys(kinds))}")
        self.tiles.fix(level, kinds.index(kind) if kind else None)
