"""Called several times a control period: the C holds its states as the runtime on onnxruntime does, bit for bit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from deploy.bundle.manifest import Manifest
from deploy.bundle.runtime import PolicyRuntime, PolicySession
from deploy.codegen.generate import design_of
from deploy.mcu.emulator import run_on_m4f
from policies.specs import StateSpec
from tests.deploy.codegen.conftest import InC, in_c
from tests.deploy.codegen.harness import STRICT, Floats, Model, files, floats_out, manifest_of, same_bits, step_all
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu

STATES = (
    StateSpec("actions", 6, (0.0,) * 6, between="mean"),
    StateSpec("integral", 2, (0.25, -0.25), between="mean"),
    StateSpec("seen", 4, (0.0,) * 4, between="first"),
)


def exact() -> tuple[bytes, Manifest]:
    """A policy whose every operation is one rounding, so that onnxruntime and C can't differ: a history of three
    actions, an integral of the sensor, and the last two sensor readings."""
    m = Model()
    x = m.input("batch", 2, name="x")
    actions, integral, seen = (m.input("batch", state.dim, name=f"state.{state.name}") for state in STATES)

    def tail(value: str, start: int) -> str:
        return m.node("Slice", value, *(m.constant([v], np.int64) for v in (start, 2**62, 1)))

    fresh = m.node("Add", m.node("Sub", x, m.node("Mul", tail(actions, 4), m.constant(0.3))), integral)
    action = m.node("Clip", m.node("Add", fresh, tail(seen, 2)), m.constant(-1.0), m.constant(1.0))
    m.output(m.node("Mul", action, m.constant([3.0, 7.0])), "push", ("batch", 2))
    step = m.node("Add", integral, m.node("Mul", x, m.constant(0.01)))
    for state, value in zip(
        STATES, [("Concat", tail(actions, 2), action), ("", step), ("Concat", tail(seen, 2), x)], strict=True
    ):
        joined = m.node(value[0], *value[1:], axis=1) if value[0] else value[1]
        m.output(joined, f"next_state.{state.name}", ("batch", state.dim))
    return m.build(), manifest_of({"x": 2}, {"push": 2}, STATES, limit=1e6)


def recorded(steps: int = 60) -> tuple[Floats, list[int]]:
    """Sensors, and resets also in the middle of a period."""
    rows = np.random.default_rng(2).normal(size=(steps, 2)).astype(np.float32)
    return rows, [int(step in (0, 23, 24, 41)) for step in range(steps)]


def by_onnxruntime(model: bytes, manifest: Manifest, substeps: int) -> Floats:
    """Status, commands and held state of every call."""
    policy = PolicyRuntime(PolicySession(model, manifest), substeps)
    found = []
    for row, reset in zip(*recorded(), strict=True):
        if reset:
            policy.reset()
        command = policy.step({"x": row})["push"]
        found.append(np.concatenate([[0.0], command, *(policy.state[state.name] for state in STATES)]))
    return np.array(found, np.float32)


@needs_gcc
@pytest.mark.parametrize("substeps", [1, 2, 5, 10])
def test_the_c_holds_its_states_as_the_runtime_does(substeps: int) -> None:
    model, manifest = exact()
    texts = files(design_of(model, manifest, substeps=substeps))
    found = step_all(texts, manifest, *recorded(), flags=("-O2", *STRICT))
    assert same_bits(found, by_onnxruntime(model, manifest, substeps))


@needs_gcc
def test_one_call_a_period_is_the_plain_policy() -> None:
    model, manifest = exact()
    once = files(design_of(model, manifest))
    assert "pooled" not in once["policy.c"] + once["policy.h"]
    assert once == files(design_of(model, manifest, substeps=1))


@needs_arm
@needs_qemu
def test_the_emulated_m4f_holds_them_too() -> None:
    model, manifest = exact()
    rows, what = recorded()
    cases = np.concatenate([np.array(what, np.float32)[:, None], rows], axis=1)
    found = run_on_m4f(files(design_of(model, manifest, substeps=5)), cases, floats_out(manifest))
    assert same_bits(found.outputs, by_onnxruntime(model, manifest, 5))


@needs_gcc
def test_a_bad_sensor_is_no_call_of_the_period() -> None:
    model, manifest = exact()
    texts = files(design_of(model, manifest, substeps=3))
    rows, what = recorded()
    at = [4, 5, 17]
    broken = np.insert(rows, at, np.nan, axis=0)
    found = step_all(texts, manifest, broken, list(np.insert(what, at, 0)))
    bad = np.isnan(broken).any(axis=1)
    assert bad.sum() == 3
    assert (found[bad, 0] == 1.0).all()
    assert same_bits(found[~bad], by_onnxruntime(model, manifest, 3))


@needs_gcc
def test_a_bundle_at_five_times_its_rate(hover: InC, tmp_path: Path) -> None:
    faster = in_c(hover.bundle.path, tmp_path / "c", rate=500.0)
    assert faster.report.substeps == 5
    assert re.search(r"#define POLICY_SUBSTEPS 5u", faster.files["policy.h"])
    policy = hover.bundle.policy.with_substeps(5)
    rows = np.repeat(hover.sensors[:12], 5, axis=0)
    found = step_all(faster.texts, hover.bundle.manifest, rows, [1] + [0] * 59, flags=("-O2", *STRICT))
    wanted = [policy.step({"position": row[:3], "orientation": row[3:]})["rotor_speed"] for row in rows]
    assert np.abs(found[:, 1:5] - np.stack(wanted)).max() <= 5e-6 * 2272.6
    assert step_all(faster.texts, hover.bundle.manifest, rows[:1], [2])[0, 0] == 0.0
    assert faster.report.state_bytes == 4 * (2 * 12 + 1)
