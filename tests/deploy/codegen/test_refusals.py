"""What can't become C is refused in one line, and a folder is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.codegen import generate as generate_module
from deploy.codegen.generate import FILES, generate
from deploy.codegen.names import Names, member
from deploy.errors import BundleError
from robo_rl.cli.main import main
from tests.deploy.codegen.conftest import InC
from tests.deploy.codegen.harness import Model, design_for

W = np.ones((1, 9, 5), np.float32)
R = np.ones((1, 9, 3), np.float32)


def refused(build: Callable[[Model], str]) -> str:
    model = Model()
    model.output(build(model))
    with pytest.raises(BundleError) as caught:
        design_for(model)
    message = str(caught.value)
    assert "\n" not in message
    return message


def empty(m: Model) -> str:
    x = m.input(1, 4)
    return m.node("Concat", m.node("Gather", x, m.constant([], np.int64), axis=1), x, axis=1)


def gru(m: Model, **attributes: object) -> str:
    arguments = [m.input(1, 1, 5), m.constant(W), m.constant(R)]
    return m.nodes_of("GRU", arguments, 2, hidden_size=3, **attributes)[1]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda m: m.node("Erf", m.input(1, 4)), "node 'erf0' (Erf of [1, 4]) can't become C: this operator"),
        (lambda m: m.node("Pow", m.input(1, 4), m.constant(2.5)), "'pow0' (Pow of [1, 4], []) can't become C: the exp"),
        (lambda m: m.node("Conv", m.input(1, 1, 5, 5), m.constant(np.ones((1, 1, 3, 3)))), "over one axis"),
        (lambda m: m.node("Gemm", m.input(1, 4), m.input(4, 2)), "must be constant"),
        (lambda m: m.node("Gemm", m.input(4, 1), m.constant(np.ones((4, 2))), transA=1), "transposes its input"),
        (lambda m: m.node("Cast", m.node("Cast", m.input(1, 4), to=7), to=1), "int64"),
        (empty, "(Gather of [1, 4], [0]) can't become C: its result is empty"),
        (lambda m: gru(m, direction="reverse"), "GRU of [1, 1, 5]"),
        (lambda m: gru(m, activations=["Relu", "Tanh"]), "standard activations"),
        (lambda m: m.node("RandomNormalLike", m.input(1, 4)), "draws"),
    ],
)
def test_what_is_not_known_is_refused_by_name_operator_and_shape(build: Callable[[Model], str], words: str) -> None:
    assert words in refused(build)


def test_names_are_identifiers_each_once() -> None:
    names = Names()
    found = [names.fresh(hint) for hint in ("a/b.c:0", "a/b.c:0", "3rd", "while", "state", "é", "", "memcpy", "linux")]
    assert found == ["a_b_c_0", "a_b_c_0_2", "v3rd", "while_2", "state_2", "value", "value_2", "memcpy_2", "linux_2"]


@pytest.mark.parametrize("name", ["register", "class", "größe", "substep", "pooled"])
def test_a_member_that_c_or_cpp_can_not_have_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="another name"):
        member("sensor", name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 150.0}, "choose 100 or 200 Hz"),
        ({"rate": 0.0}, "not a whole multiple"),
        ({"kernel": "fp16"}, "there is no kernel 'fp16'; choose one of c,"),
    ],
)
def test_a_rate_or_kernel_that_does_not_fit_is_refused(
    hover: InC, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(BundleError) as caught:
        generate(hover.bundle.path, tmp_path / "c", **options)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_a_folder_is_replaced_whole_and_the_same_bytes_come_again(hover: InC, tmp_path: Path) -> None:
    out = tmp_path / "c"
    generate(hover.bundle.path, out)
    first = {name: (out / name).read_bytes() for name in FILES}
    (out / "policy.c").write_text("damaged")
    generate(hover.bundle.path, out)
    assert {name: (out / name).read_bytes() for name in os.listdir(out)} == first
    (out / "mine.c").write_text("int x;")
    with pytest.raises(BundleError, match=r"mine\.c"):
        generate(hover.bundle.path, out)


def test_a_failure_leaves_the_old_folder(hover: InC, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "c"
    generate(hover.bundle.path, out)
    before = (out / "policy.c").read_bytes()

    def fail(*arguments: object) -> str:
        raise BundleError("no")

    monkeypatch.setattr(generate_module, "selftest", fail)
    with pytest.raises(BundleError):
        generate(hover.bundle.path, out)
    assert (out / "policy.c").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["c"]


def test_the_command_writes_a_folder_and_says_what_it_costs(
    hover: InC, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["codegen", str(hover.bundle.path), str(tmp_path / "c"), "--rate", "200"]) == 0
    printed = capsys.readouterr().out
    assert "multiply-accumulates" in printed and "2 times per control period" in printed
    assert sorted(os.listdir(tmp_path / "c")) == sorted(FILES)
    readme = (tmp_path / "c" / "README.md").read_text()
    assert f"| policy_state, owned by the caller | {4 * (2 * 12 + 1)} bytes |" in readme


def test_a_mistake_is_one_line(hover: InC, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["codegen", str(hover.bundle.path), str(tmp_path / "c"), "--rate", "130"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["codegen", str(tmp_path / "nothing"), str(tmp_path / "c")]) == 2
    assert "does not exist" in capsys.readouterr().err
