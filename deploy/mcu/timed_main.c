/* Run the cases of an input file of emulated_main.c repeatedly on this machine, and print nanoseconds per case.
 *
 * Arguments: the file, and how often to run all cases. One line per run. */
#define _POSIX_C_SOURCE 199309L
#include "cases.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

int main(int count, char **arguments) {
    static float out[MOST_FLOATS];
    uint32_t header[3], i;
    FILE *source = count == 3 ? fopen(arguments[1], "rb") : NULL;
    float *in;
    long turn;
    if (source == NULL || fread(header, sizeof header, 1, source) != 1 || header[2] == 0u) {
        return 1;
    }
    in = malloc((size_t)header[0] * header[2] * sizeof(float));
    if (in == NULL || fread(in, header[0] * sizeof(float), header[2], source) != header[2]) {
        return 2;
    }
    for (turn = atol(arguments[2]); turn > 0; turn--) {
        const double begun = now();
        for (i = 0u; i < header[2]; i++) {
            mcu_case(in + (size_t)i * header[0], out);
        }
        printf("%.17g\n", (now() - begun) / header[2]);
    }
    free(in);
    return 0;
}
