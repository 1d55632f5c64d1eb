"""A run of a robot whose IMU is turned: its ONNX and its C take the IMU's own readings, and act as for any other."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.bundle.reader import load_bundle
from deploy.bundle.runtime import PolicySession
from policies.signals import Commands, Sensors
from policies.terms.rotation import right_product, turning
from robo_rl.cli.main import main
from robo_rl.training import runner
from sim.robots.legs import Legs
from sim.tasks.inspection import load
from sim.tasks.own_robot import task_for
from tests.robo_rl.cli.test_own_robot_runs import SMALL
from tests.sim.robots.walker import TRUNK, walker, written

SITE = '<site name="imu" pos="0.05 0 0.03" quat="0.8 0.36 0.48 0"/>'
MAIN = '#include "policy.h"\nint main(void) { return policy_selftest() == 0u ? 0 : 1; }\n'


def readings(task: Any, steps: int) -> Sensors:
    """What 8 robots measure after some steps in their stance."""
    environment = task.make_environment(8, 3, imperfections=0.0)
    sensors, _ = environment.reset()
    stance = torch.tensor(task.robot.part(Legs).stance).repeat(8, 1)
    for _ in range(steps):
        sensors = environment.step(Commands({"joint_position_target": stance})).sensors
    return Sensors(dict(sensors))


def test_onnx_and_c_turn_the_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turned = written(tmp_path / "turned", walker(trunk=TRUNK + SITE))
    assert main(["train", "velocity-flat", "--robot.mjcf", turned, "--run-dir", "run", *SMALL]) == 0
    assert main(["export", "run", "--out", "bundle", "--episodes", "2"]) == 0
    assert main(["verify", "bundle"]) == 0
    bundle = load_bundle(Path("bundle"))
    imu = bundle.manifest.safety.imu
    assert imu == pytest.approx((0.8, 0.36, 0.48, 0.0))

    graph = runner.load_trained(Path("run")).graph
    task = task_for("velocity-flat", load(written(tmp_path / "plain", walker(trunk=TRUNK))))
    plain = task.policy_graph(graph.network, normalizer=graph.normalizer).eval()
    measured = readings(task, 9)
    with torch.no_grad():
        wanted, _ = plain(measured, plain.initial_state(8))

    assert imu is not None
    own = {name: value.clone() for name, value in measured.items()}
    own["orientation"] = own["orientation"] @ right_product(imu).T
    for name in ("angular_velocity", "linear_acceleration"):
        own[name] = own[name] @ turning(imu).T
    session = PolicySession(Path("bundle/policy.onnx").read_bytes(), bundle.manifest)
    arrays = {name: value.numpy() for name, value in own.items()}
    given, _ = session.evaluate(arrays, session.initial_state(8))
    target = wanted["joint_position_target"].numpy()
    assert float(np.ptp(target)) > 0.1
    np.testing.assert_allclose(given["joint_position_target"], target, atol=2e-5)
    # Readings that nobody turns give something else.
    other, _ = session.evaluate({n: v.numpy() for n, v in measured.items()}, session.initial_state(8))
    assert float(np.abs(other["joint_position_target"] - target).max()) > 1e-3

    # The C computes what the golden episode says, which is of the ONNX.
    assert main(["codegen", "bundle", "c"]) == 0
    Path("main.c").write_text(MAIN)
    sources = ["main.c", "c/policy.c", "c/policy_selftest.c"]
    subprocess.run(["gcc", "-std=c99", "-O2", "-ffp-contract=off", "-Ic", *sources, "-o", "c/test"], check=True)
    assert subprocess.run(["c/test"], check=False).returncode == 0
