"""The benchmarks of legged locomotion at their smallest, and what they conclude from made-up measurements."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.errors import UserError
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.bench import env, ppo, rough, tables, walk, walk_training
from robo_rl.bench.registry import BENCHMARK_SEED, BENCHMARKS
from robo_rl.cli.main import main
from robo_rl.evaluation.flying import Interval, wilson
from robo_rl.evaluation.gait import Gait
from robo_rl.evaluation.walking import DEVELOPMENT_SEED, WalkingEvaluation
from robo_rl.evaluation.yaw import Stride, YawErrors
from robo_rl.training import runner
from sim.tasks import find_task

TINY = PpoConfig(num_worlds=8, iterations=4, rollout_steps=4, epochs=1, minibatches=1)


GAIT = Gait(0.27, 0.8, 0.05, 1.0, 1.1, 0.02, 0.9, 0.0, ())


def walking(
    error: float, falls: int = 0, worlds: int = 1000, terrain: Any = (), turning: float = 0.2
) -> WalkingEvaluation:
    fell = np.arange(worlds) < falls
    near, yaw_error = (Interval(value, value - 0.01, value + 0.01) for value in (error, turning))
    yaw = YawErrors(Stride(20, 0.02, True), yaw_error, near, near, near)
    return WalkingEvaluation(
        "made-up", BENCHMARK_SEED, worlds, 1.0, near, yaw, wilson(falls, worlds), Interval(30.0, 29.0, 31.0), terrain,
        fell, np.full(worlds, error),
    )  # fmt: skip


class FakeTrainer:
    """Trains for 20 ms an iteration and learns nothing; diverges in iteration 3 with seed 7."""

    def __init__(self, config: PpoConfig, task: Any, seed: int) -> None:
        self.iteration, self.steps, self.total_iterations, self.graph = 0, 0, config.iterations, None
        self._seed = seed

    def iterate(self) -> None:
        time.sleep(0.02)
        if self._seed == 7 and self.iteration == 2:
            raise TrainingDiverged("nothing finite")
        self.iteration += 1
        self.steps += 32


def fake_walk(monkeypatch: pytest.MonkeyPatch, errors: list[float], turning: Any = ()) -> list[tuple[int, int]]:
    """Replace training and evaluation; evaluations take 100 ms and give `errors` in turn, and yaw errors `turning`,
    then 0.2. Returns what was asked."""
    asked: list[tuple[int, int]] = []

    def evaluate(graph: Any, task: Any, worlds: int, seed: int) -> WalkingEvaluation:
        asked.append((worlds, seed))
        time.sleep(0.1)
        yaw = turning[len(asked) - 1] if len(asked) <= len(turning) else 0.2
        return walking(errors[min(len(asked), len(errors)) - 1], worlds=worlds, turning=yaw)

    monkeypatch.setattr(walk_training, "PpoTrainer", FakeTrainer)
    monkeypatch.setattr(walk_training, "evaluate_walking", evaluate)
    monkeypatch.setattr(walk_training, "evaluate_gait", lambda graph, task, seed: GAIT)
    return asked


def settings(**changes: Any) -> walk.Settings:
    given = {"seeds": 1, "every_seconds": 0.001, "quick_worlds": 5, "worlds": 50, "algorithm": TINY}
    return walk.Settings(**{**given, **changes})


def test_the_clock_of_walk_stops_during_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_walk(monkeypatch, [0.5])
    row = walk.run(settings())["seeds"][0]
    assert asked == [(5, BENCHMARK_SEED)] * 4 + [(50, BENCHMARK_SEED)]
    assert 0.08 <= row["train_seconds"] < 0.3, "half a second of evaluations is not in it"
    assert row["seconds_to_0.20"] is None
    assert row["final_velocity_error"] == 0.5
    assert [at["iteration"] for at in row["curve"]] == [1, 2, 3, 4, 4]


def test_the_bar_of_walk_needs_a_confirmation_by_all_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Few worlds, all of them, few, all, and then the last one.
    asked = fake_walk(monkeypatch, [0.19, 0.21, 0.19, 0.20, 0.17])
    row = walk.run(settings(development=True))["seeds"][0]
    assert [worlds for worlds, _ in asked[:4]] == [5, 50, 5, 50]
    assert {seed for _, seed in asked} == {DEVELOPMENT_SEED}
    assert row["seconds_to_0.20"] == row["curve"][1]["seconds"]
    assert row["final_velocity_error"] == 0.17


def test_both_bars_are_reached_by_themselves_and_the_row_has_the_figures_of_yaw_and_gait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Few worlds with too large a yaw error and all worlds, which do not confirm a bar that the few did not reach; then
    # few and all that reach it, and so on.
    fake_walk(monkeypatch, [0.19, 0.19, 0.19, 0.19], [0.3, 0.2, 0.25, 0.25])
    result = walk.run(settings())
    row = result["seeds"][0]
    assert row["seconds_to_0.20"] == row["curve"][0]["seconds"]
    assert row["seconds_to_both"] == row["curve"][1]["seconds"] == result["worst_seconds_to_both"]
    assert (row["final_yaw_error"], row["final_yaw_error_stride_mean"]) == (0.2, 0.19)
    assert row["yaw_swing"] == row["standing_yaw_error"] == 0.19
    wanted = {
        "base_height": 0.27, "cost_of_transport": 0.8, "foot_clearance": 0.05, "yaw_gain": 1.1,
        "sideways_yaw_drift": 0.02, "damped_speed_share": 0.9,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    assert "| 0 | 0.270 | 0.800 | 0.050 | 1.100 | 0.020 | 0.900 |" in tables.TABLES["walk"](result)


def test_a_seed_that_diverges_is_reported_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_walk(monkeypatch, [0.1])
    result = walk.run(settings(seeds=2, first_seed=6))
    assert [row["seed"] for row in result["seeds"]] == [6, 7]
    assert result["failures"] == ["seed 7: nothing finite"]
    assert result["seeds"][1]["environment_steps"] == 64
    assert "| 7 |" in tables.TABLES["walk"](result)


def test_the_time_to_a_return_lies_on_the_line_between_evaluations() -> None:
    curve = [{"seconds": t, "return": r} for t, r in ((10.0, 1.0), (20.0, 3.0), (30.0, 2.0), (40.0, 6.0))]
    assert ppo.first_reached(curve, 0.5) == 10.0
    assert ppo.first_reached(curve, 2.0) == 15.0
    assert ppo.first_reached(curve, 4.5) == pytest.approx(36.25)
    assert ppo.first_reached(curve, 7.0) is None


def test_rsl_rl_gets_our_settings_translated() -> None:
    config = PpoConfig(rollout_steps=24, learning_rate=3e-4, target_kl=0.0, clip=0.1, gae_lambda=0.9, value_clip=0.0)
    given = ppo.rsl_rl_settings(config)
    assert given["num_steps_per_env"] == 24
    assert given["actor"]["hidden_dims"] == list(config.actor_hidden)
    assert given["critic"]["hidden_dims"] == list(config.critic_hidden)
    algorithm = given["algorithm"]
    assert (algorithm["learning_rate"], algorithm["clip_param"], algorithm["lam"]) == (3e-4, 0.1, 0.9)
    assert (algorithm["schedule"], algorithm["desired_kl"]) == ("fixed", None)
    assert algorithm["use_clipped_value_loss"] is False
    assert algorithm["symmetry_cfg"] is None
    mirrored = ppo.rsl_rl_settings(replace(config, symmetry="augment"), mirrored=True)["algorithm"]["symmetry_cfg"]
    assert mirrored["use_data_augmentation"] and not mirrored["use_mirror_loss"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_s_settings_are_flags_of_the_command_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", name, "--help"])
    assert ended.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: env.Settings(worlds=(1024, 0)), "worlds must be numbers of at least 1"),
        (lambda: env.Settings(repeats=0), "repeats must be at least 1, got 0"),
        (lambda: settings(seeds=0), "seeds must be at least 1, got 0"),
        (lambda: ppo.Settings(algorithm=replace(TINY, actor="gru")), "rsl_rl has no actor like ours but mlp, got gru"),
        (lambda: ppo.Settings(algorithm=TINY, every=0), "every must be at least 1, got 0"),
        (
            lambda: ppo.Settings(algorithm=TINY),
            "compared with mirror images, got symmetry none; give --symmetry augment",
        ),
        (lambda: ppo.Settings(settings=()), "settings must name at least one of ours, mjlab"),
        (lambda: rough.Settings(minutes=0.0), "minutes must be above 0.0, got 0.0"),
        (lambda: rough.Settings(teacher_share=0.9), "the shares of the trainings must add up to at most 1, got 1.25"),
        (lambda: rough.Settings(blind_actor="lstm"), "blind_actor must be one of mlp, gru, history, got 'lstm'"),
    ],
)
def test_settings_that_measure_nothing_are_refused(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_the_peak_of_memory_follows_what_is_allocated() -> None:
    before = env.peak_memory_mb()
    kept = np.ones(8_000_000)
    assert env.peak_memory_mb() >= before
    assert env.peak_memory_mb() > kept.nbytes / 1e6


@pytest.mark.slow
def test_env_measures_the_full_step_against_bare_physics() -> None:
    result = env.run(env.Settings(worlds=(8,), steps=3, repeats=2))
    row = result["worlds"]["8"]
    assert 0.0 < row["share_of_bare"] < 1.5
    assert row["env_steps_per_second"] > 0.0
    assert 50.0 < row["rss_mb"] < 3000.0
    assert "| 8 |" in tables.TABLES["env"](result)


def test_walk_keeps_its_runs_and_overwrites_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        walk_training, "evaluate_walking", lambda graph, task, worlds, seed: walking(0.5, worlds=worlds)
    )
    monkeypatch.setattr(walk_training, "evaluate_gait", lambda graph, task, seed: GAIT)
    wanted = walk.Settings(seeds=1, first_seed=3, worlds=4, algorithm=replace(TINY, iterations=2), keep=tmp_path)
    walk.run(wanted)
    kept = runner.load_trained(tmp_path / "seed-3")
    assert (kept.iterations, kept.configuration.seed) == (2, 3)
    # What trained it is in it, so that a task whose settings change later does not change the run.
    assert kept.configuration.terms["observation"]["gait_clock"] == {"frequency": 3.0}
    assert kept.task.settings() == find_task(walk.TASK).settings()
    with pytest.raises(UserError, match="seed-3 exists; name another folder with --keep"):
        walk.run(wanted)


def test_ppo_measures_both_trainers_with_both_settings_and_finds_the_threads_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All really train, with one thread each, since two wait for each other on a busy machine.
    monkeypatch.setattr(ppo, "usable_cores", lambda: 1)
    monkeypatch.setattr(ppo, "evaluate_walking", lambda graph, task, worlds, seed: walking(0.5, worlds=worlds))
    monkeypatch.setattr(ppo, "MJLAB", {**ppo.MJLAB, "rollout_steps": 4, "actor_hidden": (8,), "critic_hidden": (8,)})
    algorithm = replace(TINY, iterations=2, imitation=1, symmetry="augment")
    result = ppo.run(ppo.Settings(seeds=2, every=1, worlds=4, probe=1, algorithm=algorithm))
    assert [(row["settings"], row["trainer"], row["seed"]) for row in result["rows"]] == [
        (settings, trainer, seed)
        for seed in (0, 1)
        for settings in ("ours", "mjlab")
        for trainer in ("robo-rl", "rsl_rl, mirror images")
    ]
    for row in result["rows"]:
        assert row["samples_per_second"] > 0.0
        assert row["seconds_to_return"] <= row["train_seconds"]
        assert len(row["curve"]) == 2
    for first, second in zip(result["rows"][:4], result["rows"][4:], strict=True):
        assert first["samples_per_second_by_threads"] == second["samples_per_second_by_threads"]
    assert "| rsl_rl, mirror images | mjlab | 1 |" in tables.TABLES["ppo"](result)


def test_the_trainers_that_are_compared_have_the_same_settings_and_no_guide() -> None:
    config = replace(TINY, imitation=10, initial_std=0.25, final_std=0.08, symmetry="augment", num_worlds=64)
    arms = ppo.arms(ppo.Settings(algorithm=config, further=True))
    assert [(arm.settings, arm.trainer) for arm in arms] == [
        ("ours", "robo-rl"), ("ours", "rsl_rl, mirror images"),
        ("mjlab", "robo-rl"), ("mjlab", "rsl_rl, mirror images"),
        ("ours, without mirror images", "rsl_rl"), ("ours, with the guide", "robo-rl"),
    ]  # fmt: skip
    assert arms[0].config == arms[1].config == replace(config, imitation=0, final_std=0.0)
    assert arms[2].config == arms[3].config and arms[5].config == config
    mjlab = arms[2].config
    assert (mjlab.initial_std, mjlab.entropy_coefficient, mjlab.epochs, mjlab.num_worlds) == (1.0, 0.01, 5, 64)
    without = replace(config, imitation=0, final_std=0.1)
    assert ppo.arms(ppo.Settings(algorithm=without, settings=("ours",)))[0].config == without


def test_the_level_is_that_of_the_settings_with_which_rsl_rl_does_worse() -> None:
    def row(trainer: str, settings: str, *returns: float) -> dict[str, Any]:
        return {"trainer": trainer, "settings": settings, "curve": [{"return": value} for value in returns]}

    theirs = "rsl_rl, mirror images"
    rows = [
        row("robo-rl", "ours", 90.0), row(theirs, "ours", 10.0, 40.0, 30.0), row(theirs, "ours", 20.0),
        row(theirs, "mjlab", 50.0), row("rsl_rl", "ours, without mirror images", 1.0),
    ]  # fmt: skip
    assert ppo.return_level(rows) == pytest.approx(0.95 * 30.0)
    assert ppo.return_level([row(theirs, "ours", -10.0)]) == pytest.approx(-10.5)
