"""Markdown tables and percentages for the docs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Result = Mapping[str, Any]
"""The content of a result file."""


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right-aligned."""
    titles = list(header)
    lines = [titles, [":--"] + ["--:"] * (len(titles) - 1), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
