"""Measures how long a program under test takes on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from deploy.mcu.cases import Floats, write_cases
from deploy.mcu.host import HERE
from deploy.toolchain import run_tool, write_sources


def host_nanoseconds(
    sources: Mapping[str, str], inputs: Floats, outputs: int, flags: Sequence[str] = ("-O2",), turns: int = 200
) -> float:
    """Median over `turns` runs of the ns per case of a program as for `run_on_host`, compiled with gcc.

    Raises:
        BundleError: gcc is missing, the C doesn't compile, or the program fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = write_sources(folder, sources)
        run_tool(["gcc", *flags, f"-I{HERE}", *names, HERE / "timed_main.c", "-o", "program", "-lm"], folder, 120.0)
        write_cases(folder / "in", inputs, outputs)
        return median(float(line) for line in run_tool([folder / "program", "in", str(turns)], folder, 120.0).split())
