"""The reward terms of walking one by one, in torch: an independent statement of what the kernel reckons in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from sim.legged.reward_pass import Now
from sim.legged.settings import LeggedSettings
from sim.robots.legged import LeggedRobot


def terms(
    now: Now,
    columns: dict[str, slice],
    robot: LeggedRobot,
    settings: LeggedSettings,
    period: float,
    gait: Tensor,
    rest: float,
) -> dict[str, Tensor]:
    """Every term [N], each as its line in `RewardSettings` says."""
    feet = len(robot.feet)
    v, w, q, qd, torque, base, contact, foot, foot_velocity = (
        now.values[:, columns[name]]
        for name in (
            "linear_velocity", "angular_velocity", "joint_position", "joint_velocity", "joint_torque", "base_position",
            "foot_contact", "foot_position", "foot_velocity",
        )
    )  # fmt: skip
    standing = (now.command == 0.0).all(-1)
    off = (v[:, :2] - now.command[:, :2]).norm(dim=-1)
    turn = (w[:, 2] - now.command[:, 2]).abs()
    height = base[:, 2] - now.below[:, -1]
    down = contact > 0.0
    wanted, lift = gait[now.steps % len(gait), 2:].split([feet, feet], -1)
    asked = (wanted > 0.0) | standing[:, None]
    foot_height = foot.reshape(-1, feet, 3)[:, :, 2] - now.below[:, :-1]
    speed = foot_velocity.reshape(-1, feet, 3)[:, :, :2].norm(dim=-1)
    change, last_change = now.action - now.last_action, now.last_action - now.older_action
    low, high = torch.tensor(robot.joint_low), torch.tensor(robot.joint_high)
    middle, reach = 0.5 * (low + high), 0.5 * 0.95 * (high - low)
    beyond = ((q - middle).abs() - reach).clamp(min=0.0)
    swing = rest + lift * ~standing[:, None] * (settings.clearance - rest)
    landed = torch.where(down & (now.air > 0.0), now.air - 0.25, 0.0)
    return {
        "track_velocity": torch.exp(-off.square() / 0.25),
        "track_velocity_finely": torch.exp(-off.square() / 0.03),
        "velocity_error": off,
        "track_yaw": torch.exp(-turn.square() / 0.25),
        "yaw_error": turn,
        "gait": (down == asked).float().mean(-1),
        "vertical_velocity": v[:, 2].square(),
        "tilt_rate": w[:, :2].square().sum(-1),
        "tilt": now.told[:, :2].square().sum(-1),
        "height": (height - robot.stand_height).square(),
        "torque": torque.square().sum(-1),
        "joint_speed": qd.square().sum(-1),
        "acceleration": ((qd - now.before[:, columns["joint_velocity"]]) / period).square().sum(-1),
        "action_rate": change.square().sum(-1),
        "action_jerk": (change - last_change).square().sum(-1),
        "joint_limits": beyond.square().sum(-1),
        "stance": (q - torch.tensor(robot.stance)).square().sum(-1) * torch.where(standing, 5.0, 1.0),
        "standing_still": qd.square().sum(-1) * standing,
        "slip": (speed.square() * down).sum(-1),
        "clearance": ((foot_height - settings.clearance).square() * speed * ~asked).sum(-1),
        "swing": (foot_height - swing).square().sum(-1),
        "air_time": landed.sum(-1) * ~standing,
        "fall": fallen(now, columns, robot, settings).float(),
    }


def fallen(now: Now, columns: dict[str, slice], robot: LeggedRobot, settings: LeggedSettings) -> Tensor:
    """Worlds [N] that lie too low or too tilted, or are in quarantine."""
    height = now.values[:, columns["base_position"]][:, 2] - now.below[:, -1]
    tilt = torch.acos(-now.told[:, 2].clamp(-1.0, 1.0))
    return (tilt > settings.max_tilt) | (height < settings.min_height * robot.stand_height) | now.failed
