"""Overlays of a picture: arrows of commanded and true velocity, and a few lines of text."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.signals import Truth
from robo_rl.view.plots import fixed_width_font

COMMANDED = (0.10, 0.72, 0.32, 1.0)
MEASURED = (0.15, 0.45, 0.95, 1.0)
METRES_PER_SPEED = 0.5
SHORTEST = 0.03  # m/s


def velocity_arrows(
    scene: mujoco.MjvScene,
    truth: Truth,
    world: int,
    position: NDArray[np.float64],
    rotation: NDArray[np.float64],
    height: float,
) -> None:
    """Add arrows of the commanded (green) and the true (blue) horizontal velocity above a robot's base.

    `position` [3] m and `rotation` [3, 3] are the base's in the world. The velocities are in the base's frame turned
    upright. Nothing is added for a task without a velocity command.
    """
    if "velocity_command" not in truth:
        return
    forward = rotation[:2, 0] / max(float(np.linalg.norm(rotation[:2, 0])), 1e-6)
    left = np.array((-forward[1], forward[0]))
    rows = (("velocity_command", COMMANDED, height), ("linear_velocity", MEASURED, height - 0.06))
    for name, colour, above in rows:
        ahead, aside = (float(value) for value in truth[name][world, :2])
        if np.hypot(ahead, aside) < SHORTEST:
            continue
        start = position + np.array((0.0, 0.0, above))
        end = start.copy()
        end[:2] += METRES_PER_SPEED * (ahead * forward + aside * left)
        _arrow(scene, start, end, colour)


def _arrow(
    scene: mujoco.MjvScene, start: NDArray[np.float64], end: NDArray[np.float64], colour: tuple[float, ...]
) -> None:
    if scene.ngeom >= scene.maxgeom:
        return
    geom = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(
        geom, mujoco.mjtGeom.mjGEOM_ARROW, np.zeros(3), np.zeros(3), np.eye(3).ravel(), np.array(colour, np.float32)
    )
    mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_ARROW, 0.014, start, end)
    # Arrows look the same in light and shade.
    geom.emission = 0.4
    geom.category = int(mujoco.mjtCatBit.mjCAT_DECOR)
    scene.ngeom += 1


Line = tuple[str, tuple[float, ...] | None]
"""A line of text and the colour of the mark before it, None for no mark."""


def caption(task: str, seconds: float, truth: Truth, world: int) -> list[Line]:
    """The lines of text for a picture of `world` at `seconds` since the start."""
    lines: list[Line] = [(f"{task}   {seconds:5.1f} s", None)]
    if "velocity_command" in truth:
        command, velocity = truth["velocity_command"][world], truth["linear_velocity"][world]
        turning = float(truth["angular_velocity"][world, 2])
        lines.append((_velocity("command", *(float(value) for value in command[:3])), COMMANDED))
        lines.append((_velocity("true   ", float(velocity[0]), float(velocity[1]), turning), MEASURED))
    elif "position_error" in truth:
        distance = 100.0 * float(truth["position_error"][world].norm())
        lines.append((f"distance to target {distance:5.1f} cm", COMMANDED))
    return lines


def _velocity(name: str, forward: float, left: float, turning: float) -> str:
    return f"{name}  forward {forward:+.2f} m/s  left {left:+.2f} m/s  turn {turning:+.2f} rad/s"


def write_lines(picture: NDArray[np.uint8], lines: list[Line]) -> NDArray[np.uint8]:
    """The picture [height, width, 3] with the lines on a dark plate in its upper left corner."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    size = max(10, min(round(height / 34), round(width / 58)))
    font, pad, step = _font(size), round(0.7 * size), round(1.45 * size)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image, "RGBA")
    wide = max(draw.textlength(text, font=font) + (1.3 * size if colour else 0.0) for text, colour in lines)
    plate = (pad, pad, pad + wide + 2 * pad, pad + step * len(lines) + pad)
    draw.rounded_rectangle(plate, radius=pad, fill=(18, 22, 28, 165))
    for number, (text, colour) in enumerate(lines):
        x, y = 2.0 * pad, 1.5 * pad + number * step
        if colour:
            mark = tuple(round(255 * value) for value in colour[:3])
            draw.rounded_rectangle((x, y + 0.2 * size, x + 0.8 * size, y + size), radius=2, fill=mark)
            x += 1.3 * size
        draw.text((x, y), text, font=font, fill=(240, 243, 246, 255))
    return np.asarray(image)


@cache
def _font(size: int) -> Any:
    """A font with digits of one width, so that lines do not jitter."""
    from PIL import ImageFont

    return ImageFont.truetype(str(fixed_width_font()), size)


def png(picture: NDArray[np.uint8]) -> bytes:
    """The picture [height, width, 3] as a PNG file's content."""
    from PIL import Image

    content = BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()
