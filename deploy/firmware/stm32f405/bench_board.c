/* A stand-in for a board: a vehicle that lies still on a bench, and no motors. With it the link and the pilot can be
 * tried on a bare chip or an emulated one. A board that flies reads its estimator in `board_read` and sets its timers in
 * `board_drive` and `board_fault`. */
#include "board.h"

void board_begin(void) {
    /* After reset the pins of every timer are inputs: no motor turns. */
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
        /* The independent watchdog resets the chip, whose motors' pins are then inputs. */
    }
}
