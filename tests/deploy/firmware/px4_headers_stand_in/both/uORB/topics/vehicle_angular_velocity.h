/* A stand-in for a topic of PX4, with the fields in use. Tests only.
 * Source: msg/versioned/VehicleAngularVelocity.msg of main, read 2026-11-28. */
#pragma once
#include "../uORB.h"

struct vehicle_angular_velocity_s {
    uint64_t timestamp;
    float xyz[3]; /* rad/s, forward right down */
};
ORB_DECLARE(vehicle_angular_velocity);
