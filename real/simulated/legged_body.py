"""A legged robot: physics, motors, and the state machine that decides what the motors do.

resting  motors damp, from the start on: a robot that restarts in mid-walk obeys nobody until it is armed
ready    motors damp; the first accepted command, near to where the joints are -> active
active   motors hold the newest accepted targets; the watchdog or a stop request -> failsafe or resting
failsafe motors damp: no stiffness, more damping; from here and from resting an arm request at rest and upright -> ready
estopped no torque at all, from any state; an arm request at rest -> ready
"""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np

from policies.terms.rotation import conjugate
from real.contract.mounting import body_orientation
from real.contract.robot import ESTOPPED, FAILSAFE, NOT_OBEYING, RESTING
from real.ros.elevation_messages import ElevationMap
from real.ros.fields import Array
from real.ros.legged_messages import AttitudeSample, JointCommand, JointSample
from real.ros.messages import ODOMETRY_FRAME, OdometrySample
from real.simulated.acceptance import CommandGate, CommandLimits
from real.simulated.course import Course
from real.simulated.legged_settings import MOTOR_RATE, RobotSettings
from real.simulated.robot_log import LoggedState, RobotLog
from real.simulated.sensors import turned
from sim.physics.mujoco.model import build_model
from sim.physics.world import Solver
from sim.robots.legs import Legs
from sim.robots.robot import Robot

READY, ACTIVE = "ready", "active"
STEPS_PER_TRUTH = 5
HANGS = 0.8
"""Height of the base in the lying pose, as a share of its height in the stance, above which a robot can't lie on the
ground, as a humanoid can't: a gantry holds its base at first."""
AT_REST = 0.5
"""Largest joint speed, in rad/s, of a robot at rest."""
FIRST_STEP = 0.3
"""Largest distance in rad from the joints to the first targets that a robot accepts, so that it never jumps."""
NEAR_LYING = 0.25
"""Largest distance in rad, averaged over the joints, to the lying pose of a robot that was stopped lying down."""
POSITION_NOISE = 0.003  # rad; encoder. A guess of the order of published training noise, as are the next four.
VELOCITY_NOISE = 0.1  # rad/s
ORIENTATION_NOISE = 0.005  # rad
RATE_NOISE = 0.02  # rad/s
ACCELERATION_NOISE = 0.1  # m/s^2


class LeggedBody:
    """One robot on its course, lying or held by a gantry at first. Times are in s on the robot's clock; `step` is one
    motor period."""

    def __init__(self, robot: Robot, settings: RobotSettings, log: RobotLog) -> None:
        self.robot = robot
        self.stiffness = np.array(robot.stiffness) * settings.stiffness_scale
        self.damping = np.array(robot.damping) * settings.damping_scale
        self.gate = CommandGate(CommandLimits(robot.joint_low, robot.joint_high))
        self._state_word = LoggedState(RESTING, log)
        self._settings = settings
        self._log = log
        self._course = Course(settings.terrain, settings.seed)
        self._model = build_model(robot, self._course.terrain, Solver(timestep=1.0 / MOTOR_RATE))
        self._data = mujoco.MjData(self._model)
        joints = [self._model.joint(name) for name in robot.joints]
        self._q = [int(joint.qposadr[0]) for joint in joints]
        self._qd = [int(joint.dofadr[0]) for joint in joints]
        self._sensors = {
            name: self._columns(name) for name in ("imu_orientation", "imu_gyro", "imu_accelerometer", "base_position")
        }
        free = self._model.body(robot.base).jntadr[0]
        self._pose, self._twist = int(self._model.jnt_qposadr[free]), int(self._model.jnt_dofadr[free])
        self._random = np.random.default_rng(settings.seed)
        self._target = np.array(robot.part(Legs).lying)
        self._steps = 0
        self._push_due = math.inf
        self._held_until = -math.inf
        self._put_down()

    @property
    def mode(self) -> str:
        """The robot's own word for its state."""
        return self._state_word.mode

    @property
    def cause(self) -> str:
        """Why it last stopped following its host."""
        return self._state_word.cause

    @property
    def at_rest(self) -> bool:
        """Whether the joints hardly move and the base is upright."""
        still = float(np.abs(self._data.qvel[self._qd]).max()) < AT_REST
        _, x, y, _ = self._data.qpos[self._pose + 3 : self._pose + 7]
        return still and 1.0 - 2.0 * (x * x + y * y) > 0.5

    @property
    def lies(self) -> bool:
        """Whether the joints are near the lying pose."""
        return float(np.abs(self._data.qpos[self._q] - self.robot.part(Legs).lying).mean()) < NEAR_LYING

    def command(self, sample: JointCommand, now: float) -> str:
        """Handle joint targets, by name, the only way for a host to reach the motors. Returns the cause of a
        rejection."""
        self._watch(now)
        cause = self._admit(sample, now)
        if cause:
            self._log.rejected(now, sample, cause)
        return cause

    def request(self, request: str, now: float) -> None:
        """Carry out "stop", "estop" or "arm", from anybody; other words are ignored."""
        if request == "estop":
            self._state_word.enter(ESTOPPED, now, "estop request")
        elif request == "stop" and self.mode not in NOT_OBEYING:
            self._state_word.enter(RESTING if self.lies else FAILSAFE, now, "stop request")
        elif request == "arm" and self.mode in NOT_OBEYING and self.at_rest:
            self._state_word.enter(READY, now, "arm request")

    def handle(self, words: str, now: float) -> None:
        """A person's action on the robot: "place" puts it down where it began, never while it is active; "push" and six
        numbers change the base's velocity in m/s along the world's axes and in rad/s about its own."""
        verb, *numbers = words.split()
        if verb == "place" and self.mode != ACTIVE:
            self._put_down()
            self._state_word.enter(RESTING, now, "placed on the ground")
        elif verb == "push" and len(numbers) == 6:
            self._data.qvel[self._twist : self._twist + 6] += np.array([float(n) for n in numbers])
            self._log.event(now, words)

    def step(self, now: float) -> None:
        """One motor period that ends at `now`."""
        self._watch(now)
        if now >= self._push_due:
            self._push_due = math.inf
            self.handle("push " + " ".join(map(str, (*self._settings.push, 0.0, 0.0, 0.0))), now)
        self._drive()
        if now < self._held_until:
            self._hold_base()
        mujoco.mj_step(self._model, self._data)
        if not np.isfinite(self._data.qpos).all():
            raise RuntimeError("the simulation has become unstable")
        self._steps += 1
        if self._steps % STEPS_PER_TRUTH == 0:
            pose = self._data.qpos[self._pose : self._pose + 7]
            values = {
                "position": pose[0:3], "orientation": pose[3:7], "joints": self._data.qpos[self._q],
                "target": self._target, "torque": self._data.actuator_force,
            }  # fmt: skip
            rounded = {name: value.round(5) for name, value in values.items()}
            self._log.step("truth", now, self.gate.silence(now), {"mode": self.mode, **rounded})

    def measure(self, stamp: int) -> tuple[JointSample, Array, AttitudeSample]:
        """Joints, their torques in Nm and the IMU's sample, with noise; `stamp` ns on the robot's clock."""
        data = self._data
        count = len(self._q)
        joints = JointSample(
            stamp,
            self.robot.joints,
            data.qpos[self._q] + self._noise(POSITION_NOISE, count),
            data.qvel[self._qd] + self._noise(VELOCITY_NOISE, count),
        )
        orientation, rates, acceleration = self._along_imu()
        imu = AttitudeSample(
            stamp,
            turned(orientation / np.linalg.norm(orientation), self._noise(ORIENTATION_NOISE, 3)),
            rates + self._noise(RATE_NOISE, 3),
            acceleration + self._noise(ACCELERATION_NOISE, 3),
        )
        return joints, data.actuator_force.copy(), imu

    def pose(self, stamp: int) -> OdometrySample:
        """The true pose and velocity of the base; `stamp` ns on the robot's clock."""
        position, orientation = np.split(self._data.qpos[self._pose : self._pose + 7].copy(), [3])
        linear, angular = np.split(self._data.qvel[self._twist : self._twist + 6].copy(), 2)
        return OdometrySample(stamp, position, orientation, linear, angular)

    def elevation(self, stamp: int) -> ElevationMap:
        """The true heights around the base; `stamp` ns on the robot's clock."""
        return self._course.elevation(self._data.qpos[self._pose : self._pose + 2], stamp, ODOMETRY_FRAME)

    def _along_imu(self) -> tuple[Array, Array, Array]:
        """Orientation, rates and specific force along the axes of the IMU."""
        names = ("imu_orientation", "imu_gyro", "imu_accelerometer")
        orientation, rates, acceleration = (np.array(self._data.sensordata[self._sensors[name]]) for name in names)
        if self.robot.imu is None:
            return orientation, rates, acceleration
        back = conjugate(self.robot.imu)
        for vector in (rates, acceleration):
            mujoco.mju_rotVecQuat(vector, vector.copy(), np.array(back))
        return body_orientation(orientation, back), rates, acceleration

    def _admit(self, sample: JointCommand, now: float) -> str:
        if self.mode in NOT_OBEYING:
            return self.gate.reject("not armed")
        unknown = set(sample.names) - set(self.robot.joints)
        if unknown:
            return self.gate.reject("unknown joint")
        if len(sample.names) != len(self.robot.joints):
            return self.gate.reject("wrong length")
        by_name = dict(zip(sample.names, sample.values, strict=True))
        ordered = replace(sample, names=self.robot.joints, values=tuple(by_name[name] for name in self.robot.joints))
        # Not-a-number compares as false here: the gate rejects it.
        if self.mode == READY and np.abs(ordered.values - self._data.qpos[self._q]).max() > FIRST_STEP:
            return self.gate.reject("far from the joints")
        cause = self.gate.admit(ordered, now)
        if cause:
            return cause
        self._log.accepted(now, ordered, self.gate.last_age)
        self._target = np.clip(ordered.values, self.robot.joint_low, self.robot.joint_high)
        if self.mode == READY and self._settings.push_at > 0.0:
            self._push_due = now + self._settings.push_at
        if self.mode == READY and self._held_until == math.inf:
            self._held_until = now + self._settings.gantry
        self._state_word.enter(ACTIVE, now, "command accepted")
        return ""

    def _watch(self, now: float) -> None:
        if self.mode == ACTIVE and self.gate.silence(now) > self._settings.watchdog:
            self._state_word.enter(FAILSAFE, now, f"no accepted command for {self._settings.watchdog:g} s")

    def _drive(self) -> None:
        """Set the motors' gains and targets; a wrong target stops the process rather than reach the motors."""
        if not np.isfinite(self._target).all():
            raise RuntimeError(f"joint targets {self._target} are not finite")
        if self.mode == ACTIVE:
            stiffness, damping = self.stiffness, self.damping
        else:
            passive = 0.0 if self.mode == ESTOPPED else self._settings.passive_damping
            stiffness, damping = np.zeros(len(self._q)), np.full(len(self._q), passive)
        self._model.actuator_gainprm[:, 0] = stiffness
        self._model.actuator_biasprm[:, 1] = -stiffness
        self._model.actuator_biasprm[:, 2] = -damping
        self._data.ctrl[:] = self._target

    def _hold_base(self) -> None:
        """Keep the base where it was put down, as a gantry does."""
        self._data.qpos[self._pose : self._pose + 7] = self._start
        self._data.qvel[self._twist : self._twist + 6] = 0.0

    def _put_down(self) -> None:
        """Lay the robot down just above the ground."""
        mujoco.mj_resetData(self._model, self._data)
        data, pose = self._data, self._pose
        data.qpos[self._q] = self.robot.part(Legs).lying
        for joint, value in self.robot.passive:
            data.joint(joint).qpos[0] = value
        ground, height = float(self._course.start[2]), self.robot.part(Legs).stand_height
        data.qpos[pose : pose + 3] = self._course.start
        data.qpos[pose + 2] += height
        self._target = np.array(self.robot.part(Legs).lying)
        mujoco.mj_forward(self._model, data)
        # Down in small steps until something touches.
        while data.ncon == 0 and data.qpos[pose + 2] > ground:
            data.qpos[pose + 2] -= 0.002
            mujoco.mj_forward(self._model, data)
        data.qpos[pose + 2] += 0.004
        mujoco.mj_forward(self._model, data)
        self._start = data.qpos[pose : pose + 7].copy()
        self._held_until = math.inf if self._start[2] - ground > HANGS * height else -math.inf

    def _columns(self, name: str) -> slice:
        sensor = self._model.sensor(name)
        return slice(int(sensor.adr[0]), int(sensor.adr[0]) + int(sensor.dim[0]))

    def _noise(self, sigma: float, count: int) -> Array:
        return self._random.normal(0.0, sigma * self._settings.noise, count)
