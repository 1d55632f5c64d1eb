/* A stand-in for a header of crazyflie-firmware, with the names and units that it documents and no more. Tests only.
 * Source: src/modules/interface/stabilizer_types.h, read 2026-11-28. */
#ifndef STABILIZER_TYPES_H
#define STABILIZER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    float x, y, z;
} Axis3f;

typedef struct {
    uint32_t timestamp;
    float x, y, z;
} vec3_stand_in;

typedef struct {
    uint32_t timestamp;
    float x, y, z, w;
} quaternion_t;

typedef struct {
    Axis3f acc;  /* g */
    Axis3f gyro; /* deg/s */
} sensorData_t;

typedef struct {
    quaternion_t attitudeQuaternion;
    vec3_stand_in position; /* m */
    vec3_stand_in velocity; /* m/s */
} state_t;

typedef enum { modeDisable = 0, modeAbs, modeVelocity } stab_mode_t;

typedef struct {
    uint32_t timestamp; /* ticks of 1 ms when it was set; 0 in a null setpoint of the supervisor's */
    vec3_stand_in position;
    vec3_stand_in velocity;
    bool velocity_body;
    struct {
        stab_mode_t x, y, z, roll, pitch, yaw;
    } mode;
} setpoint_t;

typedef enum { controlModeLegacy = 0, controlModeForceTorque = 1, controlModeForce = 2 } control_mode_t;

typedef struct {
    control_mode_t controlMode;
    float normalizedForces[4];
} control_t;

typedef uint32_t stabilizerStep_t;

#define RATE_MAIN_LOOP 1000
#define RATE_DO_EXECUTE(RATE_HZ, TICK) ((TICK % (RATE_MAIN_LOOP / RATE_HZ)) == 0)

#endif
