"""The emulated chip as a measuring instrument: exact counts, exact stack, clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.errors import BundleError
from deploy.mcu.emulator import build_m4f, run_on_m4f
from deploy.mcu.host import run_on_host
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu

NOPS = """\
#include "cases.h"
__attribute__((naked)) void mcu_case(const float *in, float *out)
{
    __asm__ volatile("%s bx lr");
}
"""
STACK = """\
#include "cases.h"
__attribute__((naked)) void mcu_case(const float *in, float *out)
{
    __asm__ volatile("push {r4-r7}\\n sub sp, #32\\n str r0, [sp]\\n add sp, #32\\n pop {r4-r7}\\n bx lr");
}
"""
COUNTING = """\
#include "cases.h"
static float total;
void mcu_case(const float *in, float *out)
{
    total += in[0];
    out[0] = total;
    out[1] = in[1];
}
"""
ONE = np.zeros((1, 1), np.float32)


@needs_arm
@needs_qemu
@pytest.mark.parametrize("nops", [0, 1, 1000])
def test_instructions_are_counted_exactly(nops: int) -> None:
    assert run_on_m4f({"case.c": NOPS % ("nop\\n" * nops)}, ONE, 1).instructions.tolist() == [nops + 1]


@needs_arm
@needs_qemu
def test_stack_is_measured_to_the_deepest_word_written() -> None:
    assert run_on_m4f({"case.c": STACK}, ONE, 1).stack_bytes == 16 + 32


@needs_arm
@needs_gcc
@needs_qemu
def test_cases_run_one_after_another_in_one_program_on_chip_and_host() -> None:
    inputs = np.array([[1.0, 0.1], [2.5, np.inf], [4.0, -0.0]], np.float32)
    expected = np.stack([np.cumsum(inputs[:, 0]), inputs[:, 1]], axis=1)
    for outputs in (run_on_m4f({"case.c": COUNTING}, inputs, 2).outputs, run_on_host({"case.c": COUNTING}, inputs, 2)):
        np.testing.assert_array_equal(outputs.view(np.uint32), expected.view(np.uint32))


@needs_arm
def test_sizes_leave_the_harness_out(tmp_path: Path) -> None:
    table = "static const float table[100] = {1.0f};\n"
    use = "void mcu_case(const float *in, float *out) { out[0] = table[(int)in[0]]; }\n"
    sizes = build_m4f({"case.c": '#include "cases.h"\n' + table + use}, tmp_path).sizes()
    assert sizes.symbols["table"] == 400
    assert 400 < sizes.text_bytes < 450
    assert (sizes.data_bytes, sizes.bss_bytes) == (0, 0)


@needs_arm
@needs_qemu
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("this is no C;", "case.c:2:.*error"),
        ("void mcu_case(const float *in, float *out) { for (;;) {} }", "did not end within 3 s"),
        ("void mcu_case(const float *in, float *out) { *(volatile int *)0xF0000000u = 1; }", "exit code 100"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(body: str, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        run_on_m4f({"case.c": f'#include "cases.h"\n{body}\n'}, ONE, 1, timeout=3.0)
    assert "\n" not in str(caught.value)


def test_a_missing_tool_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BundleError, match="arm-none-eabi-gcc is not installed; `make mcu-tools` installs it"):
        run_on_m4f({"case.c": COUNTING}, ONE, 1)


def test_too_many_floats_are_refused(tmp_path: Path) -> None:
    from deploy.mcu.cases import write_cases

    with pytest.raises(ValueError, match="at most 8192 floats"):
        write_cases(tmp_path / "in", np.zeros((1, 9000), np.float32), 1)
