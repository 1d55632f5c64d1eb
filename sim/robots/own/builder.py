"""From a robot's file and its spec to a `Robot`, question by question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from policies.errors import UserError, one_line
from sim.robots import derive
from sim.robots.legs import Legs, Mirror, Sole
from sim.robots.own import feet, gains, motors, stance, steps, text
from sim.robots.own.files import compiled, read_model, without_options
from sim.robots.own.floating import Floating, float_base
from sim.robots.own.given import Given
from sim.robots.own.imu import find_imu
from sim.robots.own.joints import Joints, choose_joints
from sim.robots.own.tree import Tree, find_tree, touching
from sim.robots.robot import Robot

PER_JOINT = ("stance", "lying", "stiffness", "damping", "torque_limit", "joint_low", "joint_high", "joint_speed",
             "action_scale")  # fmt: skip
FIELDS = ("name", "mjcf", "base", "joints", "passive", "feet", "stand_height", "mirror", "mirror_sign", "gait",
          *PER_JOINT)  # fmt: skip
JOINT_SPEED = 30.0
"""Largest joint speed in rad/s where the spec does not give it."""
REACH, SHORT_REACH, STABLE = 0.6, 0.25, 4
"""Action scale in rad where the spec does not give it: of a robot that stands by itself, on at least `STABLE` feet, as
far from the stance as a scripted gait wants targets (a step at 1 m/s turns a Go1's thighs by half a radian); and of any
other."""
NEARLY = 0.02
"""Distance in rad by which a keyframe may be beyond a limit; it is moved to the limit."""


@dataclass(frozen=True)
class Built:
    """See `sim.robots.loading.OwnRobot`; `further` are files beside the robot's that were read."""

    robot: Robot
    gait: tuple[float, ...]
    foot_height: float
    feet: tuple[tuple[str, ...], ...]
    mass: float
    warnings: tuple[str, ...]
    sources: Mapping[str, tuple[str, ...]]
    further: tuple[Path, ...]
    timestep: float


@dataclass(frozen=True)
class _Text:
    text: str

    def __call__(self) -> str:
        return self.text


def build(path: Path, document: Mapping[str, Any], name: str, before: bool = False) -> Built:
    """The robot called `name`; UserError, one line, for what does not fit. `before` as in `load_robot`."""
    what = f"robot {name}"
    try:
        return _Builder(path, Given(document, what), name).build(before)
    except UserError:
        raise
    except UnicodeDecodeError:
        raise UserError(f"{what}: {path} has a name that is not in UTF-8; save it as UTF-8") from None
    except (ValueError, mujoco.FatalError) as error:
        # What MuJoCo loads and this program can't use is the user's to know, in one line.
        raise UserError(f"{what}: {path} can't be used: {one_line(error)}") from None


class _Builder:
    def __init__(self, path: Path, given: Given, name: str) -> None:
        self._given, self._name, self._what = given, name, given.what
        spec, self._unnamed, self._warnings = read_model(path, self._what)
        first = compiled(spec, self._what, self._warnings)
        # Lines on the file as it is, before anything of it is changed.
        before = find_tree(first, self._base(), self._what)
        self._warnings += [*text.dropped(spec, before), *motors.without_disabled(spec)]
        without_options(spec)
        self._floating: Floating = float_base(spec, before, path, self._what)
        self._warnings += self._floating.warnings
        self._spec = self._floating.spec
        self._model = model = compiled(self._spec, self._what)
        self._tree: Tree = find_tree(model, self._floating.base, self._what)
        self._names = {j: str(model.joint(j).name) for j in range(model.njnt)}
        every = [self._names[j] for j in self._tree.joints()]
        self._joints: Joints = choose_joints(
            self._tree, given.names("joints", every), given.names("passive", every), self._unnamed,
            lambda joint: given.has("stiffness", joint), self._what,
        )  # fmt: skip
        given.joints, given.every = self._joints.policy, every
        self._warnings += self._joints.warnings

    def _base(self) -> str:
        return str(self._given.document.get("base") or "")

    def build(self, before: bool) -> Built:
        model, tree, given, joints = self._model, self._tree, self._given, self._joints.policy
        drives = {joint: motors.drive(model, joint) for joint in joints}
        self._warnings += motors.narrowed(drives.values())
        self._warnings += [warning for joint in joints for warning in drives[joint].warnings]
        self._warnings += motors.left_out(model, joints)
        limits = {joint: derive.joint_limits(model, joint) for joint in joints}
        low = given.values("joint_low", lambda j: limits[j][0] if limits[j] else None)  # type: ignore[index]
        high = given.values("joint_high", lambda j: limits[j][1] if limits[j] else None)  # type: ignore[index]
        touch = touching(self._spec, tree) | set(given.names("feet", self._geoms()))
        pose = self._stance(dict(zip(joints, zip(low, high, strict=True), strict=True)), touch)
        passive, missed = self._passive(pose)
        data = derive.posed(model, {**pose, **passive})
        groups = self._feet(data, touch)
        names = self._foot_names(groups)
        reach = SHORT_REACH if before or len(groups) < STABLE else REACH
        base, mirror = tree.name(tree.base), self._mirror(groups, names)
        stiffness, damping, sources = self._gains(drives, {**pose, **passive}, groups, mirror)
        if missed > stance.APART:
            self._warnings.append(
                f"in the stance its constraints miss each other by {missed:.3g} m or rad, and pull the joints away"
            )
        legs = Legs(
            feet=tuple(names.values()),
            stance=tuple(pose[joint] for joint in joints),
            stand_height=self._stand_height(data, groups),
            lying=given.values("lying", pose.get),
            action_scale=given.values("action_scale", lambda j: reach),
            mirror=mirror,
            soles=self._soles(groups, names),
        )
        imu = find_imu(tree)
        self._warnings += imu.warnings
        renamed = self._renamed(groups, names)
        robot = Robot(
            name=self._name,
            mjcf=_Text(text.robot_text(self._spec, tree, self._joints, touch, renamed, imu.position, self._what)),
            base=base,
            joints=joints,
            stiffness=stiffness,
            damping=damping,
            torque_limit=given.values("torque_limit", lambda j: drives[j].torque),
            joint_low=low,
            joint_high=high,
            joint_speed=given.values("joint_speed", lambda j: JOINT_SPEED),
            parts=(legs,),
            contacts=self._contacts(touch, renamed),
            imu=imu.orientation,
            passive=tuple(passive.items()),
        )
        heights = [float(data.geom_xpos[g, 2]) - derive.lowest_point(model, data, g) for foot in groups for g in foot]
        mass = float(sum(model.body_mass[body] for body in tree.robot))
        shown = tuple(tuple(self._shown(geom, names, foot) for geom in foot) for foot in groups)
        gait = self._gait(data, groups)
        further = () if self._floating.scene is None else (self._floating.scene,)
        spring, damper = (dict(zip(joints, values, strict=True)) for values in (stiffness, damping))
        timestep = steps.timestep(model, {**pose, **passive}, spring, damper)
        lines = tuple(dict.fromkeys(self._warnings))
        return Built(robot, gait, sum(heights) / len(heights), shown, mass, lines, sources, further, timestep)

    def _geoms(self) -> list[str]:
        model, robot = self._model, self._tree.robot
        own = [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in robot]
        return [name for g in own if (name := str(model.geom(g).name)) not in self._unnamed]

    def _stance(self, limits: Mapping[str, tuple[float, float]], touch: set[str]) -> dict[str, float]:
        """The stance of the policy's joints: the spec's, or the keyframe's, or derived."""
        given, joints, frame = self._given, self._joints.policy, self._floating.pose
        if all(given.has("stance", joint) for joint in joints):
            return dict(zip(joints, given.values("stance", lambda joint: None), strict=True))
        why = "" if frame else "the file has no keyframe"
        if frame:
            found = {joint: frame.get(joint, 0.0) for joint in joints}
            for joint, (low, high) in limits.items():
                if low - NEARLY <= found[joint] <= high + NEARLY:
                    found[joint] = min(max(found[joint], low), high)
            beyond = [joint for joint, (low, high) in limits.items() if not low <= found[joint] <= high]
            if beyond and all(frame.get(joint) == self._start(joint) for joint in joints):
                at = f"{beyond[0]} can't be at {found[beyond[0]]:g} rad"
                why = f"{self._floating.pose_from} gives no positions, and {at}"
            elif wrong := [joint for joint in beyond if not given.has("stance", joint)]:
                joint = wrong[0]
                raise UserError(
                    f"{self._what}: stance of {joint} must be in {list(limits[joint])}, got {found[joint]} from "
                    f"{self._floating.pose_from}; change that, or add stance: {{JOINT: RAD, ...}} to the spec"
                )
            elif self._floating.scene:
                self._warnings.append(f"the stance is from {self._floating.pose_from}")
        if why:
            # The spec's limits, which the file may lack, hold here too.
            for joint, span in limits.items():
                j = self._model.joint(joint).id
                self._model.jnt_limited[j], self._model.jnt_range[j] = True, span
            found = self._equal_sides(stance.derived_stance(self._tree, joints, touch))
            found = {joint: min(max(found[joint], low), high) for joint, (low, high) in limits.items()}
            self._warnings.append(f"{why}: the stance is derived, with the feet below the hips")
        return dict(zip(joints, given.values("stance", found.get), strict=True))

    def _start(self, joint: str) -> float:
        """Where the file puts a joint without a keyframe, rad or m."""
        model = self._model
        return float(model.qpos0[int(model.joint(joint).qposadr[0])])

    def _equal_sides(self, pose: Mapping[str, float]) -> dict[str, float]:
        """The mean of a pose and its mirror image; the pose of a robot that has none."""
        joints = self._joints.policy
        try:
            mirror = self._mirror([], {})
        except UserError:
            return dict(pose)
        own = np.array([pose[joint] for joint in joints])
        mean = 0.5 * (own + np.array(mirror.joint_sign) * own[list(mirror.joint_from)])
        return dict(zip(joints, map(float, mean), strict=True))

    def _passive(self, pose: Mapping[str, float]) -> tuple[dict[str, float], float]:
        """Where the passive joints are in the stance, and by how much the constraints miss."""
        if not self._joints.passive:
            return {}, 0.0
        model, frame, start = self._model, self._floating.pose, {}
        for joint in self._joints.passive:
            own = self._given.value("stance", joint)
            at = frame.get(joint, self._start(joint))
            start[joint] = at if own is None else self._given.number("stance", own)
        return stance.assembled(model, pose, start)

    def _gains(
        self,
        drives: Mapping[str, motors.Drive],
        pose: Mapping[str, float],
        groups: Sequence[Sequence[int]],
        mirror: Mirror,
    ) -> tuple[tuple[float, ...], tuple[float, ...], dict[str, tuple[str, ...]]]:
        """Stiffness and damping, and where gains and torque limits are from."""
        given, joints = self._given, self._joints.policy
        soft = [j for j in joints if not given.has("stiffness", j) and drives[j].stiffness is None]
        loose = [j for j in joints if not given.has("damping", j) and drives[j].damping is None]
        rule = gains.derived_gains(self._model, self._tree.robot, joints, pose, groups, mirror)
        stiffness = given.values("stiffness", lambda j: drives[j].stiffness or rule.stiffness[j])
        own = dict(zip(joints, stiffness, strict=True))

        def damping_of(joint: str) -> float:
            known = drives[joint].damping
            return rule.damping(joint, own[joint]) if known is None else known

        damping = given.values("damping", damping_of)
        # A loop may carry what a joint of it need not.
        of_file = [j for j in joints if j not in soft and not given.has("stiffness", j) and not self._joints.passive]
        self._warnings += gains.too_soft(rule, {j: own[j] for j in of_file})
        if soft:
            self._warnings.append(gains.said("stiffness", {j: own[j] for j in soft}))
        if loose:
            ours = dict(zip(joints, damping, strict=True))
            self._warnings.append(gains.said("damping", {j: ours[j] for j in loose}))

        def source(field: str, joint: str, of_file: str) -> str:
            return "spec" if given.has(field, joint) else of_file or "derived"

        words: dict[str, Callable[[str], str]] = {
            "joint_low": lambda j: "the joint's range",
            "joint_high": lambda j: "the joint's range",
            "stiffness": lambda j: drives[j].gains_from if j not in soft else "",
            "damping": lambda j: drives[j].gains_from if j not in loose else "",
            "torque_limit": lambda j: drives[j].torque_from,
        }
        return stiffness, damping, {
            field: tuple(source(field, j, word(j)) for j in joints) for field, word in words.items()
        }  # fmt: skip

    def _feet(self, data: mujoco.MjData, touch: set[str]) -> list[list[int]]:
        named = self._given.names("feet", self._geoms())
        if named:
            return feet.links_of(self._model, [int(self._model.geom(name).id) for name in named])
        found = feet.find_feet(self._tree, data, touch)
        if not found:
            raise UserError(f"{self._what}: no geom at the end of a leg touches; add feet: [GEOM, ...] to the spec")
        return found

    def _foot_names(self, groups: Sequence[Sequence[int]]) -> dict[int, str]:
        """A name for each foot, by its first geom: its geom's, or its link's for several."""
        model, taken = self._model, set(self._geoms())
        names: dict[int, str] = {}
        for foot in groups:
            body, geom = str(model.body(model.geom_bodyid[foot[0]]).name), str(model.geom(foot[0]).name)
            name = body if len(foot) > 1 else f"{body}_foot" if geom in self._unnamed else self._in_world(geom)
            while name in names.values() or (len(foot) == 1 and geom in self._unnamed and name in taken):
                name += "_"
            names[foot[0]] = name
        return names

    def _renamed(self, groups: Sequence[Sequence[int]], names: Mapping[int, str]) -> dict[str, str]:
        """New names of geoms, by the old ones: those of single feet without a name, and those that worlds have."""
        model = self._model
        renamed = {name: self._in_world(name) for name in text.OURS}
        single = [foot[0] for foot in groups if len(foot) == 1]
        return renamed | {
            str(model.geom(g).name): names[g] for g in single if str(model.geom(g).name) in self._unnamed
        }  # fmt: skip

    def _in_world(self, geom: str) -> str:
        """The name of a geom in a world, which has some of its own."""
        taken = {str(self._model.geom(g).name) for g in range(self._model.ngeom)} - {geom}
        while geom in text.OURS or geom in taken:
            geom = f"robot/{geom}"
        return geom

    def _shown(self, geom: int, names: Mapping[int, str], foot: Sequence[int]) -> str:
        own = str(self._model.geom(geom).name)
        return names[foot[0]] if own in self._unnamed and len(foot) == 1 else own

    def _soles(self, groups: Sequence[Sequence[int]], names: Mapping[int, str]) -> tuple[Sole, ...]:
        """The feet of several geoms, and those whose geom has another name in the world."""
        model, soles = self._model, []
        for foot in groups:
            if len(foot) > 1:
                link = int(model.body_weldid[model.geom_bodyid[foot[0]]])
                data = derive.posed(model, {})
                middle = feet.centres(data, [foot])[0] - data.xpos[link]
                x, y, z = (float(v) for v in middle @ data.xmat[link].reshape(3, 3))
                soles.append(Sole(names[foot[0]], self._tree.name(link), (x, y, z)))
        return tuple(soles)

    def _contacts(
        self, touch: set[str], renamed: Mapping[str, str]
    ) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        """Props touch the robot and each other."""
        model, tree = self._model, self._tree
        if not tree.props:
            return ()
        parts: dict[bool, list[str]] = {True: [], False: []}
        for g in range(model.ngeom):
            body, name = int(model.geom_bodyid[g]), str(model.geom(g).name)
            if body in tree.kept and name in touch:
                parts[body in tree.robot].append(renamed.get(name, name))
        own, props = tuple(parts[True]), tuple(parts[False])
        return ((own, props), (props, props)) if props else ()

    def _stand_height(self, data: mujoco.MjData, groups: Sequence[Sequence[int]]) -> float:
        given = self._given.document.get("stand_height")
        if given is not None:
            return self._given.number("stand_height", given)
        lowest = min(derive.lowest_point(self._model, data, geom) for foot in groups for geom in foot)
        return float(data.xpos[self._tree.base, 2]) - lowest

    def _mirror(self, groups: Sequence[Sequence[int]], names: Mapping[int, str]) -> Mirror:
        document, joints = self._given.document, self._joints.policy
        pairs = document.get("mirror")
        if pairs is None:
            return derive.find_mirror(self._model, joints, groups, self._tree.name(self._tree.base), self._what)
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise UserError(f"{self._what}: mirror must hold pairs of parts of names, as [[FR_, FL_]], got {pairs!r}")
        signs = document.get("mirror_sign") or {}
        if not isinstance(signs, Mapping):
            raise UserError(f"{self._what}: mirror_sign must map joints to 1 or -1, got {signs!r}")
        numbers = {str(joint): self._given.number("mirror_sign", sign) for joint, sign in signs.items()}
        parts = [(str(a), str(b)) for a, b in pairs]
        return derive.named_mirror(parts, numbers, joints, tuple(names.values()), self._what)

    def _gait(self, data: mujoco.MjData, groups: Sequence[Sequence[int]]) -> tuple[float, ...]:
        """The phase of each foot in turns: given, or neighbours half a stride apart."""
        given, count = self._given.document.get("gait"), len(groups)
        if given is None:
            body = self._tree.base
            places = (feet.centres(data, groups) - data.xpos[body]) @ data.xmat[body].reshape(3, 3)
            return feet.alternating(np.asarray(places))
        if not isinstance(given, list) or len(given) != count:
            raise UserError(f"{self._what}: gait needs {count} phases in turns, one per foot, got {given!r}")
        return tuple(self._given.number("gait", phase) for phase in given)
