"""A robot of the user's own from the command line: in any order of flags, and without its files once it was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from robo_rl.cli.main import main
from robo_rl.training import config, runner
from robo_rl.training.robot_copy import load_copy
from robo_rl.training.tasks import task_of_run
from sim.physics.mujoco.model import build_model
from sim.robots.loading import load_robot
from sim.robots.robot import Robot
from sim.tasks.own_robot import digest_of, own_name, same_robot
from tests.sim.robots.test_own_robots import toy
from tests.sim.robots.walker import servos, walker, written

SMALL = [
    "--num-worlds", "8", "--rollout-steps", "6", "--iterations", "2", "--epochs", "1", "--minibatches", "1",
    "--actor-hidden", "8", "--critic-hidden", "8", "--update-threads", "1",
]  # fmt: skip
TETRAHEDRON = "v 0 0 0\nv 0.1 0 0\nv 0 0.1 0\nv 0 0 0.1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spec of a robot in a folder of its own, as the user names it."""
    (tmp_path / "files").mkdir()
    toy(tmp_path / "files")
    monkeypatch.chdir(tmp_path)
    return Path("files/toy.yaml")


def with_mesh(folder: Path) -> None:
    """Give the robot a mesh on its chest, in a folder beside its MJCF."""
    (folder / "meshes").mkdir()
    (folder / "meshes" / "hat.obj").write_text(TETRAHEDRON)
    text = (folder / "toy.xml").read_text()
    text = text.replace('<compiler angle="radian"/>', '<compiler angle="radian" meshdir="meshes"/>')
    text = text.replace("<asset>", '<asset><mesh file="hat.obj"/>')
    hat = '<geom name="hat" type="mesh" mesh="hat" mass="0.2"/>'
    (folder / "toy.xml").write_text(text.replace('<geom name="chest"', f'{hat}<geom name="chest"'))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def train(*words: str) -> int:
    return main(["train", *words, *SMALL])


@pytest.mark.parametrize(
    "words",
    [
        "velocity-flat --robot.spec files/toy.yaml --run-dir run --seed 3",
        "--robot.spec files/toy.yaml velocity-flat --run-dir run --seed 3",
        "--seed 3 --run-dir run --robot.spec=files/toy.yaml velocity-flat",
        "--run-dir run --robot.mjcf files/toy.xml velocity-flat --robot.spec files/toy.yaml --seed 3",
    ],
)
def test_the_order_of_task_and_flags_does_not_matter(words: str) -> None:
    assert train(*words.split()) == 0
    used = config.load(Path("run") / runner.CONFIG)
    assert used.seed == 3
    mjcf = "files/toy.xml" if "--robot.mjcf" in words else ""
    assert used.task == own_name("velocity-flat", mjcf, "files/toy.yaml")


MISTAKES = {
    "--robot.spec files/toy.yaml go1-velocity-flat": "no task 'go1-velocity-flat' takes a robot of your own",
    "go1-velocity-flat --robot.spec files/toy.yaml": "those that do: velocity-flat, velocity-rough",
    "crazyflie-hover --robot.mjcf files/toy.xml": "no task 'crazyflie-hover' takes a robot of your own",
    "velocity-flat": "velocity-flat needs a robot of your own: add --robot.mjcf FILE or --robot.spec FILE",
    "velocity-flat --robot.spec nowhere.yaml": "can't read the robot's spec",
    "--seed 3 velocity-fat": "there is no task 'velocity-fat'",
    "--robot.spec files/toy.yaml velocity-fat": "there is no task 'velocity-fat'",
    "--run-dir go1-velocity-flat": "missing: TASK",
    "velocity-flat --resume --run-dir nowhere": "nowhere holds no run to resume",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_robot_that_nothing_would_use_is_an_error(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words.split()]) == 2
    error = said(capsys)
    assert MISTAKES[words] in error
    assert error.count("\n") == 1
    assert not Path("runs").exists() and not Path("run").exists()


def test_a_run_goes_on_and_becomes_a_bundle_without_the_robot_s_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_mesh(Path("files"))
    assert train("velocity-flat", "--robot.spec", "files/toy.yaml", "--run-dir", "run") == 0
    trained = config.load(Path("run") / runner.CONFIG)
    shutil.rmtree("files")
    Path("run").rename("moved")

    assert main(["eval", "moved", "--episodes", "2", "--json", "eval.json"]) == 0
    assert json.loads(Path("eval.json").read_text())["task"] == "toy-velocity-flat"
    assert main(["train", "--resume", "--run-dir", "moved"]) == 0
    assert main(["train", "velocity-flat", "--resume", "--run-dir", "moved"]) == 0
    assert main(["export", "moved", "--out", "bundle", "--episodes", "2"]) == 0
    shutil.rmtree("moved")

    assert main(["verify", "bundle"]) == 0
    assert main(["eval", "bundle", "--episodes", "2"]) == 0
    settings = ("--backend", "mujoco-hard", "--robots", "2", "--seconds", "1", "--json", "sim2sim.json")
    assert main(["sim2sim", "bundle", *settings]) in (0, 1)
    assert json.loads(Path("sim2sim.json").read_text())["task"] == "toy-velocity-flat"
    simulated: list[Robot] = []
    monkeypatch.setattr("real.simulated.legged.run", lambda robot, settings: simulated.append(robot))
    assert main(["robot", "bundle"]) == 0
    assert simulated[0].name == "toy"
    # A bundle that holds the robot can be replaced by another one.
    assert digest_of(trained.task) == load_copy(Path("bundle")).digest

    with (tmp_path / "bundle/robot/robot.xml").open("a") as file:
        file.write("<!-- changed -->")
    capsys.readouterr()
    assert main(["eval", "bundle", "--episodes", "2"]) == 2
    assert "bundle/robot/robot.xml was changed since it was written" in said(capsys)


def test_the_copy_is_the_robot_as_it_was_trained(tmp_path: Path) -> None:
    with_mesh(Path("files"))
    own = load_robot(spec="files/toy.yaml")
    model = build_model(own.robot)
    assert train("velocity-flat", "--robot.spec", "files/toy.yaml", "--run-dir", "run") == 0
    shutil.rmtree("files")
    copy = load_copy(Path("run"))
    for name in (
        "name",
        "base",
        "joints",
        "stiffness",
        "damping",
        "torque_limit",
        "joint_low",
        "parts",
        "contacts",
        "imu",
        "passive",
    ):
        assert getattr(copy.robot, name) == getattr(own.robot, name), name
    assert (copy.gait, copy.foot_height, copy.digest) == (own.gait, own.foot_height, own.digest)
    kept = build_model(copy.robot)
    for name in ("body_mass", "body_inertia", "geom_pos", "geom_size", "mesh_vert", "jnt_range"):
        assert np.array_equal(getattr(model, name), getattr(kept, name)), name


def test_another_robot_can_not_go_on_with_a_run(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("velocity-flat", "--robot.spec", str(spec), "--run-dir", "run") == 0
    # The same files elsewhere are the same robot.
    shutil.copytree("files", "elsewhere")
    assert main(["train", "velocity-flat", "--robot.spec", "elsewhere/toy.yaml", "--resume", "--run-dir", "run"]) == 0
    toy(Path("elsewhere"), stiffness=60)
    capsys.readouterr()
    assert main(["train", "velocity-flat", "--robot.spec", "elsewhere/toy.yaml", "--resume", "--run-dir", "run"]) == 2
    assert "task is 'velocity-flat@" in said(capsys)
    Path("run/robot/robot.json").write_text("{}")
    assert main(["eval", "run", "--episodes", "2"]) == 2
    assert "run/robot is damaged" in said(capsys)


def test_a_run_without_a_copy_reads_the_robot_s_files(spec: Path) -> None:
    """As runs of earlier versions do."""
    assert train("velocity-flat", "--robot.spec", str(spec), "--run-dir", "run") == 0
    shutil.rmtree("run/robot")
    task = task_of_run(Path("run"), config.load(Path("run") / runner.CONFIG))
    assert task.name == "toy-velocity-flat"
    assert main(["eval", "run", "--episodes", "2"]) == 0


def test_a_run_of_an_earlier_version_goes_on_with_the_robot_s_files(spec: Path) -> None:
    """Its name has the digest of the time when only the file itself counted."""
    assert train("velocity-flat", "--robot.spec", str(spec), "--run-dir", "run") == 0
    shutil.rmtree("run/robot")
    text = (Path("run") / runner.CONFIG).read_text()
    now, earlier = load_robot(spec=str(spec)).digests
    assert now in text and now != earlier
    (Path("run") / runner.CONFIG).write_text(text.replace(now, earlier))
    reach = ["--resume", "--run-dir", "run"]
    assert main(["train", "velocity-flat", "--robot.spec", str(spec), *reach]) == 0
    assert main(["train", *reach]) == 0


def test_what_is_derived_is_said_and_kept_in_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    motors = servos('<motor joint="{0}" ctrlrange="-30 30"/>')
    dog = written(tmp_path / "files", walker(actuator=motors, keys="", more='<option gravity="0 0 -1"/>'))
    assert train("velocity-flat", "--robot.mjcf", dog, "--run-dir", "run") == 0
    shown = capsys.readouterr().out
    own = load_copy(Path("run"))
    for words in ("derived for a natural frequency", "the stance is derived", "gravity 0 0 -1"):
        line = next(line for line in shown.splitlines() if words in line)
        assert line.startswith("robot dog: ") and line.removeprefix("robot dog: ") in own.warnings
    assert "robot dog: 64 of 64 robots hold the derived stance for 1 s" in shown
    assert own.sources["stiffness"] == ("derived",) * 12
    assert min(own.robot.stiffness) > 0.0


def test_a_run_that_can_not_start_leaves_no_copy(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("velocity-flat", "--robot.spec", str(spec), "--run-dir", "run", "--blocks", "3")
    assert train(*words) == 2
    assert "don't divide" in said(capsys)
    assert not Path("run").exists()


def test_names_tell_robots_apart_wherever_their_files_are() -> None:
    one, other = "velocity-flat@@/a/b.yaml#123456789abc", "velocity-flat@/c.xml@/d/b.yaml#123456789abc"
    assert same_robot(one, other)
    assert not same_robot(one, other.replace("#1", "#2"))
    assert not same_robot(one, other.replace("-flat", "-rough"))
    assert not same_robot("velocity-flat@@/a/b.yaml", "velocity-flat@@/a/b.yaml")


@pytest.mark.parametrize("words", ["velocity-flat --help", "--help velocity-rough", "--resume --help"])
def test_the_help_needs_no_robot(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", *words.split()])
    assert "--robot.spec" in capsys.readouterr().out
