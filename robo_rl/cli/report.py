"""`robo-rl report RUN`: one HTML page with curves, evaluation table and film."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from policies.errors import UserError
from robo_rl.cli.common import OptionalFile, RunFolder, os_error
from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """Write one self-contained HTML page about a run: curves, evaluation, film and settings."""

    run: RunFolder
    """Folder that `robo-rl train` wrote."""
    out: OptionalFile = None
    """Page to write; None: report.html in the run's folder."""
    episodes: int = 500
    """Held-out starts of the evaluation."""
    seconds: float = 10.0
    """Length of the film in s."""
    no_video: bool = False
    """Leave out the film, on a machine without OpenGL."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "report", argv)
    folder = arguments.run
    from robo_rl.evaluation.registry import evaluate_policy
    from robo_rl.training import runner
    from robo_rl.view import report

    if not (folder / runner.CONFIG).is_file():
        wrong = "is not a run" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {wrong}; name a folder that `robo-rl train` wrote")
    out = _target(arguments.out or folder / "report.html")
    report.read_curves(folder)
    if not arguments.no_video:
        from robo_rl.view.film import FilmSettings
        from robo_rl.view.gl import find_backend

        settings = FilmSettings(seconds=arguments.seconds)
        find_backend()
    trained = runner.load_trained(folder)
    task = trained.task
    evaluation = evaluate_policy(trained.graph, task, arguments.episodes).summary()
    film = None
    if not arguments.no_video:
        from robo_rl.training.progress import picture_progress
        from robo_rl.view.film import record
        from robo_rl.view.show import Show

        with tempfile.TemporaryDirectory() as scratch, picture_progress() as progress:
            path = Path(scratch) / "film.mp4"
            record(Show(trained.graph, task), path, settings, progress)
            film = path.read_bytes()
    report.write(report.gather(folder, evaluation, film), out)
    print(f"written: {out}")
    return 0


def _target(path: Path) -> Path:
    """`path`; raises UserError before the evaluation when it can't be written."""
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; name a file")
    try:
        path.parent.resolve(strict=True)
    except OSError as error:
        raise UserError(f"--out {path} can't be written ({os_error(error)}); name another file") from None
    return path
