"""Files are the old one or the new one; links are followed; devices are written to and never replaced."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

import pytest

from robo_rl.output.files import write_atomically, write_text


def test_a_file_appears_with_its_folders_and_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a/b/file"
    write_text(path, "a long first text")
    write_text(path, "übrig")
    assert path.read_bytes() == "übrig".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def half(file: IO[bytes]) -> None:
        file.write(b"new, but only ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_is_followed_and_stays_one(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
