/* See policy.h. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("O2", "fp-contract=off")
#endif

#include "policy.h"

const policy_commands policy_safe = {{0.0f, 0.0f, 0.0f, 0.0f}};
const policy_commands policy_low = {{0.0f, 0.0f, 0.0f, 0.0f}};
const policy_commands policy_high = {{2000.0f, 2000.0f, 2000.0f, 2000.0f}};

/* The weights; the self-test knows their sum. */
extern const float policy_stand_in_weights[4];
const float policy_stand_in_weights[4] = {1000.0f, -400.0f, -150.0f, 12.5f};

void policy_reset(policy_state *state) {
    for (int i = 0; i < 4; i++) {
        state->last[i] = 0.0f;
    }
}

uint32_t policy_step(policy_state *state, const policy_sensors *sensors, policy_commands *commands) {
    for (int i = 0; i < 3; i++) {
        if (!(sensors->position[i] >= -100.0f && sensors->position[i] <= 100.0f) ||
            !(sensors->linear_velocity[i] >= -30.0f && sensors->linear_velocity[i] <= 30.0f) ||
            !(sensors->angular_velocity[i] >= -40.0f && sensors->angular_velocity[i] <= 40.0f)) {
            *commands = policy_safe;
            return POLICY_BAD_SENSOR;
        }
    }
    for (int i = 0; i < 4; i++) {
        const float *w = policy_stand_in_weights;
        float value = w[0] + w[1] * sensors->position[2] + w[2] * sensors->linear_velocity[2] +
                      w[3] * sensors->angular_velocity[i % 3] + 0.25f * state->last[i];
        value = value < 0.0f ? 0.0f : value > 2000.0f ? 2000.0f : value;
        commands->rotor_speed[i] = value;
    }
    for (int i = 0; i < 4; i++) {
        state->last[i] = 0.5f * state->last[i] + 0.1f * commands->rotor_speed[i];
    }
    return POLICY_OK;
}
