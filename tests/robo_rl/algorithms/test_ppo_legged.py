"""A walking task under PPO: mirror images, curricula in checkpoints, worlds in blocks."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from policies.errors import UserError
from policies.graph.symmetry import SignalMirror, SignedPermutation
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from sim.tasks import find_task
from tests.robo_rl.equality import assert_equal

SMALL = PpoConfig(
    num_worlds=8, rollout_steps=6, epochs=2, minibatches=2, symmetry="augment", activation="elu",
    actor_hidden=(16,), critic_hidden=(16,),
)  # fmt: skip


@pytest.mark.parametrize("name", ["h1-velocity-flat", "go1-velocity-rough"])
def test_resumed_equals_uninterrupted_with_its_curriculum(name: str) -> None:
    task = find_task(name)
    straight, first = PpoTrainer(SMALL, task, 1), PpoTrainer(SMALL, task, 1)
    metrics = [straight.iterate() for _ in range(4)]
    for _ in range(2):
        first.iterate()
    second = PpoTrainer(SMALL, task, 999)
    second.load_state_dict(first.state_dict())
    resumed = [second.iterate() for _ in range(2)]
    assert_equal(straight.state_dict(), second.state_dict())
    assert resumed == metrics[2:]
    # What the environment reports is among the metrics.
    curriculum = "command_range" if name == "h1-velocity-flat" else "terrain_level"
    assert curriculum in metrics[0] and "reward/track_yaw" in metrics[0]
    assert ("terrain_level" in metrics[0]) == (name == "go1-velocity-rough")


def test_blocks_draw_for_themselves_and_learn_together() -> None:
    task = find_task("h1-velocity-flat")
    trainer = PpoTrainer(dataclasses.replace(SMALL, blocks=2), task, 1)
    metrics = trainer.iterate()
    assert metrics["skipped_minibatches"] == 0.0
    blocks = trainer.state_dict()["blocks"]
    assert [len(block["sensors"]["orientation"]) for block in blocks] == [4, 4]
    assert not torch.equal(blocks[0]["sensors"]["orientation"], blocks[1]["sensors"]["orientation"])
    assert metrics["command_range"] == PpoTrainer(SMALL, task, 1).iterate()["command_range"]


def test_a_mirror_that_forgets_to_swap_the_legs_is_refused() -> None:
    task = find_task("go1-velocity-flat")
    assert task.mirror is not None
    joints = task.mirror.action
    unswapped = SignedPermutation(tuple(range(joints.dim)), joints.sign)
    sensors = {**task.mirror.sensors, "joint_position": unswapped}
    wrong = dataclasses.replace(task, mirror=SignalMirror(sensors, joints, task.mirror.truth))
    # The stance of an unswapped robot is another one.
    with pytest.raises(UserError, match=r"of the observation, Deviation.*no counterpart in the mirror"):
        PpoTrainer(SMALL, wrong, 1)
    wrong = dataclasses.replace(task, mirror=SignalMirror(task.mirror.sensors, unswapped, task.mirror.truth))
    with pytest.raises(UserError, match="of command joint_position_target has no counterpart in the mirror"):
        PpoTrainer(SMALL, wrong, 1)


def test_blocks_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="8 worlds don't divide into 3 equal blocks"):
        PpoTrainer(dataclasses.replace(SMALL, blocks=3), find_task("go1-velocity-flat"), 1)
