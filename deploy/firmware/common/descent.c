/* See descent.h. */
#include "exact.h"

#include "descent.h"

#include <stddef.h>
#include <string.h>

#include "pilot_config.h"

#define DESCENT_SPEED 0.3f /* m/s */
#define STOPPING_S 0.4f    /* time constant of the horizontal stop, as in real/missions/setpoint.py */
#define LANDED_GAP 0.2f    /* m between a landed vehicle and the setpoint below it */
#define LANDED_SPEED 0.05f /* m/s */
#define LANDED_US 500000u

void descent_begin(descent *self, const pilot_vehicle *vehicle, bool valid, pilot_setpoint *setpoint) {
    /* A fast vehicle can't stop at once, so the setpoint keeps moving with its velocity and slows down. */
    if (valid) {
        memcpy(setpoint->position, vehicle->position, sizeof setpoint->position);
        memcpy(setpoint->velocity, vehicle->linear_velocity, sizeof setpoint->velocity);
    }
    self->lasted_us = 0u;
    self->still_us = 0u;
}

void descent_lower(pilot_setpoint *setpoint, uint32_t moved_us) {
    const float seconds = (float)moved_us * 1e-6f;
    const float share = seconds < STOPPING_S ? seconds / STOPPING_S : 1.0f;
    for (size_t i = 0; i < 2u; i++) {
        setpoint->position[i] += setpoint->velocity[i] * seconds;
        setpoint->velocity[i] -= setpoint->velocity[i] * share;
    }
    setpoint->position[2] -= DESCENT_SPEED * seconds;
    setpoint->velocity[2] = -DESCENT_SPEED;
}

/* Whether the vehicle looks landed: it does not move although the setpoint is below it. */
static bool looks_landed(const pilot_vehicle *vehicle, bool valid, const pilot_setpoint *setpoint) {
    const float climb = vehicle->linear_velocity[2];
    const bool still = valid && climb < LANDED_SPEED && climb > -LANDED_SPEED;
    return still && (!PILOT_FOLLOWS_SETPOINT || setpoint->position[2] < vehicle->position[2] - LANDED_GAP);
}

bool descent_ended(descent *self, const pilot_vehicle *vehicle, bool valid, const pilot_setpoint *setpoint,
                   uint32_t passed_us, uint32_t moved_us) {
    self->lasted_us = add_saturating(self->lasted_us, passed_us);
    self->still_us = looks_landed(vehicle, valid, setpoint) ? add_saturating(self->still_us, moved_us) : 0u;
    return self->still_us >= LANDED_US || self->lasted_us > PILOT_DESCENT_US;
}
