"""The replay memory: what it gives back, and that a training that was killed finds what its checkpoint counts on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import UserError
from robo_rl.algorithms.replay import FILE, UNDO_FILE, Replay

WORLDS, WIDTHS = 3, {"observation": 2, "reward": 1, "terminated": 1, "truncated": 1}
ENDS = ("terminated", "truncated")


def rows(seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """Steps without end, the same from the same seed; the observation names step and world."""
    generator = torch.Generator().manual_seed(seed)
    step = 0
    while True:
        ended = torch.rand(2, WORLDS, generator=generator) < 0.15
        yield {
            "observation": torch.stack((torch.full((WORLDS,), float(step)), torch.arange(WORLDS) * 1.0), -1),
            "reward": torch.randn(WORLDS, generator=generator),
            "terminated": ended[0],
            "truncated": ended[1] & ~ended[0],
        }
        step += 1


def filled(steps: int, capacity: int = 24, seed: int = 1) -> Replay:
    replay = Replay(WORLDS, capacity, WIDTHS)
    for _, row in zip(range(steps), rows(seed), strict=False):
        replay.add(**row)
    return replay


def everything(replay: Replay) -> torch.Tensor:
    """All rows that are there, oldest first."""
    steps = torch.arange(replay.oldest, replay.count).repeat_interleave(WORLDS)
    worlds = torch.arange(WORLDS).repeat(replay.count - replay.oldest)
    return torch.cat(list(replay.read(steps, worlds).values()), -1)


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 30])
def test_it_holds_the_last_steps_and_names_them(steps: int) -> None:
    replay = filled(steps)
    assert replay.slots == 8
    assert replay.oldest == max(0, steps - 8)
    steps_drawn, worlds = replay.draw(500, torch.Generator().manual_seed(0))
    assert set(steps_drawn.tolist()) == set(range(replay.oldest, steps))
    assert set(worlds.tolist()) == set(range(WORLDS))
    observation = replay.read(steps_drawn, worlds)["observation"]
    assert torch.equal(observation, torch.stack((steps_drawn, worlds), -1).float())


@settings(max_examples=50, deadline=None)
@given(steps=st.integers(1, 30), length=st.integers(1, 6), discount=st.floats(0.0, 1.0), seed=st.integers(0, 999))
def test_what_follows_is_summed_up_to_the_episodes_end(steps: int, length: int, discount: float, seed: int) -> None:
    replay = filled(steps, seed=seed)
    history = [row for _, row in zip(range(steps), rows(seed), strict=False)]
    at, worlds = replay.draw(64, torch.Generator().manual_seed(seed))
    ahead = replay.ahead(at, worlds, length, discount, ENDS)
    for i, (step, world) in enumerate(zip(at.tolist(), worlds.tolist(), strict=True)):
        total, factor, last = 0.0, 1.0, step
        for k in range(step, min(step + length, steps)):
            total += factor * float(history[k]["reward"][world])
            factor, last = factor * discount, k
            if any(bool(history[k][end][world]) for end in ENDS):
                break
        assert float(ahead.reward[i]) == pytest.approx(total, abs=1e-5)
        assert float(ahead.discount[i]) == pytest.approx(factor, abs=1e-6)
        assert int(ahead.last[i]) == last
    assert bool(ahead.finite.all())


def test_rows_that_are_not_finite_are_marked_and_stored_as_zeros() -> None:
    replay = filled(4)
    row = next(rows(5))
    row["reward"][1] = float("nan")
    replay.add(**row)
    replay.add(**next(rows(6)))
    steps, worlds = torch.tensor([4, 4, 3, 3]), torch.tensor([0, 1, 0, 1])
    assert replay.finite(steps, worlds).tolist() == [True, False, True, True]
    assert bool(replay.read(steps, worlds)["reward"].isfinite().all())
    assert replay.ahead(steps, worlds, 2, 0.9, ()).finite.tolist() == [True, False, True, False]


@pytest.mark.parametrize("checkpoint", [0, 3, 8, 11])
@pytest.mark.parametrize("more", [1, 5, 8, 20])
def test_what_was_written_after_the_checkpoint_is_undone(checkpoint: int, more: int, tmp_path: Path) -> None:
    replay, source = Replay(WORLDS, 24, WIDTHS), rows(1)
    replay.open(tmp_path)
    for _ in range(checkpoint):
        replay.add(**next(source))
    state = replay.state()
    replay.saved()
    for _ in range(more):
        replay.add(**next(source))
    # The process is killed here: nothing is closed. Another one goes on from the checkpoint.
    again, source = Replay(WORLDS, 24, WIDTHS), rows(1)
    again.open(tmp_path)
    again.restore(state)
    assert torch.equal(everything(again), everything(filled(checkpoint)))
    for _ in range(checkpoint):
        next(source)
    for _ in range(13):
        again.add(**next(source))
    assert torch.equal(everything(again), everything(filled(checkpoint + 13)))


def test_killed_again_while_it_goes_on_and_between_two_checkpoints(tmp_path: Path) -> None:
    replay, source = Replay(WORLDS, 24, WIDTHS), rows(1)
    replay.open(tmp_path)
    states = {}
    for step in range(20):
        if step in (10, 14):
            states[step] = replay.state()
            if step == 10:
                replay.saved()
        replay.add(**next(source))
    # The second checkpoint never reached the disk: the first one still holds, however often the process is killed.
    for _ in range(2):
        again = Replay(WORLDS, 24, WIDTHS)
        again.open(tmp_path)
        again.restore(states[10])
        assert torch.equal(everything(again), everything(filled(10)))
        again.add(**next(rows(2)))


def test_a_checkpoint_on_disk_that_was_not_yet_reported_counts(tmp_path: Path) -> None:
    replay, source = Replay(WORLDS, 24, WIDTHS), rows(1)
    replay.open(tmp_path)
    for step in range(14):
        replay.add(**next(source))
        if step == 9:
            replay.saved()
    state = replay.state()
    # Killed between writing the checkpoint and reporting it: the undo file is about an older one.
    again = Replay(WORLDS, 24, WIDTHS)
    again.open(tmp_path)
    again.restore(state)
    assert torch.equal(everything(again), everything(filled(14)))


def test_half_a_slot_at_the_end_of_the_undo_file_is_left_out(tmp_path: Path) -> None:
    replay, source = Replay(WORLDS, 24, WIDTHS), rows(1)
    replay.open(tmp_path)
    for _ in range(10):
        replay.add(**next(source))
    state = replay.state()
    replay.saved()
    for _ in range(2):
        replay.add(**next(source))
    with (tmp_path / UNDO_FILE).open("ab") as file:
        file.write(b"half a slot")
    again = Replay(WORLDS, 24, WIDTHS)
    again.open(tmp_path)
    again.restore(state)
    assert torch.equal(everything(again), everything(filled(10)))


def test_in_memory_the_checkpoint_holds_the_rows() -> None:
    again = Replay(WORLDS, 24, WIDTHS)
    again.restore(filled(11).state())
    assert torch.equal(everything(again), everything(filled(11)))


def test_rows_that_are_gone_or_others_are_refused(tmp_path: Path) -> None:
    replay = Replay(WORLDS, 24, WIDTHS)
    replay.open(tmp_path)
    replay.add(**next(rows(1)))
    state = replay.state()
    (tmp_path / FILE).unlink()
    again = Replay(WORLDS, 24, WIDTHS)
    again.open(tmp_path)
    with pytest.raises(ValueError, match=r"replay\.bin, which is not there"):
        again.restore(state)
    with pytest.raises(ValueError, match=r"replay of shape \[8, 3, 6\], not \[9, 3, 6\]"):
        Replay(WORLDS, 27, WIDTHS).restore(state)
    with pytest.raises(UserError, match="a replay of 5 steps is less than two of each of 3 worlds; raise capacity"):
        Replay(WORLDS, 5, WIDTHS)


def test_a_full_disk_is_known_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Replay(WORLDS, 24, WIDTHS).open(tmp_path)
