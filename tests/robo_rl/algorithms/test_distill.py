"""Properties of distillation: what its losses compare, which gradients flow, what a student with memory learns from."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from policies.networks.memory import GruNetwork, HistoryNetwork
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.distill.arms import Kind
from robo_rl.algorithms.distill.contrast import info_nce, kl_to_standard_normal
from robo_rl.algorithms.distill.dropper import DropperTrainer
from robo_rl.algorithms.distill.hib import Bottleneck
from robo_rl.algorithms.distill.imitation import Imitation
from robo_rl.algorithms.distill.rma import Adaptation, EncodedTruth, RmaTrainer
from robo_rl.algorithms.distill.teachers import Labels, TeacherByWorld
from robo_rl.algorithms.distill.trainer import make_trainer
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from sim.controllers.teacher import LearnedTeacher
from tests.robo_rl.algorithms.test_distill_learning import SMALL, arm_config, taught_point
from tests.robo_rl.teachers import PushHome


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.05, 0.1, 1.0]))
def test_rows_of_one_episode_are_never_negatives(seed: int, episodes: int, temperature: float) -> None:
    random = torch.Generator().manual_seed(seed)
    rows = 12
    code, truth = (torch.randn(rows, 4, generator=random) for _ in range(2))
    episode = torch.randint(0, episodes, (rows,), generator=random)
    loss, bound = info_nce(code, truth, episode, temperature)
    cosine = torch.nn.functional.cosine_similarity(code[:, None], truth[None], dim=-1) / temperature
    by_hand, bounds = [], []
    for i in range(rows):
        others = [j for j in range(rows) if j == i or episode[j] != episode[i]]
        by_hand.append(cosine[i, others].logsumexp(0) - cosine[i, i])
        bounds.append(math.log(len(others)) - by_hand[-1])
    torch.testing.assert_close(loss, torch.stack(by_hand).mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bound, torch.stack(bounds).mean(), rtol=1e-4, atol=1e-5)
    assert float(bound) <= math.log(rows) + 1e-5


def test_the_bound_of_perfect_codes_is_the_logarithm_of_the_rows() -> None:
    code = torch.eye(16)
    _, bound = info_nce(code, code, torch.arange(16), 0.01)
    assert float(bound) == pytest.approx(math.log(16), abs=1e-4)
    # All rows from one episode: nothing to tell apart, no information.
    loss, bound = info_nce(code, code, torch.zeros(16), 0.01)
    assert float(loss) == float(bound) == 0.0


def test_a_standard_normal_code_costs_nothing() -> None:
    assert float(kl_to_standard_normal(torch.zeros(3, 5), torch.zeros(3, 5))) == 0.0
    mean, log_std = torch.full((1, 1), 0.7), torch.full((1, 1), -0.4)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(kl_to_standard_normal(mean, log_std), expected.squeeze())


def encoder_of(trainer: PpoTrainer) -> list[Tensor]:
    network = trainer.graph.network
    assert isinstance(network, HistoryNetwork)
    return [*network.each.parameters(), *network.encoder.parameters()]


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("coefficient", [0.0, 0.3])
def test_with_the_gradient_cut_only_the_bottleneck_trains_the_encoder(cut: bool, coefficient: float) -> None:
    config = arm_config("hib", cut_gradient=cut, contrast_coefficient=coefficient)
    trainer = make_trainer(config, taught_point(), 1)
    assert isinstance(trainer, PpoTrainer)
    before = [p.detach().clone() for p in encoder_of(trainer)]
    metrics = trainer.iterate()
    moved = any(not torch.equal(a, b) for a, b in zip(before, encoder_of(trainer), strict=True))
    assert moved == (not cut or coefficient > 0.0)
    assert 0.0 <= metrics["information"] + metrics["info_nce"] <= math.log(config.contrast_batch)
    # Cutting the gradient changes what is learned, not what is computed.
    network = trainer.graph.network
    assert isinstance(network, HistoryNetwork)
    x, memory = torch.randn(3, 3), {"past": torch.randn(3, 9)}
    shown = network(x, memory)[0]
    network.cut = not network.cut
    assert torch.equal(shown, network(x, memory)[0])


def test_episodes_of_a_rollout_have_numbers_of_their_own() -> None:
    trainer = make_trainer(arm_config("hib", rollout_steps=50), taught_point(), 1)
    assert isinstance(trainer, PpoTrainer)
    assert isinstance(trainer.extension, Bottleneck)
    rollout = trainer._collector.collect(0)
    number = rollout.table[..., rollout.columns["episode"]].squeeze(-1)
    assert torch.equal(number[1:] != number[:-1], rollout.done[:-1])
    worlds = [set(number[:, world].tolist()) for world in range(number.shape[1])]
    assert sum(len(own) for own in worlds) == len(set().union(*worlds))
    assert max(len(own) for own in worlds) >= 3


# ---- recurrent students ---------------------------------------------------------------------------------------------


def gru(bptt: int, steps: int) -> Imitation:
    """A recurrent student after one round of `steps` steps."""
    config = dataclasses.replace(SMALL, actor="gru", bptt=bptt, rollout_steps=steps, updates=1)
    trainer = Imitation(config, taught_point(), 1)
    trainer.iterate()
    return trainer


def test_a_window_replays_what_the_student_did_through_restarts() -> None:
    """From the stored memory, reset where an episode ended, the student's outputs are those of the time."""
    config = dataclasses.replace(SMALL, actor="gru", bptt=7, rollout_steps=45, teacher_share=0.0)
    trainer = Imitation(config, taught_point(), 1)
    trainer.learns_normalizer = False
    trainer._act_and_label()
    rows = trainer._lessons.draw(4000, torch.Generator().manual_seed(3))
    assert rows["first"][1:].sum() > 0.0, "the windows contain restarts"
    actions = trainer._lessons.actions(rows)
    network = trainer.graph.network
    assert isinstance(network, GruNetwork)
    with torch.no_grad():
        for t in range(7):
            seen = trainer.graph.normalizer(rows["observation"][t])
            alone = network(seen, {"hidden": rows["memory"][t]})[0]
            held = rows["weight"][t] > 0.0
            torch.testing.assert_close(actions[t][held], alone[held], rtol=1e-4, atol=1e-5)
    begun = rows["first"][..., 0] > 0.5
    assert not rows["memory"][begun].any(), "an episode begins without a memory"


def test_the_gradient_goes_back_through_a_window_and_ends_at_a_restart() -> None:
    trainer = gru(bptt=6, steps=40)
    rows = trainer._lessons.draw(3000, torch.Generator().manual_seed(1))
    rows["observation"].requires_grad_()
    rows["memory"].requires_grad_()
    last = trainer._lessons.actions(rows)[-1].sum(-1)
    moved, memory = torch.autograd.grad(last.sum(), (rows["observation"], rows["memory"]))
    restarted = (rows["first"][1:, :, 0] > 0.5).any(0)
    assert restarted.any() and not restarted.all()
    assert not moved[0][restarted].any()
    assert (moved[0][~restarted] != 0.0).any()
    # What was stored is data: only the window's first memory is read.
    assert not memory[1:].any()


def test_every_stored_step_is_learned_from_the_newest_included() -> None:
    """A round of 20 steps is not a multiple of a window of 7; the steps at its end are in windows too."""
    trainer = gru(bptt=7, steps=20)
    trainer.replay.read = lambda steps, worlds: {"step": steps[:, None].float()}  # type: ignore[method-assign]
    rows = trainer._lessons.draw(20_000, torch.Generator().manual_seed(1))
    learned = rows["step"][..., 0][rows["weight"] > 0.0]
    assert sorted(set(learned.tolist())) == [float(step) for step in range(20)]
    # A window that would reach past the newest step is shorter, and repeats nothing.
    assert all(
        len(set(w.tolist())) == len(w) for w in (rows["step"][rows["weight"][:, i] > 0, i, 0] for i in range(50))
    )


def test_a_history_student_learns_from_the_past_that_it_had() -> None:
    config = dataclasses.replace(SMALL, actor="history", rollout_steps=45, capacity=32 * 30)
    trainer = Imitation(config, taught_point(), 1)
    trainer.learns_normalizer = False
    had = []
    graph, replay = trainer.graph, trainer.replay
    add = replay.add

    def remember(**columns: Tensor) -> None:
        had.append(graph.memory(trainer._worlds.state)["past"].clone())
        add(**columns)

    replay.add = remember  # type: ignore[method-assign]
    trainer._act_and_label()
    random = torch.Generator().manual_seed(2)
    start, worlds = replay.draw(500, torch.Generator().manual_seed(2), 3)
    rows = trainer._lessons.draw(500, random)
    expected = torch.stack([had[int(s)][int(w)] for s, w in zip(start, worlds, strict=True)])
    torch.testing.assert_close(trainer._lessons.remembered(rows), expected)
    assert int(start.min()) >= replay.oldest + 3


# ---- truth that fades -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["mlp", "gru"])
def test_the_dropper_ends_as_its_student(actor: Kind) -> None:
    config = dataclasses.replace(arm_config("dropper"), actor=actor, iterations=4, drop_until=0.5)
    trainer = make_trainer(config, taught_point(), 1)
    assert isinstance(trainer, DropperTrainer)
    masks = []
    for _ in range(4):
        trainer.iterate()
        rollout = trainer._collector
        masks.append(float((rollout._table[..., rollout.columns["observation"]][..., -1] == 0.0).float().mean()))
    assert masks[0] == 0.0
    assert 0.3 < masks[1] < 0.7
    assert masks[2] == masks[3] == 1.0
    full, student = PpoTrainer.graph.fget(trainer), trainer.graph  # type: ignore[attr-defined]
    assert isinstance(full, LearnedTeacher)
    observation = torch.randn(5, student.observation_dim)
    seen = torch.cat((student.normalizer(observation), torch.zeros(5, 1)), -1)
    memory = {s.name: torch.randn(5, s.dim) for s in student.network_states}
    ours = student.network(student.normalizer(observation), memory) if memory else student.act(observation)
    theirs = full.network(seen, memory) if memory else full.network(seen)
    torch.testing.assert_close(ours, theirs)


def test_adaptation_changes_the_encoder_alone_and_comes_closer_to_the_code_of_the_truth() -> None:
    config = arm_config("rma", iterations=2, adaptation=8, history=4)
    trainer = make_trainer(config, taught_point(), 1)
    assert isinstance(trainer, RmaTrainer)
    for _ in range(2):
        trainer.iterate()
    before = {name: value.clone() for name, value in trainer.graph.state_dict().items()}
    losses = [trainer.iterate()["imitation_loss"] for _ in range(8)]
    assert losses[-1] < 0.3 * losses[0]
    phase = trainer._phase
    assert isinstance(phase, Adaptation)
    assert isinstance(phase.teacher.network, EncodedTruth)
    changed = {n for n, value in trainer.graph.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith(("network.each", "network.encoder")) for name in changed)
    assert torch.equal(
        before["network.head.layers.0.weight"], phase.teacher.network.head.state_dict()["layers.0.weight"]
    )


# ---- several teachers -----------------------------------------------------------------------------------------------


class Aged(PushHome):
    def __init__(self, gain: float) -> None:
        self._gain = gain

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        return State({"age": torch.zeros(batch, 1)})

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, State]:
        return self._gain * truth["position"] + state["age"], State({"age": state["age"] + self._gain})


def test_each_world_has_its_own_teacher_with_its_own_state() -> None:
    places = torch.tensor([1, 0, 0, 1])
    both, alone = TeacherByWorld([Aged(0.25), Aged(-0.5)], places), [Aged(0.25), Aged(-0.5)]
    truth = Truth({"position": torch.tensor([[0.1], [0.2], [0.3], [0.4]])})
    state, states = both.initial_state(4), [teacher.initial_state(4) for teacher in alone]
    for step in range(4):
        label, state = both.label(Sensors({}), truth, state)
        found = [teacher.label(Sensors({}), truth, own) for teacher, own in zip(alone, states, strict=True)]
        expected = torch.stack([found[place][0][world] for world, place in enumerate(places.tolist())])
        assert torch.equal(label, expected)
        done = torch.tensor([step == 1, False, step == 2, False])
        state = both.reset_where(state, done)
        states = [t.reset_where(own, done) for t, (_, own) in zip(alone, found, strict=True)]


def test_labels_keep_to_the_bounds_of_an_action() -> None:
    labels = Labels(Aged(100.0), 2, torch.device("cpu"))

    class Worlds:
        sensors, truth = Sensors({}), Truth({"position": torch.tensor([[0.5], [-0.5]])})

    assert labels.of(Worlds()).flatten().tolist() == [1.0, -1.0]  # type: ignore[arg-type]
