/* The pilot: decides who drives the motors. It keeps the state machine, the watchdog, the limits and the chip's own
 * descent, and speaks the link of link.h. docs/firmware.md has the tables of states, faults and frames.
 *
 * Pure C99: it reads no clock and touches no hardware. Every step of the policy is one call of `pilot_step`, with the
 * time, the vehicle's state and the bytes that came over the link; what must be sent is taken with `link_queue_take`
 * from `queue`.
 */
#ifndef PILOT_H
#define PILOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link.h"
#include "policy.h"
#include "vehicle.h"

#define PILOT_STEP_US (POLICY_PERIOD_US / POLICY_SUBSTEPS)

/* States. In all but FLYING and FAILSAFE the commands are the manifest's safe values. */
#define PILOT_IDLE 0u      /* after boot */
#define PILOT_READY 1u     /* armed; the first setpoint makes it fly */
#define PILOT_FLYING 2u    /* the policy flies to the host's setpoint */
#define PILOT_FAILSAFE 3u  /* the policy flies the chip's own descent and obeys nobody */
#define PILOT_LANDED 4u    /* needs to be armed */
#define PILOT_ESTOPPED 5u  /* needs to be armed */
#define PILOT_REFUSED 6u   /* the self-test failed: never flies */

/* Fault bits: what has happened since the last arming. */
#define PILOT_FAULT_WATCHDOG 1u
#define PILOT_FAULT_SENSOR 2u
#define PILOT_FAULT_TILT 4u
#define PILOT_FAULT_SETPOINT 8u
#define PILOT_FAULT_SELFTEST 16u
#define PILOT_FAULT_RATE 32u
#define PILOT_FAULT_FENCE 64u
#define PILOT_FAULT_ERROR 128u
#define PILOT_FAULT_SPEED 256u

typedef struct {
    link_decoder decoder;
    link_queue queue;
    policy_state policy;
    policy_commands commands; /* what the motors do now */
    pilot_vehicle vehicle;    /* the newest state, which may be unsound */
    pilot_setpoint setpoint;
    float origin[3];     /* m, world: where it was armed */
    uint32_t boot_id;
    uint32_t now_us;
    uint32_t silence_us; /* since a frame of the host was accepted */
    uint32_t watch_us;   /* since a heartbeat or a setpoint was accepted */
    uint32_t bad_us;     /* for how long the policy has given no command */
    uint32_t still_us;   /* for how long the vehicle has looked landed */
    uint32_t descent_us;
    uint32_t status_us; /* since the last frame of the kind */
    uint32_t odometry_us;
    uint16_t heard_sequence;
    uint16_t sent_sequence;
    uint16_t rejected;
    uint16_t faults;
    uint8_t state;
    uint8_t policy_status;
    bool begun; /* the first step has been */
    bool heard; /* a frame was accepted */
    bool sound;
} pilot;

/* Start. `boot_id` differs from boot to boot, so that a host notices a restart; `selftest` is what policy_selftest()
 * returned: anything but 0 is REFUSED for ever. */
void pilot_init(pilot *self, uint32_t boot_id, uint32_t selftest);

/* One step of PILOT_STEP_US: take in the vehicle's state and `count` bytes from the host, and return the commands for
 * the motors, which are finite and within their limits. `now_us` wraps. */
const policy_commands *pilot_step(pilot *self, const pilot_vehicle *vehicle, const uint8_t *bytes, size_t count,
                                  uint32_t now_us);

#endif
