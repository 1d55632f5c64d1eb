"""The task of a run and of a bundle: with the terms' settings as trained, and from their own copies of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.bundle.reader import Bundle
from policies.errors import UserError
from robo_rl.output.files import write_bytes, write_text
from robo_rl.training import robot_copy
from robo_rl.training.config import TrainConfig
from sim.task import Task
from sim.tasks import find_task
from sim.tasks.files import is_file, read_task_file
from sim.tasks.own_robot import digest_of, is_own, kind_of, own_robot, task_for

COPY = "task.py"
"""Name of a run's copy of the file that its task is from."""
_BEFORE = {"go1-velocity-flat": {"observation": {"gait_clock": {"frequency": 2.5}}}}
"""What was different in the tasks of trainings from before these were settings."""
SNAPSHOTS = "snapshots.pt"
"""Name of the file of snapshots that a run's episodes may begin from."""


def keep_sources(run_dir: Path, configuration: TrainConfig) -> None:
    """Copy what the configuration's task is from into the run: the user's own file, or his own robot."""
    if is_file(configuration.task):
        write_text(run_dir / COPY, read_task_file(configuration.task).text)
    elif is_own(configuration.task):
        for name, data in robot_copy.copy_of(own_robot(configuration.task)).items():
            write_bytes(run_dir / robot_copy.FOLDER / name, data)


def source_of(configuration: TrainConfig) -> str:
    """The digest of the user's own file or robot that the task is from; empty for other tasks."""
    return configuration.task_digest or (digest_of(configuration.task) if is_own(configuration.task) else "")


def robot_files(run_dir: Path, configuration: TrainConfig) -> dict[str, bytes]:
    """The run's copy of the user's own robot, path -> bytes, for a bundle; empty for other tasks."""
    if is_file(configuration.task) or not is_own(configuration.task):
        return {}
    kept = robot_copy.is_kept(run_dir)
    files = robot_copy.read_files(run_dir) if kept else robot_copy.copy_of(own_robot(configuration.task, before=True))
    return {f"{robot_copy.FOLDER}/{name}": data for name, data in files.items()}


def task_of_run(run_dir: Path, configuration: TrainConfig) -> Task:
    """The task as it was trained. Raises UserError when the run's copy of its file was changed or is gone."""
    if is_own(configuration.task) and robot_copy.is_kept(run_dir):
        return _task_of_copy(run_dir, configuration.task).with_settings(configuration.terms)
    if is_own(configuration.task) and not is_file(configuration.task):
        own = own_robot(configuration.task, before=True)
        return task_for(kind_of(configuration.task), own).with_settings(configuration.terms)
    if not is_file(configuration.task):
        return _as_trained(find_task(configuration.task), configuration.terms)
    attribute = configuration.task.rpartition(":")[2]
    copy = read_task_file(f"{run_dir / COPY}:{attribute}")
    if copy.digest != configuration.task_digest:
        raise UserError(f"{run_dir / COPY} was changed since this run was started; put it back, or train again")
    return copy.load().with_settings(configuration.terms)


def teacher_of(configuration: TrainConfig) -> str:
    """The folder of the run that the snapshots of a run's curriculum are of; "" for none."""
    return str(configuration.terms.get("curriculum", {}).get("snapshots", {}).get("teacher", ""))


def task_to_train(run_dir: Path, configuration: TrainConfig) -> Task:
    """The task as `task_of_run` gives it, with the snapshots that the run keeps."""
    task = task_of_run(run_dir, configuration)
    if not teacher_of(configuration):
        return task
    return task.with_settings({"curriculum": {"snapshots": {"file": str(run_dir / SNAPSHOTS)}}})


def task_of_bundle(bundle: Bundle, name: str = "") -> Task:
    """The task that a bundle was trained in, or the one called `name`.

    A bundle holds a robot of the user's own, and no code: where its task is from a file, that file must still be where
    it was, relative to the present folder, and unchanged; a UserError asks for it otherwise.
    """
    identity, trained = bundle.manifest.identity, _trained(bundle)
    wanted = name or str(trained.get("task", identity.task))
    if not name and is_own(wanted) and robot_copy.is_kept(bundle.path):
        return _task_of_copy(bundle.path, wanted).with_settings(trained.get("terms", {}))
    if not is_file(wanted):
        task = find_task(wanted)
        return _as_trained(task, trained.get("terms", {})) if task.name == identity.task else task
    path = wanted.rpartition(":")[0]
    if not name and not Path(path).is_file():
        raise UserError(f"{bundle.path} was trained in {wanted}, and {path} is not here; name the file with --task")
    file = read_task_file(wanted)
    if not name and file.digest != trained.get("task_digest"):
        raise UserError(f"{path} was changed since {bundle.path} was trained in it; name another with --task")
    task = file.load()
    return task.with_settings(trained.get("terms", {})) if file.digest == trained.get("task_digest") else task


def _as_trained(task: Task, terms: Mapping[str, Any]) -> Task:
    """The `task` with the settings `terms` of a training."""
    known = "gait_clock" in terms.get("observation", {})
    return task.with_settings({} if known else _BEFORE.get(task.name, {})).with_settings(terms)


def _task_of_copy(folder: Path, name: str) -> Task:
    """The task called `name`, with the robot that a run or a bundle holds."""
    own = robot_copy.load_copy(folder)
    if digest_of(name) not in ("", own.digest):
        raise UserError(f"{folder / robot_copy.FOLDER} is not the robot that was trained; put it back, or train again")
    return task_for(kind_of(name), own)


def _trained(bundle: Bundle) -> Mapping[str, Any]:
    """The configuration of the training that the bundle is from, as far as its manifest tells."""
    document = bundle.manifest.provenance.get("config", {})
    return document if isinstance(document, Mapping) else {}
