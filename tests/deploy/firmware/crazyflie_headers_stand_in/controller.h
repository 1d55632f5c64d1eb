/* A stand-in for a header of crazyflie-firmware. Tests only.
 * Source: src/modules/interface/controller/controller.h, in the order of releases after 2025.12.0; before, Oot comes
 * before Lee (read 2026-11-28). */
#ifndef CONTROLLER_H
#define CONTROLLER_H

#include "stabilizer_types.h"

typedef enum {
    ControllerTypeAutoSelect,
    ControllerTypePID,
    ControllerTypeMellinger,
    ControllerTypeINDI,
    ControllerTypeBrescianini,
    ControllerTypeLee,
    ControllerTypeOot,
} ControllerType;

void controllerOutOfTreeInit(void);
bool controllerOutOfTreeTest(void);
void controllerOutOfTree(control_t *control, const setpoint_t *setpoint, const sensorData_t *sensors,
                         const state_t *state, const stabilizerStep_t stabilizerStep);

#endif
