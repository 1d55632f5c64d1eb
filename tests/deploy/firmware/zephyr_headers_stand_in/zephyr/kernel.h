/* A stand-in for a header of Zephyr. Tests only. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define BUILD_ASSERT(condition, message) _Static_assert(condition, message)
#define ARG_UNUSED(x) (void)(x)

struct k_timer {
    uint32_t period_us;
};
typedef struct {
    uint32_t us;
} k_timeout_t;
#define K_USEC(t) ((k_timeout_t){(uint32_t)(t)})
#define K_TIMER_DEFINE(name, expiry, stop) struct k_timer name

void k_timer_start(struct k_timer *timer, k_timeout_t duration, k_timeout_t period);
uint32_t k_timer_status_sync(struct k_timer *timer);
uint64_t k_cycle_get_64(void);
uint64_t k_cyc_to_us_floor64(uint64_t cycles);

#endif
