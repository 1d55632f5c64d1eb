/* From reset to main: vector table, floating-point unit, variables. Faults end in board_fault, which sets safe
 * outputs. */
#include "board.h"
#include "registers.h"

/* Symbols of the linker script; only their addresses are meaningful. */
extern uint32_t stack_top[], data_source[], data_begin[], data_end[], bss_begin[], bss_end[];

int main(void);
void reset_handler(void);
void fault_handler(void);
void systick_handler(void);
void usart1_handler(void);

/* An interrupt that an image does not use is a fault. */
#define WEAK_FAULT __attribute__((weak, alias("fault_handler")))
WEAK_FAULT void systick_handler(void);
WEAK_FAULT void usart1_handler(void);

typedef void (*handler)(void);

#define FIRST_INTERRUPT 16u
#define USART1_INTERRUPT 37u
#define INTERRUPTS 82u

typedef struct {
    const void *stack;
    handler vectors[FIRST_INTERRUPT - 1u + INTERRUPTS];
} vector_table;

/* Vector n of the manuals is vectors[n - 1]. All unnamed ones are faults. */
extern const vector_table vectors;
#define FAULT fault_handler
#define FAULTS_4 FAULT, FAULT, FAULT, FAULT
#define FAULTS_16 FAULTS_4, FAULTS_4, FAULTS_4, FAULTS_4
__attribute__((section(".vectors"), used)) const vector_table vectors = {
    stack_top,
    {reset_handler,
     FAULT /* 2 NMI */, FAULT /* 3 HardFault */, FAULT /* 4 MemManage */, FAULT /* 5 BusFault */,
     FAULT /* 6 UsageFault */, FAULTS_4 /* 7 to 10 */, FAULT /* 11 SVCall */, FAULT, FAULT, FAULT /* 14 PendSV */,
     systick_handler /* 15 */,
     FAULTS_16, FAULTS_16, FAULTS_4, FAULT /* interrupts 0 to 36 */,
     usart1_handler /* 37 */,
     FAULTS_16, FAULTS_16, FAULTS_4, FAULTS_4, FAULTS_4 /* 38 to 81 */}};

void reset_handler(void) {
    CPACR |= 0xFu << 20; /* full access to the floating-point unit, before any code that might use it */
    __asm__ volatile("dsb\n isb" ::: "memory");
    VTOR = (uint32_t)(uintptr_t)&vectors;
    const uint32_t *source = data_source;
    for (uint32_t *target = data_begin; (uintptr_t)target < (uintptr_t)data_end; target++) {
        *target = *source++;
    }
    for (uint32_t *target = bss_begin; (uintptr_t)target < (uintptr_t)bss_end; target++) {
        *target = 0u;
    }
    (void)main();
    board_fault(); /* main does not return */
}

/* Any fault or unexpected interrupt. The stack itself may be the cause, so the stack pointer is reset. */
__attribute__((naked)) void fault_handler(void) {
    __asm__ volatile(
        "cpsid i\n"
        "ldr r0, =stack_top\n"
        "msr msp, r0\n"
        "b board_fault\n");
}
