"""The hidden task: what is drawn acts as the truth says, in every range, and looks right in the mirror."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from policies.graph.symmetry import truth_mirror
from sim.environment import VectorEnvironment
from sim.legged.hidden import HIDDEN, wind_along
from sim.legged.scenario import LeggedScenario
from sim.physics.mujoco.fields import BatchFields
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.tasks import find_task
from sim.terms.view import View

TASK = find_task("go1-velocity-hidden")
EVENTS = TASK.settings()["events"]


def worlds(n: int, imperfections: float = 1.0, randomized: bool = True) -> tuple[VectorEnvironment, LeggedScenario]:
    environment = TASK.make_environment(n, 3, randomized=randomized, imperfections=imperfections)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    environment.reset()
    return environment, environment.scenario


def hidden(scenario: LeggedScenario) -> dict[str, torch.Tensor]:
    view = View(scenario.truth(), scenario.num_worlds, TASK.period, "cpu")
    return {name: term(view) for name, term in HIDDEN.items()}


@pytest.mark.parametrize("imperfections", [1.0, 1.5])
def test_the_truth_says_what_the_model_is_and_the_model_stays_possible(imperfections: float) -> None:
    _, scenario = worlds(64, imperfections)
    known, model, fields = hidden(scenario), scenario.physics.model, scenario.physics.fields
    assert isinstance(fields, BatchFields)
    base = int(model.body(GO1.base).id)
    load = (known["payload_mass"][:, 0] + 1.0) / 2.0 * EVENTS["payload"]["mass"]
    mass = fields.expand("body_mass")
    torch.testing.assert_close(mass[:, base].float(), float(model.body_mass[base]) + load, rtol=1e-4, atol=1e-4)
    moved = fields.expand("body_ipos")[:, base] - fields.nominal("body_ipos")[base]
    torch.testing.assert_close(moved.float(), EVENTS["payload"]["reach"] * known["payload_position"], rtol=0, atol=1e-5)
    whole = 1.0 + EVENTS["strength"]["range"] * known["strength"]
    legs = 1.0 + EVENTS["leg_strength"]["range"] * known["leg_strength"]
    strength = (whole * legs).repeat_interleave(3, 1)
    for foot, joint in zip(GO1.part(Legs).feet, GO1.joints[::3], strict=True):
        assert foot[:2] == joint[:2]
    torque = fields.expand("actuator_forcerange")[:, :, 1].float()
    torch.testing.assert_close(
        torque, fields.nominal("actuator_forcerange")[:, 1].float() * strength, rtol=1e-4, atol=1e-4
    )
    gravity = fields.expand("opt.gravity")
    assert torch.equal(gravity[:, 2], torch.full((64,), -9.81, dtype=torch.float64))
    torch.testing.assert_close(
        gravity[:, :2].norm(dim=1).float(), EVENTS["wind"]["range"] * known["wind"].norm(dim=1), rtol=0.02, atol=1e-3
    )
    # Uniform over the range, which grows with the imperfections, and never a model that could not be.
    assert 0.8 * imperfections < float(known["leg_strength"].abs().max()) <= imperfections
    assert float(known["payload_mass"].min()) >= -1.0
    assert float(torque.min()) > 0.0 and float(mass[:, 1:].min()) > 0.0
    assert float(fields.expand("geom_friction")[:, int(model.geom("FR_foot").id), 0].min()) > 0.05
    inertia = fields.expand("body_inertia")[:, base]
    assert bool((inertia.sum(1, keepdim=True) >= 2.0 * inertia - 1e-9).all())


def test_every_episode_has_another_body_and_checkpoints_keep_it() -> None:
    environment, scenario = worlds(8)
    first = hidden(scenario)
    saved = environment.snapshot()
    environment.reset()
    second = hidden(scenario)
    assert all(bool((first[name] != second[name]).all()) for name in first if name != "delay")
    other, restored = worlds(8)
    other.restore(saved)
    for name, value in hidden(restored).items():
        assert torch.equal(value, first[name]), name


def test_without_randomization_nothing_is_hidden() -> None:
    _, scenario = worlds(4, randomized=False)
    for name, value in hidden(scenario).items():
        assert bool((value == (-1.0 if name == "payload_mass" else 0.0)).all()), name


def test_the_wind_turns_with_the_robot() -> None:
    quarter = math.sqrt(0.5)
    turned = torch.tensor([[1.0, 0.0, 0.0, 0.0], [quarter, 0.0, 0.0, quarter]])
    view = View({"orientation": turned, "wind": torch.tensor([[1.0, 0.5]] * 2)}, 2, 0.02, "cpu")
    torch.testing.assert_close(wind_along(view), torch.tensor([[1.0, 0.5], [0.5, -1.0]]))


def test_the_mirror_swaps_the_legs_and_turns_the_wind() -> None:
    environment, scenario = worlds(4)
    assert TASK.mirror is not None
    with torch.no_grad():
        mirror = truth_mirror(environment.critic_observation, scenario.truth(), TASK.mirror)
    columns = np.cumsum([0, *(term.dim for term in TASK.privileged.values())])
    at = dict(zip(TASK.privileged, columns[:-1], strict=True))
    legs = int(at["leg_strength"])
    assert [mirror.source[legs + leg] - legs for leg in range(4)] == list(GO1.part(Legs).mirror.foot_from)
    assert mirror.sign[int(at["wind"]) : int(at["wind"]) + 2] == (1.0, -1.0)
    assert mirror.sign[int(at["payload_position"]) : int(at["payload_position"]) + 3] == (1.0, -1.0, 1.0)
