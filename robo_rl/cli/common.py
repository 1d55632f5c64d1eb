"""Shared by several subcommands: argument types, opening runs and bundles, and writing results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from policies.errors import UserError
from robo_rl.output import results

if TYPE_CHECKING:
    from deploy.bundle.reader import Bundle
    from deploy.codegen.generate import Check, Draft
    from policies.graph.policy_graph import PolicyGraph
    from sim.controllers.teacher import LearnedTeacher
    from sim.task import Task

# Named as in --help, where tyro would show "{None}|PATH" and "PATH".
Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
OptionalFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
BundleFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
RunFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
RunOrBundle = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_OR_BUNDLE")]
OutFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
OptionalRate = Annotated[float | None, tyro.conf.arg(metavar="HZ")]
OptionalBatch = Annotated[int | None, tyro.conf.arg(metavar="ROBOTS")]
OptionalSeed = Annotated[int | None, tyro.conf.arg(metavar="SEED")]
Kernel = Literal["c", "asm", "int8"]


def open_policy(folder: Path, task: str = "") -> tuple[PolicyGraph | Bundle, Task]:
    """The policy in a run's or bundle's folder and the task it was made for, or the one named; a UserError for any
    other folder, and for a teacher's."""
    from robo_rl.training import runner

    policy, made_for = open_evaluated(folder, task)
    return runner.deployable(policy, folder), made_for


def open_evaluated(folder: Path, task: str = "") -> tuple[PolicyGraph | LearnedTeacher | Bundle, Task]:
    """As `open_policy`, and the teacher that a run learned."""
    from deploy.bundle.reader import MANIFEST_FILE, load_bundle
    from robo_rl.training import runner
    from robo_rl.training.tasks import task_of_bundle
    from sim.tasks import find_task

    if (folder / runner.CONFIG).is_file():
        trained = runner.load_trained(folder)
        return trained.policy, find_task(task) if task else trained.task
    if (folder / MANIFEST_FILE).is_file():
        bundle = load_bundle(folder)
        return bundle, task_of_bundle(bundle, task)
    wrong = "does not exist" if not folder.exists() else "is neither a run nor a bundle"
    raise UserError(f"{folder} {wrong}; name a folder that `robo-rl train` or `robo-rl export` wrote")


def kernel_check(kernel: str, ungated: bool) -> Check | None:
    """The check that the C of `kernel` must pass before it is written, and which prints its result; None for no check.

    Raises UserError for --ungated with a kernel that needs no check.
    """
    from deploy.codegen.generate import ROUNDED, UNTESTED

    if kernel != ROUNDED:
        if ungated:
            raise UserError(f"--ungated skips the test of kernel {ROUNDED}; leave it out for kernel {kernel}")
        return None
    if ungated:
        print(UNTESTED)
        return None
    from robo_rl.evaluation import int8_gate

    def check(draft: Draft) -> str:
        note = int8_gate.check(draft)
        print(note)
        return note

    return check


def write_json(path: Path | None, payload: Mapping[str, Any]) -> None:
    """Write a result file, unless `path` is None. Raises UserError when it can't be written."""
    if path is None:
        return
    try:
        results.write(path, payload)
    except OSError as error:
        raise UserError(f"can't write {path} ({os_error(error)}); name another file for --json") from None


def check_writable(path: Path | None) -> None:
    """Raise UserError if `path` can't become a result file: now, rather than after an hour of work."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"--json {path} is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't make the folder {path.parent} ({os_error(error)}); name another --json") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"--json {path} is not writable; name another file")


def os_error(error: OSError) -> str:
    """The message of an OSError, without its number and file name."""
    return error.strerror or str(error)
