"""Random robot files: `robo-rl inspect` ends with code 0 or 2 and one line in each, and has MuJoCo's own masses.

`ROBOT_FILES=500 python -m pytest tests/robo_rl/cli/test_random_robot_files.py -rP` tries 500 of them in some minutes
and prints how many are MJCF and URDF, how many MuJoCo loads and how many end with which code; `FIRST_ROBOT_FILE` is the
first seed.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from robo_rl.cli.main import main
from sim.physics.mujoco.model import build_model
from sim.tasks.inspection import load
from tests.sim.robots.random_models import RandomModel

AT_ONCE = 20
FILES, FIRST = (int(os.environ.get(*default)) for default in (("ROBOT_FILES", str(AT_ONCE)), ("FIRST_ROBOT_FILE", "0")))
LONGEST = 20.0
"""Seconds that a file may take on a loaded machine; most take less than one."""


def refuses_numbers_that_are_none(word: str) -> None:
    raise AssertionError(f"{word} in the report")


def loaded(path: Path) -> mujoco.MjModel | None:
    """MuJoCo's own model of the file, None if it has none."""
    try:
        return mujoco.MjModel.from_xml_path(str(path))
    except ValueError:
        return None


def fuses(path: Path) -> bool:
    """Whether MuJoCo makes one link of those that are fixed to each other."""
    text = path.read_text()
    return 'fusestatic="true"' in text or (path.suffix == ".urdf" and 'fusestatic="false"' not in text)


def check_masses(path: Path, report: dict[str, Any], theirs: mujoco.MjModel) -> None:
    """Those of the world of the robot are those of `theirs`: in all, link by link and as the joints feel them."""
    ours = build_model(load(str(path)).robot)
    assert report["mass"] == pytest.approx(report["mujoco_mass"], rel=1e-9)
    names = {theirs.body(b).name: b for b in range(1, theirs.nbody)}
    base = report["base"].rstrip("_").removesuffix("_level")
    fused = fuses(path)
    if base in names and not (fused and path.suffix == ".urdf"):
        assert report["mass"] == pytest.approx(float(theirs.body_subtreemass[names[base]]), rel=1e-6)
    for b in range(1, ours.nbody):
        link = names.get(ours.body(b).name)
        if link is not None and not fused:
            assert ours.body_mass[b] == pytest.approx(theirs.body_mass[link], rel=1e-6, abs=1e-12)
            np.testing.assert_allclose(ours.body_inertia[b], theirs.body_inertia[link], rtol=1e-5, atol=1e-12)
            # MuJoCo may put the frame of what floats into its centre; ours stays where the file has it.
            if ours.body_mass[b] > 0.0 and "align" not in path.read_text():
                np.testing.assert_allclose(ours.body_ipos[b], theirs.body_ipos[link], atol=1e-6)
    joints = [joint for joint in report["joints"] if mujoco.mj_name2id(theirs, mujoco.mjtObj.mjOBJ_JOINT, joint) >= 0]
    if not (fused and "settotalmass" in path.read_text()):
        # A base that is fused with the world is no part of their total.
        here, there = inertias(ours, joints), inertias(theirs, joints)
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-9 + 1e-6 * np.abs(there).max())


def inertias(model: mujoco.MjModel, joints: list[str]) -> Any:
    """The inertia of the joints against each other where the file puts them [J, J], kg m^2."""
    data, dense = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_crb(model, data)
    mujoco.mj_fullM(model, data, dense)
    dofs = [int(model.joint(joint).dofadr[0]) for joint in joints]
    return dense[np.ix_(dofs, dofs)]


@pytest.mark.filterwarnings("ignore:compiler attribute")
@pytest.mark.parametrize("first", range(FIRST, FIRST + FILES, AT_ONCE))
def test_no_robot_file_ends_in_a_traceback(first: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + AT_ONCE):
        path, result = RandomModel(seed).write(tmp_path / str(seed)), tmp_path / f"{seed}.json"
        theirs, start = loaded(path), time.monotonic()
        code = main(["inspect", str(path), "--json", str(result)])
        took, printed = time.monotonic() - start, capsys.readouterr()
        counts.update((path.suffix, f"code {code}", "in MuJoCo" if theirs else "not in MuJoCo"))
        assert took < LONGEST, f"seed {seed} takes {took:.1f} s"
        if code == 2:
            assert printed.err.startswith("robo-rl: error: ") and printed.err.count("\n") == 1, (seed, printed.err)
            assert not result.exists()
            continue
        assert code == 0, (seed, printed.err)
        report = json.loads(result.read_text(), parse_constant=refuses_numbers_that_are_none)
        assert not report["hold"]["failed_worlds"] or "broke down" in " ".join(report["warnings"]), seed
        if theirs is not None:
            check_masses(path, report, theirs)
    assert counts["code 0"] >= AT_ONCE // 10 and counts["in MuJoCo"] >= AT_ONCE // 2
    print(f"seeds {first} to {seed}:", ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
