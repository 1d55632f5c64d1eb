"""A random MJCF: bodies, joints and geoms, most of them a robot with legs, some of them no robot at all."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from tests.sim.robots.random_files.dice import Dice, called, stl
from tests.sim.robots.random_files.scene import Names, acting, around, assets, keyframes, options

AXES = {"roll": "1 0 0", "pitch": "0 1 0", "knee": "0 1 0", "ankle": "0 1 0", "yaw": "0 0 1"}
RANGES = {"roll": (-0.8, 0.8), "pitch": (-1.2, 1.5), "knee": (-2.4, -0.1), "ankle": (-0.8, 0.8), "yaw": (-0.5, 0.5)}
LEGS = (("pitch", "knee"), ("roll", "pitch", "knee"), ("yaw", "roll", "pitch", "knee", "ankle"), ("pitch",),
        ("roll", "pitch", "knee", "ankle"))  # fmt: skip
TURNS = ('euler="0 0 1"', 'zaxis="0 0.1 1"', 'xyaxes="0 1 0 -1 0 0"')
MASKS = ('contype="0" conaffinity="0"', 'contype="2" conaffinity="3"', 'contype="0" conaffinity="1"', 'contype="2"')
SHAPES = ("sphere", "capsule", "box", "cylinder", "ellipsoid")
MASSES = (6,) * 10 + (0.02, 90)
FEET = ("sphere", "sphere", "capsule", "box", "cylinder", "ellipsoid", "mesh", "hfield", "balls", "none")


PART = """<mujoco><compiler angle="degree" meshdir="more meshes"/><asset><mesh name="fin" file="fin.stl"/></asset>
<worldbody><body name="part" pos="0 0 0.1"><joint name="wag" axis="0 1 0" range="-20 20"/><geom type="mesh" mesh="fin"/>
</body></worldbody><actuator><motor name="wag" joint="wag" ctrlrange="-1 1"/></actuator></mujoco>"""


class Style(NamedTuple):
    """What all legs of a robot have in common."""

    joints: tuple[str, ...]
    length: float
    foot: str
    limited: bool
    joint: str
    """Further attributes of joints."""
    geom: str
    """Further attributes of geoms that touch."""
    inertial: bool
    together: bool
    """Roll and pitch on one body."""
    looks: bool
    """Links have geoms to look at beside those that touch."""
    bar: bool
    """A second link beside the shin, of a loop."""


class Mjcf:
    """`text` is the file's; `files` are those beside it, by name."""

    def __init__(self, dice: Dice) -> None:
        self._dice, self.files = dice, dict[str, bytes]()
        self._degree = dice.chance(0.4)
        self._limited = 'limited="true"' if dice.chance(0.1) else ""
        self._solid = dice.chance(0.1)
        self._names = Names()
        kind = dice.choice(("legs",) * 20 + ("wild", "wild", "arm", "scene", "planar", "nothing"))
        trees = [self._robot(kind)] if kind in ("legs", "arm", "planar") else []
        if kind == "wild" or dice.chance(0.1):
            trees += [self._wild(3, True) for _ in range(dice.choice((1, 1, 2)))]
        if kind != "nothing":
            trees += around(dice, self._names, self._inertial(1, 0.1) if self._solid else "")
        if dice.chance(0.4):
            dice.random.shuffle(trees)
        self.text = "" if kind == "nothing" and dice.chance(0.5) else self._written(trees)
        self.text = self.text or dice.choice(("<mujoco/>", "<mujoco><worldbody/></mujoco>"))

    def _written(self, trees: list[str]) -> str:
        dice, folder = self._dice, self._dice.choice(("", "assets/", "../meshes/"))
        compiler = self._compiler(folder)
        acts = "".join(acting(dice, self._names))
        if self._limited:
            for word in ("ctrl", "force", "act"):
                acts = acts.replace(f" {word}range=", f' {word}limited="true" {word}range=')
        sections = [assets(), acts, options(dice), keyframes(dice, "".join(trees), self._degree)]
        if "<attach" in "".join(trees):
            self.files |= {"part.xml": PART.encode(), "more meshes/fin.stl": stl(0.05)}
            sections.append('<asset><model name="part" file="part.xml"/></asset>')
        if dice.chance(0.1):
            self.files[f"{folder}hills.field"] = struct.pack("<2i6f", 2, 3, *(dice.uniform(0, 1) for _ in range(6)))
            sections.append('<asset><hfield name="field" size="5 5 0.2 0.1" file="hills.field"/></asset>')
            trees = [*trees, '<geom type="hfield" hfield="field" pos="9 0 0"/>']
        if dice.chance(0.05):
            sections.append('<asset><texture type="cube" name="sky" file="none.png"/></asset>')
        if self._names.meshes:
            files = "".join(f'<mesh {called(mesh)} file="{mesh}.stl"/>' for mesh in self._names.meshes)
            sections.append(f"<asset>{files}</asset>")
            self.files |= {f"{folder}{mesh}.stl": stl(0.03) for mesh in self._names.meshes if dice.chance(0.95)}
        body = "".join(trees)
        if dice.chance(0.15):
            self.files["robot parts.xml"] = f"<mujocoinclude>{body}</mujocoinclude>".encode()
            body = '<include file="robot parts.xml"/>'
        if dice.chance(0.1):
            self.files["more.xml"] = f"<mujoco>{''.join(sections)}</mujoco>".encode()
            sections = ['<include file="more.xml"/>']
        defaults = self._defaults()
        world = f"<worldbody>{body}</worldbody>"
        dice.random.shuffle(sections)
        return f'<mujoco model="a robot">{compiler}{defaults}{world}{"".join(sections)}</mujoco>'

    def _compiler(self, folder: str) -> str:
        dice = self._dice
        words = ['angle="degree"' if dice.chance(0.5) else ""] if self._degree else ['angle="radian"']
        words += [f'meshdir="{folder}"'] if folder else []
        words += ['autolimits="false"'] if self._limited else []
        words += ['inertiafromgeom="false"'] if self._solid else []
        eulers = " ".join(f'eulerseq="{sequence}"' for sequence in [dice.choice(("XYZ", "zyx", "yxz"))])
        rare = (eulers, 'inertiagrouprange="0 2"', 'settotalmass="12"', 'balanceinertia="true"', 'fitaabb="true"',
                'boundmass="0.01" boundinertia="1e-4"', 'discardvisual="true"', 'fusestatic="true"', 'alignfree="true"',
                'usethread="false"', 'saveinertial="true"',
                '' if self._solid else f'inertiafromgeom="{dice.choice(("true", "auto"))}"')  # fmt: skip
        return f"<compiler {' '.join(words)} {dice.some(rare, 0.07)}/>"

    def _defaults(self) -> str:
        """Classes that links refer to: leg, with foot in it, and looks."""
        dice, look = self._dice, '<geom contype="0" conaffinity="0" group="2" density="0"/>'
        joint = dice.some(('damping="0.1"', 'armature="0.01"', 'frictionloss="0.05"'), 0.5)
        foot = '<default class="foot"><geom condim="6" friction="1 0.01 0.001" priority="1"/></default>'
        leg = f'<default class="leg"><joint {joint}/>{foot}</default><default class="looks">{look}</default>'
        further = dice.some(('<site group="5"/>', '<motor ctrllimited="auto"/>'), 0.3)
        return f"<default>{further}{leg}</default>"

    def _angles(self, *values: float) -> str:
        return " ".join(f"{math.degrees(value) if self._degree else value:.5g}" for value in values)

    def _inertial(self, mass: float, size: float, place: str = "0 0 0") -> str:
        moments = mass * size**2
        if self._dice.chance(0.3):
            full = f"{moments} {0.9 * moments} {0.8 * moments} {0.05 * moments} 0 {-0.05 * moments}"
            return f'<inertial pos="{place}" mass="{mass:.4g}" fullinertia="{full}"/>'
        return f'<inertial pos="{place}" mass="{mass:.4g}" diaginertia="{moments} {0.9 * moments} {0.8 * moments}"/>'

    def _robot(self, kind: str) -> str:
        dice = self._dice
        legs = {"arm": 0}.get(kind, dice.choice((0, 1, 2, 2, 2, 3, *(4,) * 7, 5, 6, 6, 8)))
        style = self._style()
        self._names.limited = style.limited and kind == "legs" and not self._limited
        height = style.length * max(1, len(style.joints) - 1) + 0.1
        name = dice.name("body", "trunk")
        self._names.add("body", name)
        turn = dice.choice((*TURNS, 'quat="0.7071068 0.7071068 0 0"'))
        words = f'{called(name)} pos="0 0 {height:.4g}" {turn if dice.chance(0.08) else ""}'
        words += " " + dice.some(('childclass="leg"', 'gravcomp="0.5"'), 0.15)
        inside = self._root(kind) + self._trunk()
        for leg in range(legs):
            alone = leg == legs - 1 and legs % 2 == 1
            rows = (legs + 1) // 2
            x = 0.25 - 0.5 * (leg // 2) / max(1, rows - 1) if rows > 1 else 0.0
            inside += self._leg(style, x, 0.0 if alone else (0.1, -0.1)[leg % 2], f"{'LR'[leg % 2]}{leg // 2}")
        if kind == "arm" or dice.chance(0.1):
            inside += self._chain(dice.choice((1, 2, 6)))
        if dice.chance(0.1):
            inside += self._wild(1, False)
        if dice.chance(0.05):
            inside += '<attach model="part" body="part" prefix="part/"/>'
        return f"<body {words}>{inside}</body>"

    def _root(self, kind: str) -> str:
        """The joints of the base."""
        dice = self._dice
        if kind == "arm" or dice.chance(0.1):
            return ""
        if kind == "planar":
            slides = [f'<joint {called(dice.name("joint", f"root_{a}"))} type="slide" axis="{axis}"/>'
                      for a, axis in (("x", "1 0 0"), ("z", "0 0 1"))]  # fmt: skip
            return f'{"".join(slides)}<joint type="hinge" axis="0 1 0" {called(dice.name("joint", "root_pitch"))}/>'
        form = dice.choice(("<freejoint {}/>", '<freejoint align="true" {}/>', '<joint type="free" {}/>'))
        return form.format(called(dice.name("joint", "root")))

    def _trunk(self) -> str:
        """What the base weighs, its IMU and what is fixed to it."""
        dice = self._dice
        mass = dice.choice(MASSES)
        box = self._geom("box", 'size="0.25 0.08 0.05"', "", dice.choice((f'mass="{mass}"', 'density="800"', "")))
        weight = box if not self._solid else self._inertial(mass, 0.1) + box
        mesh = self._mesh('pos="0 0 0.06" mass="0.2"') if dice.chance(0.1) else ""
        if dice.chance(0.15):
            inner = dice.name("body", "inertia")
            self._names.add("body", inner)
            weight = f'<body {called(inner)} pos="0 0 0.01">{weight}</body>'
        site = dice.name("site", dice.choice(("imu", "imu_site")))
        if dice.chance(0.5) and site:
            self._names.add("site", site)
            turn = dice.choice(("", 'quat="0 1 0 0"', 'euler="0 0.3 0"'))
            weight += f'<site {called(site)} pos="0 0 0.02" {turn}/>'
        camera = dice.name("camera", "front")
        if dice.chance(0.15):
            self._names.add("camera", camera)
            weight += f'<camera {called(camera)} pos="0.3 0 0"/><light pos="0 0 1" mode="trackcom"/>'
        return weight + mesh

    def _style(self) -> Style:
        dice = self._dice
        joint = dice.some(('armature="0.01"', 'damping="0.5"', 'actuatorfrcrange="-30 30"', 'class="leg"',
                           'margin="0.01"', 'frictionloss="0.1"', 'stiffness="2" springref="0.1"',
                           f'ref="{self._angles(0.1)}"',
                           'solreflimit="0.01 1"'), 0.2)  # fmt: skip
        if "actuatorfrcrange" in joint and self._limited:
            joint += ' actuatorfrclimited="true"'
        geom = dice.some(('condim="4"', 'solref="0.01 1"', 'solimp="0.9 0.99 0.001"', 'friction="0.6"', 'group="3"',
                          'margin="0.002"', 'class="foot"', 'contype="1" conaffinity="3"',
                          'solmix="2"'), 0.12)  # fmt: skip
        return Style(
            dice.choice(LEGS), dice.uniform(0.12, 0.3), dice.choice(FEET), dice.chance(0.95), joint, geom,
            self._solid or dice.chance(0.3), dice.chance(0.15), dice.chance(0.3), dice.chance(0.08),
        )  # fmt: skip

    def _leg(self, style: Style, x: float, y: float, side: str) -> str:
        """A chain of links; legs of the same style are mirror images."""
        links, rest = [], list(style.joints)
        while rest:
            many = 2 if style.together and rest[:2] == ["roll", "pitch"] else 1
            links.append(rest[:many])
            rest = rest[many:]
        text = self._foot(style, side)
        for number, joints in reversed(list(enumerate(links))):
            end = number == len(links) - 1
            long = style.length if joints[-1] in ("pitch", "knee") else 0.03
            place = f"{x:.4g} {y:.4g} 0" if number == 0 else f"0 0 {-self._length(style, links[number - 1]):.4g}"
            text = self._link(style, joints, side, place, long, text, style.bar and end)
        return text

    def _length(self, style: Style, joints: list[str]) -> float:
        return style.length if joints[-1] in ("pitch", "knee") else 0.03

    def _link(self, style: Style, joints: list[str], side: str, at: str, long: float, inside: str, bar: bool) -> str:
        dice, body = self._dice, self._dice.name("body", f"{side}_{joints[-1]}_link")
        self._names.add("body", body)
        text = "".join(self._joint(style, joint, side) for joint in joints)
        if style.inertial:
            text += self._inertial(0.5, 0.1, f"0 0 {-0.5 * long:.4g}")
        thing = f'fromto="0 0 0 0 0 {-long:.4g}" size="0.015"'
        text += self._geom("capsule", thing, style.geom, 'mass="0.4"')
        if style.looks:
            text += f'<geom class="looks" type="box" size="0.02 0.02 {0.5 * long:.4g}" pos="0 0 {-0.5 * long:.4g}"/>'
        if bar:
            other, joint = dice.name("body", f"{side}_bar"), dice.name("joint", f"{side}_bar")
            weight = self._inertial(0.1, 0.1) if self._solid else ""
            text += (f'<body {called(other)} pos="0.02 0 0"><joint axis="0 1 0" {called(joint)}/>{weight}'
                     '<geom type="capsule" fromto="0 0 0 0 0 -0.1" size="0.005"/></body>')  # fmt: skip
            self._names.loops.append((other, body))
        text = f"{text}{inside}"
        if dice.chance(0.03):
            text = f"<frame>{text}</frame>"
        return f'<body {called(body)} pos="{at}">{text}</body>'

    def _joint(self, style: Style, joint: str, side: str) -> str:
        name = self._dice.name("joint", f"{side}_{joint}")
        self._names.motors.append(name)
        self._names.add("joint", name)
        span = f'range="{self._angles(*RANGES[joint])}" {self._limited}' if style.limited else ""
        return f'<joint {called(name)} axis="{AXES[joint]}" {span} {style.joint}/>'

    def _foot(self, style: Style, side: str) -> str:
        """At the end of the last link, which is on the ground when the leg is straight."""
        long = self._length(style, [style.joints[-1]])
        at, words = f'pos="0 0 {-long:.4g}"', style.geom
        if style.foot == "none":
            return ""
        if style.foot == "balls":
            return "".join(self._geom("sphere", f'pos="{x} {y} {-long:.4g}" size="0.02"', words, "")
                           for x in (-0.03, 0.05) for y in (-0.01, 0.01))  # fmt: skip
        if style.foot == "mesh":
            return self._mesh(f"{at} {words}")
        if style.foot == "hfield":
            return f'<geom type="hfield" hfield="sole" {at} {words}/>'
        sizes = {"sphere": "0.025", "capsule": "0.02 0.03", "cylinder": "0.03 0.01", "box": "0.06 0.03 0.01"}
        size = sizes.get(style.foot, "0.05 0.03 0.02")
        return self._geom(style.foot, f'{at} size="{size}"', words, "", f"{side}_foot")

    def _mesh(self, words: str) -> str:
        """A mesh of its own, whose file is there, most of the time."""
        name = f"mesh{len(self._names.meshes)}" if self._dice.chance(0.7) else "mesh0"
        if name not in self._names.meshes:
            self._names.meshes.append(name)
        shape = self._dice.choice(("mesh", "mesh", "mesh", "box", "capsule"))
        return f'<geom type="{shape}" mesh="{name}" {words}/>'

    def _geom(self, shape: str, size: str, words: str, weight: str, wanted: str = "") -> str:
        name = self._dice.name("geom", wanted)
        self._names.add("geom", name)
        return f'<geom type="{shape}" {size} {called(name)} {words} {weight if "class=" not in words else ""}/>'

    def _chain(self, count: int) -> str:
        """An arm, or a head, in the middle plane."""
        dice, text = self._dice, ""
        for number in reversed(range(count)):
            body, joint = dice.name("body", f"arm{number}"), dice.name("joint", f"arm{number}")
            self._names.add("body", body)
            self._names.add("joint", joint)
            self._names.motors.append(joint)
            kind = dice.choice(("hinge", "hinge", "hinge", "slide"))
            span = self._angles(-1, 1) if kind == "hinge" else "-0.1 0.1"
            weight = self._inertial(0.3, 0.1) if self._solid else ""
            text = f"""<body {called(body)} pos="0 0 0.1"><joint {called(joint)} type="{kind}" axis="0 1 0"
range="{span}" {self._limited}/>{weight}{self._geom("capsule", 'size="0.02 0.04"', "", "")}{text}</body>"""
        return text

    def _wild(self, depth: int, root: bool) -> str:
        """Bodies, joints and geoms at random."""
        dice, name = self._dice, self._dice.name("body")
        self._names.add("body", name)
        turn = dice.choice(("", "", "", f'quat="{dice.vector(1.0)} 0.5"', f'euler="{dice.vector(1.0)}"'))
        joints = ["hinge"] * dice.choice((0, 1, 1, 1, 2, 3)) if dice.chance(0.8) else [dice.choice(("ball", "slide"))]
        inside = "<freejoint/>" if root and dice.chance(0.5) else "".join(self._any_joint(kind) for kind in joints)
        if self._solid or dice.chance(0.4) or not depth:
            inside += self._inertial(dice.uniform(0.1, 3.0), dice.uniform(0.01, 0.2), dice.vector(0.02))
        for _ in range(dice.choice((1, 1, 2))):
            words = dice.some((f'pos="{dice.vector(0.1)}"', f'mass="{dice.number(0.01, 2)}"', 'group="3"',
                               'condim="1"', dice.choice(MASKS)), 0.25)  # fmt: skip
            inside += self._geom(dice.choice(SHAPES), f'size="{dice.vector(0.04)}"'.replace("-", ""), words, "")
        if depth:
            inside += "".join(self._wild(depth - 1, False) for _ in range(dice.choice((0, 1, 2))))
        return f'<body pos="{dice.vector(0.2)}" {called(name)} {turn}>{inside}</body>'

    def _any_joint(self, kind: str) -> str:
        dice, name = self._dice, self._dice.name("joint")
        if kind == "ball":
            span = f'range="{self._angles(0, 1)}" {self._limited}'
            words = dice.some((span, 'damping="0.1"'), 0.3)
            return f'<joint type="ball" {called(name)} {words}/>'
        self._names.add("joint", name)
        self._names.motors += [name] if dice.chance(0.7) else []
        span = self._angles(-1, 1) if kind == "hinge" else "-0.1 0.2"
        words = dice.some((f'range="{span}" {self._limited}', f'pos="{dice.vector(0.05)}"', 'stiffness="1"'), 0.6)
        axis = dice.choice(("1 0 0", "0 1 0", "0 0 1", "0 1 1"))
        return f'<joint type="{kind}" {called(name)} axis="{axis}" {words}/>'
