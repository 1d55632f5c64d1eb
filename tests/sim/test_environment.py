"""The vectorised environment on the Crazyflie tasks: restarts, ends, seeds, snapshots, gradients."""

from __future__ import annotations

from math import pi

import pytest
import torch

from policies.errors import UserError
from policies.networks.mlp import MLP
from policies.signals import Commands, Sensors
from sim.environment import VectorEnvironment
from sim.quadrotor.figures import Targets
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import GRAVITY
from sim.task import Step
from sim.tasks import TASKS, crazyflie, find_task
from sim.tasks.crazyflie_track import PERIODS

HOVER = find_task("crazyflie-hover")


def hover_environment(num_worlds: int, seed: int, randomized: bool = False) -> VectorEnvironment:
    environment = HOVER.make_environment(num_worlds, seed, randomized=randomized)
    assert isinstance(environment, VectorEnvironment)
    return environment


def commands(n: int, seed: int) -> Commands:
    g = torch.Generator().manual_seed(seed)
    return Commands({"rotor_speed": torch.rand(n, 4, generator=g) * crazyflie.MAX_SPEED})


def fly(env: VectorEnvironment, steps: int, seed: int = 0) -> list[Step]:
    return [env.step(commands(env.num_worlds, seed + t)) for t in range(steps)]


def tossed(name: str, n: int, step: int) -> Commands:
    """Wild commands of any task, held for 25 steps so that every kind of robot ends by a fall or a crash."""
    task = find_task(name)
    g = torch.Generator().manual_seed(step // 25)
    return task.action(torch.rand(n, task.action.dim, generator=g).mul(2.0).sub(1.0).sign(), Sensors({}))


def same(a: Step, b: Step) -> bool:
    pairs = [(a.reward, b.reward), (a.terminated, b.terminated), (a.truncated, b.truncated)]
    for left, right in ((a.sensors, b.sensors), (a.truth, b.truth), (a.terminal_sensors, b.terminal_sensors)):
        pairs += [(left[name], right[name]) for name in left]
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_one_seed_gives_one_history_and_another_seed_another(name: str) -> None:
    runs = []
    for seed in (1, 1, 2):
        env = find_task(name).make_environment(8, seed)
        env.reset()
        runs.append([env.step(tossed(name, 8, t)) for t in range(60)])
    assert all(same(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not same(runs[0][0], runs[2][0])


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_snapshot_continues_bit_for_bit_through_restarts(name: str) -> None:
    env = find_task(name).make_environment(16, 3, randomized=True)
    env.reset()
    [env.step(tossed(name, 16, t)) for t in range(10)]
    saved = env.snapshot()
    first = [env.step(tossed(name, 16, 100 + t)) for t in range(80)]
    assert any(bool(s.terminated.any()) for s in first)
    env.restore(saved)
    again = [env.step(tossed(name, 16, 100 + t)) for t in range(80)]
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    other = find_task(name).make_environment(16, 99, randomized=True)
    other.restore(saved)
    assert same(other.step(tossed(name, 16, 100)), first[0])


def test_only_finished_worlds_restart_and_their_last_state_is_kept() -> None:
    env = hover_environment(64, 0)
    env.reset()
    seen = 0
    for step in fly(env, 120):
        done = step.terminated | step.truncated
        for name in step.sensors:
            assert torch.equal(step.sensors[name][~done], step.terminal_sensors[name][~done])
            assert torch.equal(step.truth[name][~done], step.terminal_truth[name][~done])
        if bool(step.terminated.any()):
            seen += int(step.terminated.sum())
            assert bool((step.terminal_truth["position_error"][step.terminated].abs().amax(-1) > 0.6).all())
            assert bool((step.truth["position_error"][done].abs().amax(-1) <= 0.2).all())
            assert bool((step.reward[step.terminated] == 0.0).all())
        assert not bool((step.terminated & step.truncated).any())
    assert seen > 20


def test_the_time_limit_truncates_and_does_not_terminate() -> None:
    env = HOVER.changed(episode_steps=3).make_environment(4, 0)
    assert isinstance(env, VectorEnvironment)
    env.reset()
    steps = fly(env, 3)
    assert not bool(steps[1].truncated.any())
    assert bool(steps[2].truncated.all()) and not bool(steps[2].terminated.any())


def test_a_world_that_is_not_finite_restarts_alone() -> None:
    env = hover_environment(4, 0)
    env.reset()
    bad = commands(4, 0)["rotor_speed"].clone()
    saved = env.snapshot()
    saved["scenario/state"][2, 8] = float("nan")
    env.restore(saved)
    step = env.step(Commands({"rotor_speed": bad}))
    assert step.terminated.tolist() == [False, False, True, False]
    assert all(bool(torch.isfinite(value).all()) for value in step.sensors.values())


def test_starts_follow_the_published_distribution() -> None:
    n = 20000
    _, truth = hover_environment(n, 0).reset()
    p, q, v, w = (truth[k] for k in ("position", "orientation", "linear_velocity", "angular_velocity"))
    level = (p == 0.0).all(-1)
    assert float(level.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert bool((q[level, 0] == 1.0).all())
    assert float(p.abs().max()) <= 0.2 and float(v.abs().max()) <= 1.0 and float(w.abs().max()) <= 1.0
    angle = 2.0 * torch.acos(q[~level, 0].clamp(max=1.0))
    assert float(angle.max()) <= pi / 2 + 1e-3
    # Uniform over rotations of at most 90 degrees: the angle's distribution is (a - sin a) / (pi/2 - 1).
    for quantile in (0.25, 0.5, 0.75):
        a = torch.quantile(angle[:10000], quantile)
        assert float((a - torch.sin(a)) / (pi / 2 - 1.0)) == pytest.approx(quantile, abs=0.02)
    weight = PARAMETERS["crazyflie"].mass * GRAVITY
    assert float(truth["force"].std()) == pytest.approx(weight / 20.0, rel=0.02)
    assert float(truth["torque"].std()) == pytest.approx(weight / 1e4, rel=0.02)


def test_disturbance_is_constant_within_an_episode() -> None:
    env = hover_environment(32, 0)
    _, truth = env.reset()
    force = truth["force"]
    for step in fly(env, 40):
        done = step.terminated | step.truncated
        assert torch.equal(step.terminal_truth["force"], force)
        assert not bool((step.truth["force"][done] == force[done]).any())
        force = step.truth["force"]


def test_randomized_dynamics_are_drawn_from_nominal_values_every_time() -> None:
    env = hover_environment(256, 0, randomized=True)
    nominal = torch.tensor(PARAMETERS["crazyflie"].mass)
    for _ in range(5):
        _, truth = env.reset()
        dynamics = truth["dynamics"]
        full = dynamics[:, 4:7].sum(-1) / PARAMETERS["crazyflie"].thrust[2]
        assert bool((dynamics[:, 0] == nominal).all())
        assert float(full.min()) >= 0.62 - 1e-4 and float(full.max()) <= 1.15 + 1e-4
        assert 0.3 < float((full == 1.0).float().mean()) < 0.7


def test_gradients_reach_every_action_of_a_stretch() -> None:
    env = hover_environment(4, 0)
    env.reset()
    actions = [torch.full((4, 4), 1500.0, requires_grad=True) for _ in range(5)]
    sensors, truth = Sensors({}), None
    for a in actions:
        sensors, truth = env.flow(Commands({"rotor_speed": a}))
    assert truth is not None
    truth["position_error"].square().sum().backward()
    # The last command moves the rotors only after the state that is scored, as an RK4 step shows to fourth order.
    assert all(a.grad is not None and bool((a.grad != 0.0).any()) for a in actions[:-1])
    sensors, restarted = env.renew(torch.tensor([True, False, False, False]), sensors)
    assert restarted.tolist() == [True, False, False, False]
    assert not any(value.requires_grad for value in sensors.values())
    assert env.age.tolist() == [0, 5, 5, 5]


def test_flowing_equals_stepping() -> None:
    ends = []
    for differentiable in (False, True):
        env = hover_environment(8, 5)
        sensors, _ = env.reset()
        for t in range(8):
            sensors = env.flow(commands(8, t))[0] if differentiable else env.step(commands(8, t)).terminal_sensors
        ends.append(sensors)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("interval", PERIODS)
def test_figures_move_as_their_velocity_says_and_start_at_rest(interval: float) -> None:
    targets = Targets(1, 0.01, interval=(interval, interval))
    targets.begin(torch.tensor([0]), torch.Generator())
    places, speeds = [targets.position[0]], [targets.velocity[0]]
    for _ in range(800):
        targets.advance(None, None)
        places.append(targets.position[0])
        speeds.append(targets.velocity[0])
    place, speed = torch.stack(places), torch.stack(speeds)
    measured = (place[2:] - place[:-2]) / 0.02
    torch.testing.assert_close(measured, speed[1:-1], atol=0.02, rtol=0.01)
    assert float(speed[0].norm()) == 0.0 and float(place[0].norm()) < 1e-6
    full = place[200:]
    assert float(full[:, 0].abs().max()) <= 1.0 + 1e-5 and float(full[:, 1].abs().max()) <= 0.5 + 1e-5


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean crazyflie-hover"):
        find_task("crazyflie-hovr")


def test_a_task_makes_a_graph_with_the_published_sizes() -> None:
    graph = HOVER.policy_graph(MLP(HOVER.observation_dim, (64, 64), 4, squash=True))
    assert graph.observation_dim == 146
    assert sum(p.numel() for p in graph.parameters()) == 13828
