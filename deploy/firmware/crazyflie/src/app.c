/* The policy as an out-of-tree controller of the Crazyflie's firmware.
 *
 * The firmware keeps its estimator, radio, setpoint time-outs, arming and tumble detection. This controller flies to
 * absolute position setpoints (also those of the high-level commander). It holds the last one through a gap in the
 * radio, and descends when the firmware gives the setpoint up. It keeps the motors off for every other kind of
 * setpoint, after a failed self-test, and from a bad sensor until the setpoint is withdrawn. */
#include <stdbool.h>
#include <stdint.h>

#include "FreeRTOS.h"
#include "task.h"

#include "app.h"
#include "config.h"
#include "controller.h"
#include "stabilizer_types.h"

#include "descent.h"
#include "guard.h"
#include "motors.h"
#include "pilot_config.h"
#include "policy.h"
#include "units.h"

#define STEP_HZ (1000000u / (POLICY_PERIOD_US / POLICY_SUBSTEPS))
#if STEP_HZ != 1000 && STEP_HZ != 500 && STEP_HZ != 250 && STEP_HZ != 100 && STEP_HZ != 50 && STEP_HZ != 25
#error "the stabilizer loop can't run the policy at this rate; build again with --rate 500"
#endif
#define STEP_US (POLICY_PERIOD_US / POLICY_SUBSTEPS)
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

/* What the policy flies to. */
typedef enum {
    AIM_OFF,    /* nothing: the motors are off */
    AIM_FOLLOW, /* the setpoint */
    AIM_HOLD,   /* the last setpoint, which has become old */
    AIM_SINK,   /* the own descent */
} aim;

static policy_state memory;
static policy_commands commands;
static uint32_t bad_steps;
static bool trusted; /* the self-test has passed */
static aim flight;
static pilot_setpoint target;
static uint32_t target_stamp; /* the timestamp of the last setpoint that was followed */
static descent sinking;

void appMain(void) {
    for (;;) {
        vTaskDelay(M2T(2000));
    }
}

void controllerOutOfTreeInit(void) {
    policy_reset(&memory);
    commands = policy_safe;
    bad_steps = 0u;
    flight = AIM_OFF;
}

bool controllerOutOfTreeTest(void) {
    trusted = policy_selftest() == 0u;
    return trusted;
}

static bool wants_position(const setpoint_t *setpoint) {
    return setpoint->mode.x == modeAbs && setpoint->mode.y == modeAbs && setpoint->mode.z == modeAbs;
}

/* Whether the setpoint is the one followed last, overridden by the supervisor because it is older than 0.5 s: x and y
 * are disabled, z and the timestamp are left as they were. */
static bool is_old(const setpoint_t *setpoint) {
    return setpoint->mode.x == modeDisable && setpoint->mode.y == modeDisable && setpoint->mode.z == modeAbs &&
           setpoint->timestamp == target_stamp;
}

/* Whether the setpoint is the null one by which the supervisor gives an old one up. A request to stop, which somebody
 * sent, has a timestamp. */
static bool is_given_up(const setpoint_t *setpoint) {
    return setpoint->mode.x == modeDisable && setpoint->mode.y == modeDisable && setpoint->mode.z == modeDisable &&
           setpoint->timestamp == 0u;
}

static aim next_aim(const setpoint_t *setpoint) {
    if (!trusted) {
        return AIM_OFF;
    }
    if (wants_position(setpoint)) {
        return AIM_FOLLOW;
    }
    if ((flight == AIM_FOLLOW || flight == AIM_HOLD) && is_old(setpoint)) {
        return AIM_HOLD;
    }
    /* Only after a gap. A null setpoint that comes without one, as in an emergency stop, stops the motors. */
    if (PILOT_FOLLOWS_SETPOINT && (flight == AIM_HOLD || flight == AIM_SINK) && is_given_up(setpoint)) {
        return AIM_SINK;
    }
    return AIM_OFF;
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

static void read_target(const setpoint_t *setpoint) {
    const bool world = !setpoint->velocity_body;
    target.position[0] = setpoint->position.x;
    target.position[1] = setpoint->position.y;
    target.position[2] = setpoint->position.z;
    target.velocity[0] = world ? setpoint->velocity.x : 0.0f;
    target.velocity[1] = world ? setpoint->velocity.y : 0.0f;
    target.velocity[2] = world ? setpoint->velocity.z : 0.0f;
    target_stamp = setpoint->timestamp;
}

static void move_target(const setpoint_t *setpoint, const pilot_vehicle *vehicle, bool valid, bool begins) {
    if (flight == AIM_FOLLOW) {
        read_target(setpoint);
    } else if (flight == AIM_HOLD) {
        target.velocity[0] = target.velocity[1] = target.velocity[2] = 0.0f;
    } else {
        if (begins) {
            descent_begin(&sinking, vehicle, valid, &target);
        }
        descent_lower(&target, STEP_US);
    }
}

static void step(const setpoint_t *setpoint, const sensorData_t *sensors, const state_t *state) {
    const aim next = next_aim(setpoint);
    const bool begins = next != flight;
    if (next == AIM_OFF || flight == AIM_OFF) {
        controllerOutOfTreeInit();
    }
    flight = next;
    if (flight == AIM_OFF) {
        return;
    }
    pilot_vehicle vehicle;
    policy_sensors inputs;
    policy_commands wanted;
    read_vehicle(sensors, state, &vehicle);
    const bool valid = guard_valid(&vehicle);
    move_target(setpoint, &vehicle, valid, begins);
    pilot_sensors(&vehicle, &target, &inputs);
    const bool tripped = bad_steps > BAD_STEPS;
    if (!tripped && valid && policy_step(&memory, &inputs, &wanted) == POLICY_OK) {
        bad_steps = 0u;
        (void)guard_limit(&commands, &wanted);
    } else {
        commands = policy_safe;
        bad_steps += tripped ? 0u : 1u;
    }
    if (flight == AIM_SINK && descent_ended(&sinking, &vehicle, valid, &target, STEP_US, STEP_US)) {
        controllerOutOfTreeInit();
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
