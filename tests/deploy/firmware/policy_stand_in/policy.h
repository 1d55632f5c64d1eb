/* A stand-in for a generated policy: the same interface, a law of two lines instead of a network. Tests only. */
#ifndef POLICY_H
#define POLICY_H

#include <stdint.h>

#define POLICY_SCHEMA_VERSION 3u
#define POLICY_MODEL_SHA256 "5ca1ab1e00000000000000000000000000000000000000000000000000000000"
#define POLICY_MODEL_WORD 0x5ca1ab1eu
#define POLICY_NAME "stand-in"
#define POLICY_TASK "crazyflie-hover"
#define POLICY_PERIOD_US 10000u
#define POLICY_SUBSTEPS 1u
#define POLICY_SENSOR_FLOATS 13
#define POLICY_COMMAND_FLOATS 4
#define POLICY_STATE_FLOATS 4
#define POLICY_SCRATCH_BYTES 0u

typedef struct {
    float position[3];         /* m, world, relative to the target */
    float orientation[4];      /* 1, body to world, w x y z */
    float linear_velocity[3];  /* m/s, world */
    float angular_velocity[3]; /* rad/s, body */
} policy_sensors;

typedef struct {
    float rotor_speed[4]; /* rad/s */
} policy_commands;

typedef struct {
    float last[4];
} policy_state;

#define POLICY_OK 0u
#define POLICY_BAD_SENSOR 1u
#define POLICY_BAD_OUTPUT 2u

void policy_reset(policy_state *state);
uint32_t policy_step(policy_state *state, const policy_sensors *sensors, policy_commands *commands);
uint32_t policy_selftest(void);

extern const policy_commands policy_safe;
extern const policy_commands policy_low, policy_high;

#endif
