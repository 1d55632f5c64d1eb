from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from robo_rl.algorithms.registry import ALGORITHMS
from robo_rl.cli.main import COMMANDS, main
from robo_rl.cli.parsing import one_line
from robo_rl.workflows.processes import ProcessFailed, command, running
from sim.tasks import TASKS, find_task
from tests.robo_rl.short_task import shorter
from tests.robo_rl.tiny_environment import point_task

TINY = [
    "--num-worlds", "8", "--rollout-steps", "4", "--iterations", "3", "--epochs", "1",
    "--actor-hidden", "4", "--critic-hidden", "4",
]  # fmt: skip


@pytest.fixture(autouse=True)
def point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(TASKS, "point", point_task())
    monkeypatch.chdir(tmp_path)


MISTAKES = {
    "": "a subcommand is missing; choose one of tasks, train",
    "trian point": "there is no subcommand 'trian'; did you mean train?",
    "tasks extra": "Unrecognized options: extra",
    "train": "missing: TASK Name of the task",
    "train pont": "there is no task 'pont'. Did you mean point?",
    "train pont --horizon 5": "there is no task 'pont'. Did you mean point?",
    "train point --algorithm td7": "there is no algorithm 'td7'; algorithms: distill, flight, ppo, sac",
    "train point --discuont 0.9": "Unrecognized options: --discuont, 0.9; did you mean --discount?",
    "train point --discount 1.5": "discount must be at least 0.0 and at most 1.0, got 1.5",
    "train point --discount high": "--discount: expected a number, got 'high'",
    "train point --num-worlds 0": "num_worlds must be at least 1, got 0",
    "train point --seed 10000000": "seed must be at least 0 and at most 9999999, got 10000000",
    "train point --device tpu": "device must be cpu, cuda or cuda:N, got 'tpu'",
    "train point --device cuda:x": "device must be cpu, cuda or cuda:N, got 'cuda:x'",
    "train point --device cuda:99": "device is cuda:99, but torch finds",
    "train point --actor-hidden 4 0": "actor_hidden must hold layer widths of at least 1",
    "train point --threads 0": "threads must be at least 1",
    "train point --resume --run-dir nowhere": "nowhere holds no run to resume",
    "train point --resume --run-dir damaged": "damaged/config.yaml is damaged, it is no UTF-8 text; train again",
    "train point --run-dir file": "file is a file",
    "train point --run-dir file/run": "can't write into file/run (Not a directory); name another --run-dir",
    "train point --run-dir damaged": "damaged already holds a run (config.yaml); continue it with --resume",
    "eval nowhere": "nowhere does not exist; name a folder that",
    "eval nowhere --nominal --stress": "--nominal and --stress are opposites; give one of them",
    "eval nowhere --naive": "--naive says how to call a policy at another rate; give --rate, too",
    "eval empty": "empty is neither a run nor a bundle",
    "eval damaged": "damaged/config.yaml is damaged",
    "export nowhere --out bundle": "(No such file or directory); name the folder of a run that `robo-rl train` wrote",
    "export nowhere --out bundle --batch 0": "of a fixed batch is for 1 robot or more, got 0; choose --batch 1",
    "export nowhere --out damaged": "damaged holds 'config.yaml', which is not part of a bundle; choose another --out",
    "export nowhere": "missing: --out FOLDER Folder for the bundle; an earlier bundle is replaced",
    "rehearse nowhere": "nowhere does not exist; expected the folder that `robo-rl export` wrote",
    "rehearse nowhere --speed 0": "speed must be above 0.0, got 0.0",
    "verify nowhere": "nowhere does not exist; expected the folder that `robo-rl export` wrote",
    "verify file": "file is a file",
    "verify nowhere --json empty": "--json empty is a folder",
    "deploy nowhere": "nowhere does not exist",
    "deploy empty": "empty is not a bundle: it lacks policy.onnx",
    "deploy nowhere --bridge ws://127.0.0.1:9090": "--bridge goes with --serial; a robot behind",
    "deploy nowhere --url http://x": "url is 'http://x', expected ws://HOST:PORT",
    "bridge --port 70000": "port is 70000, expected 0 to 65535",
    "bridge --host 0.0.0.0": "can be reached from other machines: also give token, certificate, key",
    "robot": "the robot is missing; name one of crazyflie, mcu-quad, go1, h1, or a bundle's folder",
    "robot anymal": "there is no robot 'anymal' and no such folder; robots: crazyflie, mcu-quad, go1, h1",
    "robot mcu-quad nowhere": "nowhere does not exist; expected the folder that `robo-rl export` wrote",
    "robot mcu-quad nowhere --start 0 0 -1": "expected finite values and a height of at least 0 m",
    "robot crazyflie --parameters big": "invalid choice 'big'",
    "robot crazyflie --url here": "url is 'here', expected ws://HOST:PORT",
    "bench": "the benchmark's name is missing; benchmarks: hover, track, rotor, gpu, loop, env, walk, own, ppo, ",
    "bench speed": "there is no benchmark 'speed'",
    "bench loop --rates 0": "rates must be above 0 Hz",
    "bench loop --bundle nowhere": "nowhere does not exist; expected the folder that `robo-rl export` wrote",
    "bench chip --starts 0": "starts must be at least 1 and at most 100, got 0",
    "bench hover --seeds 0": "seeds must be at least 1, got 0",
    "bench all --out file": "can't make the folder file",
    "demo --duration 1": "duration must be at least 2 s",
    "demo --seed -1": "seed must be at least 0",
    "demo --out file": "can't make the folder file (File exists); name another --out",
    "doctor --jsn x": "did you mean --json?",
    "doctor --json file/x": "can't make the folder file (File exists); name another --json",
    "doctor --json /dev/full": "can't write /dev/full (No space left on device); name another file for --json",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_gets_one_line_and_exit_code_2(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/config.yaml").write_bytes(b"\xff\xfe\x00task")
    before = sorted(tmp_path.rglob("*"))
    assert main(line.split()) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("robo-rl: error: ")
    assert errors.count("\n") == 1
    assert MISTAKES[line] in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_train_eval_export_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "point", "--seed", "4", *TINY]) == 0
    run = tmp_path / "runs" / "point-ppo-4"
    assert main(["eval", str(run), "--episodes", "20", "--json", "out/eval.json"]) == 0
    evaluation = json.loads((tmp_path / "out/eval.json").read_text())
    assert evaluation["episodes"] == 20
    assert evaluation["success_at_0.1"]["low"] <= evaluation["success_at_0.1"]["value"]
    assert evaluation["imperfections"] == 1.0
    assert evaluation["versions"]["python"]
    assert main(["export", str(run), "--out", "bundle", "--episodes", "20", "--batch", "1"]) == 0
    assert (tmp_path / "bundle/policy_static.onnx").is_file()
    assert main(["verify", "bundle", "--json", "verify.json"]) == 0
    assert json.loads((tmp_path / "verify.json").read_text())["ok"] is True
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    assert manifest["provenance"]["config"]["seed"] == 4
    assert manifest["evaluation"]["episodes"] == 20
    assert main(["eval", "bundle", "--episodes", "20", "--json", "again.json"]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["distance_m"]["value"] == pytest.approx(evaluation["distance_m"]["value"], abs=1e-4)

    damaged = (tmp_path / "bundle/policy.onnx").read_bytes()
    (tmp_path / "bundle/policy.onnx").write_bytes(damaged[:-1] + bytes([damaged[-1] ^ 1]))
    assert main(["verify", "bundle", "--json", "verify.json"]) == 1
    assert json.loads((tmp_path / "verify.json").read_text())["ok"] is False
    capsys.readouterr()
    assert main(["eval", "bundle"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_resume_takes_the_run_s_own_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "point", "--run-dir", "run", "--seed", "4", *TINY]) == 0
    assert main(["train", "point", "--run-dir", "run", "--resume"]) == 0
    capsys.readouterr()
    assert main(["train", "point", "--run-dir", "run"]) == 2
    assert "run already holds a run" in capsys.readouterr().err
    assert main(["train", "point", "--run-dir=run", "--resume", "--epochs", "2"]) == 2
    assert "epochs is 1 in the run, 2 was given" in capsys.readouterr().err
    assert main(["train", "point", "--run-dir", "run", "--resume", "--seed", "5"]) == 2
    assert "seed is 4 in the run, 5 was given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("point --algorithm flight", "the flight trainer needs a quadrotor task, point is none; use --algorithm ppo"),
        ("point --imitation 5", "point has no guide to imitate; train it with imitation 0"),
        ("point --num-worlds 10 --blocks 3", "10 worlds don't divide into 3 equal blocks"),
    ],
)
def test_a_run_that_can_not_start_leaves_nothing_behind(
    line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    for folder in ("run", "there"):
        assert main(["train", *line.split(), "--run-dir", folder]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_a_checkpoint_of_another_policy_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "point", "--run-dir", "run", *TINY]) == 0
    configuration = tmp_path / "run/config.yaml"
    configuration.write_text(configuration.read_text().replace("actor_hidden:\n  - 4", "actor_hidden:\n  - 5"))
    for line in ("eval run", "export run --out bundle", "train point --resume --run-dir run"):
        capsys.readouterr()
        assert main(line.split()) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("robo-rl: error: run/checkpoint.pt does not fit run/config.yaml")
        assert errors.count("\n") == 1


def test_a_full_disk_ends_a_training_and_says_how_to_resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert main(["train", "point", "--run-dir", "run", "--checkpoint-every", "2", *TINY]) == 0
    (Path("run") / "checkpoint.pt").unlink()
    monkeypatch.setattr(os, "fsync", full)
    assert main(["train", "point", "--resume", "--run-dir", "run"]) == 2
    wanted = "can't write into run (No space left on device); make room there, then continue with --resume"
    assert f"{wanted} --run-dir run" in capsys.readouterr().err
    monkeypatch.undo()


def test_json_to_a_device_leaves_the_device_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = os.stat(os.devnull)
    assert main(["doctor", "--json", os.devnull]) == 0
    after = os.stat(os.devnull)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_doctor_lists_what_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "doctor.json"]) == 0
    report = json.loads((tmp_path / "doctor.json").read_text())
    assert report["extras"]["train"]["versions"]["torch"]
    assert report["machine"]["cores"] >= 1
    assert "torch" in capsys.readouterr().out


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from robo_rl.output import results

    there = results.installed_version
    absent = {"torch", "roslibpy"}
    monkeypatch.setattr(results, "installed_version", lambda name: None if name in absent else there(name))
    assert main(["doctor"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "pip install 'robo-rl[robot]' (missing: roslibpy)" in out
    assert "pip install 'robo-rl[train]' (missing: torch)" in out


def test_doctor_names_the_tools_of_generated_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda tool: None if tool == "qemu-system-arm" else f"/bin/{tool}")
    assert main(["doctor"]) == 0
    assert "make mcu-tools (missing: qemu-system-arm)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([name, "--help"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 0
    assert f"robo-rl {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "eval",
        *(f"train --algorithm {name}" for name in ALGORITHMS),
        "robot go1",
        "robot mcu-quad",
        "bridge",
        "bench mcu",
    ],
)
def test_the_help_breaks_no_sentence(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parser keeps the line breaks of a field's docstring, so each must be one line."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main([*words.split(), "--help"])
    rows = [line.strip("│| ") for line in capsys.readouterr().out.split("options", 1)[1].splitlines()]
    assert any(row.startswith("--") for row in rows)
    known = re.compile(r"show this help message and exit|[\w.-]+ options")
    assert [row for row in rows if row[:1].islower() and not known.fullmatch(row)] == []


def test_the_help_after_an_argument_shows_that_argument_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "bundle", "--help"])
    assert "usage: robo-rl verify [-h] BUNDLE" in capsys.readouterr().out


def test_a_field_s_help_is_its_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--algorithm", "ppo", "--help"])
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--gae-lambda FLOAT Decay of generalised advantage estimation: 0 trusts the critic, 1 the rollout." in out


BOX = """
╭─ Value error ──╮
│ Error parsing  │
│ --a: bad 'x'   │
│ ────────────── │
│ For more...    │
╰────────────────╯
"""
BOX_IN_ASCII = """
 Value error
 ----------------
  Error parsing
  --a: bad 'x'
  --------------
  For more...
"""


@pytest.mark.parametrize("box", [BOX, BOX_IN_ASCII])
def test_wrapped_boxes_become_one_line(box: str) -> None:
    assert one_line(box, "robo-rl x") == "--a: bad 'x' (see robo-rl x --help)"


@pytest.mark.realtime
def test_ctrl_c_ends_without_a_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(command(["bridge", "--port", "0"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"bridge ready ws://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode in (0, 130)
    assert b"Traceback" not in errors


def test_a_process_that_does_not_start_says_why(tmp_path: Path) -> None:
    bridge = running(["bridge", "--port", "70000"], "bridge ready", tmp_path / "log")
    with pytest.raises(ProcessFailed, match=r"robo-rl bridge ended with 2: .*expected 0 to 65535"), bridge:
        pass


def test_a_walking_run_is_exported_with_its_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "go1-velocity-flat"
    monkeypatch.setitem(TASKS, name, shorter(find_task(name), 100))
    small = ["--num-worlds", "16", "--rollout-steps", "4", "--iterations", "1", "--final-std", "0"]
    assert main(["train", name, "--run-dir", "run", *small]) == 0
    assert main(["export", "run", "--out", "bundle", "--episodes", "8"]) == 0
    printed = capsys.readouterr().out
    assert "falls, of all episodes" in printed and "|v_xy - command|" in printed
    assert main(["verify", "bundle"]) == 0
