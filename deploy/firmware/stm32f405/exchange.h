/* The lockstep exchange with a simulator: one message each way per step of the firmware, over any byte stream.
 * docs/firmware.md has the layout. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "pilot.h"

#define EXCHANGE_END 0    /* the simulator asked to exit */
#define EXCHANGE_CUT 1    /* the stream ended, or could not be written to */
#define EXCHANGE_WRONG 2  /* an unknown message */

/* Implemented by the platform: transfer exactly `count` bytes; false when the stream has ended. */
bool exchange_read(void *bytes, size_t count);
bool exchange_write(const void *bytes, size_t count);

/* Serve exchanges until the stream or the simulator ends them; returns one of the codes above. */
int exchange_run(pilot *self);

#endif
