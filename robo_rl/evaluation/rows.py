"""The tables of an evaluation's summary: text, as the console and the report show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEASURES = ("measure", "value (95 % interval)")


@dataclass(frozen=True)
class Table:
    """Cells of text: one `heads` for each column, `rows` of as many cells."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def between(interval: Mapping[str, float | None], unit: str = "", digits: int = 3) -> str:
    """An interval of an evaluation's summary as "0.091 m (0.088 to 0.094)"; shares become percent with unit "%"."""
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "none survived"
    scale = 100.0 if unit == "%" else 1.0
    shown = f"{scale * value:.{digits}f}" + (f" {unit}" if unit else "")
    return f"{shown} ({scale * low:.{digits}f} to {scale * high:.{digits}f})"


def flying_tables(summary: Mapping[str, Any]) -> Sequence[Table]:
    """Survival, distance to the target where the task has one, and return."""
    rows = [("survival", between(summary["survival"], "%", 1))]
    if "distance_m" in summary:
        distance = summary["distance_m"]
        rows.append(("success at 0.1 m", between(summary["success_at_0.1"], "%", 1)))
        rows.append(("distance, last second, survivors", between(distance, "m")))
        rows += [
            (f"  {name}", f"{distance[name]:.3f} m")
            for name in ("p50", "p90", "p99", "worst")
            if distance[name] is not None
        ]
        rows.append(("RMSE, whole episode, survivors", between(summary["rmse_m"], "m")))
    return [Table(MEASURES, [*rows, ("return", between(summary["episode_return"], digits=1))])]


def walking_tables(summary: Mapping[str, Any]) -> Sequence[Table]:
    """Velocity errors, falls and return; the gait under fixed commands; on terrain, success by kind and level."""
    rows = [
        ("|v_xy - command|", between(summary["velocity_error_m_s"], "m/s")),
        ("|yaw rate - command|", between(summary["yaw_rate_error_rad_s"], "rad/s")),
    ]
    # A bundle may hold an evaluation of before these were measured.
    if "stride_s" in summary:
        stride = f"a stride of {summary['stride_s']:.2f} s"
        if summary["stride_from"] == "default":
            stride += ", as the task has no gait clock"
        rows += [
            (f"  averaged over {stride}", between(summary["yaw_error_stride_mean_rad_s"], "rad/s")),
            ("  of a robot that stands", between(summary["standing_yaw_error_rad_s"], "rad/s")),
            ("swing of the yaw rate within a stride", between(summary["yaw_swing_rad_s"], "rad/s")),
        ]
    rows += [
        ("falls, of all episodes", between(summary["fall_rate"], "%", 1)),
        ("return", between(summary["episode_return"], digits=1)),
    ]
    tables = [Table(MEASURES, rows)]
    if "gait" in summary:
        tables.append(_gait_table(summary["gait"]))
    if "terrain" in summary:
        scores = [
            (
                score["kind"], str(score["level"]), str(score["worlds"]), between(score["success"], "%", 1),
                between(score["fall_rate"], "%", 1), f"{score['velocity_error']:.3f} m/s",
            )
            for score in summary["terrain"]
        ]  # fmt: skip
        tables.append(Table(("terrain", "level", "worlds", "success", "falls", "|v_xy - command|"), scores))
    return tables


def _gait_table(gait: Mapping[str, Any]) -> Table:
    def shown(name: str, unit: str = "") -> str:
        return "none" if gait[name] is None else f"{gait[name]:.3f}{unit}"

    return Table(
        ("gait under fixed commands, nominal robots without pushes", "value"),
        [
            ("height of the base", shown("base_height", " m")),
            ("cost of transport at 1 m/s", shown("cost_of_transport")),
            ("foot clearance at 1 m/s", shown("foot_clearance", " m")),
            ("yaw gain on the spot", shown("yaw_gain_on_the_spot")),
            ("yaw gain at 0.5 m/s", shown("yaw_gain_walking")),
            ("drift in yaw at 0.5 m/s sideways", shown("sideways_yaw_drift", " rad/s")),
            ("share of the speed left with 2 Nm s/rad more at every joint", shown("damped_speed_share")),
        ],
    )
