/* What the test calls: one tick of the controller with everything as plain floats. Tests only. */
#include <string.h>

#include "FreeRTOS.h"
#include "task.h"

#include "controller.h"

void vTaskDelay(uint32_t ticks) {
    (void)ticks;
}

/* `values`: position 3, velocity 3, quaternion x y z w 4, gyro 3, setpoint's position 3, setpoint's velocity 3. */
void shim_tick(const float values[19], int mode, uint32_t tick, float forces[5]);
void shim_tick(const float values[19], int mode, uint32_t tick, float forces[5]) {
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
    setpoint.position = (vec3_stand_in){0u, values[13], values[14], values[15]};
    setpoint.velocity = (vec3_stand_in){0u, values[16], values[17], values[18]};
    setpoint.mode.x = setpoint.mode.y = setpoint.mode.z = (stab_mode_t)mode;
    controllerOutOfTree(&control, &setpoint, &sensors, &state, tick);
    memcpy(forces, control.normalizedForces, sizeof control.normalizedForces);
    forces[4] = (float)control.controlMode;
}
