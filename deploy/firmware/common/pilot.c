/* See pilot.h. */
#include "exact.h"

#include "pilot.h"

#include <string.h>

#include "guard.h"
#include "pilot_config.h"

#if POLICY_COMMAND_FLOATS != 4
#error "the link carries four motor commands"
#endif
#if POLICY_PERIOD_US % POLICY_SUBSTEPS != 0
#error "a sub-step must last a whole number of microseconds"
#endif

#define WATCHDOG_US 200000u
#define BAD_SENSOR_US 20000u
#define FORGET_US 1000000u /* after this silence a host may restart its sequence count */
#define LONGEST_US 1000000u
#define STATUS_US 50000u
#define ODOMETRY_US 10000u

static void fault(pilot *self, uint32_t bit) {
    self->faults = (uint16_t)(self->faults | bit);
}

static void enter(pilot *self, uint8_t state) {
    if (self->state != state) {
        self->state = state;
        self->status_us = STATUS_US; /* report it to the host at once */
    }
}

void pilot_init(pilot *self, uint32_t boot_id, uint32_t selftest) {
    memset(self, 0, sizeof *self);
    link_decoder_reset(&self->decoder);
    link_queue_reset(&self->queue);
    policy_reset(&self->policy);
    self->commands = policy_safe;
    self->boot_id = boot_id;
    self->silence_us = UINT32_MAX;
    self->watch_us = UINT32_MAX;
    self->status_us = STATUS_US;
    self->odometry_us = ODOMETRY_US;
    if (selftest != 0u) {
        fault(self, PILOT_FAULT_SELFTEST);
        enter(self, PILOT_REFUSED);
    }
}

/* Start a descent from the vehicle's position instead of following the host's setpoint. */
static void start_failsafe(pilot *self) {
    descent_begin(&self->sinking, &self->vehicle, self->valid, &self->setpoint);
    enter(self, PILOT_FAILSAFE);
}

static void check_landed(pilot *self, uint32_t passed_us, uint32_t moved_us) {
    if (descent_ended(&self->sinking, &self->vehicle, self->valid, &self->setpoint, passed_us, moved_us)) {
        enter(self, PILOT_LANDED);
    }
}

static bool arm(pilot *self) {
    if (self->state == PILOT_READY || self->state == PILOT_FLYING) {
        return true; /* armed already */
    }
    if (self->state == PILOT_FAILSAFE || self->state == PILOT_REFUSED) {
        return false;
    }
    /* After a flight it must be at rest; before the first one it may be held in a hand. */
    const bool resting = self->state == PILOT_IDLE || guard_resting(&self->vehicle);
    if (!self->valid || !guard_upright(&self->vehicle) || !resting) {
        return false;
    }
    memcpy(self->origin, self->vehicle.position, sizeof self->origin);
    self->faults = 0u;
    enter(self, PILOT_READY);
    return true;
}

static void stop(pilot *self) {
    if (self->state == PILOT_FLYING) {
        start_failsafe(self);
    } else if (self->state == PILOT_IDLE || self->state == PILOT_READY) {
        enter(self, PILOT_LANDED);
    }
}

static bool request(pilot *self, uint8_t what) {
    if (what == LINK_ARM) {
        return arm(self);
    }
    if (what == LINK_STOP) {
        stop(self);
        return true;
    }
    if (what == LINK_EMERGENCY_STOP) {
        if (self->state != PILOT_REFUSED) {
            enter(self, PILOT_ESTOPPED);
        }
        return true;
    }
    return false;
}

static bool take_setpoint(pilot *self, const uint8_t *body) {
    if (self->state != PILOT_READY && self->state != PILOT_FLYING) {
        return false;
    }
    pilot_setpoint wanted;
    link_get_floats(body, wanted.position, 3u);
    link_get_floats(body + 12, wanted.velocity, 3u);
    if (!guard_acceptable(&wanted, self->origin)) {
        fault(self, PILOT_FAULT_SETPOINT);
        return false;
    }
    if (self->state == PILOT_READY) {
        if (!self->valid || !guard_upright(&self->vehicle)) {
            return false;
        }
        policy_reset(&self->policy);
        self->policy_status = (uint8_t)POLICY_OK;
        enter(self, PILOT_FLYING);
    }
    self->setpoint = wanted;
    self->watch_us = 0u;
    return true;
}

static void queue_info(pilot *self) {
    link_frame frame = {.type = LINK_INFO, .length = 0u, .sequence = self->sent_sequence++};
    link_put_u32(&frame, POLICY_MODEL_WORD);
    link_put_u32(&frame, POLICY_SCHEMA_VERSION);
    link_put_u32(&frame, POLICY_PERIOD_US);
    link_put_u32(&frame, POLICY_SUBSTEPS);
    link_put_u32(&frame, LINK_VERSION);
    (void)link_queue_frame(&self->queue, &frame);
}

/* Handle a frame of known type and length; false when it is refused. */
static bool handle(pilot *self, const link_frame *frame) {
    if (frame->type == LINK_HEARTBEAT && frame->length == 4u) {
        self->watch_us = 0u;
        return true;
    }
    if (frame->type == LINK_SETPOINT && frame->length == 28u) {
        return take_setpoint(self, frame->body);
    }
    if (frame->type == LINK_REQUEST && frame->length == 1u) {
        return request(self, frame->body[0]);
    }
    if (frame->type == LINK_HELLO && frame->length == 0u) {
        queue_info(self);
        return true;
    }
    return false;
}

static void receive(pilot *self, const link_frame *frame) {
    /* A hello restarts the host's sequence count, as a long silence does. A request to stop is never too old. */
    const bool in_order = !self->accepted || self->silence_us > FORGET_US || frame->type == LINK_HELLO ||
                          link_newer(frame->sequence, self->last_sequence);
    const bool stops = frame->type == LINK_REQUEST && frame->length == 1u &&
                       (frame->body[0] == LINK_STOP || frame->body[0] == LINK_EMERGENCY_STOP);
    if (!(in_order || stops) || !handle(self, frame)) {
        self->rejected++;
        return;
    }
    self->silence_us = 0u;
    if (in_order) {
        self->accepted = true;
        self->last_sequence = frame->sequence;
    }
}

/* End the host's control when the vehicle is outside its limits. */
static void guard(pilot *self) {
    const bool flying = self->state == PILOT_FLYING;
    if (!self->valid || !(flying || self->state == PILOT_FAILSAFE)) {
        return;
    }
    if (!guard_upright(&self->vehicle)) {
        fault(self, PILOT_FAULT_TILT);
        enter(self, PILOT_ESTOPPED);
        return;
    }
    if (!flying) {
        return; /* the limits of the flight must not stop a descent */
    }
    const uint32_t found = (guard_inside(self->vehicle.position, self->origin) ? 0u : PILOT_FAULT_FENCE) |
                           (guard_near(&self->vehicle, &self->setpoint) ? 0u : PILOT_FAULT_ERROR) |
                           (guard_slow(&self->vehicle) ? 0u : PILOT_FAULT_SPEED);
    if (found != 0u) {
        fault(self, found);
        start_failsafe(self);
    }
}

/* Step the policy; false when it gives no command, in which case the motors get their safe values at once. */
static bool fly(pilot *self, policy_commands *wanted, uint32_t passed_us) {
    const bool was_bad = self->policy_status != POLICY_OK;
    uint32_t status = POLICY_BAD_SENSOR;
    if (self->valid) {
        policy_sensors sensors;
        pilot_sensors(&self->vehicle, &self->setpoint, &sensors);
        status = policy_step(&self->policy, &sensors, wanted);
    }
    self->policy_status = (uint8_t)status;
    if (status == POLICY_OK) {
        return true;
    }
    self->bad_us = was_bad ? add_saturating(self->bad_us, passed_us) : 0u;
    if (self->bad_us > BAD_SENSOR_US) {
        fault(self, PILOT_FAULT_SENSOR);
        enter(self, PILOT_ESTOPPED);
    }
    return false;
}

static void drive(pilot *self, uint32_t passed_us) {
    const bool descends = self->state == PILOT_FAILSAFE;
    /* After a gap in time, allow at most two steps of setpoint motion and of rest. */
    const uint32_t moved_us = passed_us < 2u * PILOT_STEP_US ? passed_us : 2u * PILOT_STEP_US;
    if (descends) {
        descent_lower(&self->setpoint, moved_us);
    }
    bool flown = false;
    policy_commands wanted;
    if (self->state == PILOT_FLYING || (descends && PILOT_FOLLOWS_SETPOINT)) {
        flown = fly(self, &wanted, passed_us);
    } else {
        self->policy_status = (uint8_t)(self->valid ? POLICY_OK : POLICY_BAD_SENSOR);
    }
    if (descends && self->state == PILOT_FAILSAFE) {
        check_landed(self, passed_us, moved_us);
    }
    if (flown && (self->state == PILOT_FLYING || self->state == PILOT_FAILSAFE)) {
        if (guard_limit(&self->commands, &wanted)) {
            fault(self, PILOT_FAULT_RATE);
        }
    } else {
        self->commands = policy_safe;
    }
}

static void queue_status(pilot *self) {
    const uint32_t silence_ms = self->silence_us / 1000u;
    link_frame frame = {.type = LINK_STATUS, .length = 0u, .sequence = self->sent_sequence++};
    link_put_u8(&frame, self->state);
    link_put_u8(&frame, self->policy_status);
    link_put_u16(&frame, self->faults);
    link_put_u32(&frame, self->boot_id);
    link_put_u32(&frame, self->now_us);
    link_put_u16(&frame, self->last_sequence);
    link_put_u16(&frame, self->rejected);
    link_put_u16(&frame, self->decoder.bad);
    link_put_u16(&frame, silence_ms > UINT16_MAX ? UINT16_MAX : (uint16_t)silence_ms);
    (void)link_queue_frame(&self->queue, &frame);
}

static void queue_odometry(pilot *self) {
    link_frame frame = {.type = LINK_ODOMETRY, .length = 0u, .sequence = self->sent_sequence++};
    link_put_u32(&frame, self->now_us);
    link_put_floats(&frame, self->vehicle.position, 3u);
    link_put_floats(&frame, self->vehicle.orientation, 4u);
    link_put_floats(&frame, self->vehicle.linear_velocity, 3u);
    link_put_floats(&frame, self->vehicle.angular_velocity, 3u);
    link_put_floats(&frame, self->commands.PILOT_COMMAND, 4u);
    (void)link_queue_frame(&self->queue, &frame);
}

/* Whether a frame with the period `interval_us` is due. */
static bool due(uint32_t *since_us, uint32_t passed_us, uint32_t interval_us) {
    *since_us = add_saturating(*since_us, passed_us);
    if (*since_us < interval_us) {
        return false;
    }
    const uint32_t late = *since_us - interval_us;
    *since_us = late < interval_us ? late : 0u;
    return true;
}

const policy_commands *pilot_step(pilot *self, const pilot_vehicle *vehicle, const uint8_t *bytes, size_t count,
                                  uint32_t now_us) {
    uint32_t passed_us = self->begun ? now_us - self->now_us : 0u;
    if (passed_us > LONGEST_US) {
        passed_us = LONGEST_US; /* a gap, or a clock set back: long enough for every watchdog */
    }
    self->begun = true;
    self->now_us = now_us;
    self->silence_us = add_saturating(self->silence_us, passed_us);
    self->watch_us = add_saturating(self->watch_us, passed_us);
    self->vehicle = *vehicle;
    self->valid = guard_valid(vehicle);
    /* A frame that arrives after the time-out is too late, even in the same step. */
    if (self->state == PILOT_FLYING && self->watch_us > WATCHDOG_US) {
        fault(self, PILOT_FAULT_WATCHDOG);
        start_failsafe(self);
    }
    for (size_t i = 0; i < count; i++) {
        link_frame frame;
        if (link_decode(&self->decoder, bytes[i], &frame)) {
            receive(self, &frame);
        }
    }
    guard(self);
    drive(self, passed_us);
    if (due(&self->odometry_us, passed_us, ODOMETRY_US)) {
        queue_odometry(self);
    }
    if (due(&self->status_us, passed_us, STATUS_US)) {
        queue_status(self);
    }
    return &self->commands;
}
