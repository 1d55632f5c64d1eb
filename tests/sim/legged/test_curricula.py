"""Curricula in worlds: annealed penalties, growing randomization, sampling by failure, episodes from saved states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.legged.curriculum import CommandSampling
from sim.legged.ground.curriculum import TerrainSampling
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.scenario import LeggedScenario
from sim.robots.legs import Legs
from sim.task import Step, Task
from sim.tasks import find_task
from sim.terms.curricula.cells import FailureSampling
from sim.terms.curricula.shares import Penalties, RandomizationRange
from sim.terms.curricula.snapshots import clustered

FLAT, ROUGH, HOVER = (find_task(name) for name in ("go1-velocity-flat", "go1-velocity-rough", "crazyflie-hover"))
ALL: dict[str, dict[str, Any]] = {
    "penalties": {"steps": 10}, "randomization_range": {"start": 0.3, "promotion": 0.0, "measure": ""},
    "command_range": {"start": 0.5, "promotion": 0.0}, "command_sampling": {}, "terrain_sampling": {},
}  # fmt: skip


def worlds(task: Task, n: int = 8, seed: int = 0, **given: Any) -> tuple[VectorEnvironment, Any]:
    environment = task.make_environment(n, seed, randomized=True, **given)
    assert isinstance(environment, VectorEnvironment)
    environment.reset()
    return environment, environment.scenario


def moved(task: Task, n: int, t: int) -> Commands:
    """Targets near the stance, that depend on the step."""
    assert task.robot is not None
    generator = torch.Generator().manual_seed(t)
    stance = torch.tensor(task.robot.part(Legs).stance)
    return Commands({"joint_position_target": stance + 0.2 * torch.randn(n, len(stance), generator=generator)})


def with_curricula(task: Task, **curricula: dict[str, Any]) -> Task:
    return task.with_settings({"curriculum": curricula})


def assert_same(a: Step, b: Step, rows: slice = slice(None)) -> None:
    assert torch.equal(a.reward[rows], b.reward[rows])
    assert torch.equal(a.terminated[rows], b.terminated[rows])
    for ours, theirs in ((a.terminal_sensors, b.terminal_sensors), (a.terminal_truth, b.terminal_truth)):
        for name in ours:
            assert torch.equal(ours[name][rows], theirs[name][rows]), name


@pytest.mark.parametrize("task", [FLAT, HOVER], ids=lambda task: task.name)
def test_penalties_grow_evenly_and_the_rest_of_the_reward_stays(task: Task) -> None:
    def rewards(curricula: dict[str, Any]) -> list[dict[str, float]]:
        environment, _ = worlds(with_curricula(task, **curricula))
        found = []
        for t in range(5):
            moves = (
                moved(task, 8, t)
                if task is FLAT
                else Commands({"rotor_speed": torch.full((8, 4), 1000.0) * torch.arange(1, 5)})
            )
            environment.step(moves)
            found.append(environment.metrics())
        return found

    whole, annealed = rewards({}), rewards({"penalties": {"start": 0.2, "steps": 4}})
    # The step counts before its rewards.
    for step, share in enumerate((0.4, 0.6, 0.8, 1.0, 1.0)):
        assert annealed[step]["penalties"] == pytest.approx(share)
        for name, term in task.rewards.items():
            factor = share if term.weight < 0.0 else 1.0
            if term.weight:
                wanted = factor * whole[step][f"reward/{name}"]
                assert annealed[step][f"reward/{name}"] == pytest.approx(wanted, rel=1e-4, abs=1e-9), name


def test_penalties_may_be_named_and_follow_performance() -> None:
    task = with_curricula(FLAT, penalties={"terms": "slip, tilt", "steps": 0, "start": 0.5, "demotion": 0.3})
    environment, scenario = worlds(task)
    curriculum = scenario.terms.curriculum["penalties"]
    assert isinstance(curriculum, Penalties)
    scales: list[dict[str, float]] = []
    scenario.terms.scale_rewards = scales.append
    for performance in (0.9, 0.5, 0.2, 0.2):
        curriculum.learn(torch.full((8,), performance))
    assert [sorted(scale) for scale in scales] == [["slip", "tilt"]] * 3
    assert [scale["slip"] for scale in scales] == pytest.approx([0.6, 0.5, 0.5])
    environment.finish_curriculum()
    assert scales[-1] == {"slip": 1.0, "tilt": 1.0}
    with pytest.raises(UserError, match=r"penalties.terms names 'slipp', which is no reward; did you mean slip\?"):
        worlds(with_curricula(FLAT, penalties={"terms": "slipp"}))
    with pytest.raises(UserError, match="measure must name a reward; did you mean track_velocity"):
        worlds(with_curricula(FLAT, penalties={"measure": "track_velocit"}))


def test_falls_count_as_nothing_achieved_for_the_rest_of_an_episode() -> None:
    environment, scenario = worlds(with_curricula(FLAT.changed(episode_steps=4), randomization_range={"measure": ""}))
    curriculum = scenario.terms.curriculum["randomization_range"]
    assert isinstance(curriculum, RandomizationRange)
    seen: list[float] = []
    curriculum.learn = lambda performance: seen.extend(performance.tolist())  # type: ignore[method-assign]
    for t in range(3):
        environment.step(moved(FLAT, 8, t))
    scenario.terms.terminated = torch.arange(8) < 4
    curriculum.restart(torch.arange(8), torch.Generator())
    assert seen == pytest.approx([0.75] * 4 + [1.0] * 4)


def test_randomization_starts_with_a_share_of_every_range_and_grows_to_the_whole() -> None:
    def drawn(share: float) -> tuple[dict[str, float], VectorEnvironment]:
        late = FLAT.with_settings({"events": {"delay": {"longest": 0.04}}})
        environment, scenario = worlds(with_curricula(late, randomization_range={"start": share}), 512)
        physics, random = scenario.physics, scenario.randomization
        friction = physics.fields.expand("geom_friction")[:, -1, 0]
        spread = {
            "friction": float((friction / friction.mean() - 1.0).abs().max()),
            "delay": float(random.delay.max()),
            "zero": float(random.joint_offset.abs().max()),
            "known": float(random.parameters[:, :3].abs().max()),
            "bias": float(environment._sensors._bias.std()),
            "push": scenario.scale,
        }
        return spread, environment

    whole, _ = drawn(1.0)
    half, environment = drawn(0.5)
    for name in ("friction", "zero", "known", "bias", "push"):
        assert half[name] == pytest.approx(0.5 * whole[name], rel=0.1), name
    assert (half["delay"], whole["delay"]) == (2.0, 4.0)
    none, _ = drawn(0.0)
    assert none == dict.fromkeys(none, 0.0)
    environment.finish_curriculum()
    environment.reset()
    scenario: Any = environment.scenario
    assert scenario.scale == 1.0
    assert float(scenario.randomization.joint_offset.abs().max()) == pytest.approx(whole["zero"], rel=0.1)


def test_cells_are_drawn_by_their_failures_with_a_floor() -> None:
    cells = FailureSampling(4, 8, "cpu", sharpness=5.0, floor=0.2)
    assert cells.probabilities().tolist() == pytest.approx([0.25] * 4)
    cells.cell = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    cells.note(torch.arange(8), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5]))
    assert cells.results.tolist() == pytest.approx([1.0, 0.5, 0.0, 0.5])
    weights = torch.exp(-5.0 * torch.tensor([1.0, 0.5, 0.0, 0.5]))
    expected = 0.05 + 0.8 * weights / weights.sum()
    torch.testing.assert_close(cells.probabilities(), expected)
    drawn = cells.draw(20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.bincount(minlength=4) / 20000.0, expected, atol=0.01, rtol=0.0)
    # Half of the way to what comes next; a cell that no one was in keeps its result.
    cells.note(torch.tensor([0] * 8), torch.zeros(8))
    assert cells.results.tolist() == pytest.approx([0.5, 0.5, 0.0, 0.5])


def test_commands_are_drawn_from_the_cells_that_are_followed_badly() -> None:
    task = with_curricula(FLAT, command_sampling={"floor": 0.0, "sharpness": 50.0})
    environment, scenario = worlds(task, 64)
    curriculum = scenario.terms.curriculum["command_sampling"]
    assert isinstance(curriculum, CommandSampling)
    assert len(curriculum.cell.unique()) > 10
    curriculum.results[:] = 1.0
    # Backward, left, turning right.
    curriculum.results[0 * 9 + 2 * 3 + 0] = 0.0
    environment.reset()
    assert bool((curriculum.cell == 6).all())
    asked = scenario.commands._asked[scenario.commands._asked.abs().sum(-1) > 0]
    low, high = -scenario.commands.limits / 3.0, scenario.commands.limits / 3.0
    assert len(asked) > 32
    assert bool((asked[:, 0] < low[0]).all() and (asked[:, 1] > high[1]).all() and (asked[:, 2] < low[2]).all())
    environment.finish_curriculum()
    environment.reset()
    assert len(scenario.commands._asked[:, 0].sign().unique()) == 3


@pytest.mark.parametrize("leveled", [False, True])
def test_ground_is_drawn_where_worlds_fail(leveled: bool) -> None:
    task = ROUGH if leveled else ROUGH.changed(curriculum={"terrain_level": None})
    settings: dict[str, Any] = {"floor": 0.0, "sharpness": 50.0}
    environment, scenario = worlds(with_curricula(task, terrain_sampling=settings), 64)
    assert isinstance(scenario, TerrainScenario)
    curriculum, tiles = scenario.terms.curriculum["terrain_sampling"], scenario.tiles
    assert isinstance(curriculum, TerrainSampling)
    stairs = tiles.terrain.kinds.index("stairs_up")
    assert bool((curriculum.cell // (1 if leveled else tiles.rows) == tiles.columns).all())
    before = tiles.next_levels[tiles.next_columns == stairs].unique()
    curriculum.results[:] = 1.0
    curriculum.results[stairs if leveled else stairs * tiles.rows + 5] = 0.0
    environment.reset()
    assert bool((tiles.columns == stairs).all())
    wanted = set(before.tolist()) if leveled else {5}
    assert set(tiles.levels.tolist()) <= wanted
    # Evaluations are spread evenly again.
    environment.finish_curriculum()
    environment.reset()
    kinds = len(tiles.terrain.kinds)
    assert torch.equal(tiles.columns, torch.arange(64) % kinds)
    assert torch.equal(tiles.levels, torch.arange(64) // kinds % tiles.rows)


@pytest.mark.parametrize("task", [ROUGH, FLAT], ids=lambda task: task.name)
def test_all_curricula_together_resume_bit_for_bit_and_report(task: Task) -> None:
    given: dict[str, dict[str, Any]] = {name: own for name, own in ALL.items() if name in task.curricula}
    short = with_curricula(task.changed(episode_steps=6), **given)
    environment, _ = worlds(short)
    for t in range(15):
        environment.step(moved(task, 8, t))
    saved = environment.snapshot()
    straight = [environment.step(moved(task, 8, t)) for t in range(15, 30)]
    reported = environment.metrics()
    assert set(short.curriculum) <= set(reported)
    assert reported["penalties"] == 1.0 and reported["randomization_range"] > 0.5
    other, _ = worlds(short, seed=9)
    other.restore(saved)
    for t, step in zip(range(15, 30), straight, strict=True):
        assert_same(step, other.step(moved(task, 8, t)))
    assert {n: other.metrics()[n] for n in short.curriculum} == {n: reported[n] for n in short.curriculum}


@pytest.mark.parametrize("task", [FLAT, ROUGH, HOVER], ids=lambda task: task.name)
def test_a_world_goes_on_from_a_saved_state_bit_for_bit_beside_others(task: Task) -> None:
    # Without noise, because worlds share one random generator.
    quiet = {name: {"noise": 0.0, "dropout": 0.0} for name in task.sensor_models}
    calm = task.with_settings({"sensor_models": quiet})

    def act(n: int, t: int) -> Commands:
        if task is HOVER:
            return Commands({"rotor_speed": torch.full((n, 4), 1500.0) + 10.0 * torch.arange(4) * (t % 3)})
        return Commands({name: value[:1].expand(n, -1) for name, value in moved(task, 1, t).items()})

    teacher, _ = worlds(calm, 6)
    for t in range(15):
        teacher.step(act(6, t))
    rows = teacher.world_rows()
    straight = [teacher.step(act(6, t)) for t in range(15, 40)]
    student, _ = worlds(calm, 9, seed=5)
    for t in range(5):
        student.step(act(9, t))
    kept = {name: value.clone() for name, value in student.world_rows().items()}
    chosen = torch.tensor([1, 4, 7])
    student.put(chosen, {name: value[[0, 2, 5]] for name, value in rows.items()})
    for name, value in student.world_rows().items():
        others = torch.tensor([0, 2, 3, 5, 6, 8])
        assert torch.equal(value[others], kept[name][others]), name
        assert torch.equal(value[chosen], rows[name][[0, 2, 5]]), name
    alive = torch.ones(3, dtype=torch.bool)
    compared = 0
    for t, theirs in zip(range(15, 40), straight, strict=True):
        ours = student.step(act(9, t))
        for a, b in zip(chosen[alive].tolist(), torch.tensor([0, 2, 5])[alive].tolist(), strict=True):
            assert ours.reward[a] == theirs.reward[b]
            for mine, other in ((ours.terminal_sensors, theirs.terminal_sensors),
                                (ours.terminal_truth, theirs.terminal_truth)):  # fmt: skip
                for name in mine:
                    assert torch.equal(mine[name][a], other[name][b]), (t, name)
            compared += 1
        alive &= ~(ours.terminated | ours.truncated)[chosen]
        # Commands and pushes that are drawn now come from the environments' own generators.
    assert compared >= 40


def test_all_worlds_from_saved_states_with_the_same_generators_repeat_their_noise_and_pushes() -> None:
    teacher, _ = worlds(ROUGH, 6)
    for t in range(15):
        teacher.step(moved(ROUGH, 6, t))
    rows, saved = teacher.world_rows(), teacher.snapshot()
    straight = [teacher.step(moved(ROUGH, 6, t)) for t in range(15, 60)]
    student, _ = worlds(ROUGH, 6, seed=5)
    for t in range(20):
        student.step(moved(ROUGH, 6, 100 + t))
    # What worlds share: random draws, the clock of commands and pushes, plans for later episodes.
    # What worlds share: random draws, the clock of commands and pushes, plans for later episodes.
    shared = {name: value for name, value in saved.items() if f"world/{name}" not in rows}
    student.restore({**student.snapshot(), **shared})
    student.put(torch.arange(6), rows)
    for t, step in zip(range(15, 60), straight, strict=True):
        assert_same(step, student.step(moved(ROUGH, 6, t)))


def test_values_fall_into_clusters_by_their_distance() -> None:
    values = torch.tensor([0.0, 0.1, 0.2, 5.0, 5.1, 9.0, 9.2, 9.1])
    assert clustered(values[torch.tensor([3, 0, 1, 2, 4, 5, 6, 7])], 3).tolist() == [1, 0, 0, 0, 1, 2, 2, 2]
    assert clustered(torch.ones(5), 6).tolist() == [0] * 5
    many = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    found = clustered(many, 6)
    assert sorted(found.unique().tolist()) == [0, 1, 2, 3, 4, 5]
    edges = [(float(many[found == k].min()), float(many[found == k].max())) for k in range(6)]
    assert all(high < low for (_, high), (low, _) in zip(edges, edges[1:], strict=False))


def test_a_file_that_holds_no_snapshots_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    for name in ("broken.pt", "absent.pt"):
        with pytest.raises(UserError, match=f"{name} holds no snapshots"):
            worlds(with_curricula(FLAT, snapshots={"file": str(tmp_path / name)}))


def test_a_task_without_new_curricula_draws_as_before() -> None:
    environment, scenario = worlds(FLAT)
    assert isinstance(scenario, LeggedScenario) and scenario.terms.curriculum == {}
    assert not bool(scenario.terms.resumed.any()) and environment.step(moved(FLAT, 8, 0)).resumed is None
