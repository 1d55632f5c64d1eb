"""Terms as data: parameters and their limits, changes by name, and the way to plain settings and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.terms.stateful import History
from sim.tasks import TASKS, find_task
from sim.terms.parameters import Limits, NonNegative, Positive, Range, parameters_of
from sim.terms.terms import Reward, Termination
from sim.terms.view import View

GO1 = find_task("go1-velocity-flat")


def drag(
    view: View,
    *,
    height: Positive = 0.03,
    times: int = 2,
    squared: bool = False,
    frame: str = "world",
    band: Range = (0.0, 1.0),
) -> Tensor:
    return view["foot_height"][:, 0] < height


def test_parameters_are_the_keyword_only_arguments_with_a_default() -> None:
    found = parameters_of(drag)
    assert list(found) == ["height", "times", "squared", "frame", "band"]
    assert found["height"].limits == Limits(above=0.0) and found["times"].limits is None
    term = Reward(drag, 2.0, {"height": 1, "band": [0.5, 1]})
    assert term.settings() == {
        "weight": 2.0, "height": 1.0, "times": 2, "squared": False, "frame": "world", "band": (0.5, 1.0)
    }  # fmt: skip
    assert type(term.settings()["height"]) is float


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hight": 0.1}, "drag has no parameter 'hight'; did you mean height?"),
        ({"q": 0.1}, "drag has no parameter 'q'; there are height, times, squared, frame, band"),
        ({"height": 0.0}, "drag: height must be above 0.0, got 0.0"),
        ({"height": "tall"}, "drag: height must be a finite number, got 'tall'"),
        ({"height": float("nan")}, "drag: height must be a finite number, got nan"),
        ({"height": True}, "drag: height must be a finite number, got True"),
        ({"times": 1.5}, "drag: times must be a whole number, got 1.5"),
        ({"squared": 1}, "drag: squared must be true or false, got 1"),
        ({"frame": 3}, "drag: frame must be text, got 3"),
        ({"band": (1.0, 0.5)}, r"drag: band must be low, then high, got \(1.0, 0.5\)"),
        ({"band": 1.0}, "drag: band must be 2 numbers, got 1.0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Reward(drag, 1.0, parameters)


def weighted(view: View, *, weight: float = 1.0) -> Tensor:
    return view["foot_height"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reward(drag, float("inf")), "weight of drag must be a finite number, got inf"),
        (lambda: Reward(drag, "2"), "weight of drag must be a finite number, got '2'"),  # type: ignore[arg-type]
        (lambda: Reward(weighted, 2.0), "weighted must not have a parameter called weight"),
        (lambda: Termination("fall"), "a term needs a function, got 'fall'"),  # type: ignore[arg-type]
    ],
)
def test_a_term_that_makes_no_sense_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_limits_survive_annotations_that_only_a_type_checker_can_resolve() -> None:
    def function(view: Missing, *, width: NonNegative = 1.0, other: Missing = 2.0) -> Tensor: ...  # type: ignore[name-defined, empty-body]  # noqa: F821

    with pytest.raises(UserError, match=r"width must be at least 0.0, got -1"):
        Reward(function, 1.0, {"width": -1.0})
    assert Reward(function, 1.0, {"other": -1.0}).parameters["other"] == -1.0


def test_a_view_is_read_only_and_names_near_matches() -> None:
    view = View({"foot_height": torch.ones(2, 4)}, 2, 0.02, "cpu")
    assert list(view) == ["foot_height"] and "foot" not in view and len(view) == 1
    with pytest.raises(UserError, match=r"a term reads 'foot_hight', .* did you mean foot_height?"):
        view["foot_hight"]
    with pytest.raises(TypeError):
        view["foot_height"] = torch.ones(2, 4)  # type: ignore[index]


def test_a_task_is_changed_term_by_term() -> None:
    changed = GO1.changed(rewards={"drag": Reward(drag, -1.0), "torque": None}, name="mine")
    assert changed.name == "mine" and GO1.name == "go1-velocity-flat"
    assert list(changed.rewards) == [*(name for name in GO1.rewards if name != "torque"), "drag"]
    assert changed.changed(rewards={"drag": Reward(drag, 2.0)}).rewards["drag"].weight == 2.0
    with pytest.raises(UserError, match=r"rewards has no 'torqe' to take out; did you mean torque?"):
        GO1.changed(rewards={"torqe": None})
    with pytest.raises(UserError, match=r"a task has no field 'rewads'; did you mean rewards"):
        GO1.changed(rewads={})
    with pytest.raises(UserError, match=r"a term's name is made of letters, digits and _, got 'a.b'"):
        GO1.changed(rewards={"a.b": Reward(drag, 1.0)})


@pytest.mark.parametrize("name", TASKS)
def test_settings_are_plain_and_make_the_same_task_again(name: str) -> None:
    task = find_task(name)
    found = task.settings()
    assert task.with_settings(found).settings() == found

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return all(isinstance(v, int | float | str) for v in (value if isinstance(value, tuple) else (value,)))

    assert plain(found)


def test_settings_change_weights_and_parameters() -> None:
    changed = GO1.with_settings({"rewards": {"track_yaw": 1, "track_velocity": {"width": 0.5}}})
    assert changed.settings()["rewards"]["track_yaw"] == {"weight": 1.0, "width": 0.25}
    assert changed.settings()["rewards"]["track_velocity"] == {"weight": 2.0, "width": 0.5}
    assert GO1.settings()["rewards"]["track_velocity"] == {"weight": 2.0, "width": 0.25}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"reward": {}}, "there are no settings 'reward' in a task; did you mean rewards?"),
        ({"rewards": {"track_jaw": 1.0}}, "there is no rewards.track_jaw; did you mean track_yaw"),
        ({"rewards": {"track_yaw": {"widht": 1.0}}}, "there is no rewards.track_yaw.widht; did you mean width?"),
        ({"rewards": {"track_yaw": {"width": 0.0}}}, "rewards.track_yaw.width must be above 0.0, got 0.0"),
        ({"rewards": {"track_yaw": "much"}}, "rewards.track_yaw.weight must be a finite number"),
        ({"rewards": 3.0}, "rewards must hold terms by name, got 3.0"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_whole_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        GO1.with_settings(data)


def test_observation_terms_have_names_and_settings_that_their_history_follows() -> None:
    assert list(GO1.observation)[:2] == ["gravity", "angular_velocity"]
    changed = GO1.with_settings({"observation": {"angular_velocity": {"scale": 0.5}}})
    history = changed.observation["history"]
    assert isinstance(history, History)
    assert history.terms[1] is changed.observation["angular_velocity"]
    assert changed.settings()["observation"]["angular_velocity"] == {"scale": 0.5}
    # The period, which must agree with the world, is not a setting.
    assert GO1.settings()["observation"]["gait_clock"] == {"frequency": 3.0}
    with pytest.raises(UserError, match=r"observation.angular_velocity.scale must be a finite number, got 'x'"):
        GO1.with_settings({"observation": {"angular_velocity": {"scale": "x"}}})
    with pytest.raises(UserError, match="observation must hold terms by name"):
        GO1.changed(observation=tuple(GO1.observation.values()))


def test_a_guide_finds_its_columns_in_whatever_is_observed() -> None:
    assert GO1.guide is not None
    row = torch.zeros(1, GO1.observation_dim)
    shorter = GO1.changed(observation={"joint_position": None})
    assert shorter.guide is not None and shorter.observation_dim == GO1.observation_dim - 12
    start = sum(term.dim for term in GO1.observation_terms[:4])
    row[:, start] = 1.0
    row[:, -1] = 1.0
    assert bool(GO1.guide(row).any())
    torch.testing.assert_close(shorter.guide(torch.cat((row[:, :6], row[:, 18:]), -1)), GO1.guide(row))
    assert GO1.changed(observation={"gait_clock": None}).guide is None
    assert GO1.changed(observation={"gravity": None}).guide is None
