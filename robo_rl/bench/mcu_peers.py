"""Other people's C for the same network, where a package gives it: emlearn's headers, from the extra `bench`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import nn

from deploy.codegen.kernels.constants import ConstantArray
from policies.networks.mlp import MLP

ABSENT = {
    "onnx2c": "not measured: no Debian or Python package gives it",
    "CMSIS-NN, CMSIS-DSP": "not measured: no Debian package gives them",
}


def emlearn_folder() -> Path | None:
    """Where emlearn's headers lie; None where it isn't installed. Nothing of it is imported."""
    found = find_spec("emlearn")
    folders = list(found.submodule_search_locations or []) if found else []
    return Path(folders[0]) if folders else None


def emlearn_sources(network: MLP) -> dict[str, str] | None:
    """A program for `deploy.mcu` around emlearn's inference; None for a network whose activation it does not have.

    Case: a float for the reset of others, then the observation; out: a zero for their status, then the outputs.
    """
    if not any(isinstance(layer, nn.Tanh) for layer in network.layers):
        return None
    linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    parts = ["#include <stdbool.h>", "#include <stddef.h>", '#include "eml_net.h"', '#include "cases.h"']
    rows = []
    for index, layer in enumerate(linear):
        # emlearn keeps weights by input.
        parts.append(ConstantArray(f"weights{index}", layer.weight.detach().numpy().T.ravel()).definition())
        parts.append(ConstantArray(f"biases{index}", layer.bias.detach().numpy()).definition())
        activation = "EmlNetActivationTanh" if layer is not linear[-1] else "EmlNetActivationIdentity"
        rows.append(f"{{{layer.out_features}, {layer.in_features}, weights{index}, biases{index}, {activation}}}")
    widest = max(max(layer.in_features, layer.out_features) for layer in linear)
    parts += [
        f"static const EmlNetLayer layers[{len(linear)}] = {{{', '.join(rows)}}};",
        f"static float first[{widest}], second[{widest}];",
        f"static EmlNet net = {{{len(linear)}, layers, first, second, {widest}}};",
        "void mcu_case(const float *in, float *out)\n{",
        f"    (void)eml_net_regress(&net, in + 1, {linear[0].in_features}, out + 1, {linear[-1].out_features});",
        "    out[0] = 0.0f;\n}\n",
    ]
    return {"case.c": "\n".join(parts)}


def weight_bytes(network: MLP) -> int:
    """Bytes of weights and biases in float32."""
    return 4 * sum(parameter.numel() for parameter in network.parameters())
