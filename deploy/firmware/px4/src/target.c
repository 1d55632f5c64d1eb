/* See target.h. */
#include "exact.h"

#include "target.h"

#include <string.h>

#include "frames.h"
#include "guard.h"
#include "pilot_config.h"

#define LONGEST_US 100000u /* of one move: after a gap the target does not jump */

static bool is_fresh(const target_state *self, const target_wanted *wanted, uint64_t now_us) {
    /* It may have been published after `now_us` was read. */
    const uint64_t age_us = now_us > wanted->time_us ? now_us - wanted->time_us : 0u;
    return wanted->time_us >= self->taken_over_us && age_us <= TARGET_OLDEST_US;
}

static bool is_flyable(const target_wanted *wanted) {
    bool every = true;
    for (size_t i = 0; i < 3u; i++) {
        every = every && (guard_finite(&wanted->position[i], 1u) || guard_finite(&wanted->velocity[i], 1u));
    }
    return every;
}

static float within(float value, float centre, float reach) {
    if (value > centre + reach) {
        return centre + reach;
    }
    return value < centre - reach ? centre - reach : value;
}

void target_take_over(target_state *self, uint64_t now_us) {
    memset(self, 0, sizeof *self);
    self->taken_over_us = now_us;
}

bool target_follow(target_state *self, const target_wanted *wanted, const pilot_vehicle *vehicle, uint64_t now_us,
                   pilot_setpoint *setpoint) {
    const bool fresh = is_fresh(self, wanted, now_us);
    if (!self->begun) {
        if (!fresh || !is_flyable(wanted)) {
            return false;
        }
        memcpy(self->place, vehicle->position, sizeof self->place);
        self->moved_us = now_us;
        self->begun = true;
    }
    const uint64_t passed_us = now_us - self->moved_us;
    const float seconds = (float)(passed_us < LONGEST_US ? (uint32_t)passed_us : LONGEST_US) * 1e-6f;
    float position[3];
    float velocity[3];
    frames_vector(wanted->position, position);
    frames_vector(wanted->velocity, velocity);
    for (size_t i = 0; i < 3u; i++) {
        const bool moves = fresh && guard_finite(&velocity[i], 1u);
        const float speed = moves ? velocity[i] : 0.0f;
        if (fresh && guard_finite(&position[i], 1u)) {
            self->place[i] = position[i];
        } else if (moves) {
            const float moved = self->place[i] + speed * seconds;
            self->place[i] = within(moved, vehicle->position[i], PILOT_MAX_POSITION_ERROR);
        }
        setpoint->position[i] = self->place[i];
        setpoint->velocity[i] = speed;
    }
    self->moved_us = now_us;
    return true;
}
