"""`bench mcu`: what a step of generated C costs on a Cortex-M4F, for several networks and every kernel.

Each network becomes a bundle and each bundle C, as a user's would (`robo-rl export`, `robo-rl codegen`), compiled by
Debian's cross compiler with -O2 and run on QEMU's STM32F405. Instructions, stack and sections are measured; cycles are
modelled from every executed instruction at the cost of the Cortex-M4's manual, without flash wait states
(`deploy.mcu.cycles`). The error is the largest difference from onnxruntime, in units of the normalised action. Beside
that, whole recorded flights are flown in C on both machines, and the steps with equal bits counted (`deploy.mcu.bits`).
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from deploy.bundle.reader import load_bundle
from deploy.codegen.generate import generate
from deploy.codegen.kernels.base import KERNELS
from deploy.mcu.bits import compare_bits
from deploy.mcu.cases import Floats
from deploy.mcu.cycles import modelled_cycles
from deploy.mcu.emulator import build_m4f
from deploy.mcu.host_time import host_nanoseconds
from deploy.mcu.policy_case import policy_inputs, policy_outputs, policy_sources
from deploy.toolchain import run_tool
from policies.errors import UserError
from policies.networks.mlp import MLP
from policies.validation import require
from robo_rl.bench import mcu_peers
from robo_rl.bench.mcu_networks import (
    HOVER,
    HOVER_TASK,
    Network,
    flight,
    limits,
    networks,
    recorded,
    reference,
    write_bundle,
    write_untrained,
)
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.output.results import installed_version

MHZ = 168.0
"""The STM32F405's fastest clock."""
FLAGS = ("-std=c99", "-O2")
FLOWN = ("crazyflie-track", "go1-velocity-flat")
"""Tasks of the policies whose recorded episodes are compared beside hover's, where no bundles are given."""


@dataclass(frozen=True)
class Settings:
    """Measure generated C on an emulated Cortex-M4F."""

    kernels: tuple[str, ...] = field(default_factory=lambda: tuple(KERNELS))
    """Kernels to measure: c, asm, int8."""
    steps: int = 24
    """Steps of each network's recorded flight; the state is reset half-way. Instructions are the most of any step."""
    seed: int = 0
    """Seed of the networks' weights and inputs."""
    hover: Path | None = None
    """Bundle of a hover policy for the row of a whole step; an untrained one when not given."""
    flown: tuple[Path, ...] = ()
    """Bundles whose whole flights are compared bit by bit beside hover's; empty: untrained policies of two tasks."""
    timing_turns: int = 200
    """Turns over all steps for the time on this machine; the median counts."""

    def __post_init__(self) -> None:
        require(self, "steps", low=2)
        require(self, "timing_turns", low=1)
        unknown = [kernel for kernel in self.kernels if kernel not in KERNELS]
        if unknown or not self.kernels:
            raise UserError(f"kernels are some of {', '.join(KERNELS)}, got {', '.join(self.kernels) or 'none'}")


@dataclass(frozen=True)
class _Program:
    """C to measure, with the expected outputs."""

    sources: dict[str, str]
    measured: str
    """The object file whose sections count."""
    inputs: Floats
    expected: Floats
    """Shape [steps, outputs]."""
    low: Floats
    high: Floats
    """Limits of the outputs, shape [outputs]; half of what is between them is a normalised action of 1."""
    multiply_accumulates: int
    constant_bytes: int
    flags: tuple[str, ...] = FLAGS


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """Rows by network and kernel, peers that are absent, and how it was measured."""
    rows = []
    peers = dict(mcu_peers.ABSENT)
    version = installed_version("emlearn")
    peers["emlearn"] = version or "not installed: pip install 'robo-rl[bench]'"

    def generated(name: str, bundle: Path) -> list[Row]:
        return [
            keep(f"{name}, {kernel}", partial(measured_step, name, bundle, kernel, settings))
            for kernel in settings.kernels
        ]

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for network in networks(settings.seed):
            bundle = write_bundle(network, folder / "bundle", settings.seed)
            rows += generated(network.name, bundle)
            program = None if version is None else _emlearn(network, bundle, settings)
            if program is not None:
                code = f"emlearn {version}"
                row = keep(f"{network.name}, {code}", partial(_measure, program, settings))
                rows.append({"network": network.name, "kernel": "", "code": code, **row})
        hover = settings.hover or write_untrained(HOVER_TASK, folder / "hover", settings.seed)
        rows += generated(HOVER, hover)
        flown = settings.flown or [write_untrained(task, folder / task, settings.seed) for task in FLOWN]
        bits = [
            keep(f"bits of {bundle.name}, {kernel}", partial(_bit_equal, bundle, kernel))
            for bundle in (hover, *flown)
            for kernel in settings.kernels
        ]
        compiler = run_tool(["arm-none-eabi-gcc", "-dumpfullversion"], folder, 10.0).strip()
        emulator = run_tool(["qemu-system-arm", "--version"], folder, 10.0).splitlines()[0]
    return {
        "rows": rows,
        "bit_equal": bits,
        "failures": [f"{row['policy']}, {row['kernel']}: bits differ" for row in bits if row["equal"] != row["steps"]],
        "peers": peers,
        "hover_bundle": "given" if settings.hover else "not trained",
        "compiler": f"arm-none-eabi-gcc {compiler} {' '.join(FLAGS)}",
        "emulator": emulator,
        "modelled": "every executed instruction at the Cortex-M4 manual's cost, no flash wait states; not measured",
    }


def measured_step(name: str, bundle: Path, kernel: str, settings: Settings) -> Row:
    """What a step of a bundle's policy costs in the C of a kernel, as a row called `name`."""
    with tempfile.TemporaryDirectory() as scratch:
        done = generate(bundle, Path(scratch) / "c", kernel)
        manifest = load_bundle(bundle).manifest
        reset, sensors = flight(bundle, settings.steps)
        program = _Program(
            sources=policy_sources(done.path),
            measured="policy.o",
            inputs=policy_inputs(manifest, reset, sensors),
            expected=reference(bundle, reset, sensors),
            low=limits(bundle)[0],
            high=limits(bundle)[1],
            multiply_accumulates=done.multiply_accumulates,
            constant_bytes=done.constant_bytes,
        )
        assert program.expected.shape[1] == policy_outputs(manifest) - 1
        row = _measure(program, settings)
    return {"network": name, "kernel": kernel, "code": "robo-rl", "state_bytes": done.state_bytes, **row}


def _bit_equal(bundle: Path, kernel: str) -> Row:
    """Steps of a bundle's whole recorded flight, and those of equal status, commands and state on both machines."""
    manifest, golden = recorded(bundle)
    with tempfile.TemporaryDirectory() as scratch:
        done = generate(bundle, Path(scratch) / "c", kernel)
        bits = compare_bits(done, manifest, golden.reset, golden.sensors, FLAGS)
    return {"policy": manifest.identity.name, "kernel": kernel, **asdict(bits)}


def _emlearn(network: Network, bundle: Path, settings: Settings) -> _Program | None:
    """The network in emlearn's C, None where emlearn lacks the network's layers."""
    folder = mcu_peers.emlearn_folder()
    if folder is None or not isinstance(network.module, MLP):
        return None
    sources = mcu_peers.emlearn_sources(network.module)
    if sources is None:
        return None
    reset, sensors = flight(bundle, settings.steps)
    linear = [layer for layer in network.module.layers if isinstance(layer, nn.Linear)]
    return _Program(
        sources=sources,
        measured="case.o",
        inputs=policy_inputs(load_bundle(bundle).manifest, reset, sensors),
        expected=reference(bundle, reset, sensors),
        low=limits(bundle)[0],
        high=limits(bundle)[1],
        multiply_accumulates=sum(layer.weight.numel() for layer in linear),
        constant_bytes=mcu_peers.weight_bytes(network.module),
        flags=(*FLAGS, f"-I{folder}"),
    )


def _measure(program: _Program, settings: Settings) -> Row:
    outputs = program.expected.shape[1] + 1
    with tempfile.TemporaryDirectory() as scratch:
        chip = build_m4f(program.sources, Path(scratch), program.flags, libraries=("-lm",))
        found = chip.run(program.inputs, outputs)
        sizes = chip.sizes((program.measured,))
        cycles = modelled_cycles(chip, program.inputs[0], outputs)
    if np.any(found.outputs[:, 0] != 0.0):
        raise UserError(f"the generated C refused a recorded step with status {found.outputs[:, 0].max():g}")
    # A peer's outputs are not clamped to the commands' limits.
    answers = np.clip(found.outputs[:, 1:], program.low, program.high)
    instructions = int(found.instructions.max())
    return {
        "instructions": instructions,
        "instructions_per_mac": instructions / program.multiply_accumulates,
        "multiply_accumulates": program.multiply_accumulates,
        "modelled_us_168mhz": cycles.most / MHZ,
        "modelled_us_168mhz_least": cycles.least / MHZ,
        "text_bytes": sizes.text_bytes,
        "code_bytes": sizes.text_bytes - program.constant_bytes,
        "bss_bytes": sizes.bss_bytes + sizes.data_bytes,
        "stack_bytes": found.stack_bytes,
        "max_error": float((np.abs(answers - program.expected) / (0.5 * (program.high - program.low))).max()),
        "x86_ns": host_nanoseconds(program.sources, program.inputs, outputs, program.flags, settings.timing_turns),
    }
