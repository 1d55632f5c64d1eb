/* See link.h. */
#include "link.h"

#include <string.h>

#define HEADER_BYTES 4u
#define CRC_BYTES 2u

uint16_t link_crc16(const uint8_t *bytes, size_t count) {
    /* Four bits at a time with a table of 32 bytes: an eighth of the bitwise loop's time for twice its flash. */
    static const uint16_t nibble[16] = {0x0000u, 0x1021u, 0x2042u, 0x3063u, 0x4084u, 0x50A5u, 0x60C6u, 0x70E7u,
                                        0x8108u, 0x9129u, 0xA14Au, 0xB16Bu, 0xC18Cu, 0xD1ADu, 0xE1CEu, 0xF1EFu};
    uint32_t crc = 0xFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc = ((crc << 4) ^ nibble[((crc >> 12) ^ ((uint32_t)bytes[i] >> 4)) & 15u]) & 0xFFFFu;
        crc = ((crc << 4) ^ nibble[((crc >> 12) ^ bytes[i]) & 15u]) & 0xFFFFu;
    }
    return (uint16_t)crc;
}

/* Start the next frame; the count of bad frames is kept. */
static void begin(link_decoder *decoder) {
    decoder->size = 0u;
    decoder->left = 0u;
    decoder->begun = false;
    decoder->zero_follows = false;
    decoder->broken = false;
}

void link_decoder_reset(link_decoder *decoder) {
    begin(decoder);
    decoder->bad = 0u;
}

static void append(link_decoder *decoder, uint8_t byte) {
    if (decoder->size < LINK_PAYLOAD_MAX) {
        decoder->payload[decoder->size] = byte;
        decoder->size = (uint8_t)(decoder->size + 1u);
    } else {
        decoder->broken = true;
    }
}

/* Parse a complete payload into `frame`; false when its length or CRC is wrong. */
static bool parse(const uint8_t *payload, size_t size, link_frame *frame) {
    if (size < HEADER_BYTES + CRC_BYTES || payload[1] != size - HEADER_BYTES - CRC_BYTES) {
        return false;
    }
    const uint32_t crc = payload[size - 2u] | ((uint32_t)payload[size - 1u] << 8);
    if (link_crc16(payload, size - CRC_BYTES) != crc) {
        return false;
    }
    frame->type = payload[0];
    frame->length = payload[1];
    frame->sequence = (uint16_t)(payload[2] | ((uint32_t)payload[3] << 8));
    memcpy(frame->body, payload + HEADER_BYTES, frame->length);
    return true;
}

bool link_decode(link_decoder *decoder, uint8_t byte, link_frame *frame) {
    if (byte == 0u) {
        /* Extra zeros are ignored: a sender may use them to end preceding noise. */
        bool good = false;
        if (decoder->begun) {
            good = !decoder->broken && decoder->left == 0u && parse(decoder->payload, decoder->size, frame);
            if (!good) {
                decoder->bad++;
            }
        }
        begin(decoder);
        return good;
    }
    decoder->begun = true;
    if (decoder->left > 0u) {
        append(decoder, byte);
        decoder->left = (uint8_t)(decoder->left - 1u);
    } else {
        if (decoder->zero_follows) {
            append(decoder, 0u);
        }
        decoder->left = (uint8_t)(byte - 1u);
        decoder->zero_follows = byte != 0xFFu;
    }
    return false;
}

size_t link_encode(const link_frame *frame, uint8_t wire[LINK_WIRE_MAX]) {
    if (frame->length > LINK_BODY_MAX) {
        return 0u;
    }
    uint8_t payload[LINK_PAYLOAD_MAX];
    const size_t covered = HEADER_BYTES + (size_t)frame->length;
    payload[0] = frame->type;
    payload[1] = frame->length;
    payload[2] = (uint8_t)(frame->sequence & 0xFFu);
    payload[3] = (uint8_t)(frame->sequence >> 8);
    memcpy(payload + HEADER_BYTES, frame->body, frame->length);
    const uint16_t crc = link_crc16(payload, covered);
    payload[covered] = (uint8_t)(crc & 0xFFu);
    payload[covered + 1u] = (uint8_t)(crc >> 8);
    /* A payload is shorter than 254 bytes, so no COBS block is ever full. */
    size_t code = 0u;
    size_t end = 1u;
    for (size_t i = 0; i < covered + CRC_BYTES; i++) {
        if (payload[i] == 0u) {
            wire[code] = (uint8_t)(end - code);
            code = end;
        } else {
            wire[end] = payload[i];
        }
        end++;
    }
    wire[code] = (uint8_t)(end - code);
    wire[end] = 0u;
    return end + 1u;
}

bool link_newer(uint16_t sequence, uint16_t last) {
    const uint16_t ahead = (uint16_t)(sequence - last);
    return ahead != 0u && ahead < 0x8000u;
}

void link_queue_reset(link_queue *queue) {
    queue->first = 0u;
    queue->count = 0u;
    queue->dropped = 0u;
}

bool link_queue_frame(link_queue *queue, const link_frame *frame) {
    uint8_t wire[LINK_WIRE_MAX];
    const size_t size = link_encode(frame, wire);
    if (size == 0u || size > (size_t)LINK_QUEUE_BYTES - queue->count) {
        queue->dropped++;
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        queue->bytes[(queue->first + queue->count + i) % LINK_QUEUE_BYTES] = wire[i];
    }
    queue->count = (uint16_t)(queue->count + size);
    return true;
}

size_t link_queue_take(link_queue *queue, uint8_t *bytes, size_t room) {
    const size_t size = room < queue->count ? room : queue->count;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = queue->bytes[(queue->first + i) % LINK_QUEUE_BYTES];
    }
    queue->first = (uint16_t)((queue->first + size) % LINK_QUEUE_BYTES);
    queue->count = (uint16_t)(queue->count - size);
    return size;
}

void link_put_u8(link_frame *frame, uint8_t value) {
    if (frame->length < LINK_BODY_MAX) {
        frame->body[frame->length] = value;
        frame->length = (uint8_t)(frame->length + 1u);
    }
}

void link_put_u16(link_frame *frame, uint16_t value) {
    link_put_u8(frame, (uint8_t)(value & 0xFFu));
    link_put_u8(frame, (uint8_t)(value >> 8));
}

void link_put_u32(link_frame *frame, uint32_t value) {
    link_put_u16(frame, (uint16_t)(value & 0xFFFFu));
    link_put_u16(frame, (uint16_t)(value >> 16));
}

void link_put_floats(link_frame *frame, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        link_put_u32(frame, bits);
    }
}

uint32_t link_get_u32(const uint8_t *bytes) {
    return bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) | ((uint32_t)bytes[3] << 24);
}

void link_get_floats(const uint8_t *bytes, float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = link_get_u32(bytes + 4u * i);
        memcpy(&values[i], &bits, sizeof bits);
    }
}
