/* What an image needs of its board. lockstep_main.c has the simulator's, bench_board.c one that stands on a bench. */
#ifndef BOARD_H
#define BOARD_H

#include "policy.h"
#include "vehicle.h"

void board_begin(void);

/* The newest estimate of the vehicle's state. One that is not known is NaN: the pilot then gives safe commands. */
void board_read(pilot_vehicle *vehicle);

/* Give the motors their commands, in the unit of the bundle. */
void board_drive(const policy_commands *commands);

/* Called by the fault handlers, with no stack or variable to rely on: put the motors to their safe values. Does not
 * return. */
void board_fault(void);

#endif
