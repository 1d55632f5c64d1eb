/* See guard.h. */
#include "exact.h"

#include "guard.h"

#include <stdint.h>
#include <string.h>

#include "pilot_config.h"

#define RESTING_SPEED 0.1f /* m/s */
#define RESTING_RATE 0.5f  /* rad/s */
#define ROUNDING 1e-5f     /* of a command's range */

static float square3(const float *v) {
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
}

static float square4(const float *q) {
    return q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
}

static bool within(const float *values, const float *low, const float *high) {
    bool inside = true;
    for (size_t i = 0; i < 3u; i++) {
        inside = inside && values[i] >= low[i] && values[i] <= high[i];
    }
    return inside;
}

bool guard_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        if ((bits & 0x7F800000u) == 0x7F800000u) {
            return false;
        }
    }
    return true;
}

bool guard_valid(const pilot_vehicle *vehicle) {
    const float length = square4(vehicle->orientation);
    return guard_finite(vehicle->position, 3u) && guard_finite(vehicle->orientation, 4u) &&
           guard_finite(vehicle->linear_velocity, 3u) && guard_finite(vehicle->angular_velocity, 3u) &&
           length >= 0.5f && length <= 1.5f;
}

bool guard_upright(const pilot_vehicle *vehicle) {
    /* The body's z along the world's z is (w^2 - x^2 - y^2 + z^2) / |q|^2: the cosine of the tilt. */
    const float *q = vehicle->orientation;
    const float along = q[0] * q[0] - q[1] * q[1] - q[2] * q[2] + q[3] * q[3];
    return along >= PILOT_COS_MAX_TILT * square4(q);
}

bool guard_resting(const pilot_vehicle *vehicle) {
    return square3(vehicle->linear_velocity) <= RESTING_SPEED * RESTING_SPEED &&
           square3(vehicle->angular_velocity) <= RESTING_RATE * RESTING_RATE;
}

bool guard_slow(const pilot_vehicle *vehicle) {
    return square3(vehicle->linear_velocity) <= PILOT_MAX_SPEED * PILOT_MAX_SPEED;
}

bool guard_inside(const float *position, const float *origin) {
    static const float low[3] = PILOT_FENCE_LOW;
    static const float high[3] = PILOT_FENCE_HIGH;
    const float moved[3] = {position[0] - origin[0], position[1] - origin[1], position[2] - origin[2]};
    return within(moved, low, high);
}

bool guard_near(const pilot_vehicle *vehicle, const pilot_setpoint *setpoint) {
    bool near = true;
    for (size_t i = 0; i < 3u; i++) {
        const float error = vehicle->position[i] - setpoint->position[i];
        near = near && error <= PILOT_MAX_POSITION_ERROR && error >= -PILOT_MAX_POSITION_ERROR;
    }
    return near;
}

bool guard_acceptable(const pilot_setpoint *setpoint, const float *origin) {
    static const float place_low[3] = PILOT_TARGET_POSITION_LOW;
    static const float place_high[3] = PILOT_TARGET_POSITION_HIGH;
    static const float speed_low[3] = PILOT_TARGET_VELOCITY_LOW;
    static const float speed_high[3] = PILOT_TARGET_VELOCITY_HIGH;
    return guard_finite(setpoint->position, 3u) && guard_finite(setpoint->velocity, 3u) &&
           guard_inside(setpoint->position, origin) &&
           square3(setpoint->velocity) <= PILOT_MAX_SPEED * PILOT_MAX_SPEED &&
           within(setpoint->position, place_low, place_high) && within(setpoint->velocity, speed_low, speed_high);
}

bool guard_limit(policy_commands *commands, const policy_commands *wanted) {
    const float step = PILOT_RATE_LIMIT * PILOT_STEP_S;
    bool held_back = false;
    for (size_t i = 0; i < POLICY_COMMAND_FLOATS; i++) {
        const float low = policy_low.PILOT_COMMAND[i];
        const float high = policy_high.PILOT_COMMAND[i];
        const float before = commands->PILOT_COMMAND[i];
        float value = wanted->PILOT_COMMAND[i];
        if (!(value >= low)) { /* NaN, too */
            value = low;
        } else if (value > high) {
            value = high;
        }
        float limited = value;
        if (limited > before + step) {
            limited = before + step;
        } else if (limited < before - step) {
            limited = before - step;
        }
        const float excess = ROUNDING * (high - low);
        held_back = held_back || value - limited > excess || limited - value > excess;
        commands->PILOT_COMMAND[i] = limited;
    }
    return held_back;
}
