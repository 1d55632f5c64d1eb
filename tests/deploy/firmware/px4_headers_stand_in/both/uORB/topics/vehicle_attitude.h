/* A stand-in for a topic of PX4, with the fields in use. Tests only.
 * Source: msg/versioned/VehicleAttitude.msg of main, read 2026-11-28. */
#pragma once
#include "../uORB.h"

struct vehicle_attitude_s {
    uint64_t timestamp;
    float q[4]; /* w, x, y, z */
};
ORB_DECLARE(vehicle_attitude);
