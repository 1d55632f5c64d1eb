"""`bench mcu` at its smallest: the keys, our rows and the peer's, and what a missing package or kernel says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.mcu.bits import Bits
from policies.errors import UserError
from policies.networks.mlp import MLP
from robo_rl.bench import mcu, mcu_networks, mcu_peers
from robo_rl.bench.mcu_table import mcu as table
from robo_rl.output.results import plain
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu

KEYS = {"network", "kernel", "code", "instructions", "instructions_per_mac", "modelled_us_168mhz", "text_bytes",
        "bss_bytes", "stack_bytes", "max_error"}  # fmt: skip


def tiny(seed: int) -> list[mcu_networks.Network]:
    return [mcu_networks.Network("tiny tanh", MLP(mcu_networks.INPUTS, (8,), 4, "tanh", output_gain=1.0))]


@needs_arm
@needs_gcc
@needs_qemu
def test_rows_hold_what_a_reader_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcu, "networks", tiny)
    monkeypatch.setattr(mcu, "write_untrained", lambda task, out, seed: out.parent / "bundle")
    monkeypatch.setattr(mcu, "FLOWN", ())
    result = plain(mcu.run(mcu.Settings(kernels=("asm",), steps=2, timing_turns=1)))
    ours = [row for row in result["rows"] if row["code"] == "robo-rl"]
    assert [row["network"] for row in ours] == ["tiny tanh", "hover step"]
    for row in ours:
        assert set(row) >= KEYS
        assert row["max_error"] <= 1e-6
        assert row["instructions"] == pytest.approx(row["instructions_per_mac"] * (146 * 8 + 8 * 4))
        assert row["modelled_us_168mhz"] >= row["modelled_us_168mhz_least"] >= row["instructions"] / 168.0
        assert (row["bss_bytes"], 0 < row["code_bytes"] <= 4096) == (0, True)
    if mcu_peers.emlearn_folder() is not None:
        peer = next(row for row in result["rows"] if row["code"].startswith("emlearn"))
        assert peer["max_error"] <= 1e-6
    flown = {"policy": "tiny-tanh", "kernel": "asm", "steps": 50, "resets": 2, "equal": 50}
    assert [{name: row[name] for name in flown} for row in result["bit_equal"]] == [flown]
    assert result["failures"] == []
    for text in ("| tiny tanh | `asm` |", "modelled", "onnx2c: not measured", "| tiny-tanh | `asm` | 50 | 2 | 50 |"):
        assert text in table(result)


@needs_arm
@needs_qemu
def test_bits_that_differ_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcu, "compare_bits", lambda *given: Bits(steps=50, resets=2, equal=49))
    monkeypatch.setattr(mcu, "networks", lambda seed: [])
    monkeypatch.setattr(mcu, "measured_step", lambda *given: {})
    monkeypatch.setattr(mcu, "FLOWN", ())
    monkeypatch.setattr(
        mcu, "write_untrained", lambda task, out, seed: mcu_networks.write_bundle(tiny(seed)[0], out, seed)
    )
    assert mcu.run(mcu.Settings(kernels=("c",)))["failures"] == ["tiny-tanh, c: bits differ"]


def test_a_peer_that_lacks_a_network_has_no_row() -> None:
    assert mcu_peers.emlearn_sources(MLP(5, (3,), 2, "elu")) is None


def test_sensors_of_a_flight_stay_within_their_limits(tmp_path: Path) -> None:
    bundle = mcu_networks.write_bundle(tiny(0)[0], tmp_path / "bundle", 0)
    reset, sensors = mcu_networks.flight(bundle, 6)
    assert reset.tolist() == [True, False, False, True, False, False]
    assert sensors["observation"].shape == (6, 146) and np.abs(sensors["observation"]).max() < 10.0


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(UserError, match="kernels are some of c, asm, int8, got simd"):
        mcu.Settings(kernels=("simd",))
