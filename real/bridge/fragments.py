"""Fragments of the rosbridge protocol: one long message cut into several frames, and joined again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class FragmentError(ValueError):
    """A fragment that contradicts earlier ones, or too many that wait to be joined."""


def cut(text: str, size: float, identity: str) -> Iterator[str]:
    """Yield `text` itself, or fragment frames with at most `size` characters of it each."""
    if len(text) <= size:
        yield text
        return
    width = int(size)
    pieces = [text[start : start + width] for start in range(0, len(text), width)]
    for number, piece in enumerate(pieces):
        yield json.dumps({"op": "fragment", "id": identity, "data": piece, "num": number, "total": len(pieces)})


@dataclass
class Joiner:
    """Joins one client's fragments, in any order; holds at most `max_characters` in all."""

    max_characters: int
    _parts: dict[str, dict[int, str]] = field(default_factory=dict)

    def add(self, fragment: Mapping[str, Any]) -> str | None:
        """Add one fragment; return the whole text when it was the last missing one.

        Raises:
            FragmentError: A field is missing or of the wrong type, or the limit is exceeded.
        """
        identity, data = str(fragment.get("id")), fragment.get("data")
        number, total = fragment.get("num"), fragment.get("total")
        if not isinstance(data, str) or type(number) is not int or type(total) is not int or not 0 <= number < total:
            raise FragmentError("a fragment needs id, data, and integers 0 <= num < total")
        parts = self._parts.setdefault(identity, {})
        parts[number] = data
        if sum(len(piece) + 64 for other in self._parts.values() for piece in other.values()) > self.max_characters:
            self._parts.clear()
            raise FragmentError(f"more than {self.max_characters} characters wait for their last fragment")
        if len(parts) < total:
            return None
        del self._parts[identity]
        return "".join(parts[index] for index in range(total)) if max(parts) < total else None
