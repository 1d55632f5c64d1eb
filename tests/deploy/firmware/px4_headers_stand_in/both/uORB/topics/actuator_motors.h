/* A stand-in for a topic of PX4, with the fields in use. Tests only.
 * Source: msg/versioned/ActuatorMotors.msg of main, read 2026-11-28. */
#pragma once
#include "../uORB.h"

struct actuator_motors_s {
    static constexpr uint8_t NUM_CONTROLS = 12;
    uint64_t timestamp; /* us */
    uint64_t timestamp_sample;
    float control[12]; /* 0 to 1; NaN: off */
};
ORB_DECLARE(actuator_motors);
