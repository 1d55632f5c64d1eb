"""policy.h: the interface of a generated policy."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent, wrap

from deploy.codegen.names import comment, member, string
from deploy.codegen.sources import Design
from policies.specs import CommandSpec, SensorSpec, StateSpec

_API = """\
/* Status bits of policy_step. */
#define POLICY_OK 0u
#define POLICY_BAD_SENSOR 1u /* a sensor is not finite or beyond its limits */
#define POLICY_BAD_OUTPUT 2u /* a result was not finite */

/* The commands that stop the actuators, and the commands' limits. */
extern const policy_commands policy_safe;
extern const policy_commands policy_low;
extern const policy_commands policy_high;

/* Set the state to its reset value, at the start of a control period; call it whenever the policy takes over. */
void policy_reset(policy_state *state);

/* One call; POLICY_SUBSTEPS calls are a control period. Returns status bits. Unless they are POLICY_OK, the commands
are
   policy_safe and the state is unchanged. Commands are always finite and within policy_low and policy_high. */
uint32_t policy_step(policy_state *state, const policy_sensors *sensors, policy_commands *commands);

/* Run at boot, and don't run the policy unless it returns 0. Bits: 1 the constants are damaged (CRC-32), 2 commands
   differ from the recorded ones, 4 policy_reset leaves values unset. */
uint32_t policy_selftest(void);

/* CRC-32 over all constants of policy.c; for policy_selftest. */
uint32_t policy_constants_crc32(void);
"""


def header(design: Design, note: str = "") -> str:
    """The text of policy.h; `note` is a sentence for its first comment."""
    manifest = design.manifest
    digest = manifest.identity.policy_sha256
    period = manifest.timing.period
    lines = [
        f"/* The policy {comment(manifest.identity.name)} as C99: one step from sensors to commands, in SI units.",
        "",
        *([*(f"   {line}" for line in wrap(comment(note), 110)), ""] if note else []),
        "   Written by `robo-rl codegen`; don't edit, generate it again. */",
        "#ifndef POLICY_H",
        "#define POLICY_H",
        "",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define POLICY_SCHEMA_VERSION {manifest.schema_version}u /* of the bundle's manifest */",
        f'#define POLICY_MODEL_SHA256 "{digest}"',
        f"#define POLICY_MODEL_WORD 0x{digest[:8]}u /* its first digits, for reporting over a link */",
        f"#define POLICY_NAME {string(manifest.identity.name)}",
        f"#define POLICY_TASK {string(manifest.identity.task)}",
        f"#define POLICY_PERIOD_US {round(period * 1e6)}u /* the control period of the training */",
        f"#define POLICY_SUBSTEPS {design.substeps}u /* calls of policy_step in a control period */",
        f"#define POLICY_SENSOR_FLOATS {sum(s.dim for s in manifest.sensors)}u",
        f"#define POLICY_COMMAND_FLOATS {sum(c.dim for c in manifest.commands)}u",
        f"#define POLICY_STATE_FLOATS {design.state_floats}u /* kept between periods */",
        f"#define POLICY_SCRATCH_BYTES {design.scratch_bytes}u /* intermediate values of a step, on the stack */",
        "",
        *_struct("policy_sensors", [(s, _sensor(s)) for s in manifest.sensors]),
        "",
        *_struct("policy_commands", [(c, _command(c)) for c in manifest.commands]),
        "",
        "/* The policy's state; the caller owns one per robot. */",
        *_state(design),
        "",
        "",
    ]
    return "\n".join(lines) + _API + "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n"


def _struct(name: str, entries: Sequence[tuple[SensorSpec | CommandSpec, str]]) -> list[str]:
    kind = "sensor" if name == "policy_sensors" else "command"
    lines = []
    for entry, text in entries:
        wrapped = wrap(text, 110, break_long_words=False, break_on_hyphens=False)
        note = f"/* {text} */" if len(wrapped) == 1 else "/*\n" + indent("\n".join(wrapped), " " * 8) + " */"
        lines.append(f"    float {member(kind, entry.name)}[{entry.dim}]; {note}")
    return ["typedef struct {", *lines, f"}} {name};"]


def _state(design: Design) -> list[str]:
    states: Sequence[StateSpec] = design.manifest.states
    held = [f"    float {member('state', s.name)}[{s.dim}];" for s in states]
    if design.substeps == 1:
        return [
            "typedef struct {",
            *(held or ["    uint32_t unused; /* this policy has no state */"]),
            "} policy_state;",
        ]
    pools = [
        f"        float {s.name}[{s.dim}]; /* {'the sum so far' if s.between == 'mean' else 'of the first call'} */"
        for s in states
    ]
    pooled = ["    struct {", *pools, "    } pooled; /* next states of the period's calls */"] if pools else []
    return [
        "typedef struct {",
        *held,
        *pooled,
        "    uint32_t substep; /* calls made in this period */",
        "} policy_state;",
    ]


def _sensor(sensor: SensorSpec) -> str:
    target = ", minus the target's" if sensor.relative_to == "target" else ""
    return comment(f"{sensor.unit}{_frame(sensor.frame)}{target}{_range(sensor)}{_labels(sensor.labels)}")


def _command(command: CommandSpec) -> str:
    return comment(f"{command.unit}{_frame(command.frame)}{_range(command)}{_labels(command.labels)}")


def _frame(frame: str) -> str:
    return "" if frame in ("", "none") else f", {frame}"


def _range(entry: SensorSpec | CommandSpec) -> str:
    if len(set(entry.low)) > 1 or len(set(entry.high)) > 1:
        return ""
    return f", {entry.low[0]:g} to {entry.high[0]:g}"


def _labels(labels: Sequence[str]) -> str:
    return f": {', '.join(labels)}" if labels else ""
