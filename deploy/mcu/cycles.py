"""Modelled cycles of a Cortex-M4F: the sum of the manual's costs of all executed instructions.

The emulator logs each block of instructions that it executes. Costs are those of Arm's Cortex-M4 Technical Reference
Manual (ARM 100166, tables 3-1 and 7-1). Where the manual gives a range, both ends are summed: single loads and stores
take 1 cycle after another one (pipelined) or 2, a taken branch refills the pipeline in 1 to 3 cycles, UDIV takes 2 to
12. A floating-point result that the next instruction uses costs one more cycle. The model assumes flash without wait
states and an idle bus, so a real chip is slower by its cache misses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from deploy.mcu.cases import Floats
from deploy.mcu.emulator import ELF, M4fProgram
from deploy.toolchain import run_tool

LOG = "profile.log"
_LINE = re.compile(r"^0x([0-9a-f]+):\s+(?:[0-9a-f]{4} ?){1,2}\s+(\S+)\s*(.*)$")
_TRACE = re.compile(r"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")
_ARITHMETIC = (
    "vadd",
    "vsub",
    "vmul",
    "vnmul",
    "vdiv",
    "vsqrt",
    "vmla",
    "vmls",
    "vfma",
    "vfms",
    "vfnm",
    "vcvt",
    "vneg",
    "vabs",
)
_SINGLE = ("ldr", "str", "vldr", "vstr")


@dataclass(frozen=True)
class Instruction:
    """One instruction as the disassembler prints it; `size` in bytes."""

    address: int
    size: int
    name: str
    operands: str


@dataclass(frozen=True)
class Cycles:
    """Instructions of one case, and their least and most cycles according to the manual."""

    instructions: int
    least: int
    most: int


def modelled_cycles(program: M4fProgram, case: Floats, outputs: int, timeout: float = 120.0) -> Cycles:
    """Modelled cycles of one case, shape [floats in]."""
    program.run(case[None, :], outputs, timeout, ("-d", "in_asm,exec,nochain", "-D", LOG))
    where = _addresses(program)
    blocks, order = _read_log(program.folder / LOG)
    begin = order.index(where["mcu_case"])
    # The first block back in the calling function.
    end = next(at for at, start in enumerate(order) if at > begin and where["measure"] <= start < where["measure_end"])
    costs = {start: _cost(blocks[start]) for start in set(order[begin:end])}
    instructions = least = most = 0
    for start, following in pairwise(order[begin : end + 1]):
        last = blocks[start][-1]
        low, high = costs[start]
        if following != last.address + last.size:
            low, high = low + 1, high + 3
        instructions += len(blocks[start])
        least, most = least + low, most + high
    return Cycles(instructions, least, most)


def _addresses(program: M4fProgram) -> dict[str, int]:
    """The start address of every function, and the end of `measure` as "measure_end"."""
    listing = run_tool(["arm-none-eabi-nm", "--print-size", ELF], program.folder, 10.0)
    found = [line.split() for line in listing.splitlines()]
    where = {words[-1]: int(words[0], 16) & ~1 for words in found if len(words) >= 3 and words[-2] in "tTwW"}
    where["measure_end"] = where["measure"] + next(int(words[1], 16) for words in found if words[-1] == "measure")
    return where


def _read_log(path: Path) -> tuple[dict[int, list[Instruction]], list[int]]:
    """All translated blocks by their first address, and the first addresses in execution order."""
    blocks: dict[int, list[Instruction]] = {}
    order: list[int] = []
    block: list[Instruction] = []
    with path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("IN:"):
                block = []
            elif match := _TRACE.match(line):
                order.append(int(match[1], 16))
            elif match := _LINE.match(line):
                address = int(match[1], 16)
                block.append(Instruction(address, 4 if _is_wide(line) else 2, match[2], match[3]))
                blocks[block[0].address] = block
    return blocks, order


def _is_wide(line: str) -> bool:
    """Whether the disassembler printed two halfwords."""
    return re.match(r"^0x[0-9a-f]+:\s+[0-9a-f]{4} ?[0-9a-f]{4}\s", line) is not None


def _cost(block: list[Instruction]) -> tuple[int, int]:
    """Least and most cycles of a block whose final branch is not taken."""
    low = high = 0
    before: Instruction | None = None
    for instruction in block:
        name, operands = instruction.name, instruction.operands
        least = most = 1
        if name.startswith(("vdiv", "vsqrt")):
            least = most = 14
        elif name.startswith(("vfma", "vfms", "vfnm", "vmla", "vmls", "vnml")):
            least = most = 3
        elif name.startswith(("udiv", "sdiv")):
            least, most = 2, 12
        elif name.startswith(("ldrd", "strd")):
            least = most = 3
        elif name.startswith(_SINGLE):
            piped = before is not None and before.name.startswith(_SINGLE)
            least, most = (1 if piped else 2), 2
        elif name.startswith(("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop")):
            least = most = 1 + _registers(operands)
        if before is not None and _needs(instruction, before):
            least, most = least + 1, most + 1
        low, high, before = low + least, high + most, instruction
    return low, high


def _registers(operands: str) -> int:
    """The number of 32-bit registers in a list such as {r4, r5-r7, s16-s31}."""
    count = 0
    for part in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        ends = part.strip().split("-")
        numbers = [int(re.sub(r"\D", "", end) or -1) for end in ends]
        # A double register such as d8 is two words.
        count += (numbers[-1] - numbers[0] + 1) * (2 if ends[0].startswith("d") else 1)
    return count


def _needs(instruction: Instruction, before: Instruction) -> bool:
    """Whether `instruction` reads the result of the floating-point instruction directly `before` it."""
    if not before.name.startswith(_ARITHMETIC):
        return False
    result = before.operands.split(",")[0].strip()
    operands = [operand.strip(" {}[]!") for operand in instruction.operands.split(",")]
    stores = instruction.name.startswith(("vstr", "vcmp", "vstm", "vmla", "vfma"))
    return result in (operands if stores else operands[1:])
