"""The float32 kernel in Armv7 assembly: operations in the order of `packed`, so with the same bits, in fewer
instructions.

One VLDM loads eight weights for each of two inputs, which C compilers don't do. On processors other than 32-bit Arm
with single precision in hardware, the same function in C is used.
"""

from __future__ import annotations

from deploy.codegen.kernels.packed import BLOCKS, DENSE, UNROLL, PackedC, rows_function

ROWS = 8
CONDITION = "defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4) && !defined(POLICY_PORTABLE)"


class PackedAssembly(PackedC):
    """The kernel "asm"."""

    name = "asm"

    def functions(self) -> str:
        """See `DenseKernel.functions`."""
        other = [rows_function(rows) for rows in BLOCKS if rows != ROWS]
        either = f"#if {CONDITION}\n{_rows8()}#else\n{rows_function(ROWS)}#endif\n"
        return "\n".join([either, *other, DENSE])


def _rows8() -> str:
    """The C function of eight rows: sums in s0 to s7, inputs in s8 to s11, the weights of two inputs in s16 to s31."""
    several = ["vldmia %[x]!, {s8-s11}"]
    for pair in range(UNROLL // 2):
        several.append("vldmia %[w]!, {s16-s31}")
        for k in (0, 1):
            several.extend(_multiply_add(16 + ROWS * k, 8 + 2 * pair + k))
    single = ["vldmia %[x]!, {s8}", "vldmia %[w]!, {s16-s23}", *_multiply_add(16, 8)]
    lines = [
        "vldmia %[w]!, {s0-s7}",
        "cmp %[several], #0",
        "beq 2f",
        "1:",
        *several,
        "subs %[several], %[several], #1",
        "bne 1b",
        "2:",
        "cmp %[rest], #0",
        "beq 4f",
        "3:",
        *single,
        "subs %[rest], %[rest], #1",
        "bne 3b",
        "4:",
        "vstmia %[y], {s0-s7}",
    ]
    text = "\n".join(f'        "{line}\\n"' for line in lines)
    clobbered = [f'"s{register}"' for register in (*range(12), *range(16, 32))]
    rows = [", ".join(clobbered[start : start + 14]) for start in range(0, len(clobbered), 14)]
    return (
        "/* 8 rows of a packed matrix: biases, then the weights of each input. */\n"
        "static const float *policy_rows8(const float *w, const float *x, float *y, uint32_t inputs)\n"
        "{\n"
        f"    uint32_t several = inputs / {UNROLL}u, rest = inputs % {UNROLL}u;\n"
        "    __asm__ volatile(\n"
        f"{text}\n"
        '        : [w] "+r"(w), [x] "+r"(x), [several] "+r"(several), [rest] "+r"(rest)\n'
        '        : [y] "r"(y)\n'
        f'        : "cc", "memory",\n          {(f",{chr(10)}          ").join(rows)});\n'
        "    return w;\n"
        "}\n"
    )


def _multiply_add(weights: int, x: int) -> list[str]:
    """Eight products, then eight sums, so that no instruction uses the result of the one before."""
    products = [f"vmul.f32 s{weights + r}, s{weights + r}, s{x}" for r in range(ROWS)]
    return products + [f"vadd.f32 s{r}, s{r}, s{weights + r}" for r in range(ROWS)]
