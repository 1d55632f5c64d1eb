/* See motors.h. */
#include "exact.h"

#include "motors.h"

#include "pilot_config.h"
#include "thrust.h"

void motors_forces(const policy_commands *commands, float forces[4]) {
    for (int i = 0; i < 4; i++) {
        const float command = commands->PILOT_COMMAND[i];
        float force = 0.0f; /* a stopped motor gives no force, whatever the polynomial is at 0 */
        if (command > 0.0f) {
            const float u = command / policy_high.PILOT_COMMAND[i];
            force = THRUST_C0 + u * (THRUST_C1 + u * THRUST_C2);
        }
        forces[i] = force > 1.0f ? 1.0f : force;
    }
}
