"""A program under test on the emulated STM32F405 (QEMU's netduinoplus2): its results, instructions and stack.

With `-icount shift=3` every instruction takes exactly 8 ns of guest time, which the program reads from a timer, so
counts are exact and the same on every machine. They are instructions, not cycles (see `deploy.mcu.cycles`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deploy.mcu.cases import Floats, read_words, write_cases
from deploy.toolchain import COMPILER, LINKER_FLAGS, MCU_FLAGS, run_tool, write_sources

HERE = Path(__file__).parent
BOARD = HERE.parent / "firmware" / "stm32f405"
EMULATOR = "qemu-system-arm"
COUNTING = ("-icount", "shift=3,sleep=off")
STACK_BYTES = 48 * 1024
ELF = "program.elf"


@dataclass(frozen=True)
class Emulated:
    """The results of all cases and their costs."""

    outputs: Floats
    """Shape [cases, floats out]."""
    instructions: npt.NDArray[np.int64]
    """Instructions of each case, shape [cases], without those of the call itself but with the return."""
    stack_bytes: int
    """Largest stack below the call over the first 32 cases, to the last word written."""


@dataclass(frozen=True)
class Sizes:
    """Section sizes of the compiled sources, without the test harness."""

    text_bytes: int
    """Code and constants, in flash."""
    data_bytes: int
    bss_bytes: int
    symbols: dict[str, int]
    """Bytes of each function and object, by name."""


@dataclass(frozen=True)
class M4fProgram:
    """A compiled program in a folder owned by the caller."""

    folder: Path
    objects: tuple[str, ...]

    def run(self, inputs: Floats, outputs: int, timeout: float = 60.0, options: Sequence[str] = COUNTING) -> Emulated:
        """Run all cases, shape [cases, floats in]. With other `options` than `COUNTING` the results are the same, but
        the counts are meaningless.
        """
        write_cases(self.folder / "in", inputs, outputs)
        semihosting = "enable=on,target=native,arg=in,arg=out"
        run_tool(
            [EMULATOR, "-M", "netduinoplus2", "-nographic", "-monitor", "none", "-serial", "null", *options]
            + ["-semihosting-config", semihosting, "-kernel", ELF],
            self.folder,
            timeout,
        )
        words = read_words(self.folder / "out", len(inputs), outputs + 2)
        return Emulated(
            np.ascontiguousarray(words[:, :outputs]).view(np.float32),
            words[:, outputs].astype(np.int64),
            int(words[:, outputs + 1].max(initial=0)),
        )

    def sizes(self, objects: Sequence[str] = ()) -> Sizes:
        """Sizes of the sections and symbols of all sources, or only of `objects`, such as policy.o."""
        chosen = objects or self.objects
        table = run_tool(["arm-none-eabi-size", *chosen], self.folder, 10.0).splitlines()[1:]
        columns = np.array([[int(word) for word in line.split()[:3]] for line in table]).sum(axis=0)
        listing = run_tool(["arm-none-eabi-nm", "--print-size", "-t", "d", *chosen], self.folder, 10.0)
        symbols = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) == 4:
                symbols[words[3]] = int(words[1])
        return Sizes(int(columns[0]), int(columns[1]), int(columns[2]), symbols)


def build_m4f(
    sources: Mapping[str, str],
    folder: Path,
    flags: Sequence[str] = ("-O2",),
    timeout: float = 120.0,
    libraries: Sequence[str] = (),
) -> M4fProgram:
    """Compile C that defines `mcu_case` (cases.h) for the STM32F405, in `folder`.

    `sources` maps file names to text; every .c file is compiled with `flags`, with the headers beside it; `libraries`
    such as -lm are linked.

    Raises:
        BundleError: The cross compiler is missing, or the C doesn't compile.
    """
    names = write_sources(folder, sources)
    includes = [f"-I{HERE}", f"-I{BOARD}"]
    run_tool([COMPILER, *MCU_FLAGS, *flags, *includes, "-c", *names], folder, timeout)
    objects = tuple(f"{Path(name).stem}.o" for name in names)
    board = [BOARD / "semihosting.c", HERE / "emulated_main.c"]
    run_tool(
        [COMPILER, *MCU_FLAGS, "-O2", "-std=c99", *includes, *LINKER_FLAGS, f"-Wl,--defsym=stack_bytes={STACK_BYTES}"]
        + [f"-T{BOARD / 'memory.ld'}", *board, *objects, *libraries, "-o", ELF],
        folder,
        timeout,
    )
    return M4fProgram(folder, objects)


def run_on_m4f(
    sources: Mapping[str, str],
    inputs: Floats,
    outputs: int,
    flags: Sequence[str] = ("-O2",),
    timeout: float = 60.0,
) -> Emulated:
    """`build_m4f` and `M4fProgram.run` in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        return build_m4f(sources, Path(scratch), flags).run(inputs, outputs, timeout)
