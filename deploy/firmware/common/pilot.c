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
#define FORGET_US 1000000u /* a host silent for so long may begin its count of sequences anew */
#define LONGEST_US 1000000u
#define STATUS_US 50000u
#define ODOMETRY_US 10000u
#define DESCENT_SPEED 0.3f /* m/s */
#define STOPPING_S 0.4f    /* time constant with which the way sideways ends, as in real/missions/setpoint.py */
#define LANDED_GAP 0.2f    /* m that the setpoint is below a vehicle that can sink no further */
#define LANDED_SPEED 0.05f /* m/s */
#define LANDED_US 500000u

static uint32_t sum(uint32_t a, uint32_t b) {
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static void fault(pilot *self, uint32_t bit) {
    self->faults = (uint16_t)(self->faults | bit);
}

static void enter(pilot *self, uint8_t state) {
    if (self->state != state) {
        self->state = state;
        self->status_us = STATUS_US; /* the host hears of it at once */
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

/* Leave the host's setpoint for a descent from where the vehicle is. A vehicle that flies fast can't stop at once, so
 * the setpoint goes on along its way and slows down. */
static void begin_failsafe(pilot *self) {
    if (self->sound) {
        memcpy(self->setpoint.position, self->vehicle.position, sizeof self->setpoint.position);
        memcpy(self->setpoint.velocity, self->vehicle.linear_velocity, sizeof self->setpoint.velocity);
    }
    self->descent_us = 0u;
    self->still_us = 0u;
    enter(self, PILOT_FAILSAFE);
}

static void sink(pilot *self, uint32_t passed_us) {
    const float seconds = (float)passed_us * 1e-6f;
    const float share = seconds < STOPPING_S ? seconds / STOPPING_S : 1.0f;
    for (size_t i = 0; i < 2u; i++) {
        self->setpoint.position[i] += self->setpoint.velocity[i] * seconds;
        self->setpoint.velocity[i] -= self->setpoint.velocity[i] * share;
    }
    self->setpoint.position[2] -= DESCENT_SPEED * seconds;
    self->setpoint.velocity[2] = -DESCENT_SPEED;
}

/* Whether the vehicle looks as if the ground carried it: it does not move although it should sink. */
static bool held_by_ground(const pilot *self) {
    const float climb = self->vehicle.linear_velocity[2];
    const bool still = self->sound && climb < LANDED_SPEED && climb > -LANDED_SPEED;
    return still && (!PILOT_FOLLOWS_SETPOINT || self->setpoint.position[2] < self->vehicle.position[2] - LANDED_GAP);
}

static void settle(pilot *self, uint32_t passed_us, uint32_t moved_us) {
    self->descent_us = sum(self->descent_us, passed_us);
    self->still_us = held_by_ground(self) ? sum(self->still_us, moved_us) : 0u;
    if (self->still_us >= LANDED_US || self->descent_us > PILOT_DESCENT_US) {
        enter(self, PILOT_LANDED);
    }
}

static bool arm(pilot *self) {
    if (self->state == PILOT_READY || self->state == PILOT_FLYING) {
        return true; /* it obeys already */
    }
    if (self->state == PILOT_FAILSAFE || self->state == PILOT_REFUSED) {
        return false;
    }
    /* After a flight it must lie at rest; the first time it may be held in a hand. */
    const bool resting = self->state == PILOT_IDLE || guard_resting(&self->vehicle);
    if (!self->sound || !guard_upright(&self->vehicle) || !resting) {
        return false;
    }
    memcpy(self->origin, self->vehicle.position, sizeof self->origin);
    self->faults = 0u;
    enter(self, PILOT_READY);
    return true;
}

static void stop(pilot *self) {
    if (self->state == PILOT_FLYING) {
        begin_failsafe(self);
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
        if (!self->sound || !guard_upright(&self->vehicle)) {
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

static void tell_info(pilot *self) {
    link_frame frame = {.type = LINK_INFO, .length = 0u, .sequence = self->sent_sequence++};
    link_put_u32(&frame, POLICY_MODEL_WORD);
    link_put_u32(&frame, POLICY_SCHEMA_VERSION);
    link_put_u32(&frame, POLICY_PERIOD_US);
    link_put_u32(&frame, POLICY_SUBSTEPS);
    link_put_u32(&frame, LINK_VERSION);
    (void)link_queue_frame(&self->queue, &frame);
}

/* Carry out a frame of the right type and length; false when it is refused. */
static bool obey(pilot *self, const link_frame *frame) {
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
        tell_info(self);
        return true;
    }
    return false;
}

static void receive(pilot *self, const link_frame *frame) {
    /* A hello begins a host's count anew, as a long silence does. A request to stop is never too old to obey. */
    const bool in_order = !self->heard || self->silence_us > FORGET_US || frame->type == LINK_HELLO ||
                          link_newer(frame->sequence, self->heard_sequence);
    const bool stops = frame->type == LINK_REQUEST && frame->length == 1u &&
                       (frame->body[0] == LINK_STOP || frame->body[0] == LINK_EMERGENCY_STOP);
    if (!(in_order || stops) || !obey(self, frame)) {
        self->rejected++;
        return;
    }
    self->silence_us = 0u;
    if (in_order) {
        self->heard = true;
        self->heard_sequence = frame->sequence;
    }
}

/* Leave the host's control when the vehicle is not as it must be. */
static void guard(pilot *self) {
    const bool flying = self->state == PILOT_FLYING;
    if (!self->sound || !(flying || self->state == PILOT_FAILSAFE)) {
        return;
    }
    if (!guard_upright(&self->vehicle)) {
        fault(self, PILOT_FAULT_TILT);
        enter(self, PILOT_ESTOPPED);
        return;
    }
    if (!flying) {
        return; /* the way down must not end at a fence or a limit that was drawn for the flight */
    }
    const uint32_t found = (guard_inside(self->vehicle.position, self->origin) ? 0u : PILOT_FAULT_FENCE) |
                           (guard_near(&self->vehicle, &self->setpoint) ? 0u : PILOT_FAULT_ERROR) |
                           (guard_slow(&self->vehicle) ? 0u : PILOT_FAULT_SPEED);
    if (found != 0u) {
        fault(self, found);
        begin_failsafe(self);
    }
}

/* Step the policy; false when it gives no command, and then the motors get their safe values at once. */
static bool fly(pilot *self, policy_commands *wanted, uint32_t passed_us) {
    const bool was_bad = self->policy_status != POLICY_OK;
    uint32_t status = POLICY_BAD_SENSOR;
    if (self->sound) {
        policy_sensors sensors;
        pilot_sensors(&self->vehicle, &self->setpoint, &sensors);
        status = policy_step(&self->policy, &sensors, wanted);
    }
    self->policy_status = (uint8_t)status;
    if (status == POLICY_OK) {
        return true;
    }
    self->bad_us = was_bad ? sum(self->bad_us, passed_us) : 0u;
    if (self->bad_us > BAD_SENSOR_US) {
        fault(self, PILOT_FAULT_SENSOR);
        enter(self, PILOT_ESTOPPED);
    }
    return false;
}

static void drive(pilot *self, uint32_t passed_us) {
    const bool descends = self->state == PILOT_FAILSAFE;
    /* A gap moves no setpoint and proves no rest: of it the time of two steps counts. */
    const uint32_t moved_us = passed_us < 2u * PILOT_STEP_US ? passed_us : 2u * PILOT_STEP_US;
    if (descends) {
        sink(self, moved_us);
    }
    bool flown = false;
    policy_commands wanted;
    if (self->state == PILOT_FLYING || (descends && PILOT_FOLLOWS_SETPOINT)) {
        flown = fly(self, &wanted, passed_us);
    } else {
        self->policy_status = (uint8_t)(self->sound ? POLICY_OK : POLICY_BAD_SENSOR);
    }
    if (descends && self->state == PILOT_FAILSAFE) {
        settle(self, passed_us, moved_us);
    }
    if (flown && (self->state == PILOT_FLYING || self->state == PILOT_FAILSAFE)) {
        if (guard_limit(&self->commands, &wanted)) {
            fault(self, PILOT_FAULT_RATE);
        }
    } else {
        self->commands = policy_safe;
    }
}

static void tell_status(pilot *self) {
    const uint32_t silence_ms = self->silence_us / 1000u;
    link_frame frame = {.type = LINK_STATUS, .length = 0u, .sequence = self->sent_sequence++};
    link_put_u8(&frame, self->state);
    link_put_u8(&frame, self->policy_status);
    link_put_u16(&frame, self->faults);
    link_put_u32(&frame, self->boot_id);
    link_put_u32(&frame, self->now_us);
    link_put_u16(&frame, self->heard_sequence);
    link_put_u16(&frame, self->rejected);
    link_put_u16(&frame, self->decoder.bad);
    link_put_u16(&frame, silence_ms > UINT16_MAX ? UINT16_MAX : (uint16_t)silence_ms);
    (void)link_queue_frame(&self->queue, &frame);
}

static void tell_odometry(pilot *self) {
    link_frame frame = {.type = LINK_ODOMETRY, .length = 0u, .sequence = self->sent_sequence++};
    link_put_u32(&frame, self->now_us);
    link_put_floats(&frame, self->vehicle.position, 3u);
    link_put_floats(&frame, self->vehicle.orientation, 4u);
    link_put_floats(&frame, self->vehicle.linear_velocity, 3u);
    link_put_floats(&frame, self->vehicle.angular_velocity, 3u);
    link_put_floats(&frame, self->commands.PILOT_COMMAND, 4u);
    (void)link_queue_frame(&self->queue, &frame);
}

/* Whether a frame that is sent every `interval_us` is due. */
static bool due(uint32_t *since_us, uint32_t passed_us, uint32_t interval_us) {
    *since_us = sum(*since_us, passed_us);
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
        passed_us = LONGEST_US; /* a gap, or a clock put back: long enough for every watchdog */
    }
    self->begun = true;
    self->now_us = now_us;
    self->silence_us = sum(self->silence_us, passed_us);
    self->watch_us = sum(self->watch_us, passed_us);
    self->vehicle = *vehicle;
    self->sound = guard_sound(vehicle);
    /* A frame that comes after the time-out comes too late, even in the same step. */
    if (self->state == PILOT_FLYING && self->watch_us > WATCHDOG_US) {
        fault(self, PILOT_FAULT_WATCHDOG);
        begin_failsafe(self);
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
        tell_odometry(self);
    }
    if (due(&self->status_us, passed_us, STATUS_US)) {
        tell_status(self);
    }
    return &self->commands;
}
