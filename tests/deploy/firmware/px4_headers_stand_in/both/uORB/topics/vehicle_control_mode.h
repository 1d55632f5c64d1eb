/* A stand-in for a topic of PX4, with the fields in use. Tests only.
 * Source: msg/versioned/VehicleControlMode.msg of main, read 2026-11-28. */
#pragma once
#include "../uORB.h"

struct vehicle_control_mode_s {
    uint64_t timestamp;
    bool flag_armed;
    bool flag_control_position_enabled;
};
ORB_DECLARE(vehicle_control_mode);
