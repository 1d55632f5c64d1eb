"""The tables of the benchmarks of legged locomotion, from their result files."""

from __future__ import annotations

from statistics import median

from robo_rl.bench.markdown import Result, markdown_table, percent


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


def walk(result: Result) -> str:
    """One row for each seed, then the median and the worst of all seeds."""
    seeds = result["seeds"]
    rows = [
        (
            str(seed["seed"]), seconds(seed["seconds_to_0.20"]), f"{seed['train_seconds']:.0f}",
            f"{seed['final_velocity_error']:.3f}", f"{seed['final_yaw_rate_error']:.3f}",
            percent(seed["final_fall_rate"]),
        )
        for seed in seeds
    ]  # fmt: skip
    for name, pick in (("**median**", median), ("**worst**", max)):
        times = [seed["seconds_to_0.20"] for seed in seeds]
        known = [float("inf") if value is None else value for value in times]
        reached = pick(known)
        rows.append(
            (
                name,
                seconds(None if reached == float("inf") else reached),
                f"{pick(seed['train_seconds'] for seed in seeds):.0f}",
                f"{pick(seed['final_velocity_error'] for seed in seeds):.3f}",
                f"{pick(seed['final_yaw_rate_error'] for seed in seeds):.3f}",
                percent(pick(seed["final_fall_rate"] for seed in seeds)),
            )
        )
    title = (
        "seed", "time to 0.20 m/s and 1 % falls (s)", "training (s)", "final velocity error (m/s)",
        "final yaw rate error (rad/s)", "final falls",
    )  # fmt: skip
    return markdown_table(title, rows)


def own(result: Result) -> str:
    """One row for each robot, with the reason for one that was not run."""
    rows = []
    for row in result["rows"]:
        if "not_run" in row:
            rows.append((row["robot"], "", *["not run"] * 6))
            continue
        rows.append(
            (
                row["robot"], row["lacks"], seconds(row["seconds_to_bar"]), f"{row['train_seconds']:.0f}",
                f"{row['environment_steps'] / 1e6:.1f}", f"{row['velocity_error']:.3f}",
                f"{row['yaw_rate_error']:.3f}", percent(row["fall_rate"]),
            )
        )  # fmt: skip
    bar = result["bar"]
    title = (
        "robot", "what its file lacks",
        f"time to {bar['velocity_error']:g} m/s and {100 * bar['fall_rate']:g} % falls (s)", "training (s)",
        "steps (million)", "velocity error (m/s)", "yaw rate error (rad/s)", "falls",
    )  # fmt: skip
    reasons = [f"{row['robot']} was not run: {row['not_run']}." for row in result["rows"] if "not_run" in row]
    return "\n\n".join([markdown_table(title, rows), *reasons])


def ppo(result: Result) -> str:
    """One row for each trainer, and how much faster ours reaches the same return."""
    rows = [
        (
            row["trainer"], f"{row['samples_per_second']:,.0f}", seconds(row["seconds_to_return"]),
            f"{row['final_return']:.1f}", str(row["threads"]),
        )
        for row in result["rows"]
    ]  # fmt: skip
    level = f"return {result['return_level']:.1f}"
    title = ("trainer", "samples (1/s)", f"time to {level} (s)", "final return", "torch threads")
    table = markdown_table(title, rows)
    if result["throughput_ratio"] is None:
        return f"{table}\n\nThe rows are from different machines, so their ratios say nothing."
    more = f"at {result['throughput_ratio']:.2f} times the samples a second"
    if result["time_ratio"] is None:
        return f"{table}\n\nOurs does not reach {level} of {result['compared_with']}, {more}."
    sooner = f"{result['time_ratio']:.2f} times as fast as {result['compared_with']}"
    return f"{table}\n\nOurs reaches {level} {sooner}, {more}."


def rough(result: Result) -> str:
    """One row for each kind of terrain; below it the success at the bar's levels."""
    rows = [
        (
            row["kind"].replace("_", " "),
            percent(row["success"]),
            percent(row["fall_rate"]),
            "none" if row["hardest_level_at_bar"] is None else str(row["hardest_level_at_bar"]),
        )
        for row in result["kinds"]
    ]
    title = ("terrain", "success, all levels", "falls", "hardest level with 80 % success")
    marks = {**result["success_at_0.10_m_stairs"], **result["success_at_0.15_rad_slopes"]}
    named = ", ".join(
        f"{kind.replace('_', ' ')} {'not measured' if share is None else percent(share)}"
        for kind, share in marks.items()
    )
    missing = ", ".join(kind.replace("_", " ") for kind in result["missing"])
    below = f"Below 80 %: {missing}." if missing else "All are at 80 % or more."
    level = result["mean_terrain_level"]
    reached = (
        ""
        if level is None
        else f"The curriculum ended at a mean level of {level:.1f} of 0 to {result['hardest_level']}. "
    )
    spent = "" if result["train_seconds"] is None else f"Trained for {result['train_seconds'] / 60:.0f} minutes. "
    return (
        f"{markdown_table(title, rows)}\n\n"
        f"{spent}{reached}Success on stairs of {result['stair_height_m']:.2f} m and slopes of "
        f"{result['slope_angle_rad']:.2f} rad: {named}. {below}"
    )


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
        return "not measured"
    return "none" if row[name] is None else f"{row[name]:.3f}"


def _holds(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def seconds(value: float | None, unit: str = "") -> str:
    """A time, or "not reached"."""
    return "not reached" if value is None else f"{value:.0f}{unit}"
