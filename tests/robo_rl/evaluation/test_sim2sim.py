"""A bundle that stands, in both engines; and what sim2sim refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deploy.bundle.reader import Bundle, load_bundle
from deploy.export.exporter import export_bundle
from policies.errors import UserError
from policies.signals import Commands, Sensors, Truth
from robo_rl.cli.main import main
from robo_rl.evaluation.sim2sim import (
    MEASURES,
    Comparison,
    Settings,
    Walk,
    _Tally,
    command_schedule,
    compare,
    legged_world,
)
from robo_rl.evaluation.yaw import Stride
from robo_rl.workflows.export import visit
from sim.tasks import find_task
from tests.robo_rl.open_loop_trot import trot
from tests.robo_rl.short_task import shorter

TASK = "go1-velocity-flat"


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose action is always 0: the robot holds its stance."""
    task = find_task(TASK)
    network = nn.Linear(task.observation_dim, task.action.dim)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    graph = task.policy_graph(network)
    out = tmp_path_factory.mktemp("standing") / "bundle"
    episode = visit(graph, shorter(task, 100))
    export_bundle(
        graph,
        episode,
        out,
        name="standing",
        task=TASK,
        kind=task.kind,
        safety=task.safety,
        provenance={},
        evaluation={},
    )
    return load_bundle(out)


def test_a_standing_bundle_stands_in_both_engines_and_the_report_says_so(
    standing: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    assert main(["sim2sim", str(standing.path), "--robots", "2", "--seconds", "2", "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    for engine in ("mujoco", "pybullet"):
        assert result[engine]["fall_rate"] == 0.0
        assert result[engine]["base_height"] == pytest.approx(0.265, abs=0.02)
        assert result[engine]["tilt"] < 0.1
    assert result["ratio"]["velocity_error"] == pytest.approx(1.0, abs=0.1)
    assert result["ratio"]["torque_rms"] == pytest.approx(1.0, abs=0.15)
    assert result["bar"]["fall_rate"]["holds"] and result["bar"]["velocity_error_ratio"]["holds"]
    out, err = capfd.readouterr()
    assert "pybullet build time" not in out + err
    assert all(measure.replace("_", " ") in out for measure in MEASURES)


def test_the_banner_of_pybullet_reaches_nobody() -> None:
    code = "from sim.physics.pybullet.library import load; load(); print('mine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("mine\n", "")


def test_both_engines_start_alike_and_are_asked_for_the_same() -> None:
    task, settings = find_task(TASK), Settings(robots=3, seconds=12.0)
    worlds = [legged_world(task, settings, backend) for backend in ("mujoco", "pybullet")]
    (first, _), (second, _) = (world.reset() for world, _ in worlds)
    for name in ("orientation", "angular_velocity", "joint_position", "joint_velocity"):
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=0.0)
    schedule = command_schedule(task, settings)
    assert schedule.shape == (601, 3, 3)
    assert torch.equal(schedule, command_schedule(task, settings))
    changes = (schedule[1:] - schedule[:-1]).abs()
    assert bool((changes.amax((0, 1)) <= torch.tensor([3.0, 3.0, 8.0]) * task.period + 1e-6).all())
    # Each command is held for 5 to 10 s once it is reached, which takes a second at most.
    at_rest = (changes == 0.0).all(-1).float().mean(0)
    assert bool((at_rest > 0.75).all()) and bool((at_rest < 1.0).all())


def test_a_trotting_robot_moves_alike_where_contacts_are_alike() -> None:
    """Mean velocities within 0.08 m/s and torques within 5 %, over two seconds of an open-loop trot.

    MuJoCo's contacts are made nearly as hard as Bullet's here: what is left in common is the whole model of the robot.
    """
    commands = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.4, 0.0]])
    found = [trotting(backend, commands) for backend in ("mujoco-hard", "pybullet")]
    torch.testing.assert_close(found[0][0], found[1][0], atol=0.08, rtol=0.0)
    torch.testing.assert_close(found[0][1], found[1][1], atol=0.0, rtol=0.05)


def trotting(backend: str, command: Tensor) -> tuple[Tensor, Tensor]:
    """Mean velocity [N, 2] m/s forward and left, and RMS torque [N] Nm, over the last two of three seconds."""
    task, settings = find_task(TASK), Settings(robots=len(command))
    world, scenario = legged_world(task, settings, backend)
    graph = trot()
    sensors, state = world.reset()[0], graph.initial_state(len(command))
    velocities, torques = [], []
    for t in range(150):
        targets, state = graph(Sensors({**sensors, "velocity_command": command}), state)
        scenario.commands.hold(torch.arange(len(command)), command)
        step = world.step(targets)
        assert not step.terminated.any()
        sensors, truth = step.sensors, step.truth
        if t >= 50:
            velocities.append(truth["linear_velocity"][:, :2])
            torques.append(truth["joint_torque"].square().mean(-1))
    return torch.stack(velocities).mean(0), torch.stack(torques).mean(0).sqrt()


def truth(**given: object) -> Truth:
    values = {
        "linear_velocity": [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        "angular_velocity": [[0.0, 0.0, 0.2], [0.0, 0.0, 0.0]],
        "velocity_command": [[0.7, 0.4, 0.0], [0.0, 0.0, 0.0]],
        "base_height": [[0.3], [0.2]],
        "gravity": [[0.0, 0.0, -1.0]] * 2,
        "joint_torque": [[3.0, 4.0], [0.0, 0.0]],
        "joint_velocity": [[2.0, -1.0], [0.0, 0.0]],
        "foot_contact": [[True, False]] * 2,
        **given,
    }
    return Truth({name: torch.tensor(value) for name, value in values.items()})


def test_measures_are_what_they_say_and_end_with_a_fall() -> None:
    tally, none = _Tally(2, 0.02, Stride(2, 0.02, True)), torch.tensor([False, False])
    still, moved = (Commands({"joint_position_target": torch.full((2, 2), v)}) for v in (0.0, 0.1))
    tally.add(truth(), still, none)
    tally.add(truth(foot_contact=[[True, True]] * 2), moved, torch.tensor([False, True]))
    wild = torch.tensor([[0.3], [float("nan")]]).tolist()
    tally.add(truth(base_height=wild, joint_torque=[[3.0, 4.0], [1e9, 1e9]]), moved, none)
    found = tally.measures()
    assert found["fall_rate"].tolist() == [0.0, 1.0]
    assert found["velocity_error"].tolist() == pytest.approx([0.5, 0.0])
    assert found["yaw_rate_error"].tolist() == pytest.approx([0.2, 0.0])
    assert found["yaw_error_stride_mean"].tolist() == pytest.approx([0.2, 0.0])
    assert found["yaw_swing"].tolist() == found["standing_yaw_error"].tolist() == [0.0, 0.0]
    assert found["base_height"].tolist() == pytest.approx([0.3, 0.2])
    assert found["torque_rms"].tolist() == pytest.approx([12.5**0.5, 0.0])
    assert found["torque_peak"].tolist() == pytest.approx([4.0, 0.0])
    assert found["power"].tolist() == pytest.approx([10.0, 0.0])
    assert found["action_rate"][0] == pytest.approx(5.0 / 3.0**0.5)
    assert found["air_time"].tolist() == pytest.approx([0.02, 0.02])
    assert found["duty_factor"][0] == pytest.approx(2.0 / 3.0)


@pytest.mark.parametrize(
    ("falls", "error", "holds"), [(0.05, 0.15, (True, True)), (0.1, 0.15, (False, True)), (0.0, 0.16, (True, False))]
)
def test_the_bar_is_falls_and_the_ratio_of_errors(falls: float, error: float, holds: tuple[bool, bool]) -> None:
    def walk(falls: float, error: float) -> Walk:
        values = {measure: torch.ones(20).numpy().astype("float64") for measure in MEASURES}
        values["fall_rate"] *= 0.0
        values["fall_rate"][: round(20 * falls)] = 1.0
        values["velocity_error"] *= error
        return Walk(values)

    result = Comparison(TASK, Settings(), walk(0.0, 0.1), walk(falls, error - 1e-9))
    assert (result.falls_hold, result.error_holds) == holds
    assert result.summary()["bar"]["fall_rate"]["holds"] == holds[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--backend", "bulet"], "backend must be one of mujoco-hard, pybullet, got 'bulet'"),
        (["--robots", "0"], "robots must be at least 1, got 0"),
        (["--seconds", "nan"], "seconds must be at least 1.0, got nan"),
    ],
)
def test_mistakes_get_one_line(
    standing: Bundle, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim2sim", str(standing.path), *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_missing_pybullet_is_named_with_its_extra(
    standing: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pybullet", None)
    monkeypatch.setattr("sim.physics.pybullet.library.load", missing)
    assert main(["sim2sim", str(standing.path), "--robots", "1", "--seconds", "1"]) == 2
    assert "pybullet is not installed; it comes with: pip install 'robo-rl[sim2sim]'" in capsys.readouterr().err


def missing() -> None:
    raise ModuleNotFoundError("No module named 'pybullet'", name="pybullet")


@pytest.mark.parametrize("task", ["crazyflie-hover", "go1-velocity-rough"])
def test_only_walking_on_flat_ground_is_compared(task: str) -> None:
    with pytest.raises(UserError, match="sim2sim"):
        legged_world(find_task(task), Settings(robots=1), "pybullet")


def test_progress_reaches_the_end(standing: Bundle) -> None:
    progress: dict[str, float] = {}
    report: Callable[[str, float], None] = progress.__setitem__
    compare(standing, find_task(TASK), Settings(robots=1, seconds=1.0), report)
    assert progress == {"mujoco": 1.0, "pybullet": 1.0}
