/* See clock.h. */
#include "clock.h"

#include "registers.h"

#define POLLS 1000000u
#define HSI_READY (1u << 1)
#define PLL_ON (1u << 24)
#define PLL_READY (1u << 25)
#define PLL_SELECTED 2u

static bool wait_for(const volatile uint32_t *status, uint32_t mask, uint32_t wanted) {
    for (uint32_t i = 0u; i < POLLS; i++) {
        if ((*status & mask) == wanted) {
            return true;
        }
    }
    return false;
}

bool clock_begin(void) {
    if ((RCC_CR & HSI_READY) == 0u) {
        return true; /* a real chip runs from this oscillator after a reset; QEMU has no clock registers and reads 0 */
    }
    FLASH_ACR = (7u << 8) | 5u; /* prefetch, both caches, 5 wait states: for 168 MHz at 2.7 V or more */
    /* 16 MHz / 16 * 336 / 2 = 168 MHz, and / 7 = 48 MHz for the random numbers. */
    RCC_PLLCFGR = 16u | (336u << 6) | (7u << 24);
    RCC_CFGR = (5u << 10) | (4u << 13); /* APB1 at a quarter, APB2 at half */
    RCC_CR |= PLL_ON;
    if (!wait_for(&RCC_CR, PLL_READY, PLL_READY)) {
        return false;
    }
    RCC_CFGR = (RCC_CFGR & ~3u) | PLL_SELECTED;
    return wait_for(&RCC_CFGR, 3u << 2, PLL_SELECTED << 2);
}

uint32_t clock_boot_id(void) {
    static uint32_t boots __attribute__((section(".noinit")));
    boots++;
    RCC_AHB2ENR |= 1u << 6;
    RNG_CR = 1u << 2;
    if (wait_for(&RNG_SR, 1u, 1u)) {
        return RNG_DR;
    }
    return boots;
}
