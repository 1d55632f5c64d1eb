"""Atomic writes: a file is either the old one or the new one, never half of a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write `path` by `write(file)` into a temporary file beside it, flushed to disk, then renamed over it.

    A crash or a full disk leaves the previous `path` as it was. A link is followed; a device or a pipe,
    such as /dev/stdout, is written to directly. Raises OSError when the folder can't be written.
    """
    if path.exists() and not path.is_file():
        # Renaming over a device would replace it for everybody on this computer.
        with path.open("wb") as device:
            write(device)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, atomically."""
    write_atomically(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_bytes(path, text.encode())
