"""`robo-rl play RUN_OR_BUNDLE`: view a policy, as a film or in the browser."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from policies.errors import UserError
from robo_rl.cli.common import OptionalFile, OptionalSeed, RunOrBundle, open_policy
from robo_rl.cli.eval import STRESS
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from robo_rl.view.show import Show


@dataclass(frozen=True)
class Arguments:
    """View a run or a bundle: as a film with --video, or in the browser with --web."""

    run_or_bundle: RunOrBundle
    """Folder that `robo-rl train` or `robo-rl export` wrote."""
    video: OptionalFile = None
    """Write a film to this .mp4 file, or an animated picture for a page to this .webp file; no display is needed."""
    web: bool = False
    """Serve a viewer for the browser until Ctrl-C, with commands, push, reset, pause and terrain level."""
    port: int = 8080
    """Port of the viewer for the browser."""
    task: str = ""
    """Task to play in, a name or FILE.py:NAME; empty: the policy's own."""
    seconds: float = 10.0
    """Length of the film in s."""
    width: int = 960
    """Width of the film in pixels."""
    height: int = 540
    """Height of the film in pixels."""
    robots: int = 1
    """Robots in the film; the camera follows the first."""
    fps: float = 25.0
    """Pictures per second of the film, rounded to a rate that fits the control period."""
    command: tuple[float, float, float] | None = None
    """Constant command: forward m/s, left m/s, yaw rate rad/s; None: drawn by the task."""
    ground: str = ""
    """Kind of terrain to walk on, such as stairs_up, in a task with several kinds."""
    level: int = 0
    """Difficulty of --ground; 0 is the easiest."""
    nominal: bool = False
    """Play in the nominal world: no noise, delay, disturbance, push or randomization."""
    stress: bool = False
    """Play in a harder world: noise, delays, disturbances, pushes and randomization times 1.5."""
    seed: OptionalSeed = None
    """Seed of the starts; None: the held-out one."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "play", argv)
    if arguments.nominal and arguments.stress:
        raise UserError("--nominal and --stress are opposites; give one of them")
    if (arguments.video is not None) == arguments.web:
        raise UserError("give either --video FILE.mp4 for a film, or --web for the browser")
    return _serve(arguments) if arguments.video is None else _film(arguments, arguments.video)


def _film(arguments: Arguments, path: Path) -> int:
    from robo_rl.training.progress import picture_progress
    from robo_rl.view.film import FilmSettings, check_target, record
    from robo_rl.view.gl import find_backend

    settings = FilmSettings(arguments.seconds, arguments.width, arguments.height, arguments.robots, arguments.fps)
    check_target(path)
    find_backend()
    show = _show(arguments, settings.robots)
    with picture_progress() as progress:
        count = record(show, path, settings, progress)
    print(f"{count} pictures, {settings.seconds:g} s: {path}")
    return 0


def _serve(arguments: Arguments) -> int:
    from robo_rl.view.web import Web, check_port

    check_port(arguments.port)
    web = Web(_show(arguments, 1), arguments.port)
    stop = Event()
    # SIGTERM ends it as Ctrl-C does, at the next control period.
    caught: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        caught.append(number)
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        print(f"open {web.url} in a browser; Ctrl-C ends", flush=True)
        web.run(stop)
    finally:
        web.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + caught[0] if caught else 0


def _show(arguments: Arguments, robots: int) -> Show:
    from robo_rl.evaluation.flying import HELD_OUT_SEED
    from robo_rl.view.show import Show

    policy, task = open_policy(arguments.run_or_bundle, arguments.task)
    show = Show(
        policy,
        task,
        robots,
        HELD_OUT_SEED if arguments.seed is None else arguments.seed,
        0.0 if arguments.nominal else STRESS if arguments.stress else 1.0,
        arguments.command,
    )
    if arguments.ground or arguments.level:
        show.go_to(arguments.ground, arguments.level)
    return show
