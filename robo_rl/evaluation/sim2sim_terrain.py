"""A bundle on rough ground in two physics engines: how often it succeeds on every kind and level of the ground.

Success is that of robo_rl.evaluation.walking: no fall, and a share of the commanded way. Every kind is a ground of its
own with a column of tiles, because each robot of the other engine has a world of its own, which holds the whole ground.
Robots are nominal, and start alike in both engines; what is drawn after a robot's fall may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.bundle.reader import Bundle
from policies.errors import UserError
from robo_rl.evaluation.flying import Interval, pilot_for, wilson
from robo_rl.evaluation.sim2sim import OWN, Settings
from robo_rl.evaluation.walking import TerrainScore, walk
from robo_rl.output.results import plain
from sim.environment import VectorEnvironment
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.world import LeggedWorld
from sim.task import Task
from sim.terrain.kinds import size_at
from sim.terrain.terrain import TerrainSettings

MIN_KEPT = 0.8
"""Share of MuJoCo's successes that there must be in the other engine."""


@dataclass(frozen=True)
class Place:
    """The robots on one kind and level of the ground, in both engines."""

    mujoco: TerrainScore
    other: TerrainScore


@dataclass(frozen=True)
class TerrainComparison:
    """The robots of both engines by kind and level."""

    task: str
    settings: Settings
    places: tuple[Place, ...]

    def success(self, engine: str) -> Interval:
        """Share of all robots that succeeded in "mujoco" or in the "other" engine."""
        scores: list[TerrainScore] = [getattr(place, engine) for place in self.places]
        robots = sum(score.worlds for score in scores)
        return wilson(sum(round(score.success.value * score.worlds) for score in scores), robots)

    @property
    def holds(self) -> bool:
        """Whether the other engine keeps enough of MuJoCo's successes."""
        return self.success("other").value >= MIN_KEPT * self.success("mujoco").value

    def summary(self) -> dict[str, Any]:
        """Everything in JSON's own types."""
        s = self.settings
        engines = {"mujoco": "mujoco", s.backend: "other"}

        def figures(score: TerrainScore) -> dict[str, Any]:
            return {
                "success": vars(score.success), "fall_rate": vars(score.fall_rate),
                "velocity_error": score.velocity_error,
            }  # fmt: skip

        document = {
            "task": self.task,
            "backend": s.backend,
            "robots_per_kind": s.robots,
            "seconds": s.seconds,
            "imperfections": s.imperfections,
            "seed": s.seed,
            "terrain": [
                {
                    "kind": place.mujoco.kind,
                    "level": place.mujoco.level,
                    "size": size_at(place.mujoco.kind, place.mujoco.level),
                    "robots": place.mujoco.worlds,
                    **{name: figures(getattr(place, engine)) for name, engine in engines.items()},
                }
                for place in self.places
            ],
            "success": {name: vars(self.success(engine)) for name, engine in engines.items()},
            "bar": {"success_ratio": {"at_least": MIN_KEPT, "holds": self.holds}},
        }
        result: dict[str, Any] = plain(document)
        return result


def terrain_of(task: Task) -> TerrainSettings | None:
    """The ground of a task, or None for one on flat ground."""
    return task.world.terrain if isinstance(task.world, LeggedWorld) else None


def compare_on_terrain(
    bundle: Bundle, task: Task, settings: Settings, kinds: Sequence[str], progress: Callable[[str, float], None]
) -> TerrainComparison:
    """Walk the bundle on `kinds` of the task's ground, on all of them if none is named, with `settings.robots` on each,
    spread evenly over its levels; `progress` gets the engine and the share that is done.

    Raises UserError for a kind that the task does not have, a bundle made for other signals, and what the other engine
    does not support; ModuleNotFoundError when it is not installed.
    """
    terrain = terrain_of(task)
    if terrain is None:
        raise UserError(f"{task.name} is on flat ground, which has no kinds; leave --kinds out")
    known = tuple(dict.fromkeys(terrain.kinds))
    if missing := [kind for kind in kinds if kind not in known]:
        raise UserError(f"{task.name} has no ground {missing[0]!r}; kinds: {', '.join(known)}")
    chosen = tuple(dict.fromkeys(kinds)) or known
    found: dict[str, list[TerrainScore]] = {}
    # The other engine first: what it does not support is reported before anybody has waited.
    for engine in (settings.backend, OWN):
        scores = found.setdefault(engine, [])
        for done, kind in enumerate(chosen):
            scores += _walk(bundle, _on(task, terrain, kind), settings, engine)
            progress(engine, (done + 1) / len(chosen))
    pairs = zip(found[OWN], found[settings.backend], strict=True)
    return TerrainComparison(task.name, settings, tuple(Place(own, other) for own, other in pairs))


def _on(task: Task, terrain: TerrainSettings, kind: str) -> Task:
    """The task on one kind of its ground."""
    assert isinstance(task.world, LeggedWorld)
    return replace(task, world=replace(task.world, terrain=replace(terrain, kinds=(kind,))))


def _walk(bundle: Bundle, task: Task, settings: Settings, backend: str) -> tuple[TerrainScore, ...]:
    environment = task.make_environment(
        settings.robots, settings.seed, imperfections=settings.imperfections, backend=backend
    )
    assert isinstance(environment, VectorEnvironment)
    environment.episode_steps = round(settings.seconds / task.period)
    assert isinstance(environment.scenario, TerrainScenario)
    found = walk(pilot_for(bundle, task), task, environment, settings.seed, settings.imperfections)
    environment.scenario.physics.close()
    return found.terrain
