/* The pilot decides what drives the motors: state machine, watchdog, limits, the chip's own descent, and the link of
 * link.h. docs/firmware.md has the tables of states, faults and frames.
 *
 * Pure C99: it reads no clock and accesses no hardware. Each step of the policy is one call of `pilot_step` with the
 * time, the vehicle's state and the bytes received over the link; take the bytes to send from `queue` with
 * `link_queue_take`.
 */
#ifndef PILOT_H
#define PILOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descent.h"
#include "link.h"
#include "policy.h"
#include "vehicle.h"

#define PILOT_STEP_US (POLICY_PERIOD_US / POLICY_SUBSTEPS)

/* States. In all but FLYING and FAILSAFE the commands are the manifest's safe values. */
#define PILOT_IDLE 0u      /* after boot */
#define PILOT_READY 1u     /* armed; the first setpoint makes it fly */
#define PILOT_FLYING 2u    /* the policy flies to the host's setpoint */
#define PILOT_FAILSAFE 3u  /* the policy flies the chip's own descent; setpoints are refused */
#define PILOT_LANDED 4u    /* must be armed again */
#define PILOT_ESTOPPED 5u  /* must be armed again */
#define PILOT_REFUSED 6u   /* the self-test failed: never flies */

/* Fault bits, set since the last arming. */
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
    policy_commands commands; /* sent to the motors */
    pilot_vehicle vehicle;    /* the newest state, which may be invalid */
    pilot_setpoint setpoint;
    descent sinking;         /* of the failsafe */
    float origin[3];     /* m, world: where it was armed */
    uint32_t boot_id;
    uint32_t now_us;
    uint32_t silence_us; /* since the last accepted frame of the host */
    uint32_t watch_us;   /* since the last accepted heartbeat or setpoint */
    uint32_t bad_us;     /* how long the policy has given no command */
    uint32_t status_us;  /* since the last frame of this type */
    uint32_t odometry_us;
    uint16_t last_sequence; /* of the last accepted frame */
    uint16_t sent_sequence;
    uint16_t rejected;
    uint16_t faults;
    uint8_t state;
    uint8_t policy_status;
    bool begun;    /* the first step is done */
    bool accepted; /* a frame was accepted */
    bool valid;    /* the newest state passed guard_valid */
} pilot;

/* Initialise. `boot_id` differs between boots, so that a host notices a restart; `selftest` is the result of
 * policy_selftest(): anything but 0 means REFUSED until the next boot. */
void pilot_init(pilot *self, uint32_t boot_id, uint32_t selftest);

/* One step of PILOT_STEP_US: read the vehicle's state and `count` bytes from the host, and return the motor commands,
 * which are finite and within their limits. `now_us` wraps. */
const policy_commands *pilot_step(pilot *self, const pilot_vehicle *vehicle, const uint8_t *bytes, size_t count,
                                  uint32_t now_us);

#endif
