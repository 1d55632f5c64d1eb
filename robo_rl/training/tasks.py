"""The task of a run and of a bundle: with the terms' settings as trained, and from the run's copy of its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.bundle.reader import Bundle
from policies.errors import UserError
from robo_rl.output.files import write_text
from robo_rl.training.config import TrainConfig
from sim.task import Task
from sim.tasks import find_task
from sim.tasks.files import is_file, read_task_file

COPY = "task.py"
"""Name of a run's copy of the file that its task is from."""


def keep_task_file(run_dir: Path, configuration: TrainConfig) -> None:
    """Copy the file of the configuration's task into the run, if it is from one."""
    if is_file(configuration.task):
        write_text(run_dir / COPY, read_task_file(configuration.task).text)


def task_of_run(run_dir: Path, configuration: TrainConfig) -> Task:
    """The task as it was trained. Raises UserError when the run's copy of its file was changed or is gone."""
    if not is_file(configuration.task):
        return find_task(configuration.task).with_settings(configuration.terms)
    attribute = configuration.task.rpartition(":")[2]
    copy = read_task_file(f"{run_dir / COPY}:{attribute}")
    if copy.digest != configuration.task_digest:
        raise UserError(f"{run_dir / COPY} was changed since this run was started; put it back, or train again")
    return copy.load().with_settings(configuration.terms)


def task_of_bundle(bundle: Bundle, name: str = "") -> Task:
    """The task that a bundle was trained in, or the one called `name`.

    A bundle holds no code: where its task is from a file, that file must still be where it was, relative to the present
    folder, and unchanged; a UserError asks for it otherwise.
    """
    identity, trained = bundle.manifest.identity, _trained(bundle)
    wanted = name or str(trained.get("task", identity.task))
    if not is_file(wanted):
        task = find_task(wanted)
        return task.with_settings(trained.get("terms", {})) if task.name == identity.task else task
    path = wanted.rpartition(":")[0]
    if not name and not Path(path).is_file():
        raise UserError(f"{bundle.path} was trained in {wanted}, and {path} is not here; name the file with --task")
    file = read_task_file(wanted)
    if not name and file.digest != trained.get("task_digest"):
        raise UserError(f"{path} was changed since {bundle.path} was trained in it; name another with --task")
    task = file.load()
    return task.with_settings(trained.get("terms", {})) if file.digest == trained.get("task_digest") else task


def _trained(bundle: Bundle) -> Mapping[str, Any]:
    """The configuration of the training that the bundle is from, as far as its manifest tells."""
    document = bundle.manifest.provenance.get("config", {})
    return document if isinstance(document, Mapping) else {}
