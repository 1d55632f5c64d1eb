"""rsl_rl's own runner trains our tasks unchanged, and what it learned is a policy graph like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rsl_rl.runners import OnPolicyRunner

from deploy.bundle.reader import load_bundle
from deploy.export.exporter import export_bundle
from policies.errors import UserError
from robo_rl.doors.rsl_rl import RslRlEnv, policy_graph, with_mirror_images
from robo_rl.evaluation.registry import evaluate_policy
from robo_rl.workflows.export import visit
from sim.tasks import TASKS, find_task
from tests.robo_rl.short_task import shorter
from tests.robo_rl.tiny_environment import point_task

TRAINED = [name for name in ("crazyflie-hover", "go1-velocity-flat") if name in TASKS]


def settings() -> dict[str, Any]:
    """rsl_rl's own PPO as its examples configure it, small."""
    network = {"class_name": "MLPModel", "hidden_dims": [16, 16], "activation": "elu", "obs_normalization": True}
    distribution = {"class_name": "GaussianDistribution", "init_std": 0.5}
    return {
        "num_steps_per_env": 8,
        "save_interval": 100,
        "obs_groups": {"actor": ["policy"], "critic": ["critic"]},
        "actor": {**network, "distribution_cfg": distribution},
        "critic": network,
        "algorithm": {
            "class_name": "PPO", "num_learning_epochs": 2, "num_mini_batches": 2, "learning_rate": 1e-3,
            "schedule": "adaptive", "desired_kl": 0.01, "gamma": 0.99, "lam": 0.95,
        },
    }  # fmt: skip


@pytest.mark.parametrize("name", TRAINED)
def test_the_runner_trains_a_task_unchanged(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = RslRlEnv(name, 16, 0)
    runner = OnPolicyRunner(env, settings(), None, "cpu")
    before = [p.clone() for p in runner.alg.get_policy().parameters()]
    runner.learn(3, init_at_random_ep_len=True)
    after = list(runner.alg.get_policy().parameters())
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(bool(torch.isfinite(p).all()) for p in after)
    assert env.steps == 3 * 8 * 16

    task = find_task(name)
    graph = policy_graph(runner, task)
    observations = env.get_observations()
    with torch.no_grad():
        expected = runner.get_inference_policy()(observations)
        assert torch.allclose(graph.act(observations["policy"]), expected, atol=1e-6)
    # The environment still works outside the runner's inference mode, and the policy is exported like any other.
    env.step(torch.zeros(16, env.num_actions))
    short = shorter(task, 100)
    assert evaluate_policy(graph, short, 4).summary()["episodes"] == 4
    export_bundle(
        graph, visit(graph, short), tmp_path / "bundle", name=name, task=name,
        kind=task.kind, safety=task.safety, provenance={}, evaluation={}, joints=task.joints,
    )  # fmt: skip
    assert load_bundle(tmp_path / "bundle").manifest.identity.task == name


@pytest.mark.skipif("go1-velocity-flat" not in TASKS, reason="no robot with two equal sides")
def test_rsl_rl_augments_its_batches_with_mirror_images(capsys: pytest.CaptureFixture[str]) -> None:
    env = RslRlEnv("go1-velocity-flat", 4, 0)
    observations, actions = env.get_observations(), torch.randn(4, env.num_actions)
    both, acted = with_mirror_images(env, observations, actions)
    assert both is not None
    assert acted is not None
    assert both.batch_size == torch.Size([8])
    back, undone = with_mirror_images(env, both[4:], acted[4:])
    assert back is not None
    assert undone is not None
    assert torch.equal(back["policy"][4:], observations["policy"])
    assert torch.equal(back["critic"][4:], observations["critic"])
    assert torch.equal(undone[4:], actions)
    assert not torch.equal(acted[4:], actions)
    given = settings()
    given["algorithm"]["symmetry_cfg"] = {
        "data_augmentation_func": with_mirror_images, "use_data_augmentation": True,
    }  # fmt: skip
    OnPolicyRunner(env, given, None, "cpu").learn(1)


def test_ends_and_time_outs_are_distinguished() -> None:
    env = RslRlEnv("crazyflie-hover", 8, 0)
    env.episode_length_buf = torch.tensor([499, 498, 0, 0, 0, 0, 0, 499])
    observations, reward, done, extras = env.step(torch.zeros(8, 4))
    assert observations["policy"].shape == (8, env.task.observation_dim)
    assert observations["critic"].shape == (8, env.task.critic_dim)
    assert reward.shape == (8,)
    assert extras["time_outs"].tolist() == [True, False, False, False, False, False, False, True]
    assert done.tolist()[:2] == [1, 0]
    assert env.episode_length_buf.tolist()[:2] == [0, 499]
    # The critic sees the truth behind what the policy measures: no noise.
    assert not torch.equal(observations["policy"][:, :3], observations["critic"][:, :3])


def test_stopped_rotors_crash_and_a_crash_is_no_time_out() -> None:
    env = RslRlEnv("crazyflie-hover", 8, 0)
    crashes = 0
    for _ in range(80):
        _, _, done, extras = env.step(-torch.ones(8, 4))
        crashes += int(done.sum())
        assert not bool((extras["time_outs"] & (done == 0)).any())
        assert not bool(extras["time_outs"].any())
    assert crashes >= 8


def test_what_can_not_become_a_policy_graph_and_worlds_without_ages_are_refused() -> None:
    with pytest.raises(UserError, match="the environment of point keeps no episode ages"):
        RslRlEnv(point_task(), 4, 0)
    env = RslRlEnv("crazyflie-hover", 4, 0)
    with pytest.raises(UserError, match="crazyflie-hover has no mirror: its robot has no equal sides"):
        with_mirror_images(env, None, torch.zeros(4, 4))
    recurrent = settings()
    recurrent["actor"] = {**recurrent["actor"], "class_name": "RNNModel"}
    runner = OnPolicyRunner(env, recurrent, None, "cpu")
    with pytest.raises(UserError, match="only an MLP with a Gaussian can become a policy graph, got RNNModel"):
        policy_graph(runner, env.task)
