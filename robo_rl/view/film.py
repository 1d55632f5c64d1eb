"""Films of a policy: the robot followed by a camera, with command and true velocity.

An .mp4 file is H.264; a .webp file is an animated picture that pages show like any other, and repeat.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from policies.validation import require
from robo_rl.view.overlay import caption, velocity_arrows, write_lines
from robo_rl.view.renderer import Image, Renderer
from robo_rl.view.show import Show
from robo_rl.view.stage import Stage, find_stage

FORMATS: dict[str, tuple[str, list[str]]] = {
    ".mp4": ("libx264", ["-crf", "21", "-preset", "veryfast", "-movflags", "+faststart"]),
    ".webp": ("libwebp_anim", ["-loop", "0", "-quality", "60", "-compression_level", "6"]),
}
"""Encoder and its options by the end of a film's name."""


@dataclass(frozen=True)
class FilmSettings:
    """Length, size and number of robots of a film."""

    seconds: float = 10.0
    """Length of the film in s of simulated time."""
    width: int = 960
    """Pixels; an even number."""
    height: int = 540
    """Pixels; an even number."""
    robots: int = 1
    """Robots side by side; the camera follows the first."""
    fps: float = 25.0
    """Pictures a second; the nearest rate is taken that fits the control period."""

    def __post_init__(self) -> None:
        require(self, "seconds", above=0.0, high=600.0)
        require(self, "fps", low=1.0, high=100.0)
        require(self, "robots", low=1, high=64)
        for field in ("width", "height"):
            require(self, field, low=64, high=3840)
            if getattr(self, field) % 2:
                raise UserError(f"{field} must be even for H.264, got {getattr(self, field)}")


Progress = Callable[[int, int], None]
"""Called after every picture with its number and the number of all."""


def record(show: Show, path: Path, settings: FilmSettings = FilmSettings(), progress: Progress | None = None) -> int:
    """Film `show` from its present state into `path`, atomically; returns the number of pictures.

    Raises UserError when the file can't be written or the machine can't draw.
    """
    check_target(path)
    stride = max(1, round(1.0 / (settings.fps * show.task.period)))
    fps = 1.0 / (stride * show.task.period)
    count = max(1, round(settings.seconds * fps))
    stage = find_stage(show.task, show.environment, together=True)
    with Renderer(stage.model, settings.width, settings.height) as renderer, encoder(path, settings, fps) as send:
        camera = FollowCamera(stage.distance * (1.0 + 0.25 * (settings.robots > 1)))
        for number in range(count):
            for _ in range(stride if number else 0):
                show.step()
            send(picture(show, stage, renderer, camera))
            if progress is not None:
                progress(number + 1, count)
    return count


def picture(show: Show, stage: Stage, renderer: Renderer, camera: FollowCamera) -> Image:
    """A picture of the present state."""
    data = camera.data_for(stage.model)
    poses: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def robots() -> Iterator[mujoco.MjData]:
        for world in range(show.worlds):
            stage.pose(world, show.truth, data)
            poses.append(stage.base(data))
            yield data

    def decorate(scene: mujoco.MjvScene) -> None:
        for world, (position, rotation) in enumerate(poses):
            velocity_arrows(scene, show.truth, world, position, rotation, height=0.3)

    stage.pose(0, show.truth, data)
    camera.follow(stage.base(data)[0], show.seconds)
    drawn = renderer.draw(robots(), camera.camera, decorate)
    return write_lines(drawn, caption(show.task.name, show.seconds, show.truth, 0))


class FollowCamera:
    """A camera at the robot's side, a little above it, that follows with a lag, and jumps when the robot jumps."""

    LAG = 0.25  # s
    JUMP = 1.0  # m between two pictures

    def __init__(self, distance: float, azimuth: float = 125.0, elevation: float = -20.0) -> None:
        self.camera = mujoco.MjvCamera()
        self.camera.distance, self.camera.azimuth, self.camera.elevation = distance, azimuth, elevation
        self._before: NDArray[np.float64] | None = None
        self._seconds = 0.0
        self._data: mujoco.MjData | None = None

    def data_for(self, model: mujoco.MjModel) -> mujoco.MjData:
        """A state to pose robots in, created once."""
        if self._data is None:
            self._data = mujoco.MjData(model)
        return self._data

    def follow(self, position: NDArray[np.float64], seconds: float) -> None:
        """Turn towards a robot at `position` [3] m at time `seconds`."""
        if self._before is None or np.linalg.norm(position - self._before) > self.JUMP:
            self.camera.lookat[:] = position
        else:
            share = 1.0 - np.exp(-max(0.0, seconds - self._seconds) / self.LAG)
            self.camera.lookat[:] += share * (position - self.camera.lookat)
        self._before, self._seconds = position.copy(), seconds


def check_target(path: Path) -> None:
    """Raise UserError now rather than after the film when `path` can't become one."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--video {path} must end in {' or '.join(FORMATS)}")
    try:
        folder = path.is_dir()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only an attempt shows whether it is allowed: root, for example, ignores permissions.
        trial = _temporary(path)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UserError(f"--video {path} can't be written ({error.strerror}); name another file") from None
    if folder:
        raise UserError(f"--video {path} is a folder; name a file")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}{path.suffix.lower()}")


@contextmanager
def encoder(path: Path, settings: FilmSettings, fps: float) -> Iterator[Callable[[Image], None]]:
    """Yields the function that encodes one picture; the file appears when the block ends without an error.

    Raises UserError when the encoder can't be started or can't write.
    """
    import imageio_ffmpeg

    temporary = _temporary(path)
    codec, options = FORMATS[path.suffix.lower()]
    try:
        writer: Any = imageio_ffmpeg.write_frames(
            str(temporary),
            (settings.width, settings.height),
            fps=fps,
            codec=codec,
            pix_fmt_in="rgb24",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            ffmpeg_log_level="quiet",
            output_params=options,
        )
        try:
            writer.send(None)
            yield writer.send
        finally:
            writer.close()
        os.replace(temporary, path)
    except OSError as error:
        # The encoder does not say why it failed; mostly the disk is full.
        reason = error.strerror or "the encoder could not go on; is there room?"
        raise UserError(f"can't write the film {path} ({reason})") from None
    finally:
        temporary.unlink(missing_ok=True)
