"""Our tasks as gymnasium environments: its own checkers pass, and a step returns what our environment does."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from policies.errors import UserError
from robo_rl.doors.driver import action_bounds
from robo_rl.doors.gymnasium import RobotEnv, RobotVectorEnv
from sim.tasks import TASKS, find_task
from tests.robo_rl.tiny_environment import EPISODE_STEPS, point_task


def middle(env: RobotVectorEnv) -> Any:
    return np.zeros(env.action_space.shape, np.float32)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_passes_gymnasium_s_checker(task: str) -> None:
    with gymnasium.make(f"robo_rl/{task}-v0") as env:
        # Warnings are errors here, so the checker's advice is followed, too.
        check_env(env.unwrapped)


def test_an_environment_is_found_by_the_name_of_the_module_that_registers_it() -> None:
    with gymnasium.make("robo_rl.doors.gymnasium:robo_rl/crazyflie-hover-v0") as env:
        assert env.action_space.shape == (4,)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_many_robots_are_consistent_with_their_spaces(task: str) -> None:
    env = gymnasium.make_vec(f"robo_rl/{task}-v0", num_envs=3)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=5)
    assert observation in env.observation_space
    env.action_space.seed(5)
    for _ in range(3):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert observation in env.observation_space
        assert reward.shape == terminated.shape == truncated.shape == (3,)
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, np.bool_, np.bool_)


def test_a_seed_decides_everything_that_follows() -> None:
    env = RobotVectorEnv(4, point_task())
    histories = []
    for seed in (3, 3, 4):
        rows = [env.reset(seed=seed)[0]]
        for _ in range(2 * EPISODE_STEPS):
            rows.append(env.step(middle(env))[0])
        histories.append(np.stack(rows))
    assert np.array_equal(histories[0], histories[1])
    assert not np.array_equal(histories[0], histories[2])


def test_an_episode_s_last_observation_comes_with_the_first_of_the_next() -> None:
    env = RobotVectorEnv(3, point_task())
    env.reset(seed=0)
    push = np.ones((3, 1), np.float32)
    push[1] = 0.0
    truncations = 0
    for age in range(1, EPISODE_STEPS + 1):
        observation, _, terminated, truncated, infos = env.step(push)
        done = terminated | truncated
        assert not (terminated & truncated).any()
        assert ("final_obs" in infos) == done.any()
        for world in np.flatnonzero(done):
            assert infos["_final_obs"][world]
            last = infos["final_obs"][world]
            # The pushed points leave at 2 m, with their last action in their history; they restart within 1 m.
            assert terminated[world] == (last[0] > 1.9)
            assert last[1:].tolist() == [push[world, 0]] * 2
            assert abs(observation[world, 0]) < 1.1
            assert observation[world, 1:].tolist() == [0.0, 0.0]
        if done.any():
            assert all(infos["final_obs"][world] is None for world in np.flatnonzero(~done))
        truncations += int(truncated.sum())
        assert truncated[1] == (age == EPISODE_STEPS)
    assert truncations >= 1


def test_one_robot_ends_with_its_last_observation_and_starts_anew_at_the_reset() -> None:
    env = RobotEnv(point_task())
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(np.ones(1, np.float32))
    env.reset(seed=1)
    terminated, steps = False, 0
    while not terminated:
        observation, reward, terminated, truncated, _ = env.step(np.ones(1, np.float32))
        steps += 1
        assert not truncated
        assert isinstance(reward, float)
    assert observation[0] > 1.9
    assert 5 <= steps <= 16
    assert abs(env.reset()[0][0]) < 1.1


def test_gymnasium_s_own_vectoriser_takes_the_single_robot() -> None:
    env = SyncVectorEnv([lambda: RobotEnv(point_task())] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=1)
    for _ in range(EPISODE_STEPS):
        infos = env.step(np.zeros((2, 1), np.float32))[4]
    assert infos["_final_obs"].all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"task": "hoover"}, "there is no task 'hoover'"),
        ({"render_mode": "human"}, "there is no render_mode 'human'"),
        ({"max_episode_steps": 7}, "episodes of crazyflie-hover last 500 steps; leave max_episode_steps out"),
    ],
)
def test_mistakes_are_reported_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RobotVectorEnv(**{"task": "crazyflie-hover", **arguments})


def test_actions_of_another_shape_are_refused() -> None:
    env = RobotVectorEnv(3, point_task())
    env.reset(seed=0)
    with pytest.raises(UserError, match=r"actions of point have the shape \(3, 1\), got \(3,\)"):
        env.step(np.zeros(3, np.float32))


@pytest.mark.parametrize("task", ["crazyflie-hover", "go1-velocity-flat"])
def test_an_action_that_is_no_number_is_refused_and_touches_no_world(task: str) -> None:
    env, twin = RobotVectorEnv(3, task), RobotVectorEnv(3, task)
    for one in (env, twin):
        one.reset(seed=0)
    bad = middle(env)
    bad[1, 2] = np.nan
    with pytest.raises(UserError, match="actions must be numbers, got NaN for 1 of 3 robots, first for 1"):
        env.step(bad)
    for _ in range(3):
        ours, theirs = env.step(middle(env)), twin.step(middle(twin))
        assert np.array_equal(ours[0], theirs[0]) and np.isfinite(ours[0]).all()
        assert np.array_equal(ours[1], theirs[1])


def test_an_infinite_action_is_the_largest_one() -> None:
    env, twin = RobotVectorEnv(2, "crazyflie-hover"), RobotVectorEnv(2, "crazyflie-hover")
    for one in (env, twin):
        one.reset(seed=0)
    endless, largest = middle(env), middle(env)
    endless[:, 0], largest[:, 0] = np.inf, float(action_bounds(find_task("crazyflie-hover"))[1][0])
    assert np.array_equal(env.step(endless)[0], twin.step(largest)[0])


def in_processes(context: str) -> Any:
    """Two robots, each in a process of its own, which multiprocessing starts in this way."""
    return gymnasium.make_vec("robo_rl/crazyflie-hover-v0", 2, "async", vector_kwargs={"context": context})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore")  # gymnasium reports a worker's error as a warning, too.
def test_a_fork_of_a_process_with_worlds_is_refused_and_the_way_out_named() -> None:
    RobotEnv("crazyflie-hover").reset(seed=0)
    env = in_processes("fork")
    try:
        with pytest.raises(UserError, match=r"forked from one in which worlds have lived.*'context': 'spawn'"):
            env.reset(seed=1)
    finally:
        env.close(terminate=True)


@pytest.mark.slow
def test_spawned_processes_step_a_robot_each() -> None:
    RobotEnv("crazyflie-hover").reset(seed=0)
    env = in_processes("spawn")
    try:
        env.reset(seed=1)
        observation, reward, *_ = env.step(np.zeros((2, 4), np.float32))
        assert observation.shape == (2, 146)
        assert np.isfinite(reward).all()
    finally:
        env.close()
