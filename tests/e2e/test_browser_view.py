"""The browser's viewer, driven in a real Chromium: what is clicked and typed there happens in the simulation."""

from __future__ import annotations

import io
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policies.errors import UserError
from robo_rl.evaluation.walking import WithTerrain
from robo_rl.view.show import Show
from robo_rl.view.web import Web
from sim.environment import VectorEnvironment
from sim.legged.ground.tiles import ScanSettings
from sim.legged.task import rough_task
from sim.robots.go1 import GO1
from sim.task import Task
from sim.tasks import find_task
from sim.tasks.go1_velocity_rough import SETTINGS
from sim.terrain.terrain import TerrainSettings
from tests.e2e.browser import chromium
from tests.e2e.processes import Process, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.realtime]


def standing(task: Task) -> Show:
    """The robot under a policy that always commands its stance."""
    network = torch.nn.Linear(task.observation_dim, task.action.dim)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return Show(task.policy_graph(network), task, imperfections=0.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def watched(task: Task) -> Iterator[Web]:
    """The viewer of a task, running in a thread."""
    view = Web(standing(task), free_port())
    stop = threading.Event()
    runner = threading.Thread(target=view.run, args=(stop,))
    runner.start()
    try:
        yield view
    finally:
        stop.set()
        runner.join(10.0)
        view.close()
    assert not runner.is_alive()


def seen(driver: Any, path: str) -> Any:
    """The first visible element at an XPath."""
    found: list[Any] = []

    def there() -> bool:
        found[:] = [element for element in driver.find_elements("xpath", path) if element.is_displayed()]
        return bool(found)

    eventually(there, f"the page shows {path}")
    return found[0]


@pytest.mark.timeout(180)
def test_clicks_and_sliders_reach_the_simulation_and_the_canvas_shows_it(tmp_path: Path) -> None:
    with watched(find_task("go1-velocity-flat")) as web, chromium(tmp_path / "profile") as driver:
        driver.get(web.url)
        show = web.show
        reset = seen(driver, "//button[normalize-space()='Reset']")

        field = seen(driver, "//label[contains(., 'forward')]/following::input[@inputmode='decimal'][1]")
        field.send_keys("\ue009a")  # Control-A
        field.send_keys("1.2\n")

        def commanded() -> bool:
            return abs(float(show.truth["velocity_command"][0, 0]) - 1.2) < 1e-5

        eventually(commanded, "the command arrives")
        assert show.truth["velocity_command"][0, 1:].tolist() == [0.0, 0.0]

        before = show.restarts
        reset.click()
        eventually(lambda: show.restarts == before + 1, "the reset arrives")
        eventually(commanded, "a new episode uses the slider, too")

        speeds: list[float] = []
        push = show.push

        def counted(velocity: Sequence[float]) -> None:
            push(velocity)
            speeds.append(float(np.linalg.norm(velocity)))

        show.push = counted  # type: ignore[method-assign]
        seen(driver, "//button[normalize-space()='Push']").click()
        eventually(lambda: len(speeds) == 1, "the push arrives")
        assert speeds[0] == pytest.approx(1.0, abs=0.05)

        seen(driver, "//label[contains(., 'Pause')]").click()
        eventually(lambda: web.paused, "it pauses")
        assert not uniform(seen(driver, "//canvas"))


@pytest.mark.timeout(180)
def test_ground_and_level_put_the_robot_there(tmp_path: Path) -> None:
    # As little ground as there can be: a browser without a graphics card draws it.
    terrain = TerrainSettings(kinds=("flat", "stairs_up"), rows=3, tile=4.0, resolution=0.2)
    task = rough_task(GO1, SETTINGS, terrain, ScanSettings())
    with watched(task) as web, chromium(tmp_path / "profile") as driver:
        web.paused = True
        driver.get(web.url)
        assert web.show.grounds == terrain.kinds

        def stands_on() -> tuple[str, int]:
            environment = web.show.environment
            assert isinstance(environment, VectorEnvironment)
            assert isinstance(environment.scenario, WithTerrain)
            names, kinds, levels = environment.scenario.terrain_places()
            return names[int(kinds[0])], int(levels[0])

        before = web.show.restarts
        seen(driver, "//label[contains(., 'Ground')]/following::input[1]").click()
        seen(driver, "//*[@role='option'][contains(., 'stairs_up')]").click()
        eventually(lambda: stands_on() == ("stairs_up", 0), "the ground arrives")
        eventually(lambda: web.show.restarts == before + 1, "and the robot restarts there")

        level = seen(driver, "//label[contains(., 'Level')]/following::input[@inputmode='decimal'][1]")
        level.send_keys("\ue009a")  # Control-A
        level.send_keys("2\n")
        eventually(lambda: stands_on() == ("stairs_up", 2), "the level arrives")
        # It stays there, whatever the curriculum would do with it.
        seen(driver, "//button[normalize-space()='Reset']").click()
        eventually(lambda: web.show.restarts > before + 2, "the reset arrives")
        assert stands_on() == ("stairs_up", 2)


def grey(canvas: Any) -> Any:
    """The picture on a canvas [H, W], from 0 for black to 255."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(canvas.screenshot_as_png)).convert("L"), dtype=float)


def uniform(canvas: Any) -> bool:
    """Whether a picture of the canvas's left half, where no panel covers it, has hardly any structure."""
    picture = grey(canvas)
    return bool(picture[:, : picture.shape[1] // 2].std() < 5.0)


@pytest.mark.timeout(180)
def test_the_robot_has_dark_and_light_parts_on_grey_ground(tmp_path: Path) -> None:
    """As in a film, where the trunk is at 35, the limbs are beyond 200 and the ground is at 127."""
    with watched(find_task("go1-velocity-flat")) as web, chromium(tmp_path / "profile") as driver:
        web.paused = True
        driver.get(web.url)
        canvas = seen(driver, "//canvas")

        def shades() -> tuple[float, float, float]:
            """Of the robot's darkest and lightest parts, and of the ground."""
            picture = grey(canvas)
            height, width = picture.shape
            robot = picture[int(0.44 * height) : int(0.62 * height), int(0.4 * width) : int(0.57 * width)]
            dark, light = np.percentile(robot, (2, 99))
            return float(dark), float(light), float(picture[-height // 6 :, : width // 2].mean())

        eventually(lambda: shades()[0] < 60.0, "the robot is drawn")
        dark, light, ground = shades()
        assert dark < 60.0 and light > 160.0, "the robot has dark and light parts"
        assert 95.0 < ground < 165.0, "the ground is grey"


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(UserError, match=f"can't listen on 127.0.0.1:{port}.*--port"):
            Web(standing(find_task("crazyflie-hover")), port)


def test_a_push_moves_the_robot() -> None:
    for name in ("crazyflie-hover", "go1-velocity-flat"):
        calm, pushed = (standing(find_task(name)) for _ in range(2))
        pushed.push((0.0, 1.0, 0.0))
        where = "base_position" if "base_position" in calm.truth else "position"
        for _ in range(5):
            calm.step()
            pushed.step()
        moved = pushed.truth[where][0] - calm.truth[where][0]
        share = float(moved[1]) / (5 * calm.task.period)
        assert 0.3 < share < 1.2, name
        assert abs(float(moved[0])) < 0.3 * float(moved[1]), name


def test_the_command_prints_its_address_and_ends_with_control_c(tmp_path: Path) -> None:
    small = ("--iterations", "1", "--num-worlds", "8", "--rollout-steps", "8", "--epochs", "1", "--minibatches", "1")
    run_dir = str(tmp_path / "run")
    train = Process(("train", "crazyflie-hover", "--algorithm", "ppo", "--run-dir", run_dir, *small))
    assert train.exit_code() == 0, train.output
    view = Process(("play", run_dir, "--web", "--port", str(free_port())))
    try:
        line = view.wait_for("open http")
        url = line.split("open ")[1].split()[0]
        with urllib.request.urlopen(url, timeout=10.0) as page:
            assert page.status == 200
        view.send(signal.SIGINT)
        assert view.exit_code() == 130
        assert "Traceback" not in view.output
    finally:
        view.end()
