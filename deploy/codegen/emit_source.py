"""policy.c: constants, the graph, and the checks and limits of a step."""

from __future__ import annotations

import re

from deploy.codegen.c_math import MATH, dependencies, each
from deploy.codegen.expressions import helpers, math_names
from deploy.codegen.ir import Buffer, Piece, View, flat, reads, writes
from deploy.codegen.kernels.constants import c_number
from deploy.codegen.sources import Design, members
from deploy.codegen.statements import StatementWriter, indent, pointer
from deploy.codegen.templates import CRC, FINITE, HEAD, MEAN, POOL, RESET


def source(design: Design) -> str:
    """The text of policy.c."""
    used = design.functions()
    parts = [
        HEAD,
        *(MATH[name] for name in dependencies(math_names(used))),
        *(each(name) for name in sorted({layer.activation for layer in design.layers} - {""})),
        *helpers(used),
        *(kernel.functions() for kernel in design.kernels()),
        _limits(design),
        "\n".join(array.definition() for array in design.constants()),
        FINITE,
        _graph(design),
        _carry(design),
        _reset(design),
        _step(design),
        CRC,
        _checksum(design),
    ]
    return "\n".join(part for part in parts if part)


def _limits(design: Design) -> str:
    lines = []
    for kind, name, entries, values in design.limits():
        rows = [f"    {{{', '.join(c_number(v) for v in part)}}}," for _, part in members(entries, values)]
        lines += [f"{kind} {name} = {{", *rows, "};"]
    return "\n".join(lines) + "\n"


def _graph(design: Design) -> str:
    """The function that fills scratch; each buffer is a pointer with its name, declared before its first use."""
    writer = StatementWriter(design.kernel)
    declared: set[Buffer] = set()
    body: list[str] = []
    for statement in design.program.statements:
        lines = writer.lines(statement)
        for view in (*writes(statement), *reads(statement)):
            buffer = view.buffer
            if buffer.kind == "scratch" and buffer not in declared and _mentions(lines, buffer.name):
                declared.add(buffer)
                body.append(f"float *const {buffer.name} = {_at(design, View(buffer, 0, (), ()))};")
        body += lines
    kinds = {view.buffer.kind for s in flat(design.program.statements) for view in reads(s)}
    unused = [f"(void){name};" for name, kind in (("state", "state"), ("sensors", "sensor")) if kind not in kinds]
    return "\n".join(
        [
            "/* The network with its observations and actions: fills `scratch` and changes nothing else. */",
            "static void policy_graph(const policy_state *state, const policy_sensors *sensors, float *scratch)",
            "{",
            *indent(unused + body),
            "}\n",
        ]
    )


def _mentions(lines: list[str], name: str) -> bool:
    return any(re.search(rf"(?<![\w>.]){re.escape(name)}\b", line) for line in lines)


def _at(design: Design, view: View) -> str:
    """The C of a pointer to a view's first element, in policy_step and policy_carry."""
    if view.buffer.root()[0].kind == "scratch":
        position = design.layout.position(view)
        return f"scratch + {position}u" if position else "scratch"
    return pointer(view)


def _carry(design: Design) -> str:
    """The function that updates the state; "" for a policy without one."""
    states, pieces = design.manifest.states, design.program.pieces
    if not states:
        return ""
    lines = _moves(design) if design.substeps == 1 else _pools(design)
    used = {
        "sensors": any(piece.source.buffer.kind == "sensor" for piece in pieces),
        "scratch": any(piece.source.buffer.root()[0].kind == "scratch" for piece in pieces),
        "state": any("state->" in line for line in lines),
    }
    helpers = [POOL] if design.substeps > 1 else []
    helpers += [MEAN] if helpers and any(state.between == "mean" for state in states) else []
    return "\n".join(
        [
            *helpers,
            "/* Updates the state for the next call from the values that the graph left in `scratch`. */",
            "static void policy_carry(policy_state *state, const policy_sensors *sensors, const float *scratch)",
            "{",
            *indent([f"(void){name};" for name, kept in used.items() if not kept] + lines),
            "}\n",
        ]
    )


def _offset(piece: Piece) -> str:
    return f" + {piece.offset}u" if piece.offset else ""


def _moves(design: Design) -> list[str]:
    """The C that copies every piece of the next state into the state."""
    lines = []
    for piece in design.program.pieces:
        own = piece.source.buffer.kind == "state"
        if own and piece.source.offset == piece.offset:
            continue
        # A state that shifts within itself moves towards its start, before the values behind it are written.
        target, source = f"state->{piece.state}{_offset(piece)}", _at(design, piece.source)
        lines.append(f"mem{'move' if own else 'cpy'}({target}, {source}, {piece.source.size}u * sizeof(float));")
    return lines


def _pools(design: Design) -> list[str]:
    """The C that pools the next states of a period's calls, and updates the state after the last one."""
    states = {state.name: state for state in design.manifest.states}
    first: list[str] = []
    every: list[str] = []
    last: list[str] = []
    for piece in design.program.pieces:
        mean = states[piece.state].between == "mean"
        pool, source = f"state->pooled.{piece.state}{_offset(piece)}", _at(design, piece.source)
        call = f"policy_pool({pool}, {source}, {piece.source.size}u, {'state->substep' if mean else '0u'});"
        (every if mean else first).append(call)
    for name, state in states.items():
        held, pool = f"state->{name}", f"state->pooled.{name}"
        mean = state.between == "mean"
        last.append(
            f"policy_mean({held}, {pool}, {state.dim}u);" if mean else f"memcpy({held}, {pool}, sizeof({held}));"
        )
    return [
        *(["if (state->substep == 0u) {", *indent(first), "}"] if first else []),
        *every,
        "state->substep++;",
        "if (state->substep == POLICY_SUBSTEPS) {",
        *indent(["state->substep = 0u;", *last]),
        "}",
    ]


def _reset(design: Design) -> str:
    lines = []
    start = 0
    for state in design.manifest.states:
        if any(state.reset):
            place = f" + {start}u" if start else ""
            lines.append(f"memcpy(state->{state.name}, policy_reset_values{place}, sizeof(state->{state.name}));")
        start += state.dim
    return RESET.format(lines="".join(f"    {line}\n" for line in lines))


def _step(design: Design) -> str:
    program = design.program
    checked = [program.commands, *(p.source for p in program.pieces if p.source.buffer.root()[0].kind == "scratch")]
    finite = sorted({(design.layout.position(view), view.size) for view in checked})
    tests = [f"!policy_finite(scratch{f' + {start}u' if start else ''}, {size}u)" for start, size in _joined(finite)]
    result = _at(design, program.commands)
    carry = ["policy_carry(state, sensors, scratch);"] if design.manifest.states else []
    counts = design.substeps > 1 and not design.manifest.states
    lines = [
        f"float scratch[{max(design.layout.size, 1)}];",
        f"const float *const result = {result};",
        "const float *const low = (const float *)&policy_low, *const high = (const float *)&policy_high;",
        "float *const command = (float *)commands;",
        "const float *const sensed = (const float *)sensors;",
        "if (!policy_within(sensed, (const float *)&policy_sensor_low, (const float *)&policy_sensor_high)) {",
        "    *commands = policy_safe;",
        "    return POLICY_BAD_SENSOR;",
        "}",
        "policy_graph(state, sensors, scratch);",
        f"if ({(' ||' + chr(10) + '        ').join(tests)}) {{",
        "    *commands = policy_safe;",
        "    return POLICY_BAD_OUTPUT;",
        "}",
        *carry,
        *(["state->substep = (state->substep + 1u) % POLICY_SUBSTEPS;"] if counts else []),
        "for (uint32_t i = 0u; i < POLICY_COMMAND_FLOATS; i++) {",
        "    const float x = result[i];",
        "    command[i] = x < low[i] ? low[i] : x > high[i] ? high[i] : x;",
        "}",
        "return POLICY_OK;",
    ]
    return "\n".join(
        [
            "uint32_t policy_step(policy_state *state, const policy_sensors *sensors, policy_commands *commands)",
            "{",
            *indent(lines),
            "}\n",
        ]
    )


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges (start, size) with adjacent and overlapping ones merged."""
    joined: list[tuple[int, int]] = []
    for start, size in ranges:
        if joined and start <= sum(joined[-1]):
            before, length = joined[-1]
            joined[-1] = before, max(length, start + size - before)
        else:
            joined.append((start, size))
    return joined


def checked_constants(design: Design) -> list[tuple[str, bytes]]:
    """Every constant that the checksum covers: the C of its address, and its bytes in little-endian memory."""
    tables = [(f"&{name}", values.astype("<f4").tobytes()) for _, name, _, values in design.limits()]
    return tables + [(array.name, array.content()) for array in design.constants()]


def _checksum(design: Design) -> str:
    rows = [
        f"        {{{name}, sizeof({name.removeprefix('&')})}}," for name, _ in checked_constants(design)
    ]  # fmt: skip
    return "\n".join(
        [
            "uint32_t policy_constants_crc32(void)",
            "{",
            "    static const struct {",
            "        const void *start;",
            "        size_t size;",
            "    } constants[] = {",
            *rows,
            "    };",
            "    uint32_t crc = 0xffffffffu;",
            "    for (size_t i = 0u; i < sizeof(constants) / sizeof(constants[0]); i++) {",
            "        crc = policy_crc32(crc, (const unsigned char *)constants[i].start, constants[i].size);",
            "    }",
            "    return ~crc;",
            "}\n",
        ]
    )
