"""What must never leave a policy in C, and what its self-test finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.codegen.emit_source import checked_constants
from deploy.codegen.generate import design_of
from deploy.codegen.sources import inward
from deploy.mcu.cases import read_words, write_cases
from deploy.mcu.host import HERE
from deploy.toolchain import run_tool, write_sources
from policies.specs import StateSpec
from tests.deploy.codegen.conftest import InC
from tests.deploy.codegen.harness import Floats, Model, files, floats_out, manifest_of, same_bits, step_all
from tests.mcu_tools import needs_clang, needs_gcc

BAD = (np.nan, np.inf, -np.inf, -np.nan, 1e9, -1e9)


def with_bad_sensors(hover: InC) -> tuple[Floats, list[int]]:
    """Golden steps with a fault between every two: each bad value in each sensor in turn."""
    count = hover.sensors.shape[1]
    rows = np.repeat(hover.sensors[1:2], 2 * len(BAD) * count, axis=0)
    for index in range(len(BAD) * count):
        rows[2 * index + 1, index % count] = BAD[index // count]
    return rows.astype(np.float32), [1] + [0] * (len(rows) - 1)


@needs_gcc
@needs_clang
@pytest.mark.parametrize(
    ("compiler", "flags"), [("gcc", ("-O2",)), ("gcc", ("-Ofast",)), ("clang", ("-O2",)), ("clang", ("-Ofast", "-w"))]
)
def test_a_bad_sensor_gives_the_safe_command_and_leaves_the_state(
    hover: InC, compiler: str, flags: tuple[str, ...]
) -> None:
    rows, what = with_bad_sensors(hover)
    found = step_all(hover.texts, hover.bundle.manifest, rows, what, compiler=compiler, flags=flags)
    good, bad = found[0::2], found[1::2]
    assert (good[:, 0] == 0.0).all() and (bad[:, 0] == 1.0).all()
    (command,) = hover.bundle.manifest.commands
    assert (bad[:, 1:5] == np.array(command.safe, np.float32)).all()
    assert same_bits(bad[:, 5:], good[:, 5:]), "the held state moved"
    assert not same_bits(good[1:, 5:], good[:-1, 5:]), "the test needs a state that moves"


def growing(limit: float) -> tuple[dict[str, str], object]:
    """A policy whose result overflows for sensors well within their limits, with a state beside it."""
    m = Model()
    x, held = m.input("batch", 2, name="x"), m.input("batch", 2, name="state.held")
    power = m.node("Exp", m.node("Mul", x, m.constant(50.0)))
    m.output(power, "command")
    m.output(m.node("Add", held, x), "next_state.held")
    manifest = manifest_of({"x": 2}, {"command": 2}, [StateSpec("held", 2, (0.5, -0.5), between="mean")], limit)
    return files(design_of(m.build(), manifest)), manifest


@needs_gcc
def test_a_result_that_is_not_finite_stays_inside() -> None:
    texts, manifest = growing(1e30)
    rows = np.array([[0.1, 0.2], [0.1, 3.0], [0.1, 0.2]], np.float32)
    found = step_all(texts, manifest, rows, [1, 0, 0])  # type: ignore[arg-type]
    np.testing.assert_array_equal(found[:, 0], [0.0, 2.0, 0.0])
    np.testing.assert_array_equal(found[1, 1:3], [0.0, 0.0])
    np.testing.assert_allclose(found[:, 3:], [[0.6, -0.3], [0.6, -0.3], [0.7, -0.1]], atol=1e-6)


@needs_gcc
def test_commands_stay_within_their_limits() -> None:
    texts, manifest = growing(4.0)
    found = step_all(texts, manifest, np.array([[0.1, 0.01]], np.float32), [1])  # type: ignore[arg-type]
    assert found[0, 0] == 0.0
    assert found[0, 1] == 4.0
    assert found[0, 2] == pytest.approx(np.exp(0.5), rel=1e-6)


@given(st.floats(-1e6, 1e6), st.floats(-1e-6, 1e-6))
@settings(max_examples=200, deadline=None)
def test_a_float32_is_within_a_limit_just_if_within_its_float32(limit: float, offset: float) -> None:
    low, high = inward([[limit]], up=True)[0], inward([[limit]], up=False)[0]
    for value in (np.float32(limit), np.float32(limit + offset), np.nextafter(np.float32(limit), np.float32(9e9))):
        assert (float(value) >= limit) == (value >= low)
        assert (float(value) <= limit) == (value <= high)


@needs_gcc
def test_the_selftest_passes_and_finds_a_changed_weight(hover: InC, tmp_path: Path) -> None:
    sources = [name for name in write_sources(tmp_path, hover.texts) if name.endswith(".c")]
    run_tool(["gcc", "-O2", f"-I{HERE}", "-c", *sources, HERE / "host_main.c"], tmp_path, 60.0)
    write_cases(tmp_path / "in", np.full((1, 1 + hover.sensors.shape[1]), 2.0, np.float32), 1)

    def verdict() -> int:
        run_tool(
            ["gcc", *(name.replace(".c", ".o") for name in (*sources, "host_main.c")), "-o", "program"], tmp_path, 60.0
        )
        run_tool([tmp_path / "program", "in", "out"], tmp_path, 60.0)
        return int(read_words(tmp_path / "out", 1, 1).view(np.float32)[0, 0])

    assert verdict() == 0
    whole = (tmp_path / "policy.o").read_bytes()
    model = (hover.bundle.path / "policy.onnx").read_bytes()
    design = design_of(model, hover.bundle.manifest)
    tables = [content for _, content in checked_constants(design)]
    assert len(tables) >= 10
    # One bit, the least of a number, in the middle of a weight matrix, a small table and a limit.
    for content in (max(tables, key=len), tables[0], tables[-1]):
        damaged = bytearray(whole)
        damaged[whole.index(content) + 4 * (len(content) // 8)] ^= 1
        (tmp_path / "policy.o").write_bytes(bytes(damaged))
        assert verdict() & 1, "a changed bit went unnoticed"


@needs_gcc
def test_the_selftest_finds_other_arithmetic(hover: InC) -> None:
    changed = dict(hover.texts)
    line = "static float policy_tanh(float x)\n{\n"
    assert line in changed["policy.c"]
    changed["policy.c"] = changed["policy.c"].replace(line, f"{line}    x = x * 0.999f;\n")
    assert step_all(changed, hover.bundle.manifest, hover.sensors[:1], [2])[0, 0] == 2.0


@needs_gcc
def test_the_selftest_finds_a_reset_that_leaves_something(hover: InC) -> None:
    changed = dict(hover.texts)
    # The sample's history starts from values that aren't zero, copied from a table.
    size = "sizeof(state->action_history))"
    assert size in changed["policy.c"]
    changed["policy.c"] = changed["policy.c"].replace(size, f"{size[:-1]} - 4u)")
    assert int(step_all(changed, hover.bundle.manifest, hover.sensors[:1], [2])[0, 0]) & 4


def test_floats_out_counts_the_held_state(hover: InC) -> None:
    assert floats_out(hover.bundle.manifest) == 1 + 4 + 12
