/* A stand-in for a topic of PX4, with the fields in use. Tests only.
 * Source: msg/versioned/VehicleLocalPosition.msg of main, read 2026-11-28. */
#pragma once
#include "../uORB.h"

struct vehicle_local_position_s {
    uint64_t timestamp;
    bool xy_valid, z_valid, v_xy_valid, v_z_valid;
    float x, y, z;    /* m, north east down */
    float vx, vy, vz; /* m/s */
};
ORB_DECLARE(vehicle_local_position);
