"""The table of `bench mcu`, from its result file."""

from __future__ import annotations

from robo_rl.bench.markdown import Result, markdown_table


def mcu(result: Result) -> str:
    """One row for each network and kind of code; below it which peers are missing, what is measured and what is
    modelled, and whole flights bit by bit on both machines.
    """
    rows = [
        (
            row["network"],
            f"`{row['kernel']}`" if row["kernel"] else row["code"],
            f"{row['instructions']:,}",
            f"{row['instructions_per_mac']:.2f}",
            f"{row['modelled_us_168mhz_least']:.0f} to {row['modelled_us_168mhz']:.0f}",
            f"{row['text_bytes']:,}",
            f"{row['code_bytes']:,}",
            f"{row['stack_bytes']:,}",
            f"{row['max_error']:.1e}",
            f"{row['x86_ns'] / 1e3:.1f}",
        )
        for row in result["rows"]
    ]
    title = (
        "network",
        "kernel or peer",
        "instructions a step",
        "per multiply-add",
        "modelled (us at 168 MHz)",
        "flash (bytes)",
        "of it beside weights",
        "stack (bytes)",
        "largest error",
        "this machine (us)",
    )
    peers = "; ".join(f"{name}: {what}" for name, what in result["peers"].items())
    return (
        f"{markdown_table(title, rows)}\n\n"
        f"Compiled by {result['compiler']}; instructions, flash and stack measured on {result['emulator']} "
        "(`netduinoplus2`, an STM32F405), static RAM is "
        f"{max(row['bss_bytes'] for row in result['rows'] if row['code'] == 'robo-rl')} bytes for our code. "
        f"Times at 168 MHz are modelled: {result['modelled']}. Errors are against onnxruntime, in units of the "
        f"normalised action. The hover policy was {result['hover_bundle']}. Peers: {peers}."
        f"{_bits(result.get('bit_equal', []))}"
    )


def _bits(flights: list[Result]) -> str:
    """One row for each policy and kernel; nothing for older results, which do not compare flights."""
    if not flights:
        return ""
    counts = ("steps", "resets", "equal")
    rows = [(row["policy"], f"`{row['kernel']}`", *(str(row[count]) for count in counts)) for row in flights]
    title = ("policy", "kernel", "recorded steps", "resets among them", "steps of equal bits")
    return (
        "\n\nWhole recorded flights, in C on this machine and on the emulated chip, sensors as recorded, and the steps "
        f"whose status, commands and state are the same bits on both:\n\n{markdown_table(title, rows)}"
    )
