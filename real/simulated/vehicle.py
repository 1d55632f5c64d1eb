"""The vehicle: physics, ground, onboard controller, and the state machine that decides what drives the rotors.

holding -> flying            an accepted command releases it from its start point
flying  -> failsafe          no accepted command for 0.2 s, or a stop request: level descent, then rotors off
any     -> estopped          rotors off at once
flying  -> landed            a stop request on the ground: rotors off
failsafe, landed, estopped -> ready     an arm request at rest on the ground
ready   -> flying            an accepted command
"""

from __future__ import annotations

import numpy as np
import torch

from real.contract.robot import ESTOPPED, FAILSAFE, LANDED, NOT_OBEYING
from real.ros.messages import ActuatorSample, Array, rotation_matrix
from real.simulated.acceptance import CommandGate, CommandLimits
from real.simulated.ground import touch
from real.simulated.onboard import OnboardController
from real.simulated.robot_log import LoggedState, RobotLog
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.rotors import GRAVITY, RotorParameters

WATCHDOG = 0.2
"""Time in s without an accepted command after which a flying vehicle starts its own fail-safe."""
HARD_IMPACT = 2.0
"""Speed in m/s beyond which touching the ground counts as a crash, as does a tilt above 60 degrees."""

HOLDING, FLYING, READY = "holding", "flying", "ready"
OBEYING = frozenset({HOLDING, FLYING, READY})


class Vehicle:
    """One quadrotor. Times are in s on the robot's clock; `step` advances the physics by `dt` s."""

    def __init__(
        self, parameters: RotorParameters, start: tuple[float, float, float], dt: float, log: RobotLog
    ) -> None:
        self._p = parameters
        self._start = np.array(start)
        self._physics = RotorPhysics(1, parameters, dt)
        self._state = self._physics.state.numpy()[0]  # A live view: the physics writes into it.
        self._onboard = OnboardController(parameters)
        self._log = log
        self._command = np.zeros(4)
        self._previous_velocity = np.zeros(3)
        self._dt = dt
        self.gate = CommandGate(CommandLimits((0.0,) * 4, (parameters.max_speed,) * 4))
        self._state_word = LoggedState(HOLDING, log)
        self._put_at_start()

    @property
    def mode(self) -> str:
        """The vehicle's own word for its state."""
        return self._state_word.mode

    @property
    def cause(self) -> str:
        """Why it last stopped following its host."""
        return self._state_word.cause

    @property
    def state(self) -> Array:
        """Position 3, orientation w, x, y, z 4, linear velocity 3 (world), angular velocity 3 (body), rotor speed 4."""
        state: Array = self._state.astype(np.float64)
        return state

    @property
    def on_ground(self) -> bool:
        """Whether the vehicle stands on the ground."""
        return bool(self._state[2] <= 1e-3) and float(np.linalg.norm(self._state[7:10])) < 0.05

    def command(self, sample: ActuatorSample, now: float) -> str:
        """Handle a rotor command, the only way for a host to reach the rotors. Returns the cause of a rejection."""
        if self.mode not in OBEYING:
            cause = self.gate.reject("not armed")
        else:
            self._watch(now)  # A command after the time-out is too late, even in the same step.
            cause = self.gate.admit(sample, now) if self.mode != FAILSAFE else self.gate.reject("not armed")
        if cause:
            self._log.rejected(now, sample, cause)
            return cause
        self._log.accepted(now, sample, self.gate.last_age)
        self._command = np.clip(sample.velocity, 0.0, self._p.max_speed)
        self._state_word.enter(FLYING, now, "command accepted")
        return ""

    def request(self, request: str, now: float) -> None:
        """Carry out "stop", "estop" or "arm", from anybody; other words are ignored."""
        if request == "estop":
            self._state_word.enter(ESTOPPED, now, "estop request")
        elif request == "stop" and self.mode in OBEYING:
            self._state_word.enter(LANDED if self.on_ground else FAILSAFE, now, "stop request")
        elif request == "arm" and self.mode in NOT_OBEYING and self.on_ground:
            self._state_word.enter(READY, now, "arm request")

    def place(self, now: float) -> None:
        """Put the vehicle back to its start point: what a person does with a test stand, never while it flies."""
        if self.mode != FLYING:
            self._put_at_start()
            self._state_word.enter(HOLDING, now, "placed on the test stand")

    def step(self, now: float) -> None:
        """One step of `dt` s that ends at `now`."""
        self._watch(now)
        self._drive(now)
        self._previous_velocity = self._state[7:10].astype(np.float64)
        self._physics.step(torch.from_numpy(self._applied[None].astype(np.float32)))
        self._touch_ground(now)

    def specific_force(self) -> Array:
        """What an accelerometer reads, [3] m/s^2 in the body frame, over the last step."""
        acceleration = (self._state[7:10] - self._previous_velocity) / self._dt
        force: Array = rotation_matrix(self._state[3:7]).T @ (acceleration + np.array([0.0, 0.0, GRAVITY]))
        return force

    def _watch(self, now: float) -> None:
        if self.mode == FLYING and self.gate.silence(now) > WATCHDOG:
            self._state_word.enter(FAILSAFE, now, "no accepted command for 0.2 s")

    def _drive(self, now: float) -> None:
        """Choose the rotor speeds of this step; a wrong one stops the process before it reaches the rotors."""
        state = self.state
        if self.mode == FLYING:
            source, speeds = "policy", self._command
        elif self.mode == HOLDING:
            source, speeds = "onboard", self._onboard.hold(state, self._start)
        elif self.mode == FAILSAFE and not self.on_ground:
            source, speeds = "onboard", self._onboard.descend(state)
        else:
            source, speeds = "off", np.zeros(4)
        if not (np.isfinite(speeds).all() and (speeds >= 0.0).all() and (speeds <= self._p.max_speed).all()):
            raise RuntimeError(f"rotor speeds {speeds} ({source}) are not within 0 and {self._p.max_speed} rad/s")
        self._applied = speeds
        values: dict[str, str | Array] = {"source": source, "rotor_speed": speeds, "position": state[0:3]}
        self._log.step("applied", now, self.gate.silence(now), values)

    def _touch_ground(self, now: float) -> None:
        met = touch(self._state)
        if met is None:
            return
        if self.mode != ESTOPPED and (met.speed > HARD_IMPACT or met.upright < 0.5):
            self._state_word.enter(ESTOPPED, now, "crashed")
        if self.mode == FAILSAFE:
            self._log.event(now, "failsafe has landed", once=True)

    def _put_at_start(self) -> None:
        hover = self._p.hover_fraction * self._p.max_speed
        self._state[:] = (*self._start, 1.0, *[0.0] * 9, *[hover] * 4)
        self._applied = np.full(4, hover)
