/* The pilot under Zephyr: one step per period on a timer, the link on the UART that the devicetree chooses as
 * `robo-rl,link`. The vehicle is at rest and no motor is driven: add your estimator and motors where the comments
 * say. */
#include <zephyr/device.h>
#include <zephyr/devicetree.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>
#include <zephyr/sys/ring_buffer.h>

#include "pilot.h"

#if !DT_HAS_CHOSEN(robo_rl_link)
#error "choose the UART of the link in the board's overlay: / { chosen { robo-rl,link = &usart1; }; };"
#endif
BUILD_ASSERT(DT_PROP_OR(DT_CHOSEN(robo_rl_link), current_speed, 0) == LINK_BAUD,
             "the link runs at 921600 bit/s: set current-speed of its UART in the overlay of the board");

RING_BUF_DECLARE(received, 1024);
K_TIMER_DEFINE(pace, NULL, NULL);

static const struct device *const uart = DEVICE_DT_GET(DT_CHOSEN(robo_rl_link));
static pilot self;

static void on_uart(const struct device *device, void *unused) {
    ARG_UNUSED(unused);
    uint8_t bytes[16];
    while (uart_irq_update(device) && uart_irq_rx_ready(device)) {
        const int count = uart_fifo_read(device, bytes, sizeof bytes);
        if (count > 0) {
            (void)ring_buf_put(&received, bytes, (uint32_t)count);
        }
    }
}

int main(void) {
    static uint8_t bytes[1024];
    pilot_init(&self, sys_rand32_get(), policy_selftest());
    uart_irq_callback_user_data_set(uart, on_uart, NULL);
    uart_irq_rx_enable(uart);
    k_timer_start(&pace, K_USEC(PILOT_STEP_US), K_USEC(PILOT_STEP_US));
    for (;;) {
        (void)k_timer_status_sync(&pace);
        pilot_vehicle vehicle = {.orientation = {1.0f, 0.0f, 0.0f, 0.0f}}; /* your estimator here */
        const uint32_t count = ring_buf_get(&received, bytes, sizeof bytes);
        const uint32_t now_us = (uint32_t)k_cyc_to_us_floor64(k_cycle_get_64());
        const policy_commands *commands = pilot_step(&self, &vehicle, bytes, count, now_us);
        ARG_UNUSED(commands); /* your motors here */
        uint8_t byte;
        while (link_queue_take(&self.queue, &byte, 1u) == 1u) {
            uart_poll_out(uart, byte);
        }
    }
}
