/* A stand-in for a topic of PX4, with the fields in use. Tests only.
 * Source: msg/versioned/TrajectorySetpoint.msg of main, read 2026-11-28. */
#pragma once
#include "../uORB.h"

struct trajectory_setpoint_s {
    uint64_t timestamp;
    float position[3]; /* m, north east down; NaN: not controlled */
    float velocity[3]; /* m/s */
    float acceleration[3];
};
ORB_DECLARE(trajectory_setpoint);
