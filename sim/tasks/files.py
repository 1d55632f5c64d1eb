"""Tasks from a Python file of the user's own, FILE.py:NAME, and tasks that other packages offer as entry points.

A file is one module by itself: what it imports must be installed, so that a run can go on from its own copy of the
file. Reading a file runs it, as importing does.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from policies.errors import UserError, one_line
from sim.task import Task

GROUP = "robo_rl.tasks"
"""The group of entry points that offer a task each: `name = "package.module:TASK"`."""
_NAME = re.compile(r"(?P<path>.+\.py):(?P<attribute>[A-Za-z_]\w*)")


def is_file(name: str) -> bool:
    """Whether `name` names a task in a file: FILE.py:NAME."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class TaskFile:
    """The text of a file and the name that its task has in it; `shown` is what messages call the file."""

    text: str
    attribute: str
    shown: str

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell versions of the text apart."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def load(self) -> Task:
        """The task, after running the file. Raises UserError, in one line, when there is none in it."""
        module = ModuleType(f"robo_rl_task_{self.digest}")
        module.__file__ = self.shown
        # Dataclasses and pickle look their module up by its name.
        sys.modules[module.__name__] = module
        try:
            exec(compile(self.text, self.shown, "exec"), module.__dict__)
        except UserError as error:
            raise UserError(f"{self.shown}: {error}") from None
        except Exception as error:
            raise UserError(f"{self._place(error)}: {type(error).__name__}: {one_line(error)}") from None
        found = getattr(module, self.attribute, None)
        if isinstance(found, Task):
            return found
        tasks = [name for name, value in vars(module).items() if isinstance(value, Task)]
        there = f"its tasks: {', '.join(tasks)}" if tasks else "it makes no Task (see docs/adding.md)"
        what = f"has no {self.attribute}" if found is None else f"{self.attribute} is a {type(found).__name__}, no Task"
        raise UserError(f"{self.shown}: {what}; {there}")

    def _place(self, error: Exception) -> str:
        """Where in the file it failed, such as "my_task.py line 12"."""
        if isinstance(error, SyntaxError):
            return f"{self.shown} line {error.lineno}"
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == self.shown]
        return f"{self.shown} line {lines[-1]}" if lines else self.shown


def read_task_file(name: str) -> TaskFile:
    """The file that `name`, FILE.py:NAME, names. Raises UserError when it can't be read."""
    match = _NAME.fullmatch(name)
    assert match is not None
    path = Path(match["path"])
    try:
        return TaskFile(path.read_text(encoding="utf-8"), match["attribute"], str(path))
    except OSError as error:
        raise UserError(f"can't read the task file {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"the task file {path} is no UTF-8 text") from None


def offered() -> dict[str, EntryPoint]:
    """The entry points of installed packages by the name of their task."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load_offered(entry: EntryPoint) -> Task:
    """The task of an entry point. Raises UserError, in one line, when its package does not give one."""
    try:
        found = entry.load()
    except Exception as error:
        raise UserError(f"task {entry.name} ({entry.value}) can't be loaded: {type(error).__name__}: {error}") from None
    if not isinstance(found, Task):
        raise UserError(f"task {entry.name} ({entry.value}) is a {type(found).__name__}, no Task")
    return found
