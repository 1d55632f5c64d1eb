/* The image that runs in real time: SysTick paces the policy, and the link is on USART1 (PA9 out, PA10 in, 921600
 * baud, 8 bits, no parity, 1 stop bit). */
#include "board.h"
#include "clock.h"
#include "pilot.h"
#include "registers.h"

#define RECEIVED_BYTES 1024u /* a power of two; at 921600 baud one step of 10 ms brings up to 922 */
#define USART_READY_TO_READ (1u << 5)
#define USART_OVERRUN (1u << 3)
#define USART_READY_TO_WRITE (1u << 7)
#define WATCHDOG_MS 200u

#if POLICY_PERIOD_US / POLICY_SUBSTEPS > 99000
#error "SysTick has 24 bits: at 168 MHz a step may last 99 ms at most"
#endif

static volatile uint32_t ticks;
static volatile uint8_t received[RECEIVED_BYTES];
static volatile uint32_t received_count; /* since boot; written only by the interrupt */
static uint32_t taken_count;             /* since boot; written only by main */
static pilot self;

void systick_handler(void);
void usart1_handler(void);

void systick_handler(void) {
    ticks++;
}

void usart1_handler(void) {
    /* Reading SR and then DR clears an overrun; the byte in DR is valid. */
    while ((USART1_SR & (USART_READY_TO_READ | USART_OVERRUN)) != 0u) {
        const uint8_t byte = (uint8_t)USART1_DR;
        if (received_count - taken_count < RECEIVED_BYTES) {
            received[received_count % RECEIVED_BYTES] = byte;
            received_count++;
        }
    }
}

static void begin_uart(void) {
    RCC_AHB1ENR |= 1u << 0;
    RCC_APB2ENR |= 1u << 4;
    GPIOA_MODER = (GPIOA_MODER & ~(0xFu << 18)) | (0xAu << 18); /* PA9, PA10: alternate function */
    GPIOA_AFRH = (GPIOA_AFRH & ~(0xFFu << 4)) | (0x77u << 4);   /* 7: USART1 */
    GPIOA_PUPDR = (GPIOA_PUPDR & ~(0xFu << 18)) | (0x4u << 18); /* an open line idles high */
    USART1_BRR = (CLOCK_APB2_HZ + LINK_BAUD / 2u) / LINK_BAUD;
    USART1_CR1 = (1u << 13) | (1u << 5) | (1u << 3) | (1u << 2); /* on, interrupt on reception, out, in */
    NVIC_ISER1 = 1u << (37u - 32u);
}

/* Reset the chip when a step does not end; its outputs are then in their reset state. */
static void begin_watchdog(void) {
    IWDG_KR = 0x5555u;
    IWDG_PR = 3u; /* 32 kHz / 32: 1 ms */
    IWDG_RLR = WATCHDOG_MS;
    IWDG_KR = 0xCCCCu;
}

static void send_waiting(void) {
    uint8_t byte;
    if ((USART1_SR & USART_READY_TO_WRITE) != 0u && link_queue_take(&self.queue, &byte, 1u) == 1u) {
        USART1_DR = byte;
    }
}

/* Sleep until an interrupt, unless the next step is due. Interrupts are masked, so that one that arrives between the
 * test and the sleep still wakes the core. */
static void sleep_until_due(uint32_t done) {
    __asm__ volatile("cpsid i" ::: "memory");
    if (ticks == done) {
        __asm__ volatile("wfi");
    }
    __asm__ volatile("cpsie i" ::: "memory");
}

static size_t take_received(uint8_t *bytes) {
    const uint32_t until = received_count;
    size_t count = 0u;
    while (taken_count != until) {
        bytes[count++] = received[taken_count % RECEIVED_BYTES];
        taken_count++;
    }
    return count;
}

int main(void) {
    static uint8_t bytes[RECEIVED_BYTES];
    board_begin();
    const bool locked = clock_begin();
    /* With a wrong clock all times are wrong: refuse to fly, as after a failed self-test. */
    pilot_init(&self, clock_boot_id(), locked ? policy_selftest() : 0xFFFFFFFFu);
    begin_uart();
    SYSTICK_RVR = CLOCK_CORE_MHZ * PILOT_STEP_US - 1u;
    SYSTICK_CVR = 0u;
    SYSTICK_CSR = 7u;
    begin_watchdog();
    uint32_t done = 0u;
    for (;;) {
        const uint32_t now = ticks;
        if (now == done) {
            if (self.queue.count > 0u) {
                send_waiting();
            } else {
                sleep_until_due(done);
            }
            continue;
        }
        done = now; /* a step that takes too long delays the next one; steps are never run twice */
        pilot_vehicle vehicle;
        board_read(&vehicle);
        const size_t count = take_received(bytes);
        board_drive(pilot_step(&self, &vehicle, bytes, count, now * PILOT_STEP_US));
        IWDG_KR = 0xAAAAu;
    }
}
