/* The clocks of the real-time image: 168 MHz from the internal oscillator, which every board has. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_CORE_MHZ 168u
#define CLOCK_APB2_HZ 84000000u

/* Set up the clocks; false when the PLL did not lock. True on an emulator, which has no clock registers. */
bool clock_begin(void);

/* A number that differs between boots: random if the chip's generator answers, else a count kept in RAM. */
uint32_t clock_boot_id(void);

#endif
