/* What a healthy vehicle, an acceptable setpoint and a command that may reach the motors are: pure functions, with the
 * limits of the bundle's manifest from pilot_config.h. They hold for NaN and infinity, too: those are never inside. */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"
#include "vehicle.h"

/* Whether all `count` values are finite. */
bool guard_finite(const float *values, size_t count);

/* Whether every value of the vehicle's state is finite, and its quaternion about as long as a unit one. */
bool guard_sound(const pilot_vehicle *vehicle);

/* Whether the angle between the body's z and the world's is within the manifest's max_tilt. */
bool guard_upright(const pilot_vehicle *vehicle);

/* Whether the vehicle is hardly moving: at most 0.1 m/s and 0.5 rad/s. */
bool guard_resting(const pilot_vehicle *vehicle);

/* Whether the vehicle is at most at the manifest's max_speed. */
bool guard_slow(const pilot_vehicle *vehicle);

/* Whether `position` [3] m is inside the geofence around `origin` [3] m, world axes. */
bool guard_inside(const float *position, const float *origin);

/* Whether the vehicle is within the manifest's max_position_error of the setpoint, each axis. */
bool guard_near(const pilot_vehicle *vehicle, const pilot_setpoint *setpoint);

/* Whether a setpoint is finite, inside the fence around `origin`, no faster than max_speed, and nothing that the policy
 * would take for a faulty sensor. */
bool guard_acceptable(const pilot_setpoint *setpoint, const float *origin);

/* Move `commands` towards `wanted`, by no more in one step than the manifest's rate_limit allows, and never beyond the
 * limits of the commands. Returns whether the rate limit held a command back by more than 1e-5 of its range, which is
 * what rounding explains. */
bool guard_limit(policy_commands *commands, const policy_commands *wanted);

#endif
