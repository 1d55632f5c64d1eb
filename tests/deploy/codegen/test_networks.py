"""Networks of the sizes that robots use: how near onnxruntime, how many instructions, how much code and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.codegen.sources import Design
from deploy.mcu.emulator import build_m4f
from tests.deploy.codegen.harness import (
    Floats,
    Model,
    design_for,
    files,
    fixed,
    floats_out,
    same_bits,
    session,
    step_all,
)
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu

ACTIVATIONS = ("Tanh", "Elu", "Relu", "Sigmoid", "Softplus")


def weights(random: np.random.Generator, *shape: int) -> Floats:
    drawn: Floats = (random.normal(size=shape) * np.sqrt(1.5 / shape[-1])).astype(np.float32)
    return drawn


def dense(m: Model, random: np.random.Generator, x: str, inputs: int, outputs: int) -> str:
    bias = (0.1 * random.normal(size=outputs)).astype(np.float32)
    return m.node("Gemm", x, m.constant(weights(random, outputs, inputs)), m.constant(bias), transB=1)


def perceptron(m: Model, random: np.random.Generator, widths: list[int], activation: str) -> str:
    """Layers with an activation between them, and a tanh at the end."""
    x = m.input(1, widths[0])
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        x = m.node(activation, dense(m, random, x, inputs, outputs))
    return m.node("Tanh", x)


def gated(m: Model, random: np.random.Generator, inputs: int, units: int) -> str:
    """ONNX's GRU with torch's reset gate, one step from a given memory, and a layer."""
    constants = [weights(random, 1, 3 * units, n) for n in (inputs, units)]
    arguments = [m.input(1, 1, inputs), *map(m.constant, constants), "", "", m.input(1, 1, units)]
    memory = m.nodes_of("GRU", arguments, 2, hidden_size=units, linear_before_reset=1)[1]
    return dense(m, random, m.node("Reshape", memory, m.constant([1, units], np.int64)), units, 4)


def network(kind: str) -> Model:
    random, m = np.random.default_rng(7), Model()
    if kind == "gru 64":
        m.output(gated(m, random, 40, 64))
    elif kind == "64-64 tanh":
        m.output(perceptron(m, random, [146, 64, 64, 4], "Tanh"))
    else:
        m.output(perceptron(m, random, [48, 256, 256, 256, 12], "Elu"))
    return m


def both(model: Model, design: Design, rows: int) -> tuple[Floats, Floats, Floats]:
    """Inputs, and the outputs of C and of onnxruntime."""
    sizes = [sensor.dim for sensor in design.manifest.sensors]
    values = np.random.default_rng(1).normal(size=(rows, sum(sizes))).astype(np.float32)
    found = step_all(files(design), design.manifest, values, [0] * rows)
    runtime, wanted = session(model.build()), []
    for row in values:
        parts = np.split(row, np.cumsum(sizes)[:-1])
        feeds = {name: part.reshape(fixed(model.inputs[name])) for name, part in zip(model.inputs, parts, strict=True)}
        wanted.append(np.concatenate([np.ravel(result) for result in runtime.run(None, feeds)]))
    assert (found[:, 0] == 0.0).all()
    return values, found, np.stack(wanted)


@needs_gcc
@needs_arm
@needs_qemu
@pytest.mark.parametrize(
    ("kind", "error", "per_weight"), [("64-64 tanh", 1e-6, 4.2), ("256x3 elu", 2e-6, 3.9), ("gru 64", 1e-6, 4.5)]
)
def test_a_network_of_a_robot_s_size(kind: str, error: float, per_weight: float, tmp_path: Path) -> None:
    model = network(kind)
    design = design_for(model)
    values, found, wanted = both(model, design, 20)
    assert np.abs(found[:, 1:] - wanted).max() <= error
    assert wanted.std() > 0.1
    program = build_m4f(files(design), tmp_path)
    cases = np.concatenate([np.zeros((20, 1), np.float32), values], axis=1)
    emulated = program.run(cases, floats_out(design.manifest))
    assert same_bits(emulated.outputs, found)
    # Everything counts: checks of sensors and results, activations, limits.
    assert emulated.instructions.max() <= per_weight * design.multiply_accumulates
    symbols = program.sizes().symbols
    assert sum(size for name, size in symbols.items() if "_weights_" not in name and name != "mcu_case") <= 4096
    assert emulated.stack_bytes <= 3072


@st.composite
def mixtures(draw: st.DrawFn) -> Model:
    """Some perceptrons and recurrent cells of any small size beside each other."""
    random, whole = np.random.default_rng(draw(st.integers(0, 2**31))), Model()
    for index in range(draw(st.integers(2, 6))):
        part = Model(f"n{index}_")
        if draw(st.booleans()):
            widths = draw(st.lists(st.integers(1, 21), min_size=2, max_size=4))
            part.output(perceptron(part, random, widths, draw(st.sampled_from(ACTIVATIONS))))
        else:
            part.output(gated(part, random, draw(st.integers(1, 9)), draw(st.integers(1, 19))))
        whole.add(part)
    return whole


@needs_gcc
@given(mixtures())
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_networks_of_any_size_agree_with_onnxruntime(model: Model) -> None:
    _, found, wanted = both(model, design_for(model), 5)
    assert np.abs(found[:, 1:] - wanted).max() <= 2e-6
