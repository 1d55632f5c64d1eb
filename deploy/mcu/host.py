"""Runs a program under test on this machine, to compare its bits with the chip's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deploy.mcu.cases import Floats, read_words, write_cases
from deploy.toolchain import run_tool, write_sources

HERE = Path(__file__).parent


def run_on_host(
    sources: Mapping[str, str],
    inputs: Floats,
    outputs: int,
    flags: Sequence[str] = ("-O2",),
    compiler: str = "gcc",
    timeout: float = 60.0,
) -> Floats:
    """Compile C that defines `mcu_case` (cases.h) and run it on every case, one after another in one process.

    Args:
        sources: File name -> text; every .c file is compiled, with the headers beside it.
        inputs: Shape [cases, floats in].
        outputs: Floats out of one case.
        flags: Compiler flags.
        compiler: "gcc" or "clang".
        timeout: Seconds, for the compiler and for the program.

    Returns:
        Shape [cases, outputs].

    Raises:
        BundleError: The compiler is missing, the C doesn't compile, or the program fails, also by a sanitizer's
        finding.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = write_sources(folder, sources)
        run_tool([compiler, *flags, f"-I{HERE}", *names, HERE / "host_main.c", "-o", "program"], folder, timeout)
        write_cases(folder / "in", inputs, outputs)
        run_tool([folder / "program", "in", "out"], folder, timeout)
        return read_words(folder / "out", len(inputs), outputs).view(np.float32)
