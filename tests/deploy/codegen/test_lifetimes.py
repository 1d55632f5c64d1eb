"""Memory within a step: what the next state keeps of a long vector does not hold all of it, and is right."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.bundle.manifest import Manifest
from deploy.codegen.generate import design_of
from deploy.codegen.ir import Map
from deploy.codegen.sources import Design
from policies.specs import StateSpec
from tests.deploy.codegen.harness import Floats, Model, files, manifest_of, session, step_all
from tests.mcu_tools import needs_gcc

FRESH, PAST, OUT = 10, 40, 4
OBSERVATION = FRESH + PAST


def history(kept: int) -> tuple[bytes, Manifest]:
    """A layer over fresh values and past ones, of which the next past gets the first `kept` of them all."""
    m, random = Model(), np.random.default_rng(5)
    x, past = m.input("batch", FRESH, name="x"), m.input("batch", PAST, name="state.past")
    seen = m.node("Concat", x, past, axis=1)
    clipped = m.node("Clip", m.node("Mul", seen, m.constant([0.5])), m.constant(-1.0), m.constant(1.0))
    weight = random.normal(size=(OBSERVATION, OUT)).astype(np.float32)
    m.output(m.node("Gemm", clipped, m.constant(weight)), "y", (1, OUT))
    ends = [m.constant(np.array([k], np.int64), np.int64) for k in (0, kept, PAST)]
    following = m.node("Slice", seen, ends[0], ends[1], axis(m))
    if kept < PAST:
        m.node("Concat", m.node("Slice", past, ends[1], ends[2], axis(m)), following, axis=1)
    # The node's own output is the graph's, as an exporter writes it.
    m.nodes[-1].output[0] = "next_state.past"
    m.outputs.append("next_state.past")
    return m.build(), manifest_of({"x": FRESH}, {"y": OUT}, [StateSpec("past", PAST, (0.25,) * PAST, between="first")])


def axis(m: Model) -> str:
    return m.constant(np.array([1], np.int64), np.int64)


def copies(design: Design) -> list[str]:
    """The states of which something is copied out early."""
    maps = (s for s in design.program.statements if isinstance(s, Map))
    return [s.target.buffer.name for s in maps if s.target.buffer.name.startswith("kept")]


@needs_gcc
@pytest.mark.parametrize(("kept", "copied"), [(FRESH, True), (PAST, False)])
def test_a_long_vector_makes_place_for_what_follows(kept: int, copied: bool) -> None:
    data, manifest = history(kept)
    design = design_of(data, manifest)
    assert copies(design) == ["kept_past"] * copied
    # The layer's input is written over the vector itself where that is not kept.
    assert design.layout.size == (OBSERVATION + kept if copied else 2 * OBSERVATION) + OUT
    sensors = np.random.default_rng(6).normal(size=(9, FRESH)).astype(np.float32)
    found = step_all(files(design), manifest, sensors, [1, 0, 0, 0, 1, 0, 0, 0, 0])
    y, past = expected(data, sensors)
    np.testing.assert_allclose(found[:, 1 : 1 + OUT], y, atol=2e-6)
    np.testing.assert_array_equal(found[:, 1 + OUT :], past)


def expected(data: bytes, sensors: Floats) -> tuple[Floats, Floats]:
    """onnxruntime's outputs and next states for the same rows, reset before the first and the fifth."""
    runtime, rows, states = session(data), [], []
    past = np.full((1, PAST), 0.25, np.float32)
    for step, row in enumerate(sensors):
        past = np.full((1, PAST), 0.25, np.float32) if step == 4 else past
        y, past = runtime.run(["y", "next_state.past"], {"x": row[None], "state.past": past})
        rows.append(y[0])
        states.append(past[0])
    return np.stack(rows), np.stack(states)
