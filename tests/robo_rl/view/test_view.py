"""Films and reports: what is drawn, what is written, and what is refused in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.errors import UserError
from robo_rl.cli.main import main
from robo_rl.view import gl, report
from robo_rl.view.film import FilmSettings, FollowCamera, check_target, encoder, record
from robo_rl.view.overlay import caption, write_lines
from robo_rl.view.renderer import Image
from robo_rl.view.show import Show
from sim.tasks import find_task

SMALL = FilmSettings(seconds=0.2, width=160, height=96)


def show_of(name: str, worlds: int = 1) -> Show:
    task = find_task(name)
    network = torch.nn.Linear(task.observation_dim, task.action.dim)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return Show(task.policy_graph(network), task, worlds, imperfections=0.0)


@pytest.fixture(scope="module")
def drawing() -> str:
    try:
        return gl.find_backend()
    except UserError as error:
        pytest.skip(str(error))


def frames(path: Path) -> tuple[str, Image]:
    """What ffmpeg says of a film, and its pictures [T, 96, 160, 3]."""
    import imageio_ffmpeg

    decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(decode, capture_output=True, check=True)
    return done.stderr.decode(), np.frombuffer(done.stdout, np.uint8).reshape(-1, 96, 160, 3)


@pytest.mark.parametrize("name", ["crazyflie-hover", "go1-velocity-flat"])
def test_a_film_has_its_size_length_codec_and_a_robot_in_it(drawing: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    count = record(show_of(name, 2), path, FilmSettings(seconds=0.2, width=160, height=96, robots=2))
    about, pictures = frames(path)
    assert len(pictures) == count == 5
    assert "h264" in about and "yuv420p" in about and "160x96" in about and "25 fps" in about
    middle = pictures[-1][30:70, 50:110].astype(float)
    assert middle.std() > 10.0
    assert os.listdir(tmp_path) == ["film.mp4"]


def test_a_film_can_be_an_animated_picture_that_repeats(drawing: str, tmp_path: Path) -> None:
    from PIL import Image as Picture

    record(show_of("crazyflie-hover"), tmp_path / "film.webp", SMALL)
    with Picture.open(tmp_path / "film.webp") as film:
        assert (film.format, film.size, film.n_frames, film.info["loop"]) == ("WEBP", (160, 96), 5, 0)  # type: ignore[attr-defined]


def test_a_film_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    picture = np.zeros((96, 160, 3), np.uint8)

    def break_off() -> None:
        with encoder(path, SMALL, 25.0) as send:
            send(picture)
            raise RuntimeError("broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        break_off()
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["film.mp4"]


def test_places_that_can_become_no_film_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path / "film.avi", "must end in .mp4 or .webp"),
        (tmp_path / "folder.mp4", "is a folder"),
        (tmp_path / "file" / "film.mp4", "can't be written"),
        (tmp_path / ("x" * 300) / "film.mp4", "can't be written"),
        (tmp_path / ("x" * 300 + ".mp4"), "can't be written"),
    ):
        with pytest.raises(UserError, match=reason):
            check_target(path)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"seconds": 1e9}, "at most 600"),
        ({"width": 161}, "width must be even"),
        ({"height": 10}, "height must be at least 64"),
        ({"robots": 0}, "robots must be at least 1"),
        ({"fps": float("nan")}, "fps must be"),
    ],
)
def test_film_settings_are_checked(settings: dict[str, float], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        FilmSettings(**settings)  # type: ignore[arg-type]


def test_a_machine_that_cannot_draw_is_observed_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "works", lambda name: False)
    gl.find_backend.cache_clear()
    with pytest.raises(UserError, match=r"egl and osmesa does not work.*apt-get install"):
        gl.find_backend()
    monkeypatch.setattr(gl, "works", lambda name: name == "osmesa")
    assert gl.find_backend() == "osmesa"
    gl.find_backend.cache_clear()


def test_the_camera_follows_softly_and_jumps_with_the_robot() -> None:
    camera = FollowCamera(2.0)
    camera.follow(np.zeros(3), 0.0)
    camera.follow(np.array((0.1, 0.0, 0.0)), 0.04)
    assert 0.0 < camera.camera.lookat[0] < 0.1
    camera.follow(np.array((8.0, 0.0, 0.0)), 0.08)
    assert camera.camera.lookat[0] == 8.0


def test_a_held_command_is_followed_as_fast_as_on_the_robot_and_again_after_a_restart() -> None:
    show = show_of("go1-velocity-flat")
    wanted = torch.tensor([0.5, -0.2, 0.1])
    show.command(wanted.tolist())
    for _ in range(2):
        observed = [show.sensors["velocity_command"][0]]
        assert observed[0].tolist() == [0.0, 0.0, 0.0]
        while len(observed) < 40:
            show.step()
            observed.append(show.sensors["velocity_command"][0])
        # 3 m/s^2 at the most, in steps of five control periods of 20 ms.
        largest = torch.stack(observed).diff(dim=0).abs().amax(0)
        assert 0.0 < float(largest[0]) <= 0.3 + 1e-6
        assert observed[-1].tolist() == pytest.approx(wanted.tolist())
        assert show.truth["velocity_command"][0].tolist() == pytest.approx(wanted.tolist())
        show.restart()
    show.command(wanted.tolist())
    while show.seconds < 0.8:
        show.step()
    assert "forward +0.50 m/s" in caption("t", 0.0, show.truth, 0)[1][0]
    with pytest.raises(UserError, match="takes no velocity command"):
        show_of("crazyflie-hover").command((1.0, 0.0, 0.0))


def test_text_changes_its_corner_alone() -> None:
    picture = np.full((540, 960, 3), 200, np.uint8)
    written = write_lines(picture, [("hello", (1.0, 0.0, 0.0, 1.0))])
    changed = np.argwhere((written != picture).any(-1))
    assert len(changed) and changed[:, 0].max() < 100 and changed[:, 1].max() < 300


@pytest.mark.slow
def test_a_report_stands_alone_and_a_run_without_curves_is_refused(
    drawing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    small = ("--num-worlds", "8", "--iterations", "2", "--rollout-steps", "8", "--epochs", "1", "--minibatches", "1")
    assert main(["train", "go1-velocity-flat", "--run-dir", str(folder), *small]) == 0
    out = tmp_path / "page.html"
    arguments = ("report", str(folder), "--episodes", "4", "--seconds", "0.2", "--out", str(out))
    assert main(arguments) == 0
    text = out.read_text()
    assert "data:video/mp4;base64," in text and "<svg" in text and "falls, of all episodes" in text
    for remote in ('src="http', 'href="http', "@import", "url(http"):
        assert remote not in text

    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2]

    def refused(reason: str, *words: str) -> None:
        capsys.readouterr()
        assert main(words) == 2
        said = capsys.readouterr().err
        assert re.search(reason, said) and said.count("\n") == 1, said

    metrics.write_text("")
    refused("holds no iteration", *arguments)
    metrics.write_text("\n".join(lines) + "\n")
    (folder / "checkpoint.pt").unlink()
    refused("there is no checkpoint", *arguments)
    refused("is not a run", "report", str(tmp_path))
    refused("--video FILE.mp4 .* or --web", "play", str(folder))
    refused("must end in .mp4", "play", str(folder), "--video", str(tmp_path / "film.gif"))
    refused("walks on flat ground|there is no checkpoint", "play", str(folder), "--web", "--level", "2")
    assert out.read_text() == text


def test_html_is_escaped() -> None:
    assert report.table(("a<b",), [("<script>",)]).count("<script>") == 0
    assert report.duration(31.0) == "31 s" and report.duration(7500.0) == "2 h 5 min"
