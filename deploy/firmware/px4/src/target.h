/* What PX4's trajectory_setpoint asks for, as a target that the policy can fly to.
 *
 * NaN means "not controlled" there: modes leave axes out by design, such as z in Land, and x and y while a pilot moves
 * the sticks. Where a velocity is given instead, the target moves with it; where neither is, it stays. Includes none of
 * PX4's headers, so that a host can test it. */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "vehicle.h"

/* A setpoint older than this no longer moves the target. Flight tasks publish at 50 Hz. */
#define TARGET_OLDEST_US 500000u

/* A trajectory_setpoint in PX4's frame, north east down; NaN where not controlled. */
typedef struct {
    float position[3]; /* m */
    float velocity[3]; /* m/s */
    uint64_t time_us;
} target_wanted;

typedef struct {
    float place[3];         /* m, in our world frame */
    uint64_t taken_over_us; /* when position control began */
    uint64_t moved_us;      /* of the last move */
    bool begun;             /* a setpoint has been accepted since then */
} target_state;

/* Position control begins: setpoints from before are not for us. */
void target_take_over(target_state *self, uint64_t now_us);

/* Move the target by what is wanted, and give it as the policy's setpoint. False, and no setpoint, until one arrives
 * that is newer than the take-over and gives a position or a velocity in every axis: modes that control attitude, rates
 * or accelerations can't be flown. The target starts at the vehicle, and what velocities move of it stays within
 * max_position_error of it. */
bool target_follow(target_state *self, const target_wanted *wanted, const pilot_vehicle *vehicle, uint64_t now_us,
                   pilot_setpoint *setpoint);

#endif
