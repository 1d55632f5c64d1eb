"""A folder is written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deploy.bundle.folder import check_replaceable, replace_folder
from deploy.errors import BundleError

_OWN = frozenset({"a", "b"})


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _refuse(_: Path) -> None:
    raise BundleError("no good")


def _full_disk(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_new_folder_appears_with_its_parents(tmp_path: Path) -> None:
    replace_folder(tmp_path / "x" / "y", {"a": b"1", "b": b"2"}, check=lambda _: None)
    assert _contents(tmp_path) == {"x/y/a": b"1", "x/y/b": b"2"}


def test_an_old_folder_is_replaced_and_none_of_it_stays(tmp_path: Path) -> None:
    replace_folder(tmp_path / "out", {"a": b"1", "b": b"2"}, check=lambda _: None)
    replace_folder(tmp_path / "out", {"a": b"3"}, check=lambda _: None)
    assert _contents(tmp_path) == {"out/a": b"3"}


def test_the_check_sees_the_new_files_before_anyone_else(tmp_path: Path) -> None:
    replace_folder(tmp_path / "out", {"a": b"old"}, check=lambda _: None)
    seen: list[tuple[bytes, bytes]] = []

    def check(fresh: Path) -> None:
        seen.append(((fresh / "a").read_bytes(), (tmp_path / "out" / "a").read_bytes()))

    replace_folder(tmp_path / "out", {"a": b"new"}, check)
    assert seen == [(b"new", b"old")]


def test_a_failed_check_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    replace_folder(tmp_path / "out", {"a": b"old"}, check=lambda _: None)
    with pytest.raises(BundleError, match="no good"):
        replace_folder(tmp_path / "out", {"a": b"new"}, check=_refuse)
    assert _contents(tmp_path) == {"out/a": b"old"}


def test_a_full_disk_leaves_the_old_folder_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_folder(tmp_path / "out", {"a": b"old"}, check=lambda _: None)
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(BundleError, match=r"can't be written .No space left on device.; make room there"):
        replace_folder(tmp_path / "out", {"a": b"new"}, check=lambda _: None)
    assert _contents(tmp_path) == {"out/a": b"old"}


def test_a_failed_rename_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_folder(tmp_path / "out", {"a": b"old"}, check=lambda _: None)
    rename = Path.rename

    def refuse_the_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(BundleError, match="Permission denied"):
        replace_folder(tmp_path / "out", {"a": b"new"}, check=lambda _: None)
    assert _contents(tmp_path) == {"out/a": b"old"}


def test_only_a_folder_of_its_own_files_may_be_replaced(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "nowhere", _OWN)
    check_replaceable(tmp_path, _OWN)
    (tmp_path / "a").touch()
    check_replaceable(tmp_path, _OWN)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BundleError, match=r"holds 'thesis.tex', which is not part of a bundle; choose another --out"):
        check_replaceable(tmp_path, _OWN)
    with pytest.raises(BundleError, match="exists and is not a folder; choose another --out"):
        check_replaceable(tmp_path / "a", _OWN)
