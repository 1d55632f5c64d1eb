/* The functions that an image needs from its board. lockstep_main.c implements them for the simulator, bench_board.c
 * for a bare chip on a bench. */
#ifndef BOARD_H
#define BOARD_H

#include "policy.h"
#include "vehicle.h"

void board_begin(void);

/* The newest estimate of the vehicle's state. Unknown values are NaN: the pilot then gives safe commands. */
void board_read(pilot_vehicle *vehicle);

/* Set the motors to the commands, in the bundle's unit. */
void board_drive(const policy_commands *commands);

/* Called by the fault handlers, when neither stack nor variables are reliable: set the motors to their safe values.
 * Does not return. */
void board_fault(void);

#endif
