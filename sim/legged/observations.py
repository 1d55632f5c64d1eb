"""The sensors, commands and observations of walking robots, and their mirror images."""

from __future__ import annotations

from policies.graph.symmetry import SignalMirror, SignedPermutation
from policies.specs import CommandSpec, SensorSpec
from policies.terms.actions import PoseCommand
from policies.terms.observations import Deviation, ObservationTerm, ProjectedGravity, Reading
from policies.terms.stateful import ActionHistory, GaitClock, History
from sim.legged.ground.tiles import ScanSettings
from sim.legged.mirror import legged_mirror
from sim.legged.settings import LeggedSettings
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.sensors import SensorModel

PERIOD = 0.02
HISTORY = 4
"""Past steps of joints, rates and gravity that the policy observes, besides the current one."""


def sensors(robot: Robot, scan: ScanSettings | None = None) -> tuple[SensorSpec, ...]:
    """The sensors of a legged robot and, with a `scan`, the heights of the ground around it. Command terms add their
    own.
    """
    n = len(robot.joints)
    low = tuple(value - 0.2 for value in robot.joint_low)
    high = tuple(value + 0.2 for value in robot.joint_high)
    speed = tuple(2.0 * value for value in robot.joint_speed)
    own = (
        SensorSpec("orientation", 4, "1", "body to world, w x y z", -1.01, 1.01),
        SensorSpec("angular_velocity", 3, "rad/s", "body", -40.0, 40.0),
        SensorSpec("linear_acceleration", 3, "m/s^2", "body", -300.0, 300.0),
        SensorSpec("joint_position", n, "rad", "joint", low, high, labels=robot.joints),
        SensorSpec("joint_velocity", n, "rad/s", "joint", tuple(-v for v in speed), speed, labels=robot.joints),
    )
    if scan is None:
        return own
    reach = 4.0 * (scan.noise + scan.height_drift)
    lowest, highest, points = scan.low - reach, scan.high + reach, scan.labels
    frame = "heading, from the base"
    return (*own, SensorSpec("height_scan", len(points), "m", frame, lowest, highest, labels=points))


def commands(robot: Robot) -> tuple[CommandSpec, ...]:
    """One target for each joint, safe in the lying pose."""
    return (
        CommandSpec(
            "joint_position_target",
            len(robot.joints),
            "rad",
            robot.joint_low,
            robot.joint_high,
            2.0 * max(robot.part(Legs).action_scale) / PERIOD,
            robot.joints,
            robot.part(Legs).lying,
            "joint",
        ),
    )


def observation(robot: Robot, settings: LeggedSettings, scan: ScanSettings | None = None) -> dict[str, ObservationTerm]:
    """Gravity and rates in the base's axes, joints, command, the last actions and the gait's clock, with a few steps of
    history; and with a `scan` the heights of the ground."""
    n = len(robot.joints)
    own: dict[str, ObservationTerm] = {
        "gravity": ProjectedGravity(mount=robot.imu),
        "angular_velocity": Reading("angular_velocity", 3, 0.25, robot.imu),
        "joint_position": Deviation("joint_position", robot.part(Legs).stance),
        "joint_velocity": Reading("joint_velocity", n, 0.05),
    }
    terms: dict[str, ObservationTerm] = {
        **own,
        "velocity_command": Reading("velocity_command", 3),
        "history": History(tuple(own.values()), HISTORY),
        "action_history": ActionHistory(HISTORY, n),
        "gait_clock": GaitClock(settings.frequency, PERIOD),
    }
    return terms if scan is None else {**terms, "height_scan": Reading("height_scan", len(scan.grid), 2.0)}


def action(robot: Robot) -> PoseCommand:
    return PoseCommand("joint_position_target", robot.part(Legs).stance, robot.part(Legs).action_scale)


def mirror(robot: Robot, scan: ScanSettings | None = None, *, blind: bool = False) -> SignalMirror:
    """How the robot's signals look in a mirror. For a gait with alternating legs the mirrored clock is half a stride
    ahead; the left and right of a scan, which `blind` keeps out of the sensors, are swapped."""
    clock = SignedPermutation((0, 1), (-1.0, -1.0))
    flat = legged_mirror(
        robot,
        truth={
            "gravity": "vector", "measured_position": "joints", "foot_height": "feet", "base_height": "same",
            "next_command": "planar", "gait_clock": clock, "last_action": "joints", "parameters": "same",
        },
    )  # fmt: skip
    if scan is None:
        return flat
    grid = scan.grid
    forward = len(grid[:, 0].unique())
    across = len(grid) // forward
    order = tuple(row * across + (across - 1 - column) for row in range(forward) for column in range(across))
    turned = SignedPermutation(order, (1.0,) * len(grid))
    sensors = flat.sensors if blind else {**flat.sensors, "height_scan": turned}
    return SignalMirror(sensors, flat.action, {**flat.truth, "height_scan": turned}, flat.quaternions)


def sensor_models(scan: ScanSettings | None = None) -> dict[str, SensorModel]:
    """The noise, bias and age of each sensor; an age of 0.01 s is half a control period."""
    age = 0.01 / PERIOD
    models: tuple[SensorModel, ...] = (
        SensorModel("orientation", 0.01, 0.01, rotation=True, lag=age),
        SensorModel("angular_velocity", 0.1, 0.02, lag=age),
        SensorModel("linear_acceleration", 0.3, lag=age),
        SensorModel("joint_position", 0.01, lag=age),
        SensorModel("joint_velocity", 0.5, lag=age),
    )
    if scan is not None:
        models += (SensorModel("height_scan", scan.noise, dropout=scan.dropout, neighbours=scan.neighbours),)
    return {model.sensor: model for model in models}
