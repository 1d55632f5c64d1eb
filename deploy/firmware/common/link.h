/* The serial link between host and chip: COBS framing, CRC-16 and sequence numbers.
 *
 * On the wire a frame is COBS(payload) followed by one zero byte. The payload is
 *   u8 type, u8 length of the body, u16 sequence, body, u16 CRC-16/CCITT-FALSE over everything before it,
 * all little endian, floats as IEEE 754 single precision. docs/firmware.md has the table of frames.
 *
 * No function allocates memory, blocks or reads a clock. All are safe for any input bytes.
 */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_VERSION 1u
#define LINK_BODY_MAX 96u
#define LINK_PAYLOAD_MAX (4u + LINK_BODY_MAX + 2u)
#define LINK_WIRE_MAX (LINK_PAYLOAD_MAX + 2u) /* one byte of COBS, since a payload is below 254 bytes, and the zero */
#define LINK_QUEUE_BYTES 512u
#define LINK_BAUD 921600u /* bit/s on a UART, 8 data bits, no parity, 1 stop bit */

/* host -> chip */
#define LINK_HEARTBEAT 0x01u
#define LINK_SETPOINT 0x02u
#define LINK_REQUEST 0x03u
#define LINK_HELLO 0x04u
/* chip -> host */
#define LINK_STATUS 0x81u
#define LINK_ODOMETRY 0x82u
#define LINK_INFO 0x83u

/* The body of LINK_REQUEST. */
#define LINK_ARM 1u
#define LINK_STOP 2u
#define LINK_EMERGENCY_STOP 3u

typedef struct {
    uint8_t type;
    uint8_t length; /* bytes of the body, at most LINK_BODY_MAX */
    uint16_t sequence;
    uint8_t body[LINK_BODY_MAX];
} link_frame;

/* A streaming decoder: it takes one byte at a time and resynchronises after noise. */
typedef struct {
    uint8_t payload[LINK_PAYLOAD_MAX];
    uint8_t size;      /* bytes of the payload so far */
    uint8_t left;      /* bytes until the next code byte of COBS */
    bool begun;        /* a byte has arrived since the last zero */
    bool zero_follows; /* a zero of the payload follows the current block */
    bool broken;       /* the frame is too long: skip to its end */
    uint16_t bad;      /* frames cut, too long, of wrong length or damaged; wraps */
} link_decoder;

/* Bytes to be sent. A frame that does not fit is dropped whole. */
typedef struct {
    uint8_t bytes[LINK_QUEUE_BYTES];
    uint16_t first;
    uint16_t count;
    uint16_t dropped; /* frames; wraps */
} link_queue;

/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected; 0x29B1 for "123456789". */
uint16_t link_crc16(const uint8_t *bytes, size_t count);

void link_decoder_reset(link_decoder *decoder);

/* Decode one byte. Returns true when it completes a valid frame, which is then in `frame`. */
bool link_decode(link_decoder *decoder, uint8_t byte, link_frame *frame);

/* Encode a frame, including its zero byte; returns the number of bytes, or 0 when the body exceeds LINK_BODY_MAX. */
size_t link_encode(const link_frame *frame, uint8_t wire[LINK_WIRE_MAX]);

/* Whether `sequence` is 1 to 32767 ahead of `last` in a count that wraps. */
bool link_newer(uint16_t sequence, uint16_t last);

void link_queue_reset(link_queue *queue);
/* Encode a frame into the queue; returns false, and queues nothing, when there is no room. */
bool link_queue_frame(link_queue *queue, const link_frame *frame);
/* Take up to `room` bytes out of the queue, oldest first; returns how many. */
size_t link_queue_take(link_queue *queue, uint8_t *bytes, size_t room);

/* Little-endian fields. `put` appends to a frame's body, whose length the caller sets to 0 first; a full body is left
 * unchanged. `get` reads from an address that the caller has checked. */
void link_put_u8(link_frame *frame, uint8_t value);
void link_put_u16(link_frame *frame, uint16_t value);
void link_put_u32(link_frame *frame, uint32_t value);
void link_put_floats(link_frame *frame, const float *values, size_t count);
uint32_t link_get_u32(const uint8_t *bytes);
void link_get_floats(const uint8_t *bytes, float *values, size_t count);

#endif
