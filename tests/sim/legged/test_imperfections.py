"""What differs between walking worlds: each imperfection changes what it names, from the model's own values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from policies.errors import UserError
from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.legged.ground.tiles import ScanSettings
from sim.legged.observations import PERIOD, sensor_models
from sim.legged.plan import PARAMETERS, Plan
from sim.legged.scenario import LeggedScenario
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.physics.mujoco.fields import BatchFields
from sim.physics.protocol import JointedPhysics
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.terms.terms import Curriculum, Event

TASK = flat_task(GO1, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0)))
RANGES = {
    name: parameters for name, parameters in TASK.settings()["events"].items() if name not in ("start", "renewal")
}
PERFECT = {name: dict.fromkeys([p for p in own if p != "interval"], 0.0) for name, own in RANGES.items()}
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
STANCE = torch.tensor([GO1.part(Legs).stance])


def world(
    events: Mapping[str, Mapping[str, Any]],
    n: int = 8,
    scale: float = 1.0,
    randomized: bool = True,
    sensor_models: Mapping[str, Any] | None = None,
) -> tuple[VectorEnvironment, LeggedScenario]:
    """Worlds of the task with these settings of its events, and its own sensors unless `sensor_models` are given."""
    task = TASK.with_settings({"events": events})
    task = task if sensor_models is None else replace(task, sensor_models=sensor_models)
    environment = task.make_environment(n, 0, randomized=randomized, imperfections=scale)
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
    _, scenario = world({}, scale=scale, randomized=randomized)
    assert isinstance(scenario.physics.fields, BatchFields)
    assert scenario.physics.fields.expanded() == []
    assert not bool(scenario.randomization.delay.any()) and not bool(scenario.randomization.joint_offset.any())


def test_nominal_sensors_are_the_truth() -> None:
    environment, _ = world({}, scale=0.0)
    step = environment.step(Commands({"joint_position_target": STANCE.repeat(8, 1)}))
    for name in ("orientation", "angular_velocity", "linear_acceleration", "joint_position", "joint_velocity"):
        assert torch.equal(step.sensors[name], step.truth[name])


@pytest.mark.parametrize("term", sorted(MODEL_TERMS))
def test_each_term_alone_changes_what_it_names_and_nothing_else(term: str) -> None:
    _, scenario = world({**PERFECT, term: RANGES[term]})
    physics = scenario.physics
    for field in FIELDS:
        same = np.array_equal(of_worlds(physics, field), of_worlds(world(PERFECT)[1].physics, field))
        assert same == (field not in MODEL_TERMS[term]), field
    assert not bool(scenario.randomization.delay.any()) and not bool(scenario.randomization.joint_offset.any())


def test_only_the_base_changes_with_the_base_and_only_the_links_with_the_links() -> None:
    for term, base_changes in (("base_mass", True), ("link_mass", False)):
        _, scenario = world({**PERFECT, term: RANGES[term]})
        model = scenario.physics.model
        base = model.body(GO1.base).id
        changed = (of_worlds(scenario.physics, "body_mass") != model.body_mass).any(0)
        assert bool(changed[base]) == base_changes and bool(np.delete(changed, [0, base]).any()) != base_changes


def test_drawing_a_hundred_times_neither_drifts_nor_leaves_the_ranges() -> None:
    environment, scenario = world({}, n=128)
    physics, model = scenario.physics, scenario.physics.model
    means = []
    for _ in range(100):
        environment.reset()
        stiffness = of_worlds(physics, "actuator_gainprm")[:, :, 0] / model.actuator_gainprm[:, 0]
        torque = of_worlds(physics, "actuator_forcerange")[:, :, 1] / model.actuator_forcerange[:, 1]
        mass = of_worlds(physics, "body_mass")[:, model.body(GO1.base).id] - model.body(GO1.base).mass
        assert np.abs(torque - 1.0).max() <= RANGES["strength"]["range"] + 1e-6
        assert np.abs(stiffness / torque - 1.0).max() <= RANGES["stiffness"]["range"] + 1e-6
        assert np.abs(mass).max() <= RANGES["base_mass"]["range"] + 1e-6
        means.append((stiffness.mean(), torque.mean(), mass.mean()))
    early, late = np.mean(means[:20], 0), np.mean(means[-20:], 0)
    assert np.abs(early - late).max() < 0.15 and np.abs(np.mean(means, 0) - [1.0, 1.0, 0.0]).max() < 0.06


def test_masses_reach_the_constants_that_follow_from_them() -> None:
    _, scenario = world({**PERFECT, "base_mass": {"range": 1.0}})
    physics = scenario.physics
    total = of_worlds(physics, "body_mass").sum(1)
    subtree = of_worlds(physics, "body_subtreemass")
    np.testing.assert_allclose(subtree[:, 0], total, rtol=1e-9)


def test_encoder_zeros_are_off_in_readings_and_commands_alike() -> None:
    environment, scenario = world({**PERFECT, "joint_offset": {"range": 0.05}}, sensor_models={})
    offset = scenario.randomization.joint_offset
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
    environment, scenario = world({**PERFECT, "delay": {"longest": PERIOD}}, n=32)
    delays = scenario.randomization.delay
    longest = scenario.physics.substeps
    assert int(delays.min()) == 0 and int(delays.max()) == longest
    for _ in range(50):
        environment.step(Commands({"joint_position_target": STANCE.repeat(32, 1)}))
    step = environment.step(Commands({"joint_position_target": STANCE.repeat(32, 1) + 0.2}))
    speed = step.truth["joint_velocity"].abs().mean(-1)
    late, prompt = speed[delays == longest].mean(), speed[delays == 0].mean()
    assert float(prompt) > 5.0 * float(late)


def test_pushes_come_in_their_interval_and_kick_as_far_as_they_say() -> None:
    environment, _ = world({**PERFECT, "push": {"speed": 1.0, "spin": 0.0, "interval": (0.5, 1.0)}}, n=64)
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
    models = sensor_models(ScanSettings())
    two = [model.scaled(2.0) for model in models.values()]
    assert [m.noise for m in two] == pytest.approx([2.0 * m.noise for m in models.values()])
    assert [m.bias for m in two] == pytest.approx([2.0 * m.bias for m in models.values()])
    none = [model.scaled(0.0) for model in models.values()]
    assert all(m.noise == m.bias == m.lag == m.dropout == 0.0 for m in none)
    far = models["height_scan"].scaled(100.0)
    assert far.dropout == 0.9 and models["orientation"].scaled(100.0).lag == 1.0
    changed = TASK.with_settings({"sensor_models": {"angular_velocity": {"noise": 0.7}}})
    assert changed.sensor_models["angular_velocity"].noise == 0.7
    with pytest.raises(UserError, match=r"sensor_models.angular_velocity.bias must be at least 0.0, got -1.0"):
        TASK.with_settings({"sensor_models": {"angular_velocity": {"bias": -1.0}}})


def test_the_critic_observes_what_was_drawn() -> None:
    _, scenario = world({}, n=64)
    observed = scenario.truth()["parameters"]
    assert observed.shape == (64, len(PARAMETERS)) and float(observed.abs().max()) <= 1.0
    foot = scenario.physics.model.geom("FR_foot").id
    friction = torch.from_numpy(of_worlds(scenario.physics, "geom_friction")[:, foot, 0].copy()).float()
    assert float(torch.corrcoef(torch.stack((friction, observed[:, PARAMETERS.index("friction")])))[0, 1]) > 0.99


def heavier_feet(plan: Plan, *, range: float = 0.2) -> None:
    """A user's own: the masses of the calves."""
    calves = [int(plan.model.body(f"{leg}_calf").id) for leg in ("FR", "FL", "RR", "RL")]
    plan.multiply("body_mass", calves, plan.factor(range, len(calves)))


def tilted(scenario: Any, ids: torch.Tensor, generator: torch.Generator, *, roll: float = 0.0) -> None:
    """A user's own start."""
    scenario.starts.qpos[ids, 4] = roll


def gust(scenario: Any, ids: torch.Tensor, generator: torch.Generator, *, speed: float = 1.0) -> None:
    scenario.physics.qvel[ids, 1] += speed


def test_events_of_a_users_own_change_models_starts_and_what_happens_now_and_then() -> None:
    own = TASK.changed(
        events={
            "heavier_feet": Event(heavier_feet, "model"), "tilted": Event(tilted, "start", {"roll": 0.1}),
            "gust": Event(gust, "interval", {"speed": 3.0}, interval=(0.1, 0.2)),
        }
    ).with_settings({"events": PERFECT})  # fmt: skip
    environment = own.make_environment(16, 0, randomized=True)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    _, truth = environment.reset()
    physics = environment.scenario.physics
    calf, thigh = (physics.model.body(f"FR_{part}").id for part in ("calf", "thigh"))
    masses = of_worlds(physics, "body_mass")
    assert masses[:, calf].std() > 0.01 * masses[0, calf] and masses[:, thigh].std() < 1e-12
    assert float(truth["gravity"][:, :2].norm(dim=-1).min()) > 0.15
    speeds = [environment.step(Commands({"joint_position_target": STANCE.repeat(16, 1)})) for _ in range(11)]
    sideways = torch.stack([step.terminal_truth["linear_velocity"].norm(dim=-1) for step in speeds])
    assert float(sideways.amax(0).min()) > 1.0


def test_a_third_factor_of_the_same_entries_is_refused() -> None:
    own = TASK.changed(events={name: Event(heavier_feet, "model") for name in ("one", "two")})
    with pytest.raises(UserError, match="more than 2 events multiply the same entries of body_mass"):
        own.make_environment(2, 0, randomized=True)


def test_an_event_says_when_it_comes() -> None:
    with pytest.raises(UserError, match="when must be one of start, restart, interval, model, got 'often'"):
        Event(gust, "often")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"events.push.interval must be low, then high"):
        TASK.with_settings({"events": {"push": {"interval": (3.0, 2.0)}}})
    with pytest.raises(UserError, match=r"there is no events.start.interval; there are joints, speed"):
        TASK.with_settings({"events": {"start": {"interval": (3.0, 4.0)}}})


def test_a_curriculum_of_a_users_own_is_a_function_of_the_scenario() -> None:
    def stronger_pushes(scenario: Any, ids: torch.Tensor, *, growth: float = 0.1) -> float:
        speed = min(2.0, scenario.terms.event_parameters["push"]["speed"] + growth)
        scenario.terms.event_parameters["push"]["speed"] = speed
        return float(speed)

    task = TASK.changed(curriculum={"stronger_pushes": Curriculum(stronger_pushes)}, episode_steps=2)
    environment = task.make_environment(4, 0, randomized=True)
    assert isinstance(environment, VectorEnvironment)
    environment.reset()
    for _ in range(4):
        environment.step(Commands({"joint_position_target": STANCE.repeat(4, 1)}))
    assert environment.metrics()["curriculum/stronger_pushes"] == pytest.approx(0.8)
    assert TASK.events["push"].parameters["speed"] == 0.5


def test_friction_that_all_joints_of_a_robot_have_more_adds_to_their_own_and_does_not_pile_up() -> None:
    # The range stays, so that factors and what is added act on the same field.
    events = {**PERFECT, "joint_damping": {"range": 0.5, "added": 2.0}, "renewal": {"share": 1.0}}
    environment, scenario = world(events, n=64)
    for _ in range(3):
        dofs = of_worlds(scenario.physics, "dof_damping")[:, 6:]
        own, added = dofs - dofs.min(1, keepdims=True), dofs.min(1)
        # Of joints of 0.1 Nm s/rad the factors make 0.05 to 0.15: they differ by less than what is added.
        assert own.max() <= 0.1 + 1e-6 and own.std() > 0.01
        assert added.min() >= 0.05 - 1e-6 and added.max() <= 2.15 and added.std() > 0.4
        environment.reset()


def test_the_world_keeps_the_time_of_the_policy_s_clock() -> None:
    task = TASK.with_settings({"observation": {"gait_clock": {"frequency": 2.0}}})
    environment = task.make_environment(1, 0)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    assert environment.scenario.settings.frequency == 2.0
