/* A stand-in for a board: a vehicle at rest on a bench, and no motors. It lets the link and the pilot run on a bare
 * or an emulated chip. A board that flies reads its estimator in `board_read` and sets its timers in `board_drive`
 * and `board_fault`. */
#include "board.h"

void board_begin(void) {
    /* After a reset all timer pins are inputs, so no motor turns. */
}

void board_read(pilot_vehicle *vehicle) {
    static const pilot_vehicle still = {.orientation = {1.0f, 0.0f, 0.0f, 0.0f}};
    *vehicle = still;
}

void board_drive(const policy_commands *commands) {
    (void)commands;
}

void board_fault(void) {
    for (;;) {
        /* The independent watchdog resets the chip, and the motor pins become inputs. */
    }
}
