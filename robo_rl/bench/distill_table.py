"""The table of `bench distill`."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean

from robo_rl.bench.markdown import Result, markdown_table, percent


def distill(result: Result) -> str:
    """One row for each arm, means over the seeds; the probe; the sweep of HIB's compression; and AdaStop's verdicts."""
    by_arm = defaultdict(list)
    for row in result["rows"]:
        by_arm[row["arm"], row["range"]].append(row)
    arms = list(dict.fromkeys(arm for arm, _ in by_arm))
    returns = {key: mean(row["return"] for row in rows) for key, rows in by_arm.items()}
    rows = [
        (
            arm, by_arm[arm, "in"][0]["actor"],
            *(_spread([row["return"] for row in by_arm[arm, one]]) for one in ("in", "1.5x")),
            *(percent(mean(row["falls"] for row in by_arm[arm, one])) for one in ("in", "1.5x")),
            percent(returns[arm, "in"] / returns["teacher", "in"]) if ("teacher", "in") in returns else "",
        )
        for arm in arms
    ]  # fmt: skip
    title = (
        "arm", "network", "return in range (worst to best seed)", "return at 1.5x", "falls in range", "falls at 1.5x",
        "of the teacher's return",
    )  # fmt: skip
    names = list(result["rows"][0]["probe_r2"])
    probes = [
        (arm, own[0]["probe_from"], *(_r2([row["probe_r2"][name] for row in own]) for name in names))
        for arm, own in ((arm, by_arm[arm, "in"]) for arm in arms)
    ]
    parts = [markdown_table(title, rows), markdown_table(("R² in range", "from", *names), probes)]
    if result["alpha"]:
        alphas = dict.fromkeys(row["alpha"] for row in result["alpha"])
        sweep = [
            (f"{alpha:g}", *(_spread(_of(result, alpha, one)) for one in ("in", "1.5x")))
            for alpha in alphas
        ]  # fmt: skip
        parts.append(markdown_table(("HIB's compression", "return in range", "return at 1.5x"), sweep))
    return "\n\n".join([*parts, *(_verdict(one, found) for one, found in result["adastop"].items())])


def _of(result: Result, alpha: float, one: str) -> list[float]:
    return [row["return"] for row in result["alpha"] if row["alpha"] == alpha and row["range"] == one]


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _r2(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.2f}" if known else "-"


def _verdict(one: str, found: Result) -> str:
    """AdaStop's verdict on the arms in one range, in words."""
    where = "In range" if one == "in" else f"At {one}"
    if "refused" in found:
        return f"{where}: no verdict, because {found['refused']}."
    larger = [
        (pair["first"], pair["second"]) if pair["verdict"] == "larger" else (pair["second"], pair["first"])
        for pair in found["pairs"]
        if pair["verdict"] in ("larger", "smaller")
    ]
    by_winner: dict[str, list[str]] = defaultdict(list)
    for better, worse in larger:
        by_winner[better].append(worse)
    text = "; ".join(f"{better} above {', '.join(worse)}" for better, worse in by_winner.items())
    level = 100 * found["design"]["alpha"]
    return f"{where}, AdaStop ({found['seeds']} seeds, level {level:g} %) finds: {text or 'no difference'}."
