"""A picture of one robot as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco

from robo_rl.output.files import write_atomically
from robo_rl.view.film import FollowCamera
from robo_rl.view.overlay import png
from robo_rl.view.renderer import Renderer
from robo_rl.view.stage import find_stage
from sim.task import Task

WIDTH, HEIGHT = 960, 720


def portrait(task: Task, environment: Any, path: Path) -> None:
    """Write a PNG of the first robot of `environment` as it is. UserError when the machine can't draw."""
    stage = find_stage(task, environment)
    data = mujoco.MjData(stage.model)
    stage.pose(0, environment.scenario.truth(), data)
    camera = FollowCamera(stage.distance)
    camera.follow(stage.base(data)[0], 0.0)
    with Renderer(stage.model, WIDTH, HEIGHT) as renderer:
        image = renderer.draw([data], camera.camera)
    write_atomically(path, lambda file: file.write(png(image)))
