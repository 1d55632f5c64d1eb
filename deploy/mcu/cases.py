"""The files from which a program under test reads its cases and to which it writes its results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MOST_FLOATS = 8192
"""Largest number of floats in and out of one case, as in cases.h."""


def write_cases(path: Path, inputs: Floats, outputs: int) -> None:
    """Write `inputs`, shape [cases, floats in], for a program with `outputs` floats out. ValueError for too many."""
    if inputs.ndim != 2 or max(inputs.shape[1], outputs) > MOST_FLOATS:
        raise ValueError(f"cases are [cases, floats] with at most {MOST_FLOATS} floats, not {list(inputs.shape)}")
    header = np.array([inputs.shape[1], outputs, inputs.shape[0]], "<u4")
    path.write_bytes(header.tobytes() + inputs.astype("<f4").tobytes())


def read_words(path: Path, cases: int, words: int) -> npt.NDArray[np.uint32]:
    """What the program wrote, as 32-bit words, shape [cases, words]. ValueError if the file has another size."""
    found = np.frombuffer(path.read_bytes(), "<u4")
    if found.size != cases * words:
        raise ValueError(f"{path.name} holds {found.size} words, not the {cases} x {words} of all cases")
    return found.reshape(cases, words).astype(np.uint32)
