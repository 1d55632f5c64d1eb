"""Parts of policy.c that are the same for every policy."""

HEAD = """\
/* Written by `robo-rl codegen`; don't edit, generate it again. */
#include "policy.h"

#include <string.h>

/* Results have the same bits on every machine only without fused multiply-adds. With -Os, which firmware often uses,
   layers would take twice as long. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("O2", "fp-contract=off")
#endif

/* The structs are read as plain vectors, so they must have no padding. */
typedef char policy_sensors_are_floats[sizeof(policy_sensors) == POLICY_SENSOR_FLOATS * sizeof(float) ? 1 : -1];
typedef char policy_commands_are_floats[sizeof(policy_commands) == POLICY_COMMAND_FLOATS * sizeof(float) ? 1 : -1];
"""
FINITE = """\
/* Whether `count` numbers are all finite, tested by their bits, so that no compiler flag can remove the test. */
static int policy_finite(const float *values, uint32_t count)
{
    for (uint32_t i = 0u; i < count; i++) {
        policy_bits value;
        value.real = values[i];
        if ((value.bits & 0x7f800000u) == 0x7f800000u) {
            return 0;
        }
    }
    return 1;
}

/* Whether each sensor is finite, tested as above, and within its limits. */
static int policy_within(const float *values, const float *low, const float *high)
{
    for (uint32_t i = 0u; i < POLICY_SENSOR_FLOATS; i++) {
        policy_bits value;
        value.real = values[i];
        if ((value.bits & 0x7f800000u) == 0x7f800000u || value.real < low[i] || value.real > high[i]) {
            return 0;
        }
    }
    return 1;
}
"""
POOL = """\
/* Adds one call's next values to `pool`; `add` is 0 in the first call, which sets them. */
static void policy_pool(float *pool, const float *next, uint32_t count, uint32_t add)
{
    for (uint32_t i = 0u; i < count; i++) {
        pool[i] = add != 0u ? pool[i] + next[i] : next[i];
    }
}
"""
MEAN = """\
/* The mean over the calls of a control period. */
static void policy_mean(float *held, const float *pool, uint32_t count)
{
    for (uint32_t i = 0u; i < count; i++) {
        held[i] = pool[i] / (float)POLICY_SUBSTEPS;
    }
}
"""
RESET = """\
void policy_reset(policy_state *state)
{{
    memset(state, 0, sizeof(*state));
{lines}}}
"""
CRC = """\
/* CRC-32 (IEEE 802.3) over `size` bytes, four bits at a time. */
static uint32_t policy_crc32(uint32_t crc, const unsigned char *bytes, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    for (size_t i = 0u; i < size; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return crc;
}
"""
SELFTEST = """\
/* Checks at boot that this policy is undamaged and computes the commands that were recorded when it was generated.

   Written by `robo-rl codegen`; don't edit, generate it again. */
#include "policy.h"

#include <string.h>

#define ROWS {rows}u
#define RESET_ROW {reset_row}u

/* Sensors of a recorded episode, each held for a control period, and onnxruntime's commands for them. */
static const policy_sensors sensors[ROWS] = {{
{sensors}}};
static const policy_commands expected[ROWS] = {{
{commands}}};

{reset_values}static int state_resets(void)
{{
    policy_state state;
    policy_state other;
    memset(&state, 0xa5, sizeof(state));
    memset(&other, 0x5a, sizeof(other));
    policy_reset(&state);
    policy_reset(&other);
    if (memcmp(&state, &other, sizeof(state)) != 0) {{
        return 0;
    }}
{reset_check}}}

uint32_t policy_selftest(void)
{{
    uint32_t failed = 0u;
    policy_state state;
    policy_commands commands = policy_safe;
    const float *const command = (const float *)&commands;
    const float *const low = (const float *)&policy_low, *const high = (const float *)&policy_high;
    if (policy_constants_crc32() != 0x{crc:08x}u) {{
        failed |= 1u;
    }}
    if (!state_resets()) {{
        failed |= 4u;
    }}
    policy_reset(&state);
    for (uint32_t row = 0u; row < ROWS; row++) {{
        const float *const wanted = (const float *)&expected[row];
        uint32_t status = POLICY_OK;
        if (row == RESET_ROW) {{
            policy_reset(&state);
        }}
        for (uint32_t call = 0u; call < POLICY_SUBSTEPS; call++) {{
            status |= policy_step(&state, &sensors[row], &commands);
        }}
        if (status != POLICY_OK) {{
            failed |= 2u;
        }}
        for (uint32_t i = 0u; i < POLICY_COMMAND_FLOATS; i++) {{
            const float tolerance = {tolerance} * (high[i] - low[i]);
            const float difference = command[i] - wanted[i];
            /* Written so that a NaN fails. */
            if (!(difference <= tolerance && -difference <= tolerance)) {{
                failed |= 2u;
            }}
        }}
    }}
    return failed;
}}
"""
