"""Pictures of a training and of a recorded flight."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from robo_rl.output.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
AXES = (("x", "tab:blue"), ("y", "tab:orange"), ("z", "tab:green"))
SHARES = ("success", "success_at_0.1", "survival")
CURVES = {
    "success": "share within 0.1 m",
    "success_at_0.1": "share within 0.1 m",
    "survival": "share that survives",
    "episode_length": "mean length of an episode (steps)",
    "imitation_loss": "loss of imitation",
    "cost": "cost per step (m)",
    "failed_share": "share of worlds that fail",
    "episode_return": "mean return of an episode",
    "reward": "mean reward of a step",
}
"""Metrics that get a panel, with their labels; a training has some of them."""


def training(curve: Sequence[dict[str, float]], title: str, path: Path) -> None:
    """Write the training curve over training time as a PNG. `curve` is that of a run's record."""
    shown = [name for name in CURVES if any(line.get(name) is not None for line in curve)][:3]
    if not shown:
        raise UserError(f"the run has none of the metrics {', '.join(CURVES)}; there is nothing to plot")
    figure, panels = _figure(len(shown), title)
    for axes, name in zip(panels, shown, strict=True):
        points = [(line["seconds"], line[name]) for line in curve if line.get(name) is not None]
        axes.plot(*zip(*points, strict=True), color="tab:blue", marker="." if len(points) < 40 else None)
        axes.set_ylabel(CURVES[name])
        if name in SHARES:
            axes.set_ylim(-0.02, 1.02)
        else:
            axes.set_ylim(bottom=min(0.0, *(value for _, value in points)))
    panels[-1].set_xlabel("training time (s)")
    panels[-1].set_xlim(left=0.0)
    _save(figure, path)


def comparison(curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]], metric: str, path: Path) -> None:
    """Write the curves of groups of runs as a PNG: group -> for each run its points (steps, value).

    Each group has a colour, each run a thin line, and the group's mean, as far as all its runs go, a thick one.
    """
    figure, (axes,) = _figure(1, "")
    figure.set_size_inches(9.0, 5.0)
    for number, (name, runs) in enumerate(curves.items()):
        colour = f"C{number % 10}"
        for run in runs:
            axes.plot(*zip(*run, strict=True), color=colour, linewidth=0.7, alpha=0.5)
        grid = np.array([x for x, _ in min(runs, key=lambda run: run[-1][0])])
        mean = np.mean([np.interp(grid, *np.array(run).T) for run in runs], axis=0)
        axes.plot(grid, mean, color=colour, linewidth=2.2, label=f"{name} ({len(runs)})")
    axes.set_xlabel("environment steps")
    axes.set_ylabel(CURVES.get(metric, metric.replace("_", " ")))
    axes.legend(frameon=False)
    _save(figure, path)


def sweep(points: Sequence[tuple[Mapping[str, Any], Sequence[float | None]]], metric: str, path: Path) -> None:
    """Write the scores of a sweep as a PNG: a panel for each setting, a dot for each training (settings, scores), and
    the mean of all trainings with one value where values repeat."""
    names = list(points[0][0])
    figure, panels = _figure(len(names), "", shared=False)
    for axes, name in zip(panels, names, strict=True):
        values = [settings[name] for settings, _ in points]
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        texts = list(dict.fromkeys(map(str, values)))
        places = values if numeric else [texts.index(str(value)) for value in values]
        dots = [(x, y) for x, (_, scores) in zip(places, points, strict=True) for y in scores if y is not None]
        axes.plot(*np.array(dots, dtype=np.float64).reshape(-1, 2).T, "o", color="tab:blue", alpha=0.5)
        means = [(x, np.mean([y for at, y in dots if at == x])) for x in sorted({x for x, _ in dots})]
        if len(means) < len(points) or len(names) == 1:
            axes.plot(*np.array(means, dtype=np.float64).reshape(-1, 2).T, color="tab:orange", linewidth=1.5)
        if not numeric:
            axes.set_xticks(range(len(texts)), texts)
        elif min(values) > 0 and max(values) / min(values) >= 30:
            axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.set_ylabel(CURVES.get(metric, metric.replace("_", " ")))
    _save(figure, path)


REPORTED = (
    "episode_return", "episode_length", "velocity_error", "tracking", "success", "survival", "terminated", "cost",
    "imitation_loss", "failed_share", "terrain_level", "command_range", "reward", "std", "entropy", "value_loss", "kl",
)  # fmt: skip
"""Metrics that get a panel in a report, the most informative first."""
PANELS = 8


def curves_svg(curve: Sequence[dict[str, float]]) -> str:
    """The most informative metrics of a training over its time as SVG, the same text for the same curve.

    Raises UserError when there are none.
    """
    import matplotlib

    buffer = io.StringIO()
    # By default matplotlib writes the time and random names into it, and letters as outlines.
    with matplotlib.rc_context({"svg.hashsalt": "robo-rl", "svg.fonttype": "none", "font.family": "sans-serif"}):
        _panels(curve).savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def fixed_width_font() -> Path:
    """A TrueType font whose digits have one width, from matplotlib's own files."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"


def _panels(curve: Sequence[dict[str, float]]) -> Figure:
    """The most informative metrics of a training over its time, in two columns."""
    from matplotlib.figure import Figure

    named = [name for name in REPORTED if _varies(curve, name)]
    others = sorted({name for line in curve for name in line} - {*REPORTED, "iteration", "steps", "seconds"})
    shown = (named or [name for name in others if _varies(curve, name)])[:PANELS]
    if not shown:
        raise UserError(f"the run's metrics hold nothing to draw; known are {', '.join(REPORTED)}")
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(9.2, 2.3 * rows + 0.2))
    for number, name in enumerate(shown):
        axes = figure.add_subplot(rows, 2, number + 1)
        points = [(line["seconds"], line[name]) for line in curve if line.get(name) is not None]
        axes.plot(*zip(*points, strict=True), color="#2563c9", linewidth=1.5, marker="." if len(points) < 3 else None)
        axes.set_title(CURVES.get(name, name.replace("_", " ")), fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if number >= len(shown) - 2:
            axes.set_xlabel("training time (s)", fontsize=9)
    figure.tight_layout()
    return figure


def _varies(curve: Sequence[dict[str, float]], name: str) -> bool:
    """Whether a metric exists and changes at all, or has one value in a curve of one line."""
    values = {line[name] for line in curve if line.get(name) is not None}
    return len(values) > 1 or (len(values) == 1 and len(curve) == 1)


def flight(recording: Path, title: str, path: Path) -> None:
    """Write position, distance to the target and rotor speeds over time of a recorded flight as a PNG.

    Time starts with the flight under the policy; the landing is shaded. Raises UserError when nothing was flown.
    """
    # Recordings need mcap, of the extra `robot`; curves and films do not.
    from real.recording.messages import read_recording

    try:
        topics = read_recording(recording)
    except (OSError, ValueError) as error:
        raise UserError(f"can't read the recording: {error}") from None
    states = [(time, content["state"]) for time, content in topics.get("/state", [])]
    begin = next((time for time, state in states if state == "POLICY"), None)
    if begin is None or "/pose" not in topics:
        raise UserError(f"{recording} holds no flight under a policy")
    land = next((time - begin for time, state in states if state == "LAND"), None)
    time, position = _positions(topics["/pose"], begin)
    target_time, target = _positions(topics["/target"], begin)
    figure, panels = _figure(3, title)
    for index, (name, colour) in enumerate(AXES):
        panels[0].plot(time, position[:, index], color=colour, label=name)
        panels[0].plot(target_time, target[:, index], color=colour, linestyle="--", linewidth=1.0, alpha=0.7)
    panels[0].plot([], [], color="gray", linestyle="--", linewidth=1.0, label="target")
    panels[0].set_ylabel("position, world (m)")
    nearest = np.stack([np.interp(time, target_time, target[:, index]) for index in range(3)], -1)
    panels[1].plot(time, np.linalg.norm(position - nearest, axis=-1), color="tab:red")
    panels[1].set_ylabel("distance to target (m)")
    panels[1].set_ylim(bottom=0.0)
    _rotor_speeds(panels[2], topics.get("/command", []), begin)
    for axes in panels:
        if land is not None:
            axes.axvspan(land, max(time[-1], land), color="gray", alpha=0.15, label="landing", linewidth=0.0)
    for axes in (panels[0], panels[2]):
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    panels[-1].set_xlabel("time under the policy (s)")
    panels[-1].set_xlim(0.0, time[-1])
    _save(figure, path)


def walk(path: Floats, corners: Floats, title: str, target: Path) -> None:
    """Write a path [T, 2] from above as a PNG, with the corners [K, 2] of the one that was commanded, both in m forward
    and to the left of the start."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("agg")
    figure = Figure(figsize=(7.0, 7.0))
    axes = figure.add_subplot()
    wanted = np.concatenate((corners, corners[:1]))
    # Forward is up and left is left, as seen from behind the robot.
    axes.plot(-wanted[:, 1], wanted[:, 0], color="gray", linestyle="--", linewidth=1.0, label="commanded")
    axes.plot(-path[:, 1], path[:, 0], color="tab:blue", label="walked")
    axes.plot(-path[-1:, 1], path[-1:, 0], color="tab:red", marker="o", linestyle="none", label="end")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("to the right of the start (m)")
    axes.set_ylabel("forward of the start (m)")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    _save(figure, target)


def _rotor_speeds(axes: Axes, commands: Sequence[tuple[float, dict[str, Any]]], begin: float) -> None:
    sent = [(time - begin, content["sent"]["rotor_speed"]) for time, content in commands if content.get("sent")]
    if sent:
        time, speed = np.array([row[0] for row in sent]), np.array([row[1] for row in sent], dtype=np.float64)
        for rotor in range(speed.shape[1]):
            axes.plot(time, speed[:, rotor], linewidth=0.6, label=f"rotor {rotor + 1}")
    axes.set_ylabel("rotor command (rad/s)")


def _positions(messages: Sequence[tuple[float, dict[str, Any]]], begin: float) -> tuple[Floats, Floats]:
    """Times [T] in s after `begin` and positions [T, 3] in m, from `begin` on."""
    rows = [
        (time - begin, *(content["pose"]["position"][axis] for axis, _ in AXES))
        for time, content in messages
        if time >= begin
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[:, 0], table[:, 1:]


def _figure(panels: int, title: str, shared: bool = True) -> tuple[Figure, list[Axes]]:
    import matplotlib

    # It draws into files only and works without a display.
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(panels, 1, sharex=shared, figsize=(9.0, 2.4 * panels + 0.6), squeeze=False)
    figure.suptitle(title)
    for one in axes[:, 0]:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes[:, 0])


def _save(figure: Figure, path: Path) -> None:
    from matplotlib import pyplot

    figure.align_ylabels()
    figure.tight_layout()
    data = io.BytesIO()
    figure.savefig(data, dpi=140, format="png")
    pyplot.close(figure)
    write_atomically(path, lambda file: file.write(data.getvalue()))
