/* Feeds the link's decoder a million frames with every kind of damage on a wire, under the build's sanitizers, and
 * prints: frames sent, frames sent whole, accepted, accepted whole ones, accepted others, bad frames counted. */
#include <stdio.h>
#include <string.h>

#include "link.h"

#define FRAMES 1000000u
#define MOST_BYTES (2u * LINK_WIRE_MAX + 64u)

static uint32_t state = 2463534242u;

/* xorshift32 (Marsaglia 2003): the same frames on every machine. */
static uint32_t random32(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static uint32_t below(uint32_t bound) {
    return random32() % bound;
}

static void make(link_frame *frame, uint32_t number) {
    frame->type = (uint8_t)random32();
    frame->length = (uint8_t)below(LINK_BODY_MAX + 1u);
    frame->sequence = (uint16_t)number;
    const uint32_t zeros = below(4u); /* many zeros and 0xFFs, the special cases of byte stuffing */
    for (size_t i = 0; i < frame->length; i++) {
        frame->body[i] = (uint8_t)(zeros == 0u ? 0u : zeros == 1u ? 0xFFu : random32());
    }
}

static size_t insert_noise(uint8_t *bytes, size_t size, size_t at) {
    const size_t count = 1u + below(60u);
    memmove(bytes + at + count, bytes + at, size - at);
    for (size_t i = 0; i < count; i++) {
        bytes[at + i] = (uint8_t)random32();
    }
    return size + count;
}

/* Damage `bytes` in a random way; returns their new number. */
static size_t damage(uint8_t *bytes, size_t size, uint32_t way) {
    const size_t at = below((uint32_t)size);
    switch (way) {
    case 1: /* one to twenty bits flipped, the final zero among them */
        for (uint32_t flips = 1u + below(20u); flips > 0u; flips--) {
            bytes[below((uint32_t)size)] ^= (uint8_t)(1u << below(8u));
        }
        return size;
    case 2: /* cut: the rest runs into the next frame */
        return at;
    case 3: /* the beginning lost */
        memmove(bytes, bytes + at, size - at);
        return size - at;
    case 4: /* noise within */
        return insert_noise(bytes, size, at);
    case 5: /* one byte changed */
        bytes[at] = (uint8_t)(bytes[at] + 1u + below(255u));
        return size;
    case 6: /* one byte lost */
        memmove(bytes + at, bytes + at + 1u, size - at - 1u);
        return size - 1u;
    case 7: /* noise alone, ended */
        for (size_t i = 0; i + 1u < size; i++) {
            bytes[i] = (uint8_t)random32();
        }
        return size;
    default:
        return size;
    }
}

static int same(const link_frame *a, const link_frame *b) {
    return a->type == b->type && a->length == b->length && a->sequence == b->sequence &&
           memcmp(a->body, b->body, a->length) == 0;
}

int main(void) {
    static link_decoder decoder;
    unsigned long whole = 0u, accepted = 0u, right = 0u, wrong = 0u, bad = 0u;
    uint16_t counted = 0u;
    link_frame sent[2] = {{.type = 0u}, {.type = 0u}};
    link_decoder_reset(&decoder);
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint8_t bytes[MOST_BYTES];
        link_frame found;
        const uint32_t way = below(10u);
        sent[0] = sent[1];
        make(&sent[1], i);
        const size_t size = damage(bytes, link_encode(&sent[1], bytes), way);
        whole += way == 0u || way > 7u;
        for (size_t k = 0; k < size; k++) {
            if (link_decode(&decoder, bytes[k], &found)) {
                accepted++;
                /* A frame may be found whole although the one before it was damaged. */
                if (same(&found, &sent[1]) || same(&found, &sent[0])) {
                    right++;
                } else {
                    wrong++;
                }
            }
        }
        bad += (uint16_t)(decoder.bad - counted);
        counted = decoder.bad;
    }
    printf("%u %lu %lu %lu %lu %lu\n", FRAMES, whole, accepted, right, wrong, bad);
    return 0;
}
