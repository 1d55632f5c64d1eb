"""Sensor and actuator models: each imperfection is what it says, once, and survives a snapshot."""

from __future__ import annotations

import pytest
import torch

from policies.errors import UserError
from policies.signals import Commands
from sim.actuators import ActuatorModel, ActuatorModels
from sim.sensors import SensorModel, SensorModels

EVERYONE = torch.arange(3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_delay_of_k_steps_is_a_shift_by_k() -> None:
    models = SensorModels((SensorModel("range", delay=3),), {"range": 2}, 3, "cpu")
    values = torch.randn(10, 3, 2, generator=generator(1))
    models.restart(EVERYONE, {"range": values[0]}, generator())
    seen = [models.measure({"range": v}, generator())["range"] for v in values[1:]]
    for t in range(3, 9):
        assert torch.equal(seen[t], values[t + 1 - 3])
    assert torch.equal(seen[0], values[0])


def test_noise_and_bias_have_the_stated_deviation_and_bias_lasts_an_episode() -> None:
    n = 20000
    models = SensorModels((SensorModel("x", noise=0.1, bias=0.5),), {"x": 1, "y": 1}, n, "cpu")
    g = generator()
    true = {"x": torch.full((n, 1), 7.0), "y": torch.ones(n, 1)}
    first = models.restart(torch.arange(n), true, g)["x"]
    a, b = models.measure(true, g), models.measure(true, g)
    assert float((a["x"] - b["x"]).std()) == pytest.approx(0.1 * 2**0.5, rel=0.03)
    assert float((first - 7.0).std()) == pytest.approx((0.1**2 + 0.5**2) ** 0.5, rel=0.03)
    assert torch.equal(a["y"], true["y"])


def test_rotation_noise_keeps_unit_quaternions_and_has_the_stated_angle() -> None:
    n = 20000
    models = SensorModels((SensorModel("q", noise=0.02, rotation=True),), {"q": 4}, n, "cpu")
    q = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator(3)), dim=-1)
    seen = models.measure({"q": q}, generator())["q"]
    torch.testing.assert_close(seen.norm(dim=-1), torch.ones(n))
    angle = 2.0 * torch.acos((seen * q).sum(-1).abs().clamp(max=1.0))
    # Three independent axes of 0.02 rad each.
    assert float(angle.square().mean().sqrt()) == pytest.approx(0.02 * 3**0.5, rel=0.05)


def test_dropout_repeats_the_last_delivered_value() -> None:
    models = SensorModels((SensorModel("x", dropout=0.5),), {"x": 1}, 3, "cpu")
    g = generator(5)
    models.restart(EVERYONE, {"x": torch.zeros(3, 1)}, g)
    last, repeats = torch.zeros(3, 1), 0
    for t in range(1, 200):
        seen = models.measure({"x": torch.full((3, 1), float(t))}, g)["x"]
        assert bool(((seen == t) | (seen == last)).all())
        repeats += int((seen == last).sum())
        last = seen
    assert 0.4 < repeats / (199 * 3) < 0.6


def test_sensor_models_continue_bit_for_bit_from_a_snapshot() -> None:
    models = SensorModels((SensorModel("x", noise=0.1, bias=0.2, delay=2, dropout=0.3),), {"x": 2}, 3, "cpu")
    g = generator()
    values = torch.randn(8, 3, 2, generator=generator(7))
    models.restart(EVERYONE, {"x": values[0]}, g)
    models.measure({"x": values[1]}, g)
    saved, random = models.snapshot(), g.get_state()
    first = [models.measure({"x": v}, g)["x"] for v in values[2:]]
    models.restore(saved)
    g.set_state(random)
    for v, expected in zip(values[2:], first, strict=True):
        assert torch.equal(models.measure({"x": v}, g)["x"], expected)


def test_bad_models_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        SensorModel("x", noise=-1.0)
    with pytest.raises(ValueError, match="dropout must be in"):
        SensorModel("x", dropout=1.0)
    with pytest.raises(ValueError, match="does not have"):
        SensorModels((SensorModel("z"),), {"x": 1}, 3, "cpu")
    with pytest.raises(ValueError, match="does not take"):
        ActuatorModels((ActuatorModel("z"),), {"u": torch.zeros(1)}, 0.01, 3)


def test_actuator_delay_and_rate_limit() -> None:
    rest = {"u": torch.zeros(1)}
    delayed = ActuatorModels((ActuatorModel("u", delay=2),), rest, 0.01, 3)
    limited = ActuatorModels((ActuatorModel("u", rate_limit=100.0),), rest, 0.01, 3)
    commands = [Commands({"u": torch.full((3, 1), float(t))}) for t in range(1, 8)]
    late = [float(delayed.apply(c)["u"][0]) for c in commands]
    slow = [float(limited.apply(Commands({"u": torch.full((3, 1), 3.5)}))["u"][0]) for _ in range(5)]
    assert late == [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert slow == [1.0, 2.0, 3.0, 3.5, 3.5]
    delayed.restart(torch.tensor([1]))
    after = delayed.apply(commands[0])["u"][:, 0].tolist()
    assert after == [6.0, 0.0, 6.0]


@pytest.mark.parametrize("substeps", [1, 2, 3])
def test_each_world_has_its_own_delay_in_substeps_and_its_own_zero_error(substeps: int) -> None:
    """A delay of d substeps shifts the sequence of held commands, less the zero errors, by d."""
    delays = torch.tensor([0, 1, 2, 5])
    models = ActuatorModels((ActuatorModel("u", delay=5),), {"u": torch.tensor([-7.0, 7.0])}, 0.01, 4, substeps)
    actuator = models["u"]
    actuator.delay.copy_(delays)
    actuator.zero[:, 1] = torch.arange(4.0)
    given = torch.randn(9, 4, 2, generator=torch.Generator().manual_seed(1))
    arrived = [models.apply(Commands({"u": row}))["u"].view(4, substeps, 2) for row in given]
    held = (given - actuator.zero).repeat_interleave(substeps, 0)
    rest = torch.tensor([-7.0, 7.0])
    for world, delay in enumerate(delays.tolist()):
        expected = torch.cat((rest.expand(delay, 2), held[:, world]))[: len(held)]
        assert torch.equal(torch.cat([row[world] for row in arrived]), expected)


def test_actuators_continue_from_a_snapshot() -> None:
    def make() -> ActuatorModels:
        return ActuatorModels((ActuatorModel("u", delay=3),), {"u": torch.zeros(1)}, 0.01, 2, 2)

    g = torch.Generator().manual_seed(2)
    first, second = make(), make()
    first["u"].delay.copy_(torch.tensor([1, 3]))
    first["u"].zero.fill_(0.5)
    for _ in range(3):
        first.apply(Commands({"u": torch.randn(2, 1, generator=g)}))
    second.restore(first.snapshot())
    for _ in range(4):
        command = Commands({"u": torch.randn(2, 1, generator=g)})
        assert torch.equal(first.apply(command)["u"], second.apply(command)["u"])


def test_a_missing_channel_has_the_value_of_its_nearest_neighbour_that_has_one() -> None:
    n, neighbours = 4000, ((1, 2), (0, 2), (1, 0))
    models = SensorModels((SensorModel("scan", missing=0.3, neighbours=neighbours),), {"scan": 3}, n, "cpu")
    true = {"scan": torch.tensor([[10.0, 20.0, 30.0]]).expand(n, 3)}
    for seen in (models.restart(torch.arange(n), true, generator())["scan"], models.measure(true, generator())["scan"]):
        first = seen[:, 0]
        assert float((first == 10.0).float().mean()) == pytest.approx(0.7 + 0.3**3, abs=0.03)
        assert float((first == 20.0).float().mean()) == pytest.approx(0.3 * 0.7, abs=0.03)
        assert float((first == 30.0).float().mean()) == pytest.approx(0.3**2 * 0.7, abs=0.02)


def test_only_channels_beside_each_other_can_be_missing() -> None:
    with pytest.raises(UserError, match="sensor gyro has no channels beside each other, so none can be missing"):
        SensorModel("gyro").with_settings({"missing": 0.1})
    scan = SensorModel("scan", missing=0.1, neighbours=((1,), (0,)))
    assert scan.scaled(0.0).missing == 0.0
    assert scan.scaled(100.0).missing == 0.9
