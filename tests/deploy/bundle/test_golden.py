"""Golden episodes by themselves: what is read back, and what is refused in which words."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deploy.bundle.golden import Episode, Golden, largest_difference
from deploy.bundle.manifest import Manifest
from deploy.errors import BundleError
from policies.specs import CommandSpec, SensorSpec, StateSpec
from tests.real.fake_robot import make_manifest

FIX = "; copy the bundle again, or export the policy again"
STEPS = 5


@pytest.fixture
def manifest() -> Manifest:
    sensors = (SensorSpec("range", 1, "m", "none", 0.0, 4.0), SensorSpec("position", 3, "m", "world", -9.0, 9.0))
    commands = (CommandSpec("thrust", 2, "N", 0.0, 3.0, 50.0, ("left", "right")),)
    states = (StateSpec("history", 2, (0.1, -1.0), between="first"), StateSpec("count", 1, 0.0, between="mean"))
    return make_manifest(sensors=sensors, commands=commands, states=states)


@pytest.fixture
def golden() -> Golden:
    random = np.random.default_rng(0)

    def floats(dim: int) -> NDArray[np.float32]:
        return random.normal(size=(STEPS, dim)).astype(np.float32)

    reset = np.array([True, False, False, True, False])
    states = {"history": floats(2), "count": floats(1)}
    states["history"][reset], states["count"][reset] = (0.1, -1.0), 0.0
    return Golden(reset, {"range": floats(1), "position": floats(3)}, states, {"thrust": floats(2)})


def arrays_of(golden: Golden) -> dict[str, Any]:
    with np.load(io.BytesIO(golden.to_bytes())) as archive:
        return {name: archive[name] for name in archive.files}


def refusal(arrays: dict[str, Any], manifest: Manifest) -> str:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    with pytest.raises(BundleError) as caught:
        Golden.from_bytes(stream.getvalue(), manifest)
    return str(caught.value)


def test_what_is_written_is_read_back(golden: Golden, manifest: Manifest) -> None:
    back = Golden.from_bytes(golden.to_bytes(), manifest)
    assert len(back) == len(golden) == STEPS
    assert back.reset.dtype == np.bool_
    np.testing.assert_array_equal(back.reset, golden.reset)
    for ours, theirs in (
        (back.sensors, golden.sensors),
        (back.states, golden.states),
        (back.commands, golden.commands),
    ):
        # In the manifest's order, whatever that of the file.
        assert list(ours) == list(theirs)
        for name, values in theirs.items():
            assert ours[name].dtype == np.float32
            np.testing.assert_array_equal(ours[name], values)


def test_the_file_is_the_documented_one_and_compressed(golden: Golden) -> None:
    arrays = arrays_of(golden)
    names = ["reset", "sensor.range", "sensor.position", "state.history", "state.count", "command.thrust"]
    assert list(arrays) == names
    assert arrays["reset"].dtype == np.bool_
    assert golden.to_bytes() == golden.to_bytes()
    long = Golden(np.ones(9999, bool), {}, {}, {"thrust": np.zeros((9999, 4), np.float32)})
    assert len(long.to_bytes()) < 0.1 * 9999


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("sensor.range"), "arrays sensor.range are missing or unknown"),
        (lambda a: a.pop("reset"), "arrays reset are missing or unknown"),
        (
            lambda a: (a.update(extra=np.zeros(1)), a.pop("command.thrust")),
            "arrays command.thrust, extra are missing or unknown",
        ),
        (lambda a: a.update(reset=a["reset"].astype(np.uint8)), "reset is uint8 (5,), expected bool [T], T > 1"),
        (lambda a: a.update(reset=a["reset"][:, None]), "reset is bool (5, 1), expected bool [T], T > 1"),
        (lambda a: a.update(reset=a["reset"][:1]), "reset is bool (1,), expected bool [T], T > 1"),
        (
            lambda a: a.update(reset=np.array([True] + 4 * [False])),
            "the episode must start with a reset and hold another one",
        ),
        (
            lambda a: a.update(reset=np.array([False] + 4 * [True])),
            "the episode must start with a reset and hold another one",
        ),
        (
            lambda a: a.update({"sensor.range": a["sensor.range"].astype(float)}),
            "sensor.range is float64 (5, 1), expected float32 (5, 1)",
        ),
        (
            lambda a: a.update({"command.thrust": a["command.thrust"][:4]}),
            "command.thrust is float32 (4, 2), expected float32 (5, 2)",
        ),
        (
            lambda a: a.update({"sensor.position": a["sensor.position"][:, :2]}),
            "sensor.position is float32 (5, 2), expected float32 (5, 3)",
        ),
        (
            lambda a: a["sensor.position"].__setitem__((4, 2), np.nan),
            "sensor.position holds values that are not finite",
        ),
        (lambda a: a["command.thrust"].__setitem__((0, 0), np.inf), "command.thrust holds values that are not finite"),
        (
            lambda a: a["state.history"].__setitem__((3, 1), -0.99),
            "state.history does not start from the manifest's reset value",
        ),
        (
            lambda a: a["state.count"].__setitem__((0, 0), 1e-7),
            "state.count does not start from the manifest's reset value",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    golden: Golden, manifest: Manifest, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    arrays = arrays_of(golden)
    change(arrays)
    assert refusal(arrays, manifest) == f"golden.npz: {words}{FIX}"


def test_two_steps_are_enough_and_both_may_be_resets(golden: Golden, manifest: Manifest) -> None:
    arrays = {name: values[[0, 3]] for name, values in arrays_of(golden).items()}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    assert len(Golden.from_bytes(stream.getvalue(), manifest)) == 2


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:-30], lambda b: b[:100] + b"\xff" * 20 + b[120:], lambda b: b"no npz"]
)
def test_a_damaged_file_is_refused_in_one_line(
    golden: Golden, manifest: Manifest, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(BundleError) as caught:
        Golden.from_bytes(damage(golden.to_bytes()), manifest)
    assert re.fullmatch(rf"golden\.npz can't be read \([^\n(]+.*\){re.escape(FIX)}", str(caught.value))


def test_objects_in_the_file_are_not_unpickled(golden: Golden, manifest: Manifest) -> None:
    words = refusal({**arrays_of(golden), "reset": np.array([None, {}], object)}, manifest)
    assert words.startswith("golden.npz can't be read (")
    assert "allow_pickle=False" in words


def test_the_largest_difference_is_relative_to_each_channels_span() -> None:
    values = np.array([[1.0, 20.0], [2.0, 10.0]], np.float32)
    assert largest_difference(values, values) == 0.0
    assert largest_difference(values, values + np.array([0.5, -4.0])) == 4.0
    assert largest_difference(values, values + np.array([0.5, -4.0]), (0.5, 8.0)) == 1.0
    assert largest_difference(values, values + np.array([0.1, -4.0]), (0.5, 8.0)) == 0.5
    assert largest_difference(np.zeros((0, 2), np.float32), np.zeros((0, 2))) == 0.0
    # float32 against float64: the difference is that of the values, not of their rounding.
    assert largest_difference(np.array([[1.0]], np.float32), np.array([[1.0 + 1e-12]])) == pytest.approx(
        1e-12, rel=1e-3
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_differs_infinitely(bad: float) -> None:
    values = np.array([[1.0, bad]], np.float32)
    assert largest_difference(values, np.ones((1, 2))) == float("inf")
    assert largest_difference(np.ones((1, 2), np.float32), values) == float("inf")


def visited(**changes: Any) -> Episode:
    reset = np.zeros((4, 2), bool)
    reset[0] = True
    sensors = {"range": np.zeros((4, 2, 1)), "position": np.zeros((4, 2, 3), np.float32)}
    return Episode(sensors | changes.get("sensors", {}), changes.get("reset", reset))


def test_visited_states_are_counted() -> None:
    assert visited().visited == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reset": np.ones(4, bool)}, "reset must be bool [T, N], got bool (4,)"),
        ({"reset": np.ones((4, 2, 1), bool)}, "reset must be bool [T, N], got bool (4, 2, 1)"),
        ({"reset": np.ones((4, 2), np.int8)}, "reset must be bool [T, N], got int8 (4, 2)"),
        ({"reset": np.ones((0, 2), bool)}, "reset must be bool [T, N], got bool (0, 2)"),
        ({"reset": np.ones((4, 0), bool)}, "reset must be bool [T, N], got bool (4, 0)"),
        (
            {"reset": np.array([[True, False], [True, True], [True, True], [True, True]])},
            "every robot must start with a reset, set reset[0] to true",
        ),
        ({"sensors": {"range": np.zeros((4, 2))}}, "sensor 'range' has shape (4, 2), expected (4, 2, dim)"),
        ({"sensors": {"range": np.zeros((3, 2, 1))}}, "sensor 'range' has shape (3, 2, 1), expected (4, 2, dim)"),
        ({"sensors": {"range": np.zeros((4, 1, 1))}}, "sensor 'range' has shape (4, 1, 1), expected (4, 2, dim)"),
        (
            {"sensors": {"position": np.full((4, 2, 3), np.nan)}},
            "sensor 'position' holds values that are not finite; record again",
        ),
    ],
)
def test_visited_states_that_can_not_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError) as caught:
        visited(**changes)
    assert str(caught.value) == f"visited states: {words}"
