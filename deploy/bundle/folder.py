"""Writing a folder whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.errors import BundleError


def check_replaceable(
    out: Path, own: frozenset[str], what: str = "a bundle", fix: str = "choose another --out"
) -> None:
    """Raise BundleError when `out` exists and holds other files than those `own` names, which writing would destroy."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BundleError(f"{out} exists and is not a folder; {fix}")
    if out.is_dir():
        foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in own)
        if foreign:
            raise BundleError(f"{out} holds {foreign[0]!r}, which is not part of {what}; {fix}")


def replace_folder(out: Path, files: Mapping[str, bytes], check: Callable[[Path], object]) -> None:
    """Write `files` (path inside it -> bytes) as the folder `out`, replacing an old one whole.

    The files go to a temporary folder beside `out`, reach the disk, pass `check`, and take the name by a rename. On any
    failure the temporary folder is removed and `out` is unchanged; a full disk or a missing permission is a
    BundleError. Renames can't swap two folders portably, so for a moment the name is free: a reader then finds no
    folder, never a mixture.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _replace(out, files, check)
    except OSError as error:
        raise BundleError(
            f"{out} can't be written ({error.strerror or error}); make room there, or choose another --out"
        ) from None


def _replace(out: Path, files: Mapping[str, bytes], check: Callable[[Path], object]) -> None:
    mark = uuid.uuid4().hex[:12]
    fresh, old = out.with_name(f".{out.name}.{mark}.new"), out.with_name(f".{out.name}.{mark}.old")
    try:
        fresh.mkdir()
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            with (fresh / name).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        check(fresh)
        if out.exists():
            out.rename(old)
        try:
            fresh.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
