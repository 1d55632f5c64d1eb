"""The tasks by name. A new task is one new file here and one line in `TASKS`, or a file anywhere (sim.tasks.files)."""

from __future__ import annotations

from difflib import get_close_matches

from policies.errors import UserError
from sim.task import Task
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER
from sim.tasks.crazyflie_track import CRAZYFLIE_TRACK
from sim.tasks.files import is_file, load_offered, offered, read_task_file
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT
from sim.tasks.go1_velocity_hidden import GO1_VELOCITY_HIDDEN
from sim.tasks.go1_velocity_rough import GO1_VELOCITY_ROUGH, GO1_VELOCITY_ROUGH_BLIND
from sim.tasks.h1_velocity_flat import H1_VELOCITY_FLAT
from sim.tasks.own_robot import is_own, own_task
from sim.tasks.quadrotor_any import QUADROTOR_ANY

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        CRAZYFLIE_HOVER,
        CRAZYFLIE_TRACK,
        QUADROTOR_ANY,
        GO1_VELOCITY_FLAT,
        GO1_VELOCITY_HIDDEN,
        GO1_VELOCITY_ROUGH,
        GO1_VELOCITY_ROUGH_BLIND,
        H1_VELOCITY_FLAT,
    )
}


def is_task(name: str) -> bool:
    """Whether `name` looks like the name of a task, without reading files."""
    return name in TASKS or is_file(name) or is_own(name) or name in offered()


def find_task(name: str) -> Task:
    """The task called `name`: one of ours, FILE.py:NAME, one for a robot of the user's own (sim.tasks.own_robot), or
    one that another package offers. A UserError that names the nearest ones otherwise."""
    if name in TASKS:
        return TASKS[name]
    if is_file(name):
        return read_task_file(name).load()
    if is_own(name):
        return own_task(name)
    others = offered()
    if name in others:
        return load_offered(others[name])
    known = sorted({*TASKS, *others})
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(f"there is no task {name!r}.{hint} Tasks: {', '.join(known)}, or FILE.py:NAME")
