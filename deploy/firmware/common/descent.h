/* A descent without a host: the setpoint slows down sideways and sinks until the vehicle looks landed. */
#ifndef DESCENT_H
#define DESCENT_H

#include <stdbool.h>
#include <stdint.h>

#include "vehicle.h"

/* The sum of two times, at most the largest that fits. */
static inline uint32_t add_saturating(uint32_t a, uint32_t b) {
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

typedef struct {
    uint32_t lasted_us; /* since it began */
    uint32_t still_us;  /* how long the vehicle has looked landed */
} descent;

/* Start from the vehicle's position and velocity, or from the setpoint as it is when the vehicle's state is not
 * `valid`. */
void descent_begin(descent *self, const pilot_vehicle *vehicle, bool valid, pilot_setpoint *setpoint);

/* Move the setpoint by `moved_us`: it keeps its horizontal velocity with a time constant of 0.4 s, and sinks at
 * 0.3 m/s. */
void descent_lower(pilot_setpoint *setpoint, uint32_t moved_us);

/* Whether the descent has ended: the vehicle was vertically still for 0.5 s with the setpoint 0.2 m below it, or
 * PILOT_DESCENT_US have passed. `passed_us` is the time since the last call, `moved_us` the part of it that counts as
 * rest. */
bool descent_ended(descent *self, const pilot_vehicle *vehicle, bool valid, const pilot_setpoint *setpoint,
                   uint32_t passed_us, uint32_t moved_us);

#endif
