"""The world a legged robot is simulated in: its MJCF, the ground, our actuators and sensors, compiled.

Actuators and sensors that the MJCF brings along are replaced, so every robot has the same ones:
`imu_orientation` (w, x, y, z), `imu_gyro` and `imu_accelerometer` at the site "imu"; `<joint>_position`, `_velocity`
and `_torque`; `base_position` (world) and `base_linear_velocity` (body frame); `<foot>_contact` (above 0 in contact),
`<foot>_position` and `<foot>_velocity` (world).
"""

from __future__ import annotations

from typing import Any

import mujoco

from policies.errors import UserError
from sim.physics.world import Solver
from sim.robots.legged import LeggedRobot
from sim.terrain.terrain import FRICTION, MATERIAL, Terrain

FLOOR = "floor"


def build_model(robot: LeggedRobot, terrain: Terrain | None = None, solver: Solver | None = None) -> mujoco.MjModel:
    """The robot on a plane (geom "floor") or on `terrain`; one position actuator per joint, in the spec's order.

    An actuator gives stiffness * (control - q) - damping * qd, limited to +-torque_limit. The robot touches the ground
    alone, not itself. A UserError says what does not fit between the MJCF and the spec.
    """
    spec = parse_mjcf(robot.mjcf(), f"the MJCF of robot {robot.name}")
    solver = solver or Solver()
    _options(spec, solver)
    _scene(spec)
    _check_names(spec, robot)
    for geom in spec.geoms:
        touches = geom.contype or geom.conaffinity
        geom.contype, geom.conaffinity = 0, 1 if touches else 0
        # The robot's own friction decides, so that randomizing it can also make the ground slippery. Group 0 is left
        # to the ground: rays see that alone.
        geom.priority, geom.friction = 1, FRICTION
        geom.group = geom.group or 1
    _ground(spec, terrain)
    if solver.contact is not None:
        for geom in spec.geoms:
            geom.solref = solver.contact
    _actuators(spec, robot)
    _sensors(spec, robot)
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
        return spec.compile()
    except ValueError as error:
        raise UserError(f"{what} does not compile: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).removeprefix("Error: ").removeprefix("XML Error: ")


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
        name="walking_sky",
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
        name="walking_sun",
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


def _check_names(spec: Any, robot: LeggedRobot) -> None:
    kinds = {"body": spec.bodies, "joint": spec.joints, "geom": spec.geoms}
    asked = {"body": (robot.base,), "joint": robot.joints, "geom": robot.feet}
    for kind, names in asked.items():
        known = {element.name for element in kinds[kind]}
        missing = [name for name in names if name not in known]
        if missing:
            have = ", ".join(sorted(filter(None, known))) or "none with a name"
            raise UserError(f"robot {robot.name}: the MJCF has no {kind} {', '.join(missing)}; it has {have}")


def _actuators(spec: Any, robot: LeggedRobot) -> None:
    for replaced in (*spec.actuators, *spec.keys):
        spec.delete(replaced)
    rows = zip(robot.joints, robot.stiffness, robot.damping, robot.torque_limit, strict=True)
    for joint, stiffness, damping, torque in rows:
        actuator = spec.add_actuator(
            name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcelimited=True, forcerange=(-torque, torque)
        )
        actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
        actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        actuator.gainprm[0] = stiffness
        actuator.biasprm[:3] = (0.0, -stiffness, -damping)
        actuator.ctrllimited = False


def _sensors(spec: Any, robot: LeggedRobot) -> None:
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    base = spec.body(robot.base)
    if spec.site("imu") is None:
        base.add_site(name="imu")
    kind, frame = mujoco.mjtSensor, mujoco.mjtObj

    def add(name: str, sensor: Any, at: Any, of: str) -> None:
        spec.add_sensor(name=name, type=sensor, objtype=at, objname=of)

    base.add_site(name="base_frame", group=4)
    add("imu_orientation", kind.mjSENS_FRAMEQUAT, frame.mjOBJ_SITE, "imu")
    add("imu_gyro", kind.mjSENS_GYRO, frame.mjOBJ_SITE, "imu")
    add("imu_accelerometer", kind.mjSENS_ACCELEROMETER, frame.mjOBJ_SITE, "imu")
    for joint in robot.joints:
        add(f"{joint}_position", kind.mjSENS_JOINTPOS, frame.mjOBJ_JOINT, joint)
    for joint in robot.joints:
        add(f"{joint}_velocity", kind.mjSENS_JOINTVEL, frame.mjOBJ_JOINT, joint)
    for joint in robot.joints:
        add(f"{joint}_torque", kind.mjSENS_ACTUATORFRC, frame.mjOBJ_ACTUATOR, joint)
    add("base_position", kind.mjSENS_FRAMEPOS, frame.mjOBJ_SITE, "base_frame")
    add("base_linear_velocity", kind.mjSENS_VELOCIMETER, frame.mjOBJ_SITE, "base_frame")
    for foot in robot.feet:
        sensor = spec.add_sensor(
            name=f"{foot}_contact", type=kind.mjSENS_CONTACT, objtype=frame.mjOBJ_GEOM, objname=foot
        )
        sensor.intprm[:3] = (1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1)
    for foot in robot.feet:
        geom = spec.geom(foot)
        geom.parent.add_site(name=f"{foot}_site", pos=geom.pos, group=4)
    for foot in robot.feet:
        add(f"{foot}_position", kind.mjSENS_FRAMEPOS, frame.mjOBJ_SITE, f"{foot}_site")
    for foot in robot.feet:
        add(f"{foot}_velocity", kind.mjSENS_FRAMELINVEL, frame.mjOBJ_SITE, f"{foot}_site")
