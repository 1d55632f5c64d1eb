/* What crazyflie-firmware's supervisor does to a setpoint that grows old. Tests only.
 * Source: supervisorOverrideSetpoint and the time-outs of src/modules/src/supervisor.c, read 2026-11-28. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "stabilizer_types.h"

#define COMMANDER_WDT_TIMEOUT_STABILIZE 500u /* ms: level out */
#define COMMANDER_WDT_TIMEOUT_SHUTDOWN 2000u /* ms: the null setpoint, and the supervisor stops the motors itself */

void supervisor_stand_in(setpoint_t *setpoint, uint32_t now);

#endif
