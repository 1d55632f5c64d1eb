/* See exchange.h. */
#include "exchange.h"

#include <string.h>

#define MAGIC_STEP 0x524C5331u
#define MAGIC_REPLY 0x524C5343u
#define MAGIC_EXIT 0x524C5351u

/* Exactly as in the stream: every field is aligned, and both machines are little endian. */
typedef struct {
    uint32_t time_us;
    float position[3];
    float orientation[4];
    float linear_velocity[3];
    float angular_velocity[3];
    uint16_t link_bytes;
    uint16_t reserved;
} step_message;

typedef struct {
    uint32_t magic;
    uint32_t time_us;
    float motor_command[4];
    uint8_t state;
    uint8_t policy_status;
    uint16_t link_bytes;
    uint8_t link[LINK_QUEUE_BYTES];
} reply_message;

#define REPLY_HEADER offsetof(reply_message, link)

/* Compile-time checks of the layout: a wrong size gives a negative array length. */
typedef char step_message_has_60_bytes[sizeof(step_message) == 60u ? 1 : -1];
typedef char reply_header_has_28_bytes[REPLY_HEADER == 28u ? 1 : -1];

static bool answer(pilot *self, const step_message *step, const uint8_t *link) {
    static reply_message reply;
    pilot_vehicle vehicle;
    memcpy(vehicle.position, step->position, sizeof vehicle.position);
    memcpy(vehicle.orientation, step->orientation, sizeof vehicle.orientation);
    memcpy(vehicle.linear_velocity, step->linear_velocity, sizeof vehicle.linear_velocity);
    memcpy(vehicle.angular_velocity, step->angular_velocity, sizeof vehicle.angular_velocity);
    const policy_commands *commands = pilot_step(self, &vehicle, link, step->link_bytes, step->time_us);
    reply.magic = MAGIC_REPLY;
    reply.time_us = step->time_us;
    memcpy(reply.motor_command, commands, sizeof reply.motor_command);
    reply.state = self->state;
    reply.policy_status = self->policy_status;
    reply.link_bytes = (uint16_t)link_queue_take(&self->queue, reply.link, sizeof reply.link);
    return exchange_write(&reply, REPLY_HEADER + reply.link_bytes);
}

int exchange_run(pilot *self) {
    static uint8_t link[LINK_QUEUE_BYTES];
    for (;;) {
        uint32_t magic;
        step_message step;
        if (!exchange_read(&magic, sizeof magic)) {
            return EXCHANGE_CUT;
        }
        if (magic == MAGIC_EXIT) {
            return EXCHANGE_END;
        }
        if (magic != MAGIC_STEP) {
            return EXCHANGE_WRONG;
        }
        if (!exchange_read(&step, sizeof step)) {
            return EXCHANGE_CUT;
        }
        if (step.link_bytes > sizeof link) {
            return EXCHANGE_WRONG;
        }
        if (step.link_bytes > 0u && !exchange_read(link, step.link_bytes)) {
            return EXCHANGE_CUT;
        }
        if (!answer(self, &step, link)) {
            return EXCHANGE_CUT;
        }
    }
}
