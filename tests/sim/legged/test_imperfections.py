"""What differs between walking worlds: each imperfection changes what it names, from the model's own values."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.legged.randomization import PARAMETERS
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import ImperfectionSettings, LeggedSettings
from sim.legged.task import PERIOD, flat_task, sensor_models
from sim.physics.mujoco.fields import BatchFields
from sim.physics.protocol import JointedPhysics
from sim.robots.go1 import GO1

NONE: dict[str, Any] = {f.name: 0.0 for f in fields(ImperfectionSettings) if not isinstance(f.default, tuple)}
PERFECT = ImperfectionSettings(**NONE)
MODEL_TERMS = {
    "strength": {"actuator_forcerange", "actuator_gainprm", "actuator_biasprm"},
    "stiffness": {"actuator_gainprm", "actuator_biasprm"},
    "damping": {"actuator_biasprm"},
    "friction": {"geom_friction"},
    "joint_damping": {"dof_damping"},
    "armature": {"dof_armature"},
    "base_mass": {"body_mass", "body_inertia"},
    "link_mass": {"body_mass", "body_inertia"},
    "centre": {"body_ipos"},
}
FIELDS = sorted(set().union(*MODEL_TERMS.values()))
STANCE = torch.tensor([GO1.stance])


def world(settings: ImperfectionSettings, n: int = 8, scale: float = 1.0, randomized: bool = True,
          seed: int = 0) -> tuple[VectorEnvironment, LeggedScenario]:  # fmt: skip
    task = flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0), imperfections=settings))
    environment = task.make_environment(n, seed, randomized=randomized, imperfections=scale)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    environment.reset()
    return environment, environment.scenario


def of_worlds(physics: JointedPhysics, field: str) -> np.ndarray[Any, Any]:
    """Every world's values of a model field."""
    assert isinstance(physics.fields, BatchFields)
    if field not in physics.fields.expanded():
        values = getattr(physics.model, field)
        return np.broadcast_to(values, (physics.num_worlds, *values.shape))
    return physics.fields.expand(field).numpy()


@pytest.mark.parametrize(("scale", "randomized"), [(0.0, True), (1.0, False)])
def test_a_nominal_world_is_the_model_bit_for_bit(scale: float, randomized: bool) -> None:
    _, scenario = world(ImperfectionSettings(), scale=scale, randomized=randomized)
    assert isinstance(scenario.physics.fields, BatchFields)
    assert scenario.physics.fields.expanded() == []
    assert not bool(scenario.imperfections.delay.any()) and not bool(scenario.imperfections.joint_offset.any())


def test_nominal_sensors_are_the_truth() -> None:
    environment, _ = world(ImperfectionSettings(), scale=0.0)
    step = environment.step(Commands({"joint_position_target": STANCE.repeat(8, 1)}))
    for name in ("orientation", "angular_velocity", "linear_acceleration", "joint_position", "joint_velocity"):
        assert torch.equal(step.sensors[name], step.truth[name])


@pytest.mark.parametrize("term", sorted(MODEL_TERMS))
def test_each_term_alone_changes_what_it_names_and_nothing_else(term: str) -> None:
    _, scenario = world(replace(PERFECT, **{term: getattr(ImperfectionSettings(), term)}))
    physics = scenario.physics
    for field in FIELDS:
        same = np.array_equal(of_worlds(physics, field), of_worlds(world(PERFECT)[1].physics, field))
        assert same == (field not in MODEL_TERMS[term]), field
    assert not bool(scenario.imperfections.delay.any()) and not bool(scenario.imperfections.joint_offset.any())


def test_only_the_base_changes_with_the_base_and_only_the_links_with_the_links() -> None:
    for term, base_changes in (("base_mass", True), ("link_mass", False)):
        _, scenario = world(replace(PERFECT, **{term: getattr(ImperfectionSettings(), term)}))
        model = scenario.physics.model
        base = model.body(GO1.base).id
        changed = (of_worlds(scenario.physics, "body_mass") != model.body_mass).any(0)
        assert bool(changed[base]) == base_changes and bool(np.delete(changed, [0, base]).any()) != base_changes


def test_drawing_a_hundred_times_neither_drifts_nor_leaves_the_ranges() -> None:
    settings = ImperfectionSettings()
    environment, scenario = world(settings, n=128)
    physics, model = scenario.physics, scenario.physics.model
    means = []
    for _ in range(100):
        environment.reset()
        stiffness = of_worlds(physics, "actuator_gainprm")[:, :, 0] / model.actuator_gainprm[:, 0]
        torque = of_worlds(physics, "actuator_forcerange")[:, :, 1] / model.actuator_forcerange[:, 1]
        mass = of_worlds(physics, "body_mass")[:, model.body(GO1.base).id] - model.body(GO1.base).mass
        assert np.abs(torque - 1.0).max() <= settings.strength + 1e-6
        assert np.abs(stiffness / torque - 1.0).max() <= settings.stiffness + 1e-6
        assert np.abs(mass).max() <= settings.base_mass + 1e-6
        means.append((stiffness.mean(), torque.mean(), mass.mean()))
    early, late = np.mean(means[:20], 0), np.mean(means[-20:], 0)
    assert np.abs(early - late).max() < 0.15 and np.abs(np.mean(means, 0) - [1.0, 1.0, 0.0]).max() < 0.06


def test_masses_reach_the_constants_that_follow_from_them() -> None:
    _, scenario = world(replace(PERFECT, base_mass=1.0))
    physics = scenario.physics
    total = of_worlds(physics, "body_mass").sum(1)
    subtree = of_worlds(physics, "body_subtreemass")
    np.testing.assert_allclose(subtree[:, 0], total, rtol=1e-9)


def test_encoder_zeros_are_off_in_readings_and_commands_alike() -> None:
    settings = replace(PERFECT, joint_offset=0.05)
    environment, scenario = world(settings)
    offset = scenario.imperfections.joint_offset
    assert 0.02 < float(offset.abs().max()) <= 0.05
    target = STANCE.repeat(8, 1)
    for _ in range(100):
        step = environment.step(Commands({"joint_position_target": target}))
    seen, true = step.sensors["joint_position"], step.truth["joint_position"]
    torch.testing.assert_close(seen - true, offset, atol=1e-6, rtol=0.0)
    # The motor's torque follows from the angle that its encoder shows.
    torque = 35.0 * (target - seen) - 0.5 * step.truth["joint_velocity"]
    torch.testing.assert_close(step.truth["joint_torque"], torque, atol=0.3, rtol=0.05)


def test_a_delayed_command_arrives_a_substep_late() -> None:
    environment, scenario = world(replace(PERFECT, delay=PERIOD), n=32)
    delays = scenario.imperfections.delay
    longest = scenario.physics.substeps
    assert int(delays.min()) == 0 and int(delays.max()) == longest
    for _ in range(50):
        environment.step(Commands({"joint_position_target": STANCE.repeat(32, 1)}))
    step = environment.step(Commands({"joint_position_target": STANCE.repeat(32, 1) + 0.2}))
    speed = step.truth["joint_velocity"].abs().mean(-1)
    late, prompt = speed[delays == longest].mean(), speed[delays == 0].mean()
    assert float(prompt) > 5.0 * float(late)


def test_pushes_come_in_their_interval_and_kick_as_far_as_they_say() -> None:
    settings = replace(PERFECT, push_speed=1.0, push_spin=0.0, push_interval=(0.5, 1.0))
    environment, _ = world(settings, n=64)
    commands = Commands({"joint_position_target": STANCE.repeat(64, 1)})
    last, kicks = environment.step(commands).truth["linear_velocity"], torch.zeros(64)
    for _ in range(100):
        now = environment.step(commands).terminal_truth["linear_velocity"]
        jump = (now - last)[:, :2].norm(dim=-1)
        kicks += jump > 0.3
        last = now
        assert float(jump.max()) < 2.0
    # Two seconds hold two to four pushes, some of them too faint to count.
    assert 1.0 < float(kicks.mean()) < 5.0


def test_noise_bias_and_age_are_as_set_and_grow_with_the_factor() -> None:
    settings = ImperfectionSettings()
    one, two = sensor_models(settings, 1.0), sensor_models(settings, 2.0)
    assert [m.noise for m in two] == pytest.approx([2.0 * m.noise for m in one])
    assert [m.bias for m in two] == pytest.approx([2.0 * m.bias for m in one])
    assert all(m.noise == m.bias == m.lag == 0.0 for m in sensor_models(settings, 0.0))
    assert one[0].lag == pytest.approx(settings.sensor_delay / PERIOD)


def test_the_critic_is_told_what_was_drawn() -> None:
    _, scenario = world(ImperfectionSettings(), n=64)
    told = scenario.truth()["parameters"]
    assert told.shape == (64, len(PARAMETERS)) and float(told.abs().max()) <= 1.0
    foot = scenario.physics.model.geom("FR_foot").id
    friction = torch.from_numpy(of_worlds(scenario.physics, "geom_friction")[:, foot, 0].copy()).float()
    assert float(torch.corrcoef(torch.stack((friction, told[:, PARAMETERS.index("friction")])))[0, 1]) > 0.99
