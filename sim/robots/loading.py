"""Robots from any MJCF with a short spec: a YAML file that says what the MJCF does not.

What a spec leaves out is taken from the MJCF where it says so: the base (the body with a free joint), the joints (all
hinges), limits, motors' gains and torques, the feet (the lowest geoms at the ends of the legs), the stance (keyframe
"home", or the first one), the stand height and the mirror (by place and axis). Joints that the spec does not list are
welded at 0. Actuators and sensors of the MJCF are replaced by ours when the world is built (sim.physics.mujoco.model).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import yaml

from policies.errors import UserError, one_line
from policies.validation import with_numbers
from sim.robots import derive
from sim.robots.legs import Legs
from sim.robots.robot import Robot

MENAGERIE = "menagerie:"
PER_JOINT = ("stance", "lying", "stiffness", "damping", "torque_limit", "joint_low", "joint_high", "joint_speed",
             "action_scale")  # fmt: skip
FIELDS = ("name", "mjcf", "base", "joints", "feet", "stand_height", "mirror", "mirror_sign", "gait", *PER_JOINT)
JOINT_SPEED, ACTION_SCALE = 30.0, 0.25
"""Largest joint speed in rad/s and action scale in rad where neither spec nor MJCF gives them."""


@dataclass(frozen=True)
class OwnRobot:
    """A robot from a user's files. `gait` is the phase of each foot in turns, `foot_height` m the height of the feet's
    centres above the ground in the stance; `digest` tells versions of the files apart."""

    robot: Robot
    gait: tuple[float, ...]
    foot_height: float
    digest: str


@dataclass(frozen=True)
class _Text:
    text: str

    def __call__(self) -> str:
        return self.text


def load_robot(mjcf: str = "", spec: str = "") -> OwnRobot:
    """The robot of an MJCF file, or of menagerie:NAME, and of a YAML spec; either may be omitted if the other is
    sufficient.

    Raises UserError, one line, for files that can't be read, malformed MJCF or YAML, names the MJCF does not have, and
    values that neither file gives.
    """
    given = _read_spec(Path(spec)) if spec else {}
    source = mjcf or _beside(spec, given)
    path = menagerie_path(source.removeprefix(MENAGERIE)) if source.startswith(MENAGERIE) else Path(source)
    what = f"robot {given.get('name') or _name(source)}"
    parsed = _parse(path, what)
    model = _compile(parsed, what)
    robot, gait, foot_height = _Builder(parsed, model, given, what).build(str(given.get("name") or _name(source)))
    digest = hashlib.sha256(path.read_bytes() + repr(sorted(given.items())).encode()).hexdigest()
    return OwnRobot(robot, gait, foot_height, digest[:12])


def menagerie_path(name: str) -> Path:
    """The MJCF of a robot of MuJoCo Menagerie, from the package's cache or downloaded into it."""
    try:
        import mujoco_menagerie
    except ModuleNotFoundError:
        raise UserError("menagerie: robots need the package mujoco-menagerie; pip install robo-rl[menagerie]") from None
    try:
        known = mujoco_menagerie.get(name)
        folder = Path(known.path(progress=None))
        return folder / str(known.entry(known.default_model).file)
    except mujoco_menagerie.UnknownRobotError as error:
        raise UserError(f"{MENAGERIE}{name}: {one_line(error)} Its robots: mujoco-menagerie names") from None
    except (mujoco_menagerie.MenagerieError, OSError) as error:
        raise UserError(
            f"{MENAGERIE}{name} is not in the cache and can't be downloaded ({one_line(error)}); without a network, "
            "set MENAGERIE_CACHE_DIR to a cache filled elsewhere, or MENAGERIE_ROOT to a checkout of mujoco_menagerie"
        ) from None


def _name(source: str) -> str:
    return source.removeprefix(MENAGERIE) if source.startswith(MENAGERIE) else Path(source).stem


def _beside(spec: str, given: Mapping[str, Any]) -> str:
    """The spec's own mjcf, relative to the spec."""
    own = given.get("mjcf")
    if not own:
        raise UserError("name the robot's MJCF with --robot.mjcf FILE, or with mjcf: FILE in its spec")
    return str(own) if str(own).startswith(MENAGERIE) else str(Path(spec).parent / str(own))


def _read_spec(path: Path) -> dict[str, Any]:
    try:
        document = with_numbers(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read the robot's spec {path}: {one_line(error)}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold fields such as 'mjcf: FILE' and 'feet: [...]', it holds {document!r}")
    unknown = [str(key) for key in document if key not in FIELDS]
    if unknown:
        raise UserError(f"{path} has no field {', '.join(unknown)}; fields: {', '.join(FIELDS)}")
    return document


def _parse(path: Path, what: str) -> Any:
    if not path.is_file():
        raise UserError(f"{what}: there is no MJCF file {path}")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise UserError(f"{what}: {path} is not valid MJCF: {one_line(error)}") from None
    # Meshes are found from wherever the text is compiled.
    spec.meshdir = str((path.parent / spec.meshdir).resolve())
    spec.texturedir = str((path.parent / spec.texturedir).resolve())
    return spec


def _compile(spec: Any, what: str) -> mujoco.MjModel:
    try:
        return spec.compile()
    except ValueError as error:
        raise UserError(f"{what}: its MJCF does not compile: {one_line(error)}") from None


class _Builder:
    """From a parsed MJCF, its compiled model and a spec to a `Robot`."""

    def __init__(self, spec: Any, model: mujoco.MjModel, given: Mapping[str, Any], what: str) -> None:
        self._spec, self._model, self._given, self._what = spec, model, given, what
        self._joints = self._names("joints", [model.joint(j).name for j in range(model.njnt)]) or derive.hinges(model)
        if not self._joints or not all(self._joints):
            raise UserError(f"{what}: its MJCF has no hinge with a name, or one without; name every joint")

    def build(self, name: str) -> tuple[Robot, tuple[float, ...], float]:
        model, given, what, joints = self._model, self._given, self._what, self._joints
        bodies = [model.body(b).name for b in range(1, model.nbody)]
        base = str(given.get("base") or derive.find_base(model, what))
        if base not in bodies:
            raise UserError(f"{what}: the MJCF has no body {base}; it has {', '.join(filter(None, bodies))}")
        motors = {joint: derive.motor(model, joint) for joint in joints}
        limits = {joint: derive.joint_limits(model, joint) for joint in joints}
        pose = derive.keyframe_pose(model, joints) or {}
        low = self._values("joint_low", lambda j: limits[j][0] if limits[j] else None)  # type: ignore[index]
        high = self._values("joint_high", lambda j: limits[j][1] if limits[j] else None)  # type: ignore[index]
        stance = self._values("stance", pose.get)
        data = derive.posed(model, dict(zip(joints, stance, strict=True)))
        feet = self._feet(data)
        names = tuple(model.geom(g).name or f"{model.body(model.geom_bodyid[g]).name}_foot" for g in feet)
        legs = Legs(
            feet=names,
            stance=stance,
            stand_height=self._stand_height(data, base, feet),
            lying=self._values("lying", dict(zip(joints, stance, strict=True)).get),
            action_scale=self._values("action_scale", lambda j: ACTION_SCALE),
            mirror=self._mirror(base, feet, names),
        )
        robot = Robot(
            name=name,
            mjcf=_Text(self._text(base, dict(zip(feet, names, strict=True)))),
            base=base,
            joints=tuple(joints),
            stiffness=self._values("stiffness", lambda j: motors[j].stiffness),
            damping=self._values("damping", lambda j: motors[j].damping),
            torque_limit=self._values("torque_limit", lambda j: motors[j].torque),
            joint_low=low,
            joint_high=high,
            joint_speed=self._values("joint_speed", lambda j: JOINT_SPEED),
            parts=(legs,),
        )
        heights = [float(data.geom_xpos[g, 2]) - derive.lowest_point(model, data, g) for g in feet]
        return robot, self._gait(data, base, feet), sum(heights) / len(heights)

    def _names(self, field: str, known: Sequence[str]) -> list[str]:
        names = self._given.get(field) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{self._what}: {field} must be a list of names, got {names!r}")
        missing = [name for name in names if name not in known]
        if missing:
            have = ", ".join(filter(None, known)) or "none with a name"
            raise UserError(f"{self._what}: the MJCF has no {', '.join(missing)} for {field}; it has {have}")
        return names

    def _values(self, field: str, derived: Callable[[str], float | None]) -> tuple[float, ...]:
        """One number per joint: from the spec as a number, a list in the joints' order or a mapping by joint name (or
        by a part of it), else derived."""
        given, joints = self._given.get(field), self._joints
        if isinstance(given, list):
            if len(given) != len(joints):
                raise UserError(f"{self._what}: {field} needs {len(joints)} values, one per joint, got {len(given)}")
            found: list[Any] = given
        elif isinstance(given, Mapping):
            found = [self._by_name(given, joint, derived) for joint in joints]
        else:
            found = [derived(joint) if given is None else given for joint in joints]
        lacking = [joint for joint, value in zip(joints, found, strict=True) if value is None]
        if lacking:
            example = f"{field}: VALUE, [VALUES] or {{{lacking[0]}: VALUE}}"
            raise UserError(
                f"{self._what}: its MJCF gives no {field} of {', '.join(lacking)}; add {example} to the spec"
            )
        wrong = [value for value in found if isinstance(value, bool) or not isinstance(value, int | float)]
        if wrong:
            raise UserError(f"{self._what}: {field} must hold numbers, got {wrong[0]!r}")
        return tuple(float(value) for value in found)

    def _by_name(self, given: Mapping[Any, Any], joint: str, derived: Callable[[str], float | None]) -> Any:
        """The value of the longest key that is part of the joint's name."""
        keys = sorted((key for key in given if str(key) in joint), key=lambda key: -len(str(key)))
        return given[keys[0]] if keys else derived(joint)

    def _feet(self, data: mujoco.MjData) -> list[int]:
        model = self._model
        names = self._names("feet", [model.geom(g).name for g in range(model.ngeom)])
        feet = [int(model.geom(name).id) for name in names] or derive.find_feet(model, data)
        if not feet:
            raise UserError(f"{self._what}: no geom at the end of a leg touches; add feet: [GEOM, ...] to the spec")
        return feet

    def _stand_height(self, data: mujoco.MjData, base: str, feet: Sequence[int]) -> float:
        given = self._given.get("stand_height")
        if isinstance(given, bool) or not isinstance(given, int | float | None):
            raise UserError(f"{self._what}: stand_height must be a number of m, got {given!r}")
        if given is not None:
            return float(given)
        lowest = min(derive.lowest_point(self._model, data, foot) for foot in feet)
        return float(data.xpos[self._model.body(base).id, 2]) - lowest

    def _mirror(self, base: str, feet: Sequence[int], names: Sequence[str]) -> Any:
        pairs = self._given.get("mirror")
        if pairs is None:
            return derive.find_mirror(self._model, self._joints, feet, base, self._what)
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise UserError(f"{self._what}: mirror must hold pairs of parts of names, as [[FR_, FL_]], got {pairs!r}")
        signs = self._given.get("mirror_sign") or {}
        if not isinstance(signs, Mapping):
            raise UserError(f"{self._what}: mirror_sign must map joints to 1 or -1, got {signs!r}")
        return derive.named_mirror([(a, b) for a, b in pairs], signs, self._joints, names, self._what)

    def _gait(self, data: mujoco.MjData, base: str, feet: Sequence[int]) -> tuple[float, ...]:
        """The phase of each foot in turns: given, or a trot of diagonal feet, or a walk of two sides in turns."""
        given = self._given.get("gait")
        if given is not None:
            if not isinstance(given, list) or len(given) != len(feet):
                raise UserError(f"{self._what}: gait needs {len(feet)} phases in turns, one per foot, got {given!r}")
            return tuple(float(phase) for phase in given)
        body = self._model.body(base).id
        places = (data.geom_xpos[list(feet)] - data.xpos[body]) @ data.xmat[body].reshape(3, 3)
        x, y = places[:, 0], places[:, 1]
        ahead = np.ones_like(x) if np.ptp(x) < 0.05 else np.sign(x - x.mean())
        return tuple(0.0 if value > 0 else 0.5 for value in ahead * np.sign(y))

    def _text(self, base: str, feet: Mapping[int, str]) -> str:
        """The robot alone as MJCF: a free base, the listed joints, no scene, no motors, no keyframes."""
        spec = self._spec
        for foot, name in feet.items():
            spec.geoms[foot].name = name
        for group in (spec.keys, spec.actuators, spec.sensors, spec.lights, spec.cameras):
            for element in list(group):
                spec.delete(element)
        for geom in list(spec.worldbody.geoms):
            spec.delete(geom)
        has_base = False
        for joint in list(spec.joints):
            if joint.type == mujoco.mjtJoint.mjJNT_FREE:
                has_base = has_base or joint.parent.name == base
            elif joint.name not in self._joints:
                spec.delete(joint)
        if not has_base:
            spec.body(base).add_freejoint()
        _compile(spec, self._what)
        return str(spec.to_xml())
