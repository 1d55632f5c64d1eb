"""Named tensors: what a missing name says, and values computed once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policies.signals import Sensors, State, Truth


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_missing_signal_is_named_beside_those_there_are() -> None:
    with pytest.raises(KeyError, match="no sensors named 'sonar'; there are: gyro, imu"):
        Sensors({"imu": torch.zeros(1), "gyro": torch.zeros(1)})["sonar"]
    with pytest.raises(KeyError, match="no truth named 'mass'; there are: none"):
        Truth({})["mass"]


def test_a_term_is_computed_once_for_the_same_sensors_unless_gradients_are_recorded() -> None:
    calls = []

    def counted(sensors: Sensors, state: State) -> Tensor:
        calls.append(sensors)
        return sensors["a"] * 2.0

    first, second = Sensors({"a": random(4, 2)}), Sensors({"a": random(4, 2, seed=1)})
    with torch.no_grad():
        assert torch.equal(first.once(counted, State({})), first.once(counted, State({})))
        assert torch.equal(second.once(counted, State({})), second["a"] * 2.0)
        assert calls == [first, second]
    first["a"].requires_grad_()
    assert first.once(counted, State({})).requires_grad and len(calls) == 3
