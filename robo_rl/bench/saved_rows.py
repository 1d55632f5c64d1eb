"""Rows of a benchmark, saved one by one as they are finished, so that an interrupted benchmark can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from robo_rl.output import results

Row = dict[str, Any]


Keep = Callable[[str, Callable[[], Row]], Row]
"""Gives the row of a name: saved before, or measured now by the function given with it."""


def measure_now(name: str, measure: Callable[[], Row]) -> Row:
    """Measure the row and add its machine, without saving it."""
    return {**measure(), "machine": results.machine()}


class SavedRows:
    """The finished rows of one benchmark with one set of settings, in a file beside its result.

    With `resume`, rows of an earlier, interrupted measurement are taken from that file, unless it was made with other
    settings, on another machine, with other versions or with other code; `why_not` then says so.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], resume: bool = False) -> None:
        self.path = out.with_name(f"{out.stem}.partial.json")
        self._settings = settings
        self._rows: dict[str, Row] = {}
        self.why_not = ""
        saved = read(self.path) if resume else None
        if saved is not None:
            self.why_not = difference(saved, settings)
            if not self.why_not:
                self._rows = saved.get("rows", {})

    def __call__(self, name: str, measure: Callable[[], Row]) -> Row:
        """The row `name`: the saved one, or what `measure` returns now, with its machine, saved at once."""
        if name in self._rows:
            print(f"{name}: saved before", flush=True)
        else:
            self._rows[name] = results.plain(measure_now(name, measure))
            results.write(self.path, {"settings": self._settings, "rows": self._rows})
        return dict(self._rows[name])

    def remove(self) -> None:
        """Delete the file, once the whole result is written."""
        self.path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """The document in a result file or a file of rows; None when it is missing or damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def difference(saved: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Why numbers in the document `saved` are not comparable with numbers measured now; empty when they are."""
    commit = results.git_commit()
    if commit is None:
        return "without git, nothing says whether the code is the same"
    if commit.endswith(results.DIRTY):
        return "uncommitted changes: nothing says whether the code is the same"
    now = {"git_commit": commit, "settings": settings, "machine": results.machine(), "versions": results.versions()}
    for name, value in results.plain(now).items():
        if (before := saved.get(name)) != value:
            return f"{name.replace('_', ' ')} differ{'s' if name[-1] != 's' else ''}: {_both(before, value)}"
    return ""


def _both(before: Any, now: Any) -> str:
    """Both values, of mappings only the entries that differ."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{before}, now {now}"
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} {_both(before.get(name), now.get(name))}" for name in names)
