"""docs/safety.md shows the very table that the supervisor acts on, and names every state."""

from __future__ import annotations

from pathlib import Path

from real.contract.reactions import BEFORE_FLIGHT, REACTIONS, REQUESTS, markdown_table
from real.contract.state_machine import State
from real.missions.kinds import KINDS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "safety.md").read_text(encoding="utf-8")


def test_the_document_carries_the_table_of_reactions() -> None:
    assert markdown_table() in DOCUMENT


def test_the_document_describes_every_state() -> None:
    for state in State:
        assert f"\n| {state} | " in DOCUMENT


def test_the_named_groups_of_causes_exist() -> None:
    assert REQUESTS | BEFORE_FLIGHT <= set(REACTIONS)


def test_the_kinds_are_explained_with_all_that_they_demand_and_give() -> None:
    rows = {row.split("`")[1]: row for row in DOCUMENT.splitlines() if row.startswith("| `") and row.count("|") == 5}
    for name, options in KINDS.items():
        words = [*options.kind.demands, *(goal.name for goal in options.kind.goals)]
        assert [word for word in words if f"`{word}`" not in rows[name]] == []
