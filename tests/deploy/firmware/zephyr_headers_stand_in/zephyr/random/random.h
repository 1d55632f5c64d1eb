/* A stand-in for a header of Zephyr. Tests only. Source: the function is there when subsys/random/Kconfig has a
 * generator: a chip's (CONFIG_ENTROPY_GENERATOR and a driver), or the timer (CONFIG_TEST_RANDOM_GENERATOR); read
 * 2026-11-28. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

uint32_t sys_rand32_get(void);

#endif
