"""A policy in the browser: it runs in real time, and the user commands, pushes and restarts it."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import mujoco
import numpy as np

from policies.errors import UserError
from robo_rl.view.colours import flat_colour, in_linear_light
from robo_rl.view.show import Show, commands
from robo_rl.view.stage import find_stage

HOST = "127.0.0.1"
PICTURES = 25.0  # 1/s
MAX_LATENESS = 0.25  # s behind the clock; more is not made up for
PUSH = 1.0  # m/s
NAMES = ("forward", "left", "turn")
UNITS = ("m/s", "m/s", "rad/s")
SKY = (230, 237, 245)
LINES = (153, 161, 166)
AMBIENT = 0.8
"""Intensity of the light from all sides."""


def check_port(port: int) -> None:
    """Raise UserError when `port` of the loopback address is not free."""
    if not 1 <= port <= 65535:
        raise UserError(f"--port must be from 1 to 65535, got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"can't listen on {HOST}:{port} ({error.strerror}); choose another --port") from None


class Web:
    """A page with world 0 of `show`, served on the loopback address until `close`.

    Controls take effect between two steps, in the thread that calls `run`. Raises UserError when the port is taken.
    """

    def __init__(self, show: Show, port: int) -> None:
        check_port(port)
        import viser
        from mjviser import ViserMujocoScene

        self.show = show
        self.paused = False
        self.url = f"http://{HOST}:{port}"
        self._stage = find_stage(show.task, show.environment)
        self._data = mujoco.MjData(self._stage.model)
        self._changes: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._server: Any = viser.ViserServer(host=HOST, port=port, label=show.task.name, verbose=False)
        grounds = self._grounds()
        in_linear_light(self._stage.model)
        self._scene = ViserMujocoScene(self._server, self._stage.model, num_envs=1)
        self._light(grounds)
        self._status: Any = None
        self._aim_camera()
        self._controls()
        self.draw()

    def close(self) -> None:
        self._server.stop()

    def run(self, stop: Event) -> None:
        """Step the show in real time until `stop` is set; after a pause it does not catch up."""
        period = self.show.task.period
        stride = max(1, round(1.0 / (PICTURES * period)))
        due = time.monotonic()
        count = 0
        while not stop.is_set():
            self._apply_controls()
            if not self.paused:
                self.show.step()
            count += 1
            if count % stride == 0:
                self.draw()
            due = max(due + period, time.monotonic() - MAX_LATENESS)
            stop.wait(max(0.0, due - time.monotonic()))

    def draw(self) -> None:
        """Send the present state to the browsers."""
        self._stage.pose(0, self.show.truth, self._data)
        self._scene.update_from_mjdata(self._data)
        self._status.content = self._text()

    def _apply_controls(self) -> None:
        while True:
            try:
                change = self._changes.get_nowait()
            except queue.Empty:
                return
            change()

    def _grounds(self) -> dict[int, tuple[int, ...]]:
        """The colour [3] of every plane, 0 to 255, by its geom."""
        model = self._stage.model
        planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        return {int(g): tuple(int(v) for v in 255.0 * flat_colour(model, int(g))[:3]) for g in planes}

    def _light(self, grounds: Mapping[int, tuple[int, ...]]) -> None:
        """Dark and light parts, and grey ground below a pale sky, as in a film."""
        scene, model = self._server.scene, self._stage.model
        scene.configure_environment_map(environment_intensity=AMBIENT)
        scene.set_background_image(np.full((2, 2, 3), SKY, dtype=np.uint8))
        for geom, colour in grounds.items():
            body = model.body(model.geom_bodyid[geom]).name
            # In the place of the scene's own, which is nearly white.
            scene.add_grid(
                f"/fixed_bodies/{body}/{model.geom(geom).name}", infinite_grid=True, fade_distance=50.0,
                shadow_opacity=0.35, plane_color=colour, plane_opacity=1.0, cell_color=LINES, section_color=LINES,
                position=model.geom_pos[geom], wxyz=model.geom_quat[geom],
            )  # fmt: skip

    def _aim_camera(self) -> None:
        # The scene keeps the robot at its origin and moves the ground.
        away = self._stage.distance * np.array((0.75, -0.9, 0.45))
        self._server.initial_camera.position = away
        self._server.initial_camera.look_at = np.zeros(3)

    def _controls(self) -> None:
        gui = self._server.gui
        self._status = gui.add_markdown("")
        if commands(self.show.task):
            self._command_controls()
        with gui.add_folder("World"):
            self._button("Reset", self.show.restart)
            self._button("Push", self._push)
            pause = gui.add_checkbox("Pause", initial_value=False)
            pause.on_update(lambda _: self._changes.put(lambda: setattr(self, "paused", bool(pause.value))))
            if self.show.grounds:
                ground = gui.add_dropdown("Ground", self.show.grounds)
                level = gui.add_slider("Level", min=0, max=self.show.levels - 1, step=1, initial_value=0)

                def go() -> None:
                    self.show.go_to(ground.value, int(level.value))

                for control in (ground, level):
                    control.on_update(lambda _: self._changes.put(go))

    def _command_controls(self) -> None:
        spec = next(spec for spec in self.show.task.sensors if spec.name == "velocity_command")
        lows, highs = spec.low, spec.high
        gui = self._server.gui
        with gui.add_folder("Command"):
            sliders = [
                gui.add_slider(f"{name} {unit}", min=low, max=high, step=0.05, initial_value=0.0)
                for name, unit, low, high in zip(NAMES, UNITS, lows, highs, strict=True)
            ]
            own = gui.add_checkbox("Drawn by the task", initial_value=False)

        def give() -> None:
            self.show.command(None if own.value else [slider.value for slider in sliders])

        for control in (*sliders, own):
            control.on_update(lambda _: self._changes.put(give))
        give()

    def _button(self, name: str, act: Callable[[], None]) -> None:
        self._server.gui.add_button(name).on_click(lambda _: self._changes.put(act))

    def _push(self) -> None:
        """Push to the robot's left, where a walking robot falls most easily."""
        _, rotation = self._stage.base(self._data)
        self.show.push((rotation * PUSH)[:, 1].tolist())

    def _text(self) -> str:
        show = self.show
        lines = [f"**{show.seconds:.1f} s**, {show.falls} falls, {show.restarts} resets"]
        truth = show.truth
        if "velocity_command" in truth:
            velocity = (*truth["linear_velocity"][0, :2].tolist(), float(truth["angular_velocity"][0, 2]))
            rows = (("command", truth["velocity_command"][0].tolist()), ("true", velocity))
            lines += ["", "| | " + " | ".join(NAMES) + " |", "|---|---|---|---|"]
            lines += [f"| {name} | " + " | ".join(f"{value:+.2f}" for value in row) + " |" for name, row in rows]
        elif "position_error" in truth:
            lines.append(f"\n{100.0 * float(truth['position_error'][0].norm()):.1f} cm from the target")
        return "\n".join(lines)
