"""A generated policy and its constants: everything that the C files depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from deploy.bundle.manifest import Manifest
from deploy.codegen.ir import Buffer, Dense, Floats, Map, Program, Reduce, Repeat, Statement, Take, flat, functions
from deploy.codegen.ir import reads as views_read
from deploy.codegen.kernels.base import DenseKernel
from deploy.codegen.kernels.constants import ConstantArray
from deploy.codegen.kernels.plain import kernel_for
from deploy.codegen.memory import Layout
from policies.specs import CommandSpec, SensorSpec, StateSpec


@dataclass(frozen=True)
class Design:
    """A program with its memory layout, the kernel for its layers, and its calls per control period."""

    manifest: Manifest
    program: Program
    layout: Layout
    kernel: DenseKernel
    substeps: int

    @property
    def layers(self) -> list[Dense]:
        """The dense layers, in order."""
        return [s for s in flat(self.program.statements) if isinstance(s, Dense)]

    @property
    def multiply_accumulates(self) -> int:
        """Number of products of a weight and an input in one step."""
        return _multiply_accumulates(self.program.statements)

    @property
    def state_floats(self) -> int:
        """Number of floats in the state."""
        return sum(state.dim for state in self.manifest.states)

    @property
    def state_bytes(self) -> int:
        """Size of policy_state in bytes."""
        pools = 2 if self.substeps > 1 else 1
        counter = 1 if self.substeps > 1 or not self.manifest.states else 0
        return 4 * (pools * self.state_floats + counter)

    @property
    def scratch_bytes(self) -> int:
        """Bytes that a step puts on the stack for intermediate values."""
        kernels = ((kernel_for(s.weight, self.kernel), s.weight.shape) for s in self.layers)
        return 4 * self.layout.size + max((k.scratch(inputs, outputs) for k, (outputs, inputs) in kernels), default=0)

    def kernels(self) -> list[DenseKernel]:
        """The kernels in use, each once."""
        used = (kernel_for(layer.weight, self.kernel) for layer in self.layers)
        return list({kernel.name: kernel for kernel in used}.values())

    def functions(self) -> set[str]:
        """The name of every elementwise function that a step calls."""
        names: set[str] = set()
        for statement in flat(self.program.statements):
            if isinstance(statement, (Map, Reduce)):
                names.update(functions(statement.expression))
            if isinstance(statement, Reduce) and statement.kind == "max":
                names.add("max")
            if isinstance(statement, Dense) and statement.activation:
                names.add(statement.activation)
        return names

    def constants(self) -> list[ConstantArray]:
        """Tables and weights, in the order of policy.c."""
        buffers: dict[str, Buffer] = {}
        views = [view for statement in flat(self.program.statements) for view in views_read(statement)]
        for view in (*views, *(piece.source for piece in self.program.pieces)):
            if view.buffer.kind == "constant":
                buffers[view.buffer.name] = view.buffer
        found = [ConstantArray(name, buffer.values) for name, buffer in buffers.items() if buffer.values is not None]
        for statement in flat(self.program.statements):
            if isinstance(statement, Take):
                found.append(ConstantArray(statement.symbol, np.array(statement.indices, np.uint32)))
            elif isinstance(statement, Dense):
                found += kernel_for(statement.weight, self.kernel).arrays(
                    statement.symbol, statement.weight, statement.bias
                )
        if any(any(state.reset) for state in self.manifest.states):
            found.append(ConstantArray("policy_reset_values", self.reset_values()))
        return found

    def reset_values(self) -> Floats:
        """The state after a reset [state_floats]."""
        return np.array([value for state in self.manifest.states for value in state.reset], np.float32)

    def limits(self) -> list[tuple[str, str, Sequence[SensorSpec] | Sequence[CommandSpec], Floats]]:
        """C type, name, members and values of the constant structs with limits and safe commands."""
        sensors, commands = self.manifest.sensors, self.manifest.commands
        return [
            ("static const policy_sensors", "policy_sensor_low", sensors, inward([s.low for s in sensors], up=True)),
            ("static const policy_sensors", "policy_sensor_high", sensors, inward([s.high for s in sensors], up=False)),
            ("const policy_commands", "policy_low", commands, inward([c.low for c in commands], up=True)),
            ("const policy_commands", "policy_high", commands, inward([c.high for c in commands], up=False)),
            ("const policy_commands", "policy_safe", commands, self.safe()),
        ]

    def safe(self) -> Floats:
        """The commands that stop the actuators, within the limits also after rounding to float32."""
        commands = self.manifest.commands
        low, high = inward([c.low for c in commands], up=True), inward([c.high for c in commands], up=False)
        values = np.array([value for command in commands for value in command.safe], np.float32)
        return np.clip(values, low, high)


def inward(limits: Sequence[Sequence[float]], up: bool) -> Floats:
    """Limits rounded to float32 inwards: a float32 is within the rounded limits if and only if within the exact ones.

    `up` rounds lower limits up; otherwise upper limits are rounded down.
    """
    exact = np.array([value for values in limits for value in values], np.float64)
    nearest = exact.astype(np.float32)
    beyond = nearest < exact if up else nearest > exact
    inside: Floats = np.where(beyond, np.nextafter(nearest, np.float32(np.inf if up else -np.inf)), nearest)
    return inside


def members(entries: Sequence[SensorSpec | CommandSpec | StateSpec], values: Floats) -> list[tuple[str, Floats]]:
    """A flat vector split into the members of a struct: (name, values) each."""
    ends = np.cumsum([entry.dim for entry in entries])[:-1]
    return [(entry.name, part) for entry, part in zip(entries, np.split(values, ends), strict=True)]


def _multiply_accumulates(statements: Sequence[Statement]) -> int:
    total = 0
    for statement in statements:
        if isinstance(statement, Repeat):
            total += statement.count * _multiply_accumulates(statement.body)
        elif isinstance(statement, Dense):
            total += prod(statement.weight.shape)
    return total
