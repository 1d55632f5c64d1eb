/* Checks of the vehicle's state, of setpoints and of commands: pure functions, with the limits of the bundle's manifest
 * from pilot_config.h. They reject NaN and infinity. */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"
#include "vehicle.h"

/* Whether all `count` values are finite. */
bool guard_finite(const float *values, size_t count);

/* Whether every value of the vehicle's state is finite and |q|^2 is between 0.5 and 1.5. */
bool guard_valid(const pilot_vehicle *vehicle);

/* Whether the angle between body z and world z is at most the manifest's max_tilt. */
bool guard_upright(const pilot_vehicle *vehicle);

/* Whether the vehicle is at rest: at most 0.1 m/s and 0.5 rad/s. */
bool guard_resting(const pilot_vehicle *vehicle);

/* Whether the vehicle's speed is at most the manifest's max_speed. */
bool guard_slow(const pilot_vehicle *vehicle);

/* Whether `position` [3] m is inside the geofence, which is relative to `origin` [3] m, both in the world frame. */
bool guard_inside(const float *position, const float *origin);

/* Whether the vehicle is within the manifest's max_position_error of the setpoint in each axis. */
bool guard_near(const pilot_vehicle *vehicle, const pilot_setpoint *setpoint);

/* Whether a setpoint is finite, inside the geofence, at most as fast as max_speed, and within the limits of the
 * policy's sensors. */
bool guard_acceptable(const pilot_setpoint *setpoint, const float *origin);

/* Move `commands` towards `wanted`, in one step by at most what the manifest's rate_limit allows, and never beyond the
 * commands' limits. Returns whether the rate limit held a command back by more than 1e-5 of its range, the largest
 * rounding error. */
bool guard_limit(policy_commands *commands, const policy_commands *wanted);

#endif
