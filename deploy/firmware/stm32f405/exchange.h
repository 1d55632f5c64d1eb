/* The lockstep exchange with a simulator: one message each way for one step of the firmware, over any byte stream.
 * docs/firmware.md has the layout. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "pilot.h"

#define EXCHANGE_END 0    /* the simulator asked to exit */
#define EXCHANGE_CUT 1    /* the stream ended, or could not be written to */
#define EXCHANGE_WRONG 2  /* a message that is none of ours */

/* Given by the platform: move exactly `count` bytes; false when the stream has ended. */
bool exchange_read(void *bytes, size_t count);
bool exchange_write(const void *bytes, size_t count);

/* Serve exchanges until there are no more; returns one of the codes above. */
int exchange_run(pilot *self);

#endif
