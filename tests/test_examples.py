"""The worked examples of docs/adding.md: what stands in docs/examples runs, with the one line that the page names."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from deploy.bundle.reader import load_bundle
from policies.errors import UserError
from policies.signals import Commands
from real.contract.robot import LinkDown
from real.control.session import SessionSettings, run_session
from real.missions.options import WalkOptions
from real.missions.walk import WalkTimes
from robo_rl.algorithms.registry import ALGORITHMS
from robo_rl.cli.main import main
from sim.physics.backends import BACKENDS, make_physics
from sim.physics.world import WorldSpec
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.tasks import TASKS, find_task
from tests.datagram_robot import DatagramGo1
from tests.e2e.standing_policy import export_stance
from tests.robo_rl.tiny_environment import point_task

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own folder, with the examples importable."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)


def example(name: str) -> ModuleType:
    return import_module(name)


def test_the_page_names_every_example() -> None:
    page = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert files and {name for name in files if f"(examples/{name})" not in page} == set()


def test_a_robot_stands_in_its_stance_and_has_all_that_training_needs() -> None:
    task = find_task(f"{EXAMPLES / 'my_robot.py'}:TASK")
    assert task.robot is not None
    legs = task.robot.part(Legs)
    environment = task.make_environment(4, 0, imperfections=0.0)
    environment.reset()
    stance = Commands({"joint_position_target": torch.tensor([legs.stance] * 4)})
    for _ in range(100):
        step = environment.step(stance)
        assert not step.terminated.any()
    assert float(step.truth["base_height"].min()) > 0.9 * legs.stand_height
    small = [
        "--num-worlds",
        "8",
        "--rollout-steps",
        "4",
        "--iterations",
        "1",
        "--minibatches",
        "1",
        "--symmetry",
        "loss",
    ]
    assert main(["train", f"{EXAMPLES / 'my_robot.py'}:TASK", *small, "--run-dir", "run"]) == 0


def test_an_algorithm_goes_on_where_its_state_was_taken() -> None:
    module = example("my_algorithm")
    config = module.EvolutionConfig(num_worlds=8, rollout_steps=3)
    one, other = (module.EvolutionTrainer(config, point_task(), seed, "cpu") for seed in (0, 1))
    one.iterate()
    other.load_state_dict(one.state_dict())
    assert other.iterate() == one.iterate()


def test_an_algorithm_learns_and_its_policy_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "point", point_task())
    monkeypatch.setitem(ALGORITHMS, "evolution", example("my_algorithm").ENTRY)
    arguments = ["train", "point", "--algorithm", "evolution", "--num-worlds", "128", "--rollout-steps", "20"]
    assert main([*arguments, "--iterations", "30", "--run-dir", "run"]) == 0
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    # The reward is at most 1 a step; an untrained policy stays where it starts, about 1 m off.
    assert lines[-1]["return"] > lines[0]["return"] + 5.0
    assert main(["eval", "run", "--episodes", "16"]) == 0


def test_a_backend_steps_as_mujocos_own_batch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "serial", example("my_backend").make)
    world, everyone = WorldSpec(GO1, 0.02), torch.ones(3, dtype=torch.bool)
    ours, theirs = make_physics("serial", world, 3), make_physics("mujoco", world, 3)
    stance = torch.tensor([GO1.part(Legs).stance] * 3)
    start = torch.tensor(ours.model.qpos0).repeat(3, 1)
    start[:, 2] = GO1.part(Legs).stand_height + torch.tensor([0.0, 0.1, 0.2])
    start[:, 7:] = stance
    for physics in (ours, theirs):
        physics.write(everyone, start, torch.zeros_like(physics.qvel), stance)
        for k in range(10):
            physics.wrench[1, 0] = 20.0 if k < 3 else 0.0
            physics.step(stance + 0.1 * (k % 2))
    torch.testing.assert_close(ours.qpos, theirs.qpos, atol=1e-9, rtol=0.0)
    position = ours.columns("base_position")
    torch.testing.assert_close(ours.values[:, position], theirs.values[:, position], atol=1e-6, rtol=0.0)
    saved = ours.snapshot()
    ours.step(stance)
    after = ours.qpos.clone()
    ours.restore(saved)
    ours.step(stance)
    assert torch.equal(ours.qpos, after)


def test_a_task_runs_in_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "serial", example("my_backend").make)
    task = find_task("go1-velocity-flat")
    task = replace(task, backends=(*task.backends, "serial"))
    environment = task.make_environment(2, 0, imperfections=0.0, backend="serial")
    sensors, _ = environment.reset()
    assert float(sensors["orientation"].norm(dim=-1).max()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.realtime
def test_a_driver_lets_a_robot_stand_up_stand_and_lie_down(tmp_path: Path) -> None:
    module = example("my_driver")
    export_stance(tmp_path / "bundle", "go1-velocity-flat")
    bundle = load_bundle(tmp_path / "bundle")
    with DatagramGo1() as peer:
        robot = module.DatagramRobot(peer.address, module.JOINTS)
        quick = WalkTimes(stand=1.0, settle=0.2, halt=0.4, lie=1.0)
        mission = WalkOptions(command=(0.0, 0.0, 0.0), times=quick).mission(bundle.manifest, robot, 2.0)
        report = run_session(bundle, robot, mission, SessionSettings())
        assert report.success, report.outcome
        assert report.commands_sent > 100
        assert peer.body.lies


@pytest.mark.realtime
def test_a_driver_drops_commands_of_old_readings_and_after_a_stop() -> None:
    module = example("my_driver")
    with DatagramGo1() as peer:
        robot = module.DatagramRobot(peer.address, module.JOINTS)
        robot.connect(5.0)
        old = robot.read()
        command = {"joint_position_target": np.array(GO1.part(Legs).stance)}
        robot.write(command, robot.read())
        peer.silent = True
        time.sleep(0.3)
        assert robot.link().heartbeat_age > 0.2
        with pytest.raises(LinkDown, match="too old"):
            robot.write(command, old)
        peer.silent = False
        time.sleep(0.2)
        robot.stop()
        with pytest.raises(LinkDown, match="asked to stop"):
            robot.write(command, robot.read())
        robot.close()


def test_a_driver_refuses_a_bundle_with_another_order_of_joints(tmp_path: Path) -> None:
    export_stance(tmp_path / "bundle", "go1-velocity-flat")
    bundle = load_bundle(tmp_path / "bundle")
    robot = example("my_driver").DatagramRobot(("127.0.0.1", 9), tuple(reversed(GO1.joints)))
    mission = WalkOptions(command=(0.0, 0.0, 0.0)).mission(bundle.manifest, robot, 2.0)
    with pytest.raises(UserError, match="labels"):
        run_session(bundle, robot, mission, SessionSettings())
    robot.close()
