"""Programs for the compilers: layers of many shapes, and the elementary functions, behind one `mcu_case`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.codegen.c_math import MATH, dependencies, each
from deploy.codegen.kernels.base import KERNELS

Floats = npt.NDArray[np.float32]

HEAD = """\
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("O2", "fp-contract=off")
#endif
#include <stdint.h>
#include "cases.h"
"""
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion")


@dataclass(frozen=True)
class Layer:
    """One dense layer; `activation` as in `DenseKernel.call`."""

    weight: Floats
    bias: Floats
    activation: str = ""


def random_layers(shapes: Sequence[tuple[int, int]], seed: int = 0, activation: str = "") -> list[Layer]:
    """Layers of `shapes` (inputs, outputs), with weights as after an initialisation."""
    rng = np.random.default_rng(seed)
    return [
        Layer(
            (rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32),
            rng.normal(size=outputs).astype(np.float32),
            activation,
        )
        for inputs, outputs in shapes
    ]


def side_by_side(kernel: str, layers: Sequence[Layer]) -> tuple[dict[str, str], int]:
    """A program that feeds its first inputs to every layer and returns all their outputs; and how many these are."""
    parts, calls, offset = _head(kernel, layers), [], 0
    for index, layer in enumerate(layers):
        outputs, inputs = layer.weight.shape
        parts += [a.definition() for a in KERNELS[kernel].arrays(f"layer{index}", layer.weight, layer.bias)]
        calls.append(
            KERNELS[kernel].call(f"layer{index}", "in", f"(out + {offset})", inputs, outputs, layer.activation)
        )
        offset += outputs
    return {"case.c": "\n".join([*parts, _case("".join(calls))])}, offset


def in_a_row(kernel: str, layers: Sequence[Layer]) -> dict[str, str]:
    """A program that feeds each layer with the one before it, as a network does."""
    parts, source = _head(kernel, layers), "in"
    calls: list[str] = []
    for index, layer in enumerate(layers):
        outputs, inputs = layer.weight.shape
        target = "out" if layer is layers[-1] else f"hidden{index}"
        if layer is not layers[-1]:
            calls.insert(0, f"float {target}[{outputs}];\n")
        parts += [a.definition() for a in KERNELS[kernel].arrays(f"layer{index}", layer.weight, layer.bias)]
        calls.append(KERNELS[kernel].call(f"layer{index}", source, target, inputs, outputs, layer.activation))
        source = target
    return {"case.c": "\n".join([*parts, _case("".join(calls))])}


def functions(names: Sequence[str]) -> dict[str, str]:
    """A program that gives every function of `names` the one float of a case."""
    calls = "".join(f"out[{index}] = policy_{name}(in[0]);\n" for index, name in enumerate(names))
    return {"case.c": "\n".join([HEAD, *(MATH[name] for name in dependencies(names)), _case(calls)])}


def expected(layers: Sequence[Layer], inputs: Floats) -> npt.NDArray[np.float64]:
    """Layers in a row in float64, shape [cases, outputs]."""
    values = inputs.astype(np.float64)
    for layer in layers:
        values = values @ layer.weight.T.astype(np.float64) + layer.bias
        values = np.tanh(values) if layer.activation == "tanh" else values
        values = np.where(values > 0.0, values, np.expm1(values)) if layer.activation == "elu" else values
    return values


def _head(kernel: str, layers: Sequence[Layer]) -> list[str]:
    activations = sorted({layer.activation for layer in layers} - {""})
    used = [MATH[name] for name in dependencies(["bits", *activations])]
    return [HEAD, *used, *(each(name) for name in activations), KERNELS[kernel].functions()]


def _case(body: str) -> str:
    return f"void mcu_case(const float *in, float *out)\n{{\n{body}}}\n"
