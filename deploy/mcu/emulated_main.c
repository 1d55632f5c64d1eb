/* Run every case of a file on the emulated chip; count its instructions and the stack it uses.
 *
 * The command line names the input and the output file. The input has three words (floats in, floats out, cases), then
 * each case's floats; the output has, for each case, the floats out, its instructions and its bytes of stack. */
#include "cases.h"
#include "semihosting.h"

/* TIM2 of the STM32F405, 32 bits: QEMU counts it at 1 GHz of guest time. */
#define TIM2_CR1 (*(volatile uint32_t *)0x40000000u)
#define TIM2_CNT (*(volatile uint32_t *)0x40000024u)
#define TIM2_ARR (*(volatile uint32_t *)0x4000002Cu)
/* `-icount shift=3`: every instruction takes 2^3 ns. */
#define NS_PER_INSTRUCTION 8u

#define CPACR (*(volatile uint32_t *)0xE000ED88u)

#define PAINT 0xA5C3F00Du
/* The stack is measured for this many cases only, because filling it takes longer than most of them. */
#define PAINTED_CASES 32u

/* Symbols of the linker script; only their addresses are meaningful. */
extern uint32_t stack_top, stack_bytes, data_source, data_begin, data_end, bss_begin, bss_end;

int main(void);
void reset_handler(void);

typedef struct {
    uint32_t instructions;
    uint32_t stack;
} measured;

static float in[MOST_FLOATS], out[MOST_FLOATS];
static char command_line[512];

static void fault(void) {
    semihosting_exit(100u);
}

/* The vectors of an emulated program without interrupts: stack, reset and the faults. */
extern const void *const vectors[7];
__attribute__((section(".vectors"), used)) const void *const vectors[7] = {
    &stack_top, (const void *)reset_handler, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault};

void reset_handler(void) {
    const uint32_t *source = &data_source;
    uint32_t *target;
    CPACR |= 0xFu << 20; /* full access to the floating-point unit */
    __asm__ volatile("dsb\n isb" ::: "memory");
    for (target = &data_begin; target < &data_end; target++) {
        *target = *source++;
    }
    for (target = &bss_begin; target < &bss_end; target++) {
        *target = 0u;
    }
    (void)main();
}

static void nothing(const float *source, float *target) {
    (void)source;
    (void)target;
}

__attribute__((noinline)) static measured measure(void (*function)(const float *, float *), int paint) {
    volatile uint32_t *const bottom = (volatile uint32_t *)((uintptr_t)&stack_top - (uintptr_t)&stack_bytes);
    volatile uint32_t *here, *word;
    uint32_t before, after;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (word = paint ? bottom : here; word < here; word++) {
        *word = PAINT;
    }
    before = TIM2_CNT;
    function(in, out);
    after = TIM2_CNT;
    for (word = paint ? bottom : here; word < here && *word == PAINT; word++) {
    }
    const measured result = {(after - before) / NS_PER_INSTRUCTION, (uint32_t)(here - word) * 4u};
    return result;
}

/* Read all `count` bytes, or exit. */
static void read_all(int file, void *bytes, size_t count) {
    if (semihosting_read(file, bytes, count) != 0u) {
        semihosting_exit(102u);
    }
}

static void write_all(int file, const void *bytes, size_t count) {
    if (semihosting_write(file, bytes, count) != 0u) {
        semihosting_exit(103u);
    }
}

int main(void) {
    uint32_t header[3], blank = 0u, i;
    char *second = command_line;
    int source, target;
    TIM2_ARR = 0xFFFFFFFFu;
    TIM2_CR1 = 1u;
    if (semihosting_command_line(command_line, sizeof command_line) < 0) {
        semihosting_exit(101u);
    }
    while (*second != '\0' && *second != ' ') {
        second++;
    }
    if (*second == ' ') {
        *second++ = '\0';
    }
    source = semihosting_open(command_line, SEMIHOSTING_READ);
    target = semihosting_open(second, SEMIHOSTING_WRITE);
    if (source < 0 || target < 0) {
        semihosting_exit(101u);
    }
    read_all(source, header, sizeof header);
    if (header[0] > MOST_FLOATS || header[1] > MOST_FLOATS) {
        semihosting_exit(104u);
    }
    /* The cost of the call itself; `nothing` is one instruction long. */
    blank = measure(nothing, 0).instructions - 1u;
    for (i = 0u; i < header[2]; i++) {
        measured cost;
        read_all(source, in, header[0] * sizeof(float));
        cost = measure(mcu_case, i < PAINTED_CASES);
        cost.instructions -= blank;
        write_all(target, out, header[1] * sizeof(float));
        write_all(target, &cost, sizeof cost);
    }
    semihosting_exit(0u);
}
