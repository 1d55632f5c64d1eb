/* The image that flies in lockstep with a simulator: two FIFOs of the host carry sensors in and commands out.
 *
 * Its command line: the FIFO to the chip, the FIFO from the chip and, optionally, the boot identifier in decimal. */
#include "board.h"
#include "exchange.h"
#include "semihosting.h"

#define EXIT_USAGE 64u
#define EXIT_FAULT 70u
#define WORDS 3

static int to_chip, from_chip;
static pilot self;

bool exchange_read(void *bytes, size_t count) {
    uint8_t *next = bytes;
    while (count > 0u) {
        const size_t left = semihosting_read(to_chip, next, count);
        if (left >= count) {
            return false;
        }
        next += count - left;
        count = left;
    }
    return true;
}

bool exchange_write(const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    while (count > 0u) {
        const size_t left = semihosting_write(from_chip, next, count);
        if (left >= count) {
            return false;
        }
        next += count - left;
        count = left;
    }
    return true;
}

void board_fault(void) {
    semihosting_exit(EXIT_FAULT);
}

/* Split the command line at spaces; returns the number of words, at most WORDS. */
static int split(char *text, char *words[WORDS]) {
    int count = 0;
    bool inside = false;
    for (; *text != '\0'; text++) {
        if (*text == ' ') {
            *text = '\0';
            inside = false;
        } else if (!inside) {
            if (count == WORDS) {
                return count;
            }
            words[count++] = text;
            inside = true;
        }
    }
    return count;
}

static uint32_t number(const char *digits) {
    uint32_t value = 0u;
    for (; *digits >= '0' && *digits <= '9'; digits++) {
        value = 10u * value + (uint32_t)(*digits - '0');
    }
    return value;
}

int main(void) {
    static char line[512];
    char *words[WORDS] = {NULL, NULL, NULL};
    if (semihosting_command_line(line, sizeof line) < 0) {
        semihosting_exit(EXIT_USAGE);
    }
    const int count = split(line, words);
    if (count < 2) {
        semihosting_exit(EXIT_USAGE);
    }
    /* In this order: each call waits for the other end. */
    to_chip = semihosting_open(words[0], SEMIHOSTING_READ);
    from_chip = semihosting_open(words[1], SEMIHOSTING_WRITE);
    if (to_chip < 0 || from_chip < 0) {
        semihosting_exit(EXIT_USAGE);
    }
    pilot_init(&self, count > 2 ? number(words[2]) : semihosting_time(), policy_selftest());
    semihosting_exit((uint32_t)exchange_run(&self));
}
