"""Runs that a training learns from, and its own copies of them: it goes on when their folders are gone.

A copy, in the folder `sources/`, has what `runner.load_trained` reads: the configuration, the task's files and the
weights of the policy. Settings name runs as FOLDER or as KEY=FOLDER.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from policies.errors import UserError
from robo_rl.algorithms.registry import RUN, AlgorithmConfig
from robo_rl.output.files import write_bytes
from robo_rl.training import checkpoint, config, tasks

FOLDER = "sources"
_DIGEST = "digest"
CONFIG, CHECKPOINT = "config.yaml", "checkpoint.pt"
"""Names of a run's configuration and checkpoint."""


def split(word: str) -> tuple[str, Path]:
    """The key, empty where there is none, and the folder of a run that a setting names."""
    key, equals, folder = word.partition("=")
    return (key, Path(folder)) if equals and not Path(word).exists() else ("", Path(word))


def read(settings: AlgorithmConfig) -> dict[str, bytes]:
    """The files, path -> bytes, of a run's copies of the runs that `settings` name. Raises UserError for a folder that
    holds no run, and for a run without a checkpoint."""
    copies: dict[str, bytes] = {}
    for name, word in _named(settings):
        files = _read(split(word)[1])
        files[_DIGEST] = _digest(files).encode()
        copies |= {f"{FOLDER}/{name}/{path}": data for path, data in files.items()}
    return copies


def write(run_dir: Path, copies: Mapping[str, bytes]) -> None:
    """Write what `read` returned into a run."""
    for path, data in copies.items():
        write_bytes(run_dir / path, data)


def kept(run_dir: Path, settings: AlgorithmConfig) -> AlgorithmConfig:
    """`settings` that name the run's own copies. Raises UserError for one that was changed."""
    own: dict[str, list[str]] = {}
    for name, word in _named(settings):
        copy = run_dir / FOLDER / name
        _check(copy)
        key = split(word)[0]
        own.setdefault(name.partition("-")[0], []).append(f"{key}={copy}" if key else str(copy))
    changes: dict[str, Any] = {
        field: words[0] if isinstance(getattr(settings, field), str) else tuple(words) for field, words in own.items()
    }
    changed: AlgorithmConfig = replace(settings, **changes) if changes else settings
    return changed


def as_given(message: str, run_dir: Path, settings: AlgorithmConfig) -> str:
    """A message about the run's own copies, with the folders that `settings` name in their place."""
    for name, word in _named(settings):
        message = message.replace(str(run_dir / FOLDER / name), str(split(word)[1]))
    return message


def _named(settings: AlgorithmConfig) -> Iterator[tuple[str, str]]:
    """The name of the copy, FIELD-NUMBER, and the word of each run that `settings` name."""
    for field in fields(settings):
        if RUN.items() <= field.metadata.items():
            value = getattr(settings, field.name)
            words = ([value] if value else []) if isinstance(value, str) else value
            for number, word in enumerate(words):
                yield f"{field.name}-{number}", word


def _read(run: Path) -> dict[str, bytes]:
    """What the copy of a run holds: path -> bytes."""
    configuration = config.load(run / CONFIG)
    learned = checkpoint.load(run / CHECKPOINT)["algorithm"]
    weights = {name: learned[name] for name in ("graph", "iteration", "steps")}
    files = {CONFIG: (run / CONFIG).read_bytes(), CHECKPOINT: checkpoint.to_bytes({"algorithm": weights})}
    if (run / tasks.COPY).is_file():
        files[tasks.COPY] = (run / tasks.COPY).read_bytes()
    return files | tasks.robot_files(run, configuration)


def _check(copy: Path) -> None:
    try:
        wanted = (copy / _DIGEST).read_text()
        files = {
            path.relative_to(copy).as_posix(): path.read_bytes()
            for path in copy.rglob("*")
            if path.is_file() and path != copy / _DIGEST
        }
    except OSError as error:
        raise UserError(
            f"{copy}, the run's copy of what it learns from, is gone ({error.strerror}); train again"
        ) from None
    if _digest(files) != wanted:
        raise UserError(f"{copy} was changed since this run was started; put it back, or train again")


def _digest(files: dict[str, bytes]) -> str:
    hashes = (f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in sorted(files.items()))
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
