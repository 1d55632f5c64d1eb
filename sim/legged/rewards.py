"""The reward terms of walking, each a function of a view: [N], before its weight.

N worlds, J joints, F feet. Beside the truth (see `sim.legged.scenario.LeggedScenario`) a view holds `action`,
`last_action` and `older_action` [N, J], normalised; `previous_joint_velocity` [N, J], one step earlier;
`foot_air_time` [N, F], s for which each foot had been in the air before this step; `gait_contact` and `gait_swing`
[N, F] of the gait's clock: 1 for a foot that should be on the ground, and how high it should be as a share of the
height in mid-swing; `stance`, `joint_low` and `joint_high` [1, J] rad; `foot_rest_height` [1, 1], m, of the feet's
centres above the ground in the stance; `terminated` [N].
"""

from __future__ import annotations

import torch
from torch import Tensor

from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.terms.parameters import NonNegative, Positive, Share
from sim.terms.terms import Reward
from sim.terms.view import View


def track_velocity(view: View, *, width: Positive = 0.25) -> Tensor:
    """exp(-|v_xy - command|^2 / width), width in (m/s)^2."""
    off = view["linear_velocity"][:, :2] - view["velocity_command"][:, :2]
    return torch.exp(-off.square().sum(-1) / width)


def velocity_error(view: View) -> Tensor:
    """|v_xy - command|, m/s."""
    off = view["linear_velocity"][:, :2] - view["velocity_command"][:, :2]
    return off.square().sum(-1).sqrt()


def track_yaw(view: View, *, width: Positive = 0.25) -> Tensor:
    """exp(-(yaw rate - command)^2 / width), width in (rad/s)^2."""
    return torch.exp(-yaw_error(view).square() / width)


def yaw_error(view: View) -> Tensor:
    """|yaw rate - command|, rad/s."""
    return (view["angular_velocity"][:, 2] - view["velocity_command"][:, 2]).abs()


def gait(view: View) -> Tensor:
    """Share of feet whose contact is what the gait's clock asks for; of all feet on the ground when standing."""
    return ((view["foot_contact"] > 0.0) == _should_touch(view)).float().mean(-1)


def vertical_velocity(view: View) -> Tensor:
    """v_z^2, (m/s)^2."""
    return view["linear_velocity"][:, 2].square()


def tilt_rate(view: View) -> Tensor:
    """Roll and pitch rate squared, (rad/s)^2."""
    return view["angular_velocity"][:, :2].square().sum(-1)


def tilt(view: View) -> Tensor:
    """Horizontal part of the direction of gravity, squared."""
    return view["gravity"][:, :2].square().sum(-1)


def height(view: View, *, target: Positive = 0.3) -> Tensor:
    """(base height above the ground - target)^2, m^2."""
    return (view["base_height"][:, 0] - target).square()


def torque(view: View) -> Tensor:
    """Sum of squared torques, (Nm)^2."""
    return view["joint_torque"].square().sum(-1)


def power(view: View) -> Tensor:
    """Sum of |torque times joint speed|, W: braking costs as much as driving."""
    return (view["joint_torque"] * view["joint_velocity"]).abs().sum(-1)


def joint_speed(view: View) -> Tensor:
    """Sum of squared joint speeds, (rad/s)^2."""
    return view["joint_velocity"].square().sum(-1)


def acceleration(view: View) -> Tensor:
    """Sum of squared joint accelerations, (rad/s^2)^2, from the joint speeds of two steps."""
    return ((view["joint_velocity"] - view["previous_joint_velocity"]) / view.period).square().sum(-1)


def action_rate(view: View) -> Tensor:
    """Sum of squared changes of the normalised action."""
    return (view["action"] - view["last_action"]).square().sum(-1)


def action_jerk(view: View) -> Tensor:
    """Sum of squared second differences of the normalised action."""
    return (view["action"] - 2.0 * view["last_action"] + view["older_action"]).square().sum(-1)


def joint_limits(view: View, *, share: Share = 0.95) -> Tensor:
    """Sum of squared angles beyond a share of the joints' travel, rad^2."""
    low, high = view["joint_low"], view["joint_high"]
    margin = 0.5 * (1.0 - share) * (high - low)
    beyond = view["joint_position"] - view["joint_position"].clamp(low + margin, high - margin)
    return beyond.square().sum(-1)


def stance(view: View, *, standing_factor: NonNegative = 5.0) -> Tensor:
    """Sum of squared deviations from the stance, rad^2; `standing_factor` times as much when commanded to stand."""
    deviation = (view["joint_position"] - view["stance"]).square().sum(-1)
    return torch.where(_stands(view), standing_factor * deviation, deviation)


def standing_still(view: View) -> Tensor:
    """Sum of squared joint speeds when commanded to stand, (rad/s)^2."""
    return joint_speed(view) * _stands(view)


def slip(view: View) -> Tensor:
    """Squared horizontal speed of feet on the ground, (m/s)^2."""
    return (_foot_speed(view).square() * (view["foot_contact"] > 0.0)).sum(-1)


def clearance(view: View, *, height: Positive = 0.09) -> Tensor:
    """(foot height - height)^2 times horizontal foot speed, of feet that the clock wants in the air; height in m."""
    off = (view["foot_height"] - height).square()
    return (off * _foot_speed(view) * ~_should_touch(view)).sum(-1)


def swing(view: View, *, height: Positive = 0.09) -> Tensor:
    """Sum over feet of (height above the ground - the clock's)^2, m^2: half a sine up to `height` in each swing, the
    ground otherwise. Unlike `clearance` it makes a standing robot step."""
    rest = view["foot_rest_height"]
    wanted = rest + view["gait_swing"] * (height - rest) * ~_stands(view)[:, None]
    return (view["foot_height"] - wanted).square().sum(-1)


def air_time(view: View, *, least: NonNegative = 0.25) -> Tensor:
    """Sum over feet that touch down of the time they were in the air, less `least` s; 0 when commanded to stand."""
    air = view["foot_air_time"]
    landed = (view["foot_contact"] > 0.0) & (air > 0.0)
    return torch.where(landed, air - least, 0.0).sum(-1) * ~_stands(view)


def fall(view: View) -> Tensor:
    """1 in the one step that ends an episode by a termination."""
    return view["terminated"].float()


def walking_rewards(robot: Robot, clearance_height: float = 0.09) -> dict[str, Reward]:
    """The terms of every walking task with weights to start from; many are 0, for robots that need them.

    `clearance_height` m is that of a foot's centre in mid-swing.
    """
    swinging = {"height": clearance_height}
    return {
        "track_velocity": Reward(track_velocity, 1.5),
        "track_velocity_finely": Reward(track_velocity, 0.75, {"width": 0.03}),
        "velocity_error": Reward(velocity_error, 0.0),
        "track_yaw": Reward(track_yaw, 0.75),
        "yaw_error": Reward(yaw_error, 0.0),
        "gait": Reward(gait, 0.5),
        "vertical_velocity": Reward(vertical_velocity, -1.0),
        "tilt_rate": Reward(tilt_rate, -0.05),
        "tilt": Reward(tilt, -2.0),
        "height": Reward(height, -20.0, {"target": robot.part(Legs).stand_height}),
        "torque": Reward(torque, -1e-4),
        "power": Reward(power, 0.0),
        "joint_speed": Reward(joint_speed, 0.0),
        "acceleration": Reward(acceleration, -1e-7),
        "action_rate": Reward(action_rate, -0.03),
        "action_jerk": Reward(action_jerk, 0.0),
        "joint_limits": Reward(joint_limits, 0.0),
        "stance": Reward(stance, -0.2),
        "standing_still": Reward(standing_still, 0.0),
        "slip": Reward(slip, -0.1),
        "clearance": Reward(clearance, -10.0, swinging),
        "swing": Reward(swing, 0.0, swinging),
        "air_time": Reward(air_time, 0.0),
        "fall": Reward(fall, -50.0),
    }


def _stands(view: View) -> Tensor:
    """Worlds [N] commanded to stand: bool."""
    return (view["velocity_command"] == 0.0).all(-1)


def _should_touch(view: View) -> Tensor:
    """Feet [N, F] that should be on the ground: bool."""
    return (view["gait_contact"] > 0.0) | _stands(view)[:, None]


def _foot_speed(view: View) -> Tensor:
    """Horizontal speed [N, F] of the feet, m/s."""
    feet: Tensor = view["foot_velocity"].unflatten(-1, (-1, 3))
    return feet[:, :, :2].square().sum(-1).sqrt()
