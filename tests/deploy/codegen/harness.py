"""Generated C under test: small ONNX models without a bundle, and the program that steps a policy case by case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from deploy.bundle.manifest import SCHEMA_VERSION, Identity, Manifest, Timing
from deploy.codegen.emit_header import header
from deploy.codegen.emit_source import source
from deploy.codegen.generate import design_of
from deploy.codegen.sources import Design
from deploy.mcu.emulator import M4fProgram
from deploy.mcu.host import run_on_host
from deploy.toolchain import run_tool
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec, StateSpec

Floats = npt.NDArray[np.float32]
STRICT = (
    *("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion"),
    *("-Wfloat-equal", "-Wcast-align", "-Wshadow", "-Wundef"),
)
CASE = """\
#include <string.h>
#include "cases.h"
#include "policy.h"

/* In: what to do (0 step, 1 reset first, 2 self-test), sensors. Out: status, commands, the held state before the step's
   end turned it over. */
void mcu_case(const float *in, float *out)
{
    static policy_state state;
    policy_sensors sensors;
    policy_commands commands;
    memcpy(&sensors, in + 1, sizeof(sensors));
    memset(&commands, 0, sizeof(commands));
    if (in[0] > 1.5f) {
        out[0] = (float)SELFTEST;
        return;
    }
    if (in[0] > 0.5f) {
        memset(&state, 0xff, sizeof(state));
        policy_reset(&state);
    }
    out[0] = (float)policy_step(&state, &sensors, &commands);
    memcpy(out + 1, &commands, sizeof(commands));
#if POLICY_STATE_FLOATS > 0u
    memcpy(out + 1 + POLICY_COMMAND_FLOATS, &state, POLICY_STATE_FLOATS * sizeof(float));
#endif
}
"""


class Model:
    """An ONNX graph written node by node; values are names."""

    def __init__(self, prefix: str = "", opset: int = 18) -> None:
        self.prefix = prefix
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: dict[str, tuple[int | str, ...]] = {}
        self.outputs: list[str] = []
        self.output_shapes: dict[str, tuple[int | str, ...]] = {}
        self.constants: list[onnx.TensorProto] = []

    def input(self, *shape: int | str, name: str | None = None) -> str:
        name = name or f"{self.prefix}in{len(self.inputs)}"
        self.inputs[name] = shape
        return name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self.nodes_of(operator, inputs, 1, **attributes)[0]

    def nodes_of(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        stem = f"{self.prefix}{operator.lower()}{len(self.nodes)}"
        names = [f"{stem}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=stem, **attributes))
        return names

    def output(self, value: str, name: str | None = None, shape: tuple[int | str, ...] | None = None) -> str:
        name = name or f"{self.prefix}out{len(self.outputs)}"
        if shape is not None:
            self.output_shapes[name] = shape
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(name)
        return name

    def add(self, other: Model) -> None:
        """Add all of another graph beside this one."""
        self.nodes += other.nodes
        self.inputs |= other.inputs
        self.outputs += other.outputs
        self.constants += other.constants

    def build(self) -> bytes:
        """The model's bytes."""
        graph = helper.make_graph(
            self.nodes,
            "policy",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in self.inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, self.output_shapes.get(n)) for n in self.outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)
        data: bytes = model.SerializeToString()
        return data


def session(model: bytes) -> ort.InferenceSession:
    """onnxruntime on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def manifest_of(
    sensors: Mapping[str, int],
    commands: Mapping[str, int],
    states: Sequence[StateSpec] = (),
    limit: float = 1e30,
    period: float = 0.01,
) -> Manifest:
    """A manifest with these sizes by name and limits of +-`limit` everywhere."""

    def wide(size: int, value: float) -> tuple[float, ...]:
        return (value,) * size

    return Manifest(
        schema_version=SCHEMA_VERSION,
        identity=Identity("sample", "none", "a" * 64, "b" * 64),
        kind="sample",
        timing=Timing(period),
        sensors=tuple(
            SensorSpec(
                name=name, dim=n, unit="1", frame="none", low=wide(n, -limit), high=wide(n, limit),
                rate_limit=(), relative_to="", labels=(),
            )
            for name, n in sensors.items()
        ),
        commands=tuple(
            CommandSpec(name, n, "1", wide(n, -limit), wide(n, limit), 1.0, tuple(map(str, range(n))), wide(n, 0.0))
            for name, n in commands.items()
        ),
        states=tuple(states),
        safety=SafetyEnvelope(1.0, 0.1, 0.1),
        joints=None,
        provenance={},
        evaluation={},
    )  # fmt: skip


def design_for(model: Model, kernel: str = "c") -> Design:
    """The generated program of a graph without state: each input a sensor, each output a command."""
    data = model.build()
    shapes = {name: np.shape(v) for name, v in zip(model.outputs, run_once(data, model), strict=True)}
    sizes = {name: math.prod(fixed(shape)) for name, shape in model.inputs.items()}
    return design_of(data, manifest_of(sizes, {name: math.prod(s) for name, s in shapes.items()}), kernel)


def fixed(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """The shape for one robot."""
    return tuple(size if isinstance(size, int) else 1 for size in shape)


def run_once(data: bytes, model: Model) -> list[Floats]:
    """onnxruntime's outputs for ones."""
    results: list[Floats] = session(data).run(None, {n: np.ones(fixed(s), np.float32) for n, s in model.inputs.items()})
    return results


def files(design: Design, selftest: str = "") -> dict[str, str]:
    """The sources of a program that steps the policy, with the self-test's text if there is one."""
    texts = {"policy.h": header(design), "policy.c": source(design)}
    texts["case.c"] = CASE.replace("SELFTEST", "policy_selftest()" if selftest else "policy_constants_crc32()")
    return texts | ({"policy_selftest.c": selftest} if selftest else {})


def floats_out(manifest: Manifest) -> int:
    """Floats that a case returns."""
    return 1 + sum(c.dim for c in manifest.commands) + sum(s.dim for s in manifest.states)


def step_all(
    texts: dict[str, str], manifest: Manifest, sensors: Floats, what: Sequence[int] | npt.NDArray[Any], **options: Any
) -> Floats:
    """Every case on this machine: rows of status, commands and held state for rows of sensors."""
    inputs = np.concatenate([np.asarray(what, np.float32)[:, None], sensors], axis=1)
    return run_on_host(texts, inputs.astype(np.float32), floats_out(manifest), **options)


def same_bits(found: Floats, wanted: Floats) -> bool:
    return bool((found.view(np.uint32) == wanted.view(np.uint32)).all())


def undefined_symbols(program: M4fProgram) -> set[str]:
    """Symbols that the compiled sources take from libraries or from each other's files."""
    listing = run_tool(["arm-none-eabi-nm", "--undefined-only", *program.objects], program.folder, 10.0)
    return {words[1] for line in listing.splitlines() if len(words := line.split()) == 2 and words[0] == "U"}
