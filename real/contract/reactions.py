"""The reaction to every fault: one table, which the supervisor acts on and docs/safety.md shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from real.contract.state_machine import Trigger

_LANDS = (
    "commands to come to rest: a target that sinks at 0.3 m/s, or a halt, the stance and the lying pose; then a stop"
)
_RELEASED = "a stop request if the link is up, no further command; its own fail-safe takes over"
_GOES_ON = "the policy's commands, within limits"
_LAST = "nothing in this tick; after the time-out as for DAMP"


@dataclass(frozen=True)
class Reaction:
    """One cause: what is checked, and what follows. `trigger` None: it is recorded, and the flight goes on."""

    cause: str
    check: str
    limit: str
    bound: str
    trigger: Trigger | None
    robot_receives: str


_TABLE = (
    # The readings: a bad one never reaches the policy; if good ones are missing, the cause is state_age.
    Reaction(
        "sensor_missing", "a sensor is missing in a reading",
        "manifest sensors, and what the envelope needs", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "sensor_malformed", "a sensor is not numbers of the right length",
        "manifest dim", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "sensor_not_finite", "a sensor or stamp is NaN or infinite",
        "finite", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "sensor_out_of_range", "a sensor beyond what a healthy one reports",
        "manifest low, high", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "orientation_norm", "a quaternion far from unit length",
        "0.1", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "stale_reading", "a reading no newer than one seen before",
        "sequence and stamp grow", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "stamp_jump", "a stamp far ahead of the time that passed",
        "1 s", "1 tick",
        None, "nothing computed from this reading",
    ),
    Reaction(
        "reading_dropped", "a message that the driver could not make a reading of: null, wrong length, type or order",
        "none dropped", "1 tick",
        None, "nothing computed from this message",
    ),
    # Faults that keep a tick from sending a command; if they last, they end the flight.
    Reaction(
        "state_age", "age of the newest good reading",
        "manifest max_input_age", "max_input_age + 0.15 s + 1 tick",
        Trigger.DAMP, _LAST,
    ),
    Reaction(
        "command_age", "age of the reading when its command is ready",
        "manifest max_command_age", "max_command_age + 0.15 s + 1 tick",
        Trigger.DAMP, _LAST,
    ),
    Reaction(
        "link_refused", "the driver can't send the command",
        "none refused", "0.15 s + 1 tick",
        Trigger.DAMP, _LAST,
    ),
    Reaction(
        "loop_stall", "no command left the host, for no other cause",
        "0.15 s", "at the first tick after the stall",
        Trigger.DAMP, _RELEASED,
    ),
    # The envelope: the policy has lost control of the robot, so it must not land it.
    Reaction(
        "tilt", "angle between body z and world z",
        "manifest max_tilt", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "position_error", "distance to the target in each axis",
        "manifest max_position_error", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "geofence", "position relative to the start",
        "manifest geofence_low, geofence_high; landing may go down to the ground", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "speed", "length of the velocity",
        "manifest max_speed", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    # The link and the writers.
    Reaction(
        "link_lost", "the transport reports that it is not connected",
        "connected", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "heartbeat_lost", "time since the robot's last status",
        "0.5 s", "0.5 s + 1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "robot_failsafe", "the robot reports that it has taken itself over, has stopped or was stopped",
        "a state in which it obeys", "1 status message + 1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "robot_restarted", "the robot's process is another one than at the start",
        "the same boot identity", "1 status message + 1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "not_owner", "the robot obeys another writer, or nobody 0.5 s after our first command",
        "our own writer", "1 status message + 1 tick; 0.5 s at the start",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "second_writer", "another writer sends commands while the robot obeys us",
        "no foreign message", "1 tick after the message",
        Trigger.END, _LANDS,
    ),
    Reaction(
        "command_rejected", "the robot has rejected a command",
        "none rejected", "1 status message + 1 tick",
        None, _GOES_ON,
    ),
    # The policy's output.
    Reaction(
        "command_malformed", "a command is missing or of the wrong length",
        "manifest dim", "same tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "command_not_finite", "a command is NaN or infinite",
        "finite", "same tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "command_clamped", "a command beyond its limits",
        "manifest low, high", "same tick",
        None, "the command, clamped",
    ),
    Reaction(
        "command_rate_clamped", "a command that changes too fast",
        "manifest rate_limit", "same tick",
        None, "the command, clamped",
    ),
    Reaction(
        "torque_clamped", "a joint target that asks its motor for more torque than it has",
        "manifest joints.motors.torque_limit", "same tick",
        None, "the target moved towards the joint until it asks for the limit",
    ),
    Reaction(
        "stand_failed", "the joints of a legged robot do not reach the stance",
        "0.4 rad, 3 s after the way there", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "cmd_vel_lost", "time since the last velocity command, while walking by /cmd_vel",
        "0.5 s", "1 tick",
        None, "the policy's commands, for a velocity of zero",
    ),
    Reaction(
        "setpoint_lost", "time since the last pose, while flying by poses from a topic",
        "0.5 s", "1 tick",
        None, "a target that stops where it is",
    ),
    Reaction(
        "setpoint_clamped", "a pose near or beyond the geofence, or near the ground",
        "0.3 m inside the geofence, 0.1 m above the ground", "1 tick",
        None, "a target inside the limits",
    ),
    # The host itself.
    Reaction(
        "loop_exception", "an error in the loop, the policy or the driver",
        "none", "same tick",
        Trigger.DAMP, _RELEASED,
    ),
    Reaction(
        "loop_overrun", "the work of a tick ended after the next was due",
        "1 period", "1 tick",
        None, _GOES_ON,
    ),
    Reaction(
        "recorder_failed", "the recording can't be written",
        "none", "about 1 s",
        None, _GOES_ON,
    ),
    Reaction(
        "land_timeout", "a landing that takes too long",
        "1.5 times the descent + 5 s", "1 tick",
        Trigger.DAMP, _RELEASED,
    ),
    # What the user asks for.
    Reaction(
        "duration_over", "the time of the flight is over",
        "the flight's duration", "1 tick",
        Trigger.END, _LANDS,
    ),
    Reaction(
        "stop_requested", "SIGINT or SIGTERM",
        "none", "1 tick",
        Trigger.END, _LANDS,
    ),
    Reaction(
        "emergency_requested", "a second SIGINT or SIGTERM",
        "none", "1 tick",
        Trigger.ESTOP, "a request to cut the actuators at once, no further command",
    ),
    # Before the flight: nothing has been sent, and nothing will be.
    Reaction(
        "connect_failed", "no reading or no status from the robot",
        "the connect time-out", "the connect time-out",
        Trigger.END, "nothing",
    ),
    Reaction(
        "gains_differ", "the robot's motors are set to other gains than the policy was trained with",
        "manifest joints.motors, 1 %", "at the connection",
        Trigger.END, "nothing",
    ),
    Reaction(
        "arming_refused", "a check above does not hold before the flight",
        "every check above", "the arming time-out",
        Trigger.END, "nothing",
    ),
)  # fmt: skip

REACTIONS: Mapping[str, Reaction] = MappingProxyType({reaction.cause: reaction for reaction in _TABLE})

REQUESTS = frozenset({"duration_over", "stop_requested"})
"""The causes that end a run as the user asked; any other one that fires a trigger is a safety event."""

BEFORE_FLIGHT = frozenset({"connect_failed", "gains_differ", "arming_refused"})
"""The causes that keep a run from beginning: the state stays IDLE."""


def markdown_table() -> str:
    """The table as docs/safety.md shows it."""
    rows = [
        "| cause | what is checked | limit | detected within | leads to | what the robot receives |",
        "|---|---|---|---|---|---|",
    ]
    for r in _TABLE:
        leads_to = "recorded, the flight goes on" if r.trigger is None else str(r.trigger)
        leads_to = "IDLE, no flight" if r.cause in BEFORE_FLIGHT else leads_to
        rows.append(f"| `{r.cause}` | {r.check} | {r.limit} | {r.bound} | {leads_to} | {r.robot_receives} |")
    return "\n".join(rows) + "\n"
