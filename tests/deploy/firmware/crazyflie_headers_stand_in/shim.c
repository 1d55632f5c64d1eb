/* What the test calls: one tick of the controller with everything as plain floats. Tests only. */
#include <string.h>

#include "FreeRTOS.h"
#include "task.h"

#include "controller.h"
#include "supervisor.h"

void vTaskDelay(uint32_t ticks) {
    (void)ticks;
}

void supervisor_stand_in(setpoint_t *setpoint, uint32_t now) {
    const uint32_t age = now - setpoint->timestamp;
    if (age > COMMANDER_WDT_TIMEOUT_SHUTDOWN) {
        memset(setpoint, 0, sizeof *setpoint);
    } else if (age > COMMANDER_WDT_TIMEOUT_STABILIZE) {
        setpoint->mode.x = setpoint->mode.y = modeDisable;
        setpoint->mode.roll = setpoint->mode.pitch = modeAbs;
        setpoint->mode.yaw = modeVelocity;
    }
}

/* `values`: position 3, velocity 3, quaternion x y z w 4, gyro 3, setpoint's position 3, setpoint's velocity 3; the
 * setpoint's modes of x, y and z; the ticks of 1 ms now and when the setpoint was set. */
void shim_tick(const float values[19], const int modes[3], uint32_t tick, uint32_t stamp, float forces[5]);
void shim_tick(const float values[19], const int modes[3], uint32_t tick, uint32_t stamp, float forces[5]) {
    control_t control;
    setpoint_t setpoint;
    sensorData_t sensors;
    state_t state;
    memset(&setpoint, 0, sizeof setpoint);
    memset(&sensors, 0, sizeof sensors);
    memset(&state, 0, sizeof state);
    state.position = (vec3_stand_in){0u, values[0], values[1], values[2]};
    state.velocity = (vec3_stand_in){0u, values[3], values[4], values[5]};
    state.attitudeQuaternion = (quaternion_t){0u, values[6], values[7], values[8], values[9]};
    sensors.gyro = (Axis3f){values[10], values[11], values[12]};
    setpoint.timestamp = stamp;
    setpoint.position = (vec3_stand_in){0u, values[13], values[14], values[15]};
    setpoint.velocity = (vec3_stand_in){0u, values[16], values[17], values[18]};
    setpoint.mode.x = (stab_mode_t)modes[0];
    setpoint.mode.y = (stab_mode_t)modes[1];
    setpoint.mode.z = (stab_mode_t)modes[2];
    supervisor_stand_in(&setpoint, tick);
    controllerOutOfTree(&control, &setpoint, &sensors, &state, tick);
    memcpy(forces, control.normalizedForces, sizeof control.normalizedForces);
    forces[4] = (float)control.controlMode;
}
