"""Rough ground for a policy that does not see it, and the errors of the scan for one that does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.graph.policy_graph import PolicyGraph
from policies.graph.symmetry import observation_mirror
from policies.signals import Commands
from real.missions.kinds import KINDS
from real.robots.height_scan import HeightScan, points_of
from real.robots.legged_wire import LeggedWire
from sim.environment import VectorEnvironment
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.ground.tiles import ScanSettings
from sim.legged.world import LeggedWorld
from sim.robots.legs import Legs
from sim.task import Task
from sim.tasks import find_task
from sim.terrain.terrain import TerrainSettings

BLIND, SCAN = find_task("go1-velocity-rough-blind"), find_task("go1-velocity-rough")
SMALL = TerrainSettings(kinds=("flat", "rough"), rows=3)


def small(task: Task, worlds: int = 12, seed: int = 4) -> VectorEnvironment:
    assert isinstance(task.world, LeggedWorld)
    made = replace(task, world=replace(task.world, terrain=SMALL)).make_environment(worlds, seed, randomized=True)
    assert isinstance(made, VectorEnvironment)
    return made


def stand(task: Task, worlds: int = 12) -> Commands:
    assert task.robot is not None
    return Commands({"joint_position_target": torch.tensor(task.robot.part(Legs).stance).expand(worlds, -1)})


def test_the_blind_task_differs_from_the_other_in_what_the_policy_senses_alone() -> None:
    assert [s for s in SCAN.sensors if s not in BLIND.sensors] == [s for s in SCAN.sensors if s.name == "height_scan"]
    assert [s for s in BLIND.sensors if s not in SCAN.sensors] == []
    assert set(SCAN.observation) - set(BLIND.observation) == {"height_scan"}
    for part in ("privileged", "rewards", "terminations", "events", "command_terms", "curriculum", "world", "action"):
        assert getattr(BLIND, part) == getattr(SCAN, part), part
    seeing = {"height_scan", "foot_contact", "foot_height", "linear_velocity"}
    assert seeing <= set(BLIND.privileged)


def test_its_worlds_are_those_of_the_other_and_its_critic_sees_the_exact_ground() -> None:
    blind, scan = small(BLIND), small(SCAN)
    (sensors, truth), (_, other) = blind.reset(), scan.reset()
    assert "height_scan" not in sensors
    assert torch.equal(truth["height_scan"], other["height_scan"])
    assert torch.equal(truth["base_position"], other["base_position"])
    step = blind.step(stand(BLIND))
    assert isinstance(blind.scenario, TerrainScenario)
    seen = blind.critic_observation(step.truth)
    assert seen.shape[1] == BLIND.critic_dim
    assert torch.equal(seen[:, -45:], step.truth["height_scan"])
    assert float(step.truth["height_scan"].std(1).max()) > 0.001


def test_it_has_a_mirror_image_without_a_scan() -> None:
    assert BLIND.mirror is not None
    assert "height_scan" not in BLIND.mirror.sensors
    found = observation_mirror(BLIND.sensors, BLIND.observation_terms, BLIND.action, BLIND.mirror)
    assert found.is_involution()
    assert found.dim == BLIND.observation_dim


def test_a_robot_behind_a_bridge_offers_all_that_it_needs() -> None:
    graph = BLIND.policy_graph(torch.nn.Linear(BLIND.observation_dim, BLIND.action.dim))
    assert isinstance(graph, PolicyGraph)
    offered = {s.name for s in (*LeggedWire.offer.sensors, *KINDS["velocity"].kind.goals)}
    assert {s.name for s in graph.used_sensors} <= offered


def test_latency_and_missing_points_are_settings_of_the_scan_and_off_by_default() -> None:
    assert SCAN.settings()["sensor_models"]["height_scan"] == {
        "noise": 0.02, "bias": 0.0, "delay": 0, "dropout": 0.05, "lag": 0.0, "missing": 0.0,
    }  # fmt: skip
    late = SCAN.with_settings({"sensor_models": {"height_scan": {"noise": 0.0, "dropout": 0.0, "delay": 2}}})
    environment = small(late, 60)
    seen = [environment.reset()[0]["height_scan"]]
    seen += [environment.step(stand(late, 60)).sensors["height_scan"] for _ in range(3)]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[3])
    torn = SCAN.with_settings({"sensor_models": {"height_scan": {"noise": 0.0, "dropout": 0.0, "missing": 0.5}}})
    whole = torn.with_settings({"sensor_models": {"height_scan": {"missing": 0.0}}})
    with_gaps, without = (small(task, 60).reset()[0]["height_scan"] for task in (torn, whole))
    filled = (with_gaps != without).any(1)
    assert bool(filled.any())
    # What fills a gap was measured beside it.
    assert bool((with_gaps[:, :, None] == without[:, None, :]).any(2).all())


def test_simulation_and_robot_fill_a_gap_alike() -> None:
    scan = ScanSettings()
    sensor = next(s for s in SCAN.sensors if s.name == "height_scan")
    robot = HeightScan(sensor, 0.5)
    assert points_of(sensor.labels) == pytest.approx(scan.grid.numpy(), abs=1e-6)
    for own, others in enumerate(scan.neighbours):
        assert robot._nearest[own, 0] == own
        assert np.array_equal(robot._nearest[own, 1 : 1 + len(others)], others)
