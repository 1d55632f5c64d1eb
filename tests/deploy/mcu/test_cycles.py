"""Modelled cycles: the log of executed blocks gives the emulator's own count, and the manual's costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.mcu.cycles import modelled_cycles
from deploy.mcu.emulator import build_m4f
from tests.mcu_tools import needs_arm, needs_qemu

ONE = np.zeros((1, 1), np.float32)


def assembly(text: str) -> dict[str, str]:
    lines = "\\n ".join(text.split("; "))
    body = f'__attribute__((naked)) void mcu_case(const float *in, float *out) {{ __asm__ volatile("{lines}"); }}\n'
    return {"case.c": '#include "cases.h"\n' + body}


@needs_arm
@needs_qemu
@pytest.mark.parametrize(
    ("text", "instructions", "least", "most"),
    [
        ("bx lr", 1, 2, 4),
        ("nop; nop; bx lr", 3, 4, 6),
        ("vmul.f32 s0, s1, s2; vadd.f32 s3, s4, s5; bx lr", 3, 4, 6),
        ("vmul.f32 s0, s1, s2; vadd.f32 s3, s0, s5; bx lr", 3, 5, 7),
        ("vdiv.f32 s0, s1, s2; bx lr", 2, 16, 18),
        ("vldmia r0, {s0-s7}; bx lr", 2, 11, 13),
        ("push {r4-r6, lr}; pop {r4-r6, pc}", 2, 11, 13),
        ("ldr r2, [r0]; ldr r3, [r0]; bx lr", 3, 5, 8),
        ("movs r2, #3; 1: subs r2, #1; bne 1b; bx lr", 8, 11, 17),
    ],
)
def test_costs_are_those_of_the_manual(tmp_path: Path, text: str, instructions: int, least: int, most: int) -> None:
    program = build_m4f(assembly(text), tmp_path)
    found = modelled_cycles(program, ONE[0], 1)
    assert (found.instructions, found.least, found.most) == (instructions, least, most)
    assert program.run(ONE, 1).instructions.tolist() == [instructions]
