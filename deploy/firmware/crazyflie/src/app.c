/* The policy as an out-of-tree controller of the Crazyflie's firmware.
 *
 * The firmware keeps its estimator, radio, setpoint time-outs, arming and tumble detection. This controller flies to
 * absolute position setpoints (also those of the high-level commander). It keeps the motors off for every other kind of
 * setpoint, after a failed self-test, and from a bad sensor until the setpoint is withdrawn. */
#include <stdbool.h>
#include <stdint.h>

#include "FreeRTOS.h"
#include "task.h"

#include "app.h"
#include "config.h"
#include "controller.h"
#include "stabilizer_types.h"

#include "guard.h"
#include "motors.h"
#include "pilot_config.h"
#include "policy.h"
#include "units.h"

#define STEP_HZ (1000000u / (POLICY_PERIOD_US / POLICY_SUBSTEPS))
#if STEP_HZ != 1000 && STEP_HZ != 500 && STEP_HZ != 250 && STEP_HZ != 100 && STEP_HZ != 50 && STEP_HZ != 25
#error "the stabilizer loop can't run the policy at this rate; build again with --rate 500"
#endif
#define BAD_STEPS (STEP_HZ / 50u) /* 20 ms */

/* A step takes up to 3 kB of the stabilizer task's stack, and the self-test two more states on the stack of the task
 * that starts the system. The firmware's own 1800 and 1200 bytes are what these tasks need without the policy. A stack
 * that is too small must fail the build, not overwrite memory in flight. */
#define SCRATCH_BYTES 3072u
#define WORD_BYTES 4u
_Static_assert(WORD_BYTES * STABILIZER_TASK_STACKSIZE >= 1800u + SCRATCH_BYTES,
               "raise STABILIZER_TASK_STACKSIZE in the firmware's config.h, as README.md says");
_Static_assert(WORD_BYTES * SYSTEM_TASK_STACKSIZE >= 1200u + SCRATCH_BYTES + 2u * sizeof(policy_state),
               "raise SYSTEM_TASK_STACKSIZE in the firmware's config.h, as README.md says");

static policy_state memory;
static policy_commands commands;
static uint32_t bad_steps;
static bool trusted; /* the self-test has passed */
static bool flying;

void appMain(void) {
    for (;;) {
        vTaskDelay(M2T(2000));
    }
}

void controllerOutOfTreeInit(void) {
    policy_reset(&memory);
    commands = policy_safe;
    bad_steps = 0u;
    flying = false;
}

bool controllerOutOfTreeTest(void) {
    trusted = policy_selftest() == 0u;
    return trusted;
}

static bool wants_position(const setpoint_t *setpoint) {
    return setpoint->mode.x == modeAbs && setpoint->mode.y == modeAbs && setpoint->mode.z == modeAbs;
}

static void read_vehicle(const sensorData_t *sensors, const state_t *state, pilot_vehicle *vehicle) {
    const quaternion_t *q = &state->attitudeQuaternion;
    const float xyzw[4] = {q->x, q->y, q->z, q->w};
    const float gyro[3] = {sensors->gyro.x, sensors->gyro.y, sensors->gyro.z};
    vehicle->position[0] = state->position.x;
    vehicle->position[1] = state->position.y;
    vehicle->position[2] = state->position.z;
    vehicle->linear_velocity[0] = state->velocity.x;
    vehicle->linear_velocity[1] = state->velocity.y;
    vehicle->linear_velocity[2] = state->velocity.z;
    units_quaternion(xyzw, vehicle->orientation);
    units_angular_velocity(gyro, vehicle->angular_velocity);
}

static void read_target(const setpoint_t *setpoint, pilot_setpoint *target) {
    const bool world = !setpoint->velocity_body;
    target->position[0] = setpoint->position.x;
    target->position[1] = setpoint->position.y;
    target->position[2] = setpoint->position.z;
    target->velocity[0] = world ? setpoint->velocity.x : 0.0f;
    target->velocity[1] = world ? setpoint->velocity.y : 0.0f;
    target->velocity[2] = world ? setpoint->velocity.z : 0.0f;
}

static void step(const setpoint_t *setpoint, const sensorData_t *sensors, const state_t *state) {
    if (!trusted || !wants_position(setpoint)) {
        controllerOutOfTreeInit();
        return;
    }
    if (!flying) {
        controllerOutOfTreeInit();
        flying = true;
    }
    pilot_vehicle vehicle;
    pilot_setpoint target;
    policy_sensors inputs;
    policy_commands wanted;
    read_vehicle(sensors, state, &vehicle);
    read_target(setpoint, &target);
    pilot_sensors(&vehicle, &target, &inputs);
    const bool tripped = bad_steps > BAD_STEPS;
    if (!tripped && guard_valid(&vehicle) && policy_step(&memory, &inputs, &wanted) == POLICY_OK) {
        bad_steps = 0u;
        (void)guard_limit(&commands, &wanted);
    } else {
        commands = policy_safe;
        bad_steps += tripped ? 0u : 1u;
    }
}

void controllerOutOfTree(control_t *control, const setpoint_t *setpoint, const sensorData_t *sensors,
                         const state_t *state, const stabilizerStep_t stabilizerStep) {
    if (RATE_DO_EXECUTE(STEP_HZ, stabilizerStep)) {
        step(setpoint, sensors, state);
    }
    control->controlMode = controlModeForce;
    motors_forces(&commands, control->normalizedForces);
}
