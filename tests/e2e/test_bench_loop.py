"""The benchmark of the control loop, over processes of its own."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from robo_rl.bench import loop, tables


@pytest.mark.e2e
@pytest.mark.realtime
def test_loop_flies_and_measures_at_the_robot(controller_bundle: Path) -> None:
    result = loop.run(loop.Settings(controller_bundle, rates=(100.0,), seconds=1.0))
    figures = result["rates"]["100"]
    assert result["failures"] == [], json.dumps(result)
    assert 50 <= figures["accepted"] <= figures["commands"]
    assert 0.0 < figures["age_p50_ms"] <= figures["age_p99_ms"] <= figures["age_max_ms"] < 100.0
    assert figures["jitter_p99_ms"] >= 0.0
    assert math.isfinite(figures["distance_m"])
    assert "| 100 Hz |" in tables.TABLES["loop"](result)
