"""The world a robot is simulated in: its MJCF, the ground, our actuators and sensors, compiled.

Actuators and sensors of the MJCF are replaced, so that every robot has the same ones: where the base floats,
`imu_orientation` (w, x, y, z), `imu_gyro` and `imu_accelerometer` at the site "imu", `base_position` (world) and
`base_linear_velocity` (base's frame); for each motor `joint/<joint>_position`, `_velocity` and `_torque`; and the
sensors that the robot's parts declare. Names of the world's own carry a prefix, so that a robot can have any.
"""

from __future__ import annotations

import warnings
from typing import Any

import mujoco

from policies.errors import UserError, one_line
from sim.physics.world import Solver
from sim.robots.robot import Frame, ModelSensor, Motor, Robot, joint_sensor
from sim.terrain.terrain import FRICTION, MATERIAL, Terrain

FLOOR = "floor"
BASE_FRAME = "world/base"
"""The site in the base's frame."""
MOST_GROUPS = 30
"""Pairs of groups of geoms that may touch each other, at most: each takes a bit of MuJoCo's masks."""


def build_model(robot: Robot, terrain: Terrain | None = None, solver: Solver | None = None) -> mujoco.MjModel:
    """The robot on a plane (geom "floor") or on `terrain`; one actuator per motor, in the robot's order.

    What may touch in the MJCF touches the ground, and other parts of the robot as `robot.contacts` says. A UserError
    says what does not fit between the MJCF and the robot.
    """
    spec = parse_mjcf(robot.mjcf(), f"the MJCF of robot {robot.name}")
    solver = solver or Solver()
    _options(spec, solver)
    _scene(spec)
    _check(spec, robot)
    try:
        _contacts(spec, robot)
        _ground(spec, terrain)
        if solver.contact is not None:
            for geom in spec.geoms:
                geom.solref = solver.contact
        _actuators(spec, robot)
        _sensors(spec, robot)
    except ValueError as error:
        raise UserError(f"robot {robot.name} does not fit into a world: {_one_line(error)}") from None
    return compile_spec(spec, f"the world of robot {robot.name}")


def parse_mjcf(text: str, what: str) -> Any:
    """MJCF text as an MjSpec; a UserError with MuJoCo's reason in one line otherwise."""
    try:
        return mujoco.MjSpec.from_string(text)
    except ValueError as error:
        raise UserError(f"{what} is not valid MJCF: {_one_line(error)}") from None


def compile_spec(spec: Any, what: str) -> mujoco.MjModel:
    """The compiled model; a UserError with MuJoCo's reason in one line otherwise."""
    try:
        with warnings.catch_warnings():
            # The user reads what MuJoCo warns of where the robot's file is read.
            warnings.filterwarnings("ignore", message="Inertia matrix is too close to singular")
            return spec.compile()
    except ValueError as error:
        raise UserError(f"{what} does not compile: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return one_line(error).removeprefix("Error: ").removeprefix("XML Error: ")


def _options(spec: Any, solver: Solver) -> None:
    """MuJoCo's own options but for the solver's: none of the robot's MJCF."""
    defaults = mujoco.MjSpec().option
    for name in dir(defaults):
        if not name.startswith("_"):
            setattr(spec.option, name, getattr(defaults, name))
    integrators, cones = mujoco.mjtIntegrator, mujoco.mjtCone
    spec.option.timestep = solver.timestep
    spec.option.integrator = {
        "euler": integrators.mjINT_EULER, "implicitfast": integrators.mjINT_IMPLICITFAST,
        "implicit": integrators.mjINT_IMPLICIT, "rk4": integrators.mjINT_RK4,
    }[solver.integrator]  # fmt: skip
    spec.option.cone = {"pyramidal": cones.mjCONE_PYRAMIDAL, "elliptic": cones.mjCONE_ELLIPTIC}[solver.cone]
    spec.option.iterations = solver.iterations
    spec.option.ls_iterations = solver.line_search
    spec.option.impratio = solver.impratio
    if not solver.islands:
        spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
    spec.memory = 2 << 20


def _scene(spec: Any) -> None:
    """Light, sky and a chequered ground for pictures."""
    spec.visual.headlight.diffuse = (0.5, 0.5, 0.5)
    spec.visual.headlight.ambient = (0.35, 0.35, 0.35)
    getattr(spec.visual, "global").offwidth = 1280
    getattr(spec.visual, "global").offheight = 960
    texture = mujoco.mjtTexture
    spec.add_texture(
        name="world/sky",
        type=texture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=(0.55, 0.68, 0.82),
        rgb2=(0.93, 0.95, 0.97),
        width=128,
        height=768,
    )
    spec.add_texture(
        name=MATERIAL,
        type=texture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE,
        rgb1=(0.42, 0.46, 0.48),
        rgb2=(0.48, 0.52, 0.54),
        markrgb=(0.6, 0.63, 0.65),
        width=128,
        height=128,
    )
    textures = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
    textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = MATERIAL
    spec.add_material(name=MATERIAL, textures=textures, texrepeat=(1, 1), texuniform=True, reflectance=0.05)
    spec.worldbody.add_light(
        name="world/sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=(0, 0, 10),
        dir=(0.3, 0.25, -1),
        diffuse=(0.6, 0.6, 0.6),
        castshadow=True,
    )


def _ground(spec: Any, terrain: Terrain | None) -> None:
    if terrain is not None:
        terrain.add_to(spec)
        return
    spec.worldbody.add_geom(
        name=FLOOR,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(0, 0, 0.5),
        material=MATERIAL,
        contype=1,
        conaffinity=0,
        friction=FRICTION,
    )


def _check(spec: Any, robot: Robot) -> None:
    """UserError for what the robot names and the MJCF does not have."""
    frames = [frame for part in robot.parts for frame in part.frames.values()]
    sensors = [sensor for part in robot.parts for sensor in part.sensors]
    touched = [sensor.of for sensor in sensors if sensor.kind == "contact"]
    links = [sensor.of for sensor in sensors if sensor.kind == "link_contact"]
    grouped = [name for pair in robot.contacts for group in pair for name in group]
    grouped += [name for name, _ in robot.friction]
    named = {
        "body": (spec.bodies, [robot.base, *links, *(frame.body for frame in frames if frame.body)]),
        "joint": (spec.joints, [motor.joint for motor in robot.motors]),
        "geom": (spec.geoms, [*(frame.geom for frame in frames if frame.geom), *touched, *grouped]),
    }
    for kind, (elements, names) in named.items():
        known = {element.name for element in elements}
        missing = [name for name in dict.fromkeys(names) if name not in known]
        if missing:
            have = ", ".join(sorted(filter(None, known))) or "none with a name"
            raise UserError(f"robot {robot.name}: the MJCF has no {kind} {', '.join(missing)}; it has {have}")
    if len(robot.contacts) > MOST_GROUPS:
        raise UserError(f"robot {robot.name}: contacts has {len(robot.contacts)} pairs, expected at most {MOST_GROUPS}")


def _contacts(spec: Any, robot: Robot) -> None:
    """What touches in the MJCF touches the ground, whose mask is the first bit; each pair of groups has one more."""
    for geom in spec.geoms:
        touches = geom.contype or geom.conaffinity
        geom.contype, geom.conaffinity = 0, 1 if touches else 0
        # The robot's own friction decides, so that randomizing it can also make the ground slippery. Group 0 is left
        # to the ground: rays see only that.
        geom.priority, geom.friction = 1, FRICTION
        geom.group = geom.group or 1
    for name, sliding in robot.friction:
        spec.geom(name).friction = (sliding, *FRICTION[1:])
    for bit, (ones, others) in enumerate(robot.contacts, 1):
        for name in ones:
            spec.geom(name).contype |= 1 << bit
        for name in others:
            spec.geom(name).conaffinity |= 1 << bit


def _actuators(spec: Any, robot: Robot) -> None:
    for replaced in (*spec.actuators, *spec.keys):
        spec.delete(replaced)
    for motor in robot.motors:
        _actuator(spec, motor)


def _actuator(spec: Any, motor: Motor) -> None:
    """gain * command + bias, see `Motor`."""
    actuator = spec.add_actuator(
        name=motor.joint, target=motor.joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcelimited=True,
        forcerange=(-motor.limit, motor.limit),
    )  # fmt: skip
    actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
    actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    actuator.gainprm[0] = motor.stiffness if motor.control == "position" else motor.damping
    actuator.biasprm[:3] = (0.0, -motor.stiffness if motor.control == "position" else 0.0, -motor.damping)
    actuator.ctrllimited = False


def _sensors(spec: Any, robot: Robot) -> None:
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    base = spec.body(robot.base)
    floats = any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in base.joints)
    kind, frame = mujoco.mjtSensor, mujoco.mjtObj

    def add(name: str, sensor: Any, at: Any, of: str) -> Any:
        return spec.add_sensor(name=name, type=sensor, objtype=at, objname=of)

    if floats:
        if spec.site("imu") is None:
            base.add_site(name="imu")
        base.add_site(name=BASE_FRAME, group=4)
        add("imu_orientation", kind.mjSENS_FRAMEQUAT, frame.mjOBJ_SITE, "imu")
        add("imu_gyro", kind.mjSENS_GYRO, frame.mjOBJ_SITE, "imu")
        add("imu_accelerometer", kind.mjSENS_ACCELEROMETER, frame.mjOBJ_SITE, "imu")
    joints = [motor.joint for motor in robot.motors]
    for joint in joints:
        add(joint_sensor(joint, "position"), kind.mjSENS_JOINTPOS, frame.mjOBJ_JOINT, joint)
    for joint in joints:
        add(joint_sensor(joint, "velocity"), kind.mjSENS_JOINTVEL, frame.mjOBJ_JOINT, joint)
    for joint in joints:
        add(joint_sensor(joint, "torque"), kind.mjSENS_ACTUATORFRC, frame.mjOBJ_ACTUATOR, joint)
    if floats:
        add("base_position", kind.mjSENS_FRAMEPOS, frame.mjOBJ_SITE, BASE_FRAME)
        add("base_linear_velocity", kind.mjSENS_VELOCIMETER, frame.mjOBJ_SITE, BASE_FRAME)
    for part in robot.parts:
        for name, place in part.frames.items():
            _frame(spec, name, place)
        for declared in part.sensors:
            _declared(add, declared)


def _frame(spec: Any, name: str, frame: Frame) -> None:
    """A site for a part's frame."""
    if frame.geom:
        geom = spec.geom(frame.geom)
        geom.parent.add_site(name=name, pos=geom.pos, group=4)
    else:
        spec.body(frame.body).add_site(name=name, pos=frame.position, quat=frame.orientation, group=4)


def _declared(add: Any, sensor: ModelSensor) -> None:
    """A part's sensor; `add` adds one to the model."""
    kind, frame = mujoco.mjtSensor, mujoco.mjtObj
    if sensor.kind in ("contact", "link_contact"):
        of = frame.mjOBJ_GEOM if sensor.kind == "contact" else frame.mjOBJ_XBODY
        added = add(sensor.name, kind.mjSENS_CONTACT, of, sensor.of)
        added.intprm[:3] = (1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1)
        return
    kinds = {
        "position": kind.mjSENS_FRAMEPOS, "orientation": kind.mjSENS_FRAMEQUAT,
        "linear_velocity": kind.mjSENS_FRAMELINVEL, "angular_velocity": kind.mjSENS_FRAMEANGVEL,
    }  # fmt: skip
    add(sensor.name, kinds[sensor.kind], frame.mjOBJ_SITE, sensor.of)
