"""The rows of an evaluation's table, as the console and the report show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def between(interval: Mapping[str, float | None], unit: str = "", digits: int = 3) -> str:
    """An interval of an evaluation's summary as "0.091 m (0.088 to 0.094)"; shares become percent with unit "%"."""
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "none survived"
    scale = 100.0 if unit == "%" else 1.0
    shown = f"{scale * value:.{digits}f}" + (f" {unit}" if unit else "")
    return f"{shown} ({scale * low:.{digits}f} to {scale * high:.{digits}f})"


def evaluation_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each measure in the summary of an evaluation of flying or walking."""
    rows = _walking_rows(summary) if "fall_rate" in summary else _flying_rows(summary)
    return [*rows, ("return", between(summary["episode_return"], digits=1))]


def terrain_rows(scores: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    """Ground, level, success, falls and |v - command| of each kind and level."""
    return [
        (
            score["kind"], str(score["level"]), between(score["success"], "%", 1), between(score["fall_rate"], "%", 1),
            f"{score['velocity_error']:.3f} m/s",
        )
        for score in scores
    ]  # fmt: skip


def _flying_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
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
    return rows


def _walking_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("|v_xy - command|", between(summary["velocity_error_m_s"], "m/s")),
        ("|yaw rate - command|", between(summary["yaw_rate_error_rad_s"], "rad/s")),
        ("falls, of all episodes", between(summary["fall_rate"], "%", 1)),
    ]
