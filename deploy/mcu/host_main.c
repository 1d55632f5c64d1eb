/* Run every case of a file on this machine; the files are those of emulated_main.c without the costs of each case. */
#include "cases.h"

#include <stdint.h>
#include <stdio.h>

static float in[MOST_FLOATS], out[MOST_FLOATS];

int main(int count, char **arguments) {
    uint32_t header[3], i;
    FILE *source, *target;
    if (count != 3) {
        return 1;
    }
    source = fopen(arguments[1], "rb");
    target = fopen(arguments[2], "wb");
    if (source == NULL || target == NULL || fread(header, sizeof header, 1, source) != 1) {
        return 2;
    }
    if (header[0] > MOST_FLOATS || header[1] > MOST_FLOATS) {
        return 3;
    }
    for (i = 0u; i < header[2]; i++) {
        if (fread(in, sizeof(float), header[0], source) != header[0]) {
            return 4;
        }
        mcu_case(in, out);
        if (fwrite(out, sizeof(float), header[1], target) != header[1]) {
            return 5;
        }
    }
    return fclose(target) == 0 ? 0 : 6;
}
