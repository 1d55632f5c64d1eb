"""Walking on terrain: the curriculum's moves, tiles that robots stay on, height scans and their errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.graph.symmetry import SignedPermutation, observation_mirror
from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.legged.ground.curriculum import TerrainLevel
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.ground.tiles import ScanSettings
from sim.legged.task import rough_task
from sim.physics.mujoco.physics import MujocoPhysics
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.tasks.go1_velocity_rough import GO1_VELOCITY_ROUGH, SETTINGS
from sim.terrain.heights import scan_places
from sim.terrain.terrain import TerrainSettings

LEGS = GO1.part(Legs)

TERRAIN = TerrainSettings(kinds=("flat", "stairs_up", "rough"), rows=4)
STANCE = torch.tensor(LEGS.stance)


def small(worlds: int = 6, **changes: float) -> tuple[VectorEnvironment, TerrainScenario]:
    task = rough_task(GO1, SETTINGS, TERRAIN, ScanSettings())
    environment = task.make_environment(worlds, 0, randomized=True, imperfections=changes.get("imperfections", 1.0))
    assert isinstance(environment, VectorEnvironment)
    scenario = environment.scenario
    assert isinstance(scenario, TerrainScenario)
    return environment, scenario


def stand(environment: VectorEnvironment) -> Commands:
    return Commands({"joint_position_target": STANCE.expand(environment.num_worlds, -1)})


def walked(curriculum: TerrainLevel, speed: float, asked: float, seconds: float = 10.0) -> None:
    """Every world is commanded to go forward at `asked` m/s and goes at `speed` along the world's x."""
    forward = torch.tensor([1.0, 0.0]).expand(6, 2)
    curriculum.walk(forward * asked, forward * speed, forward * speed * seconds, seconds)


def finish(curriculum: TerrainLevel, scenario: TerrainScenario, fell: bool = False) -> Tensor:
    scenario.terms.terminated = torch.full((6,), fell)
    curriculum.restart(torch.arange(6), torch.Generator().manual_seed(0))
    return scenario.tiles.next_levels


def at_level(level: int) -> tuple[TerrainLevel, TerrainScenario]:
    _, scenario = small()
    scenario.tiles.next_levels = torch.full((6,), level)
    curriculum = scenario.terms.curriculum["terrain_level"]
    assert isinstance(curriculum, TerrainLevel)
    return curriculum, scenario


@pytest.mark.parametrize(
    ("speed", "asked", "fell", "level"),
    [
        (0.9, 1.0, False, 3),  # walked off its tile as commanded
        (0.5, 1.0, False, 2),  # came far, but slowly
        (0.3, 1.0, False, 1),  # fell short
        (0.3, 0.35, False, 2),  # did as commanded without leaving its tile
        (0.3, 0.35, True, 1),  # fell on its tile
        (0.9, 1.0, True, 2),  # fell beyond it
        (0.0, 0.0, False, 2),  # was commanded to stand
    ],
)
def test_worlds_move_up_and_down_by_what_they_did(speed: float, asked: float, fell: bool, level: int) -> None:
    curriculum, scenario = at_level(2)
    walked(curriculum, speed, asked)
    assert finish(curriculum, scenario, fell).tolist() == [level] * 6
    assert finish(curriculum, scenario).tolist() == [level] * 6, "an episode counts once"


def test_levels_stay_within_the_rows_and_masters_are_spread() -> None:
    lowest, scenario = at_level(0)
    walked(lowest, 0.0, 1.0)
    assert finish(lowest, scenario).tolist() == [0] * 6
    highest, scenario = at_level(3)
    walked(highest, 1.0, 1.0)
    levels = finish(highest, scenario)
    assert 0 <= int(levels.min()) and int(levels.max()) < 4
    assert len(levels.unique()) > 1


def test_a_fixed_level_stays() -> None:
    curriculum, scenario = at_level(2)
    tiles = scenario.tiles
    tiles.fix(3)
    walked(curriculum, 1.0, 1.0)
    assert finish(curriculum, scenario).tolist() == [3] * 6
    scenario.finish_curriculum()
    assert tiles.next_levels.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(UserError, match="at least 0 and at most 3, got 5"):
        tiles.fix(5)


def test_the_curriculum_obeys_its_settings_and_without_it_worlds_are_spread() -> None:
    task = rough_task(GO1, SETTINGS, TERRAIN, ScanSettings())
    one = task.with_settings({"curriculum": {"terrain_level": {"first_levels": 1}}})
    for changed, levels in (
        (one, [0] * 12),
        (task.changed(curriculum={"terrain_level": None}), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
    ):
        environment = changed.make_environment(12, 0, randomized=True)
        environment.reset()
        assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, TerrainScenario)
        assert environment.scenario.tiles.levels.tolist() == levels


def test_worlds_start_on_their_tiles_and_report_them() -> None:
    environment, scenario = small()
    _, truth = environment.reset()
    names, kinds, levels = scenario.terrain_places()
    assert names == ("flat", "stairs_up", "rough")
    assert kinds.tolist() == [0, 1, 2, 0, 1, 2]
    assert levels.tolist() == [0, 0, 0, 1, 1, 1]
    middles = scenario.tiles.origins[levels, kinds]
    assert (truth["base_position"] - middles)[:, :2].abs().max() <= 0.401
    assert truth["base_height"].squeeze() == pytest.approx(torch.full((6,), LEGS.stand_height + 0.01), abs=0.05)
    assert environment.metrics()["terrain_level"] == pytest.approx(0.5)


def test_a_fixed_level_waits_for_the_next_episode() -> None:
    environment, scenario = small()
    environment.reset()
    scenario.fix_level(3)
    step = environment.step(stand(environment))
    assert scenario.tiles.levels.tolist() == [0, 0, 0, 1, 1, 1]
    assert step.truth["base_height"].min() > 0.2
    environment.reset()
    assert scenario.tiles.levels.tolist() == [3] * 6


def test_a_robot_that_leaves_its_tile_comes_back_at_the_opposite_edge() -> None:
    environment, scenario = small(imperfections=0.0)
    environment.reset()
    physics, tile = scenario.physics, TERRAIN.tile
    middles = scenario.tiles.middles()
    for _ in range(20):
        environment.step(stand(environment))
    physics.qpos[:, :2] = middles + torch.tensor([tile / 2 - 0.01, 1.0])
    level = scenario.tiles.height(physics.qpos[:, None, :2].float())[:, 0]
    assert level.abs().max() == 0.0
    physics.qpos[:, 2] = 0.27
    physics.qvel[:, 0] = 1.0
    step = environment.step(stand(environment))
    place = step.truth["base_position"][:, :2] - middles
    assert place[:, 0] == pytest.approx(torch.full((6,), -tile / 2 + 0.01), abs=0.03)
    assert place[:, 1] == pytest.approx(torch.ones(6), abs=0.03)
    assert step.truth["base_height"].min() > 0.2
    after = environment.step(stand(environment))
    assert (after.truth["base_position"] - step.truth["base_position"]).abs().max() < 0.05
    assert not bool(after.terminated.any())


def test_a_robot_that_crosses_its_tile_as_commanded_goes_on_a_level_higher_at_the_opposite_edge() -> None:
    environment, scenario = small(imperfections=0.0)
    environment.reset()
    physics, tile, tiles = scenario.physics, TERRAIN.tile, scenario.tiles
    before, curriculum = tiles.levels.clone(), scenario.terms.curriculum["terrain_level"]
    assert isinstance(curriculum, TerrainLevel)
    commanded = torch.arange(6) % 2 == 0
    curriculum.walk(
        torch.tensor([[1.0, 0.0]]).expand(6, 2), commanded[:, None] * torch.tensor([1.0, 0.0]), torch.zeros(6, 2), 5.0
    )
    physics.qpos[:, :2] = tiles.middles() + torch.tensor([tile / 2 + 0.01, 0.5])
    physics.qpos[:, 2] = 0.27
    step = environment.step(stand(environment))
    assert (tiles.levels - before).tolist() == commanded.long().tolist()
    place = step.truth["base_position"][:, :2] - tiles.middles()
    assert place[:, 0] == pytest.approx(torch.full((6,), -tile / 2 + 0.01), abs=0.03)
    assert step.truth["base_height"].min() > 0.2
    assert torch.equal(scenario.tiles.levels, tiles.next_levels)


def test_scans_by_look_up_are_scans_by_ray_casts() -> None:
    environment, scenario = small(12)
    _, truth = environment.reset()
    assert isinstance(scenario.physics, MujocoPhysics)
    places = scan_places(truth["base_position"], truth["orientation"], ScanSettings().grid)
    above = torch.cat((places, torch.full_like(places[..., :1], 20.0)), -1)
    distance = scenario.physics.ray(above, torch.tensor([0.0, 0.0, -1.0]))
    heights = torch.where(distance < 0.0, 0.0, 20.0 - distance) - truth["base_position"][:, 2:]
    assert truth["height_scan"] == pytest.approx(heights, abs=1e-4)
    assert truth["height_scan"][scenario.terrain_places()[1] == 2].std(1).min() > 0.001


def test_drift_moves_the_map_once_an_episode_and_leaves_the_truth_alone() -> None:
    environment, scenario = small(600)
    sensors, truth = environment.reset()
    flat = scenario.terrain_places()[1] == 0
    error = (sensors["height_scan"] - truth["height_scan"])[flat]
    assert error.mean(1).std() == pytest.approx(0.02, rel=0.3)
    assert (error - error.mean(1, keepdim=True)).std() == pytest.approx(0.02, rel=0.1)
    drift = scenario.tiles.drift.clone()
    environment.step(stand(environment))
    assert torch.equal(scenario.tiles.drift, drift)
    _, clean = small(6, imperfections=0.0)
    assert clean.tiles.drift.abs().max() == 0.0


def test_dropout_repeats_a_scan() -> None:
    environment, _ = small(600)
    before, _ = environment.reset()
    after = environment.step(stand(environment)).sensors
    same = (before["height_scan"] == after["height_scan"]).all(1).float().mean()
    assert 0.01 < float(same) < 0.12


def test_an_environment_continues_bit_for_bit_from_its_snapshot() -> None:
    environment, scenario = small()
    environment.reset()
    for _ in range(3):
        environment.step(stand(environment))
    scenario.tiles.next_levels[0] = 3
    saved = environment.snapshot()
    first = [environment.step(stand(environment)) for _ in range(3)][-1]
    again, other = small()
    again.reset()
    again.restore(saved)
    second = [again.step(stand(again)) for _ in range(3)][-1]
    assert all(torch.equal(first.sensors[name], second.sensors[name]) for name in first.sensors)
    assert torch.equal(first.reward, second.reward)
    assert torch.equal(scenario.tiles.next_levels, other.tiles.next_levels)


def test_the_observation_has_a_mirror_image_with_the_scan_turned_round() -> None:
    task = GO1_VELOCITY_ROUGH
    assert task.mirror is not None
    found = observation_mirror(task.sensors, task.observation_terms, task.action, task.mirror)
    assert found.is_involution() and found.dim == task.observation_dim
    grid = ScanSettings().grid
    turned = task.mirror.sensors["height_scan"]
    assert isinstance(turned, SignedPermutation)
    assert grid[list(turned.source)] == pytest.approx(grid * torch.tensor([1.0, -1.0]), abs=1e-6)
