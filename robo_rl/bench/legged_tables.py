"""The tables of the benchmarks of legged locomotion, from their result files."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from robo_rl.bench.markdown import Result, markdown_table, percent

NOT_MEASURED = "not measured"
"""In place of a figure that the benchmark did not have yet when its result was written."""


def env(result: Result) -> str:
    """One row for every number of worlds: full steps, bare physics, the share, and memory."""
    rows = [
        (
            worlds,
            f"{row['env_steps_per_second']:,.0f}",
            f"{row['bare_steps_per_second']:,.0f}",
            percent(row["share_of_bare"]),
            f"{row['rss_mb']:,.0f}",
        )
        for worlds, row in sorted(result["worlds"].items(), key=lambda item: int(item[0]))
    ]
    title = ("worlds", "full steps (1/s)", "bare `Batch.step` (1/s)", "share", "peak memory (MB)")
    return markdown_table(title, rows)


WALK = {
    "seconds_to_0.20": "time to 0.20 m/s and 1 % falls (s)", "seconds_to_both": "the same with 0.25 rad/s (s)",
    "train_seconds": "training (s)", "final_velocity_error": "velocity error (m/s)",
    "final_yaw_error": "yaw error (rad/s)", "final_yaw_error_stride_mean": "yaw error, stride mean (rad/s)",
    "yaw_swing": "yaw swing (rad/s)", "standing_yaw_error": "yaw error, standing robot (rad/s)",
    "final_fall_rate": "falls",
}  # fmt: skip
GAIT = {
    "base_height": "height of the base (m)", "cost_of_transport": "cost of transport",
    "foot_clearance": "foot clearance (m)", "yaw_gain": "yaw gain",
    "sideways_yaw_drift": "drift in yaw, sideways (rad/s)", "damped_speed_share": "speed left with more joint damping",
}  # fmt: skip
"""The figures in the two tables of `bench walk`, and their names there."""


def walk(result: Result) -> str:
    """How well each seed follows commands in the end, with the median and the worst of all seeds; then each gait."""
    seeds = result["seeds"]
    known = {name: [seed[name] for seed in seeds] for name in WALK if all(name in seed for seed in seeds)}
    rows = [(str(seed["seed"]), *(_walked(seed, name) for name in WALK)) for seed in seeds]
    for title, pick in (("**median**", median), ("**worst**", max)):
        row = {name: pick([float("inf") if v is None else v for v in values]) for name, values in known.items()}
        rows.append((title, *(_walked(row, name) for name in WALK)))
    gaits = [(str(seed["seed"]), *(_figure(seed, name) for name in GAIT)) for seed in seeds]
    return "\n\n".join(
        [markdown_table(("seed", *WALK.values()), rows), markdown_table(("seed", *GAIT.values()), gaits)]
    )


def _walked(row: Result, name: str) -> str:
    """A figure of `WALK`; a time that is missing or infinite was never reached."""
    if name not in row:
        return NOT_MEASURED
    if name.startswith("seconds_to"):
        return seconds(None if row[name] == float("inf") else row[name])
    if name == "train_seconds":
        return f"{row[name]:.0f}"
    return percent(row[name]) if name == "final_fall_rate" else _figure(row, name)


def own(result: Result) -> str:
    """One row for each robot, with the reason for one that was not run."""
    rows = []
    for row in result["rows"]:
        if "not_run" in row:
            rows.append((row["robot"], "", *["not run"] * 7))
            continue
        rows.append(
            (
                row["robot"], row["lacks"], seconds(row["seconds_to_bar"]), f"{row['train_seconds']:.0f}",
                f"{row['environment_steps'] / 1e6:.1f}", f"{row['velocity_error']:.3f}",
                f"{row['yaw_rate_error']:.3f}", _figure(row, "yaw_error_stride_mean"), percent(row["fall_rate"]),
            )
        )  # fmt: skip
    bar = result["bar"]
    title = (
        "robot", "what its file lacks",
        f"time to {bar['velocity_error']:g} m/s and {100 * bar['fall_rate']:g} % falls (s)", "training (s)",
        "steps (million)", "velocity error (m/s)", "yaw rate error (rad/s)",
        "yaw rate error, stride mean (rad/s)", "falls",
    )  # fmt: skip
    reasons = [f"{row['robot']} was not run: {row['not_run']}." for row in result["rows"] if "not_run" in row]
    return "\n\n".join([markdown_table(title, rows), *reasons])


def ppo(result: Result) -> str:
    """One row for each trainer, settings and seed; below it ours and rsl_rl compared with each settings."""
    rows = [
        (
            row["trainer"], row.get("settings", NOT_MEASURED), str(row.get("seed", NOT_MEASURED)),
            f"{row['samples_per_second']:,.0f}", seconds(row["seconds_to_return"]), f"{row['final_return']:.1f}",
            str(row["threads"]),
        )
        for row in result["rows"]
    ]  # fmt: skip
    level = f"return {result['return_level']:.1f}"
    title = ("trainer", "settings", "seed", "samples (1/s)", f"time to {level} (s)", "final return", "torch threads")
    both = [_compared(name, result["rows"], level) for name in ("ours", "mjlab")]
    return "\n\n".join([markdown_table(title, rows), *filter(None, both)])


def _compared(settings: str, rows: Sequence[Result], level: str) -> str:
    """A sentence on ours and rsl_rl with the same settings; empty where one is missing."""
    ours, theirs = (
        [row for row in rows if row.get("settings") == settings and row["trainer"] == trainer]
        for trainer in ("robo-rl", "rsl_rl, mirror images")
    )
    if not ours or not theirs:
        return ""
    with_settings = f'With the settings "{settings}"'
    if any(row.get("machine") != ours[0].get("machine") for row in (*ours, *theirs)):
        return f"{with_settings} the rows are from different machines, so their ratios say nothing."

    def middle(rows: Sequence[Result], name: str) -> float:
        return median(float("inf") if row[name] is None else row[name] for row in rows)

    more = middle(ours, "samples_per_second") / middle(theirs, "samples_per_second")
    returns = f"{middle(ours, 'final_return'):.1f} against {middle(theirs, 'final_return'):.1f} in the end"
    mine, other = (middle(rows, "seconds_to_return") for rows in (ours, theirs))
    if mine == float("inf"):
        reached = f"ours does not reach {level}"
    elif other == float("inf"):
        reached = f"ours reaches {level} and rsl_rl does not"
    else:
        reached = f"ours reaches {level} in {mine / other:.2f} times the time of rsl_rl"
    return f"{with_settings} {reached}, at {more:.2f} times the samples a second, with a return of {returns} (medians)."


def curricula(result: Result) -> str:
    """One row for each task and curricula: means over the seeds, and the lowest and highest return."""
    rows = []
    for arm in dict.fromkeys(row["arm"] for row in result["rows"]):
        own = [row for row in result["rows"] if row["arm"] == arm]
        returns = [row["return"] for row in own]
        success = [row["success"] for row in own if row["success"] is not None]
        levels = [row["level"] for row in own if row["level"] is not None]
        rows.append(
            (
                own[0]["task"],
                ", ".join(own[0]["curricula"]) or "none",
                f"{mean(returns):.1f} ({min(returns):.1f} to {max(returns):.1f})",
                percent(mean(row["falls"] for row in own)),
                f"{mean(row['velocity_error'] for row in own):.3f}",
                percent(mean(success)) if success else "",
                f"{mean(levels):.1f}" if levels else "",
                f"{mean(row['samples'] for row in own) / 1e6:.2f}",
            )
        )
    title = (
        "task", "curricula", "return", "falls", "velocity error (m/s)", "success on all terrain",
        "terrain level in training", "samples (million)",
    )  # fmt: skip
    seeds = len({row["seed"] for row in result["rows"]})
    return f"{markdown_table(title, rows)}\n\nMeans over {seeds} seed{'s' if seeds > 1 else ''}, and their range."


def rough(result: Result) -> str:
    """One row for each kind of terrain and student; below it the success at the bars."""
    rows, sentences = [], []
    for student, found in result["students"].items():
        terrain = found["terrain"]
        for kind in dict.fromkeys(row["kind"] for row in terrain):
            on = [row for row in terrain if row["kind"] == kind]
            worlds = sum(row["worlds"] for row in on)
            shares = (sum(row[name] * row["worlds"] for row in on) / worlds for name in ("success", "fall_rate"))
            hardest = max((row for row in on if row["success"] >= 0.8), key=lambda row: row["level"], default=None)
            reached = "none" if hardest is None else f"{hardest['level']}: {_size(kind, hardest['size'])}"
            rows.append((student, kind.replace("_", " "), *map(percent, shares), reached))
        marks = [
            f"{bar['kind'].replace('_', ' ')} {_size(bar['kind'], bar['size'])} "
            f"{'not measured' if bar['success'] is None else percent(bar['success'])} of {percent(bar['at_least'])}"
            for bar in found["bars"]
        ]
        sentences.append(
            f"The {student} student trained for {found['train_seconds'] / 60:.0f} minutes. Success against its bars: "
            f"{', '.join(marks)}."
        )
    title = ("student", "terrain", "success, all levels", "falls", "hardest level with 80 % success")
    if (teacher := result.get("teacher")) is not None:
        sentences.insert(0, f"The teacher trained for {teacher['train_seconds'] / 60:.0f} minutes.")
    return f"{markdown_table(title, rows)}\n\n{' '.join(sentences)}"


def _size(kind: str, size: float) -> str:
    return f"{size:.3g} {'rad' if kind.startswith('slope') else 'm'}" if size else "flat"


SIM2SIM = {
    "fall_rate": "falls, of all robots", "velocity_error": "velocity error (m/s)",
    "yaw_rate_error": "yaw rate error (rad/s)", "yaw_error_stride_mean": "yaw rate error, stride mean (rad/s)",
    "yaw_swing": "swing of the yaw rate within a stride (rad/s)",
    "standing_yaw_error": "yaw rate error of a robot that stands (rad/s)",
    "base_height": "height of the base (m)", "tilt": "tilt (rad)",
    "torque_rms": "torque, root mean square (Nm)", "power": "mechanical power (W)",
    "action_rate": "speed of the commanded joints (rad/s)", "duty_factor": "share of time a foot is on the ground",
}  # fmt: skip
"""The measures in the table, and their names there."""


def sim2sim(result: Result) -> str:
    """One row for each measure, one column for each engine; below it the limits and whether they hold."""
    other = result["backend"]
    rows = [
        (title, *(_figure(result[column], name) for column in ("mujoco", other, "ratio")))
        for name, title in SIM2SIM.items()
    ]
    bar = result["bar"]
    falls, error = bar["fall_rate"], bar["velocity_error_ratio"]
    return (
        f"{markdown_table(('measure', 'mujoco', other, 'ratio'), rows)}\n\n"
        f"{result['robots']} robots of `{result['task']}` for {result['seconds']:g} s. In {other}, at most "
        f"{100 * falls['at_most']:g} % may fall: this {_holds(falls['holds'])}. The velocity error may be at most "
        f"{error['at_most']:g} times that in MuJoCo: this {_holds(error['holds'])}."
    )


def _figure(row: Result, name: str) -> str:
    """A figure of a row, which may be of before it was measured; None is one that has no value."""
    if name not in row:
        return NOT_MEASURED
    return "none" if row[name] is None else f"{row[name]:.3f}"


def _holds(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def seconds(value: float | None, unit: str = "") -> str:
    """A time, or "not reached"."""
    return "not reached" if value is None else f"{value:.0f}{unit}"
