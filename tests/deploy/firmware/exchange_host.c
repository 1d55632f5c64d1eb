/* The lockstep firmware on the host: the same pilot and the same messages, over standard input and output.
 * argv[1] is the boot's identity in decimal. */
#include <stdio.h>
#include <stdlib.h>

#include "exchange.h"

bool exchange_read(void *bytes, size_t count) {
    return fread(bytes, 1u, count, stdin) == count;
}

bool exchange_write(const void *bytes, size_t count) {
    return fwrite(bytes, 1u, count, stdout) == count && fflush(stdout) == 0;
}

int main(int argc, char **argv) {
    static pilot self;
    pilot_init(&self, argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0u, policy_selftest());
    return exchange_run(&self);
}
