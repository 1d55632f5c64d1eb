"""Random MJCF and URDF texts: most are models that MuJoCo loads, few are robots that walk, some are neither."""

from __future__ import annotations

import random

KINDS = ("hinge", "hinge", "hinge", "slide", "ball")
SHAPES = ("sphere", "capsule", "box", "cylinder", "ellipsoid")


class RandomModel:
    """The text of one model, fixed by its seed; `suffix` is the ending of its file."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._joints: list[str] = []
        self._bodies: list[str] = []
        self._geoms: list[str] = []
        self._count = 0
        urdf = self._random.random() < 0.25
        self.suffix = ".urdf" if urdf else ".xml"
        self.text = self._urdf() if urdf else self._mjcf()

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _number(self, low: float, high: float) -> str:
        return f"{self._random.uniform(low, high):.4g}"

    def _vector(self, reach: float) -> str:
        return " ".join(self._number(-reach, reach) for _ in range(3))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _geom(self) -> str:
        shape = self._random.choice(SHAPES)
        name = self._name("geom")
        sizes = " ".join(self._number(0.01, 0.1) for _ in range(3))
        words = [f'type="{shape}"', f'size="{sizes}"']
        if self._chance(0.7):
            words.append(f'name="{name}"')
            self._geoms.append(name)
        if self._chance(0.3):
            words.append(f'pos="{self._vector(0.1)}"')
        if self._chance(0.3):
            words.append(f'mass="{self._number(0.0, 2.0)}"')
        if self._chance(0.3):
            words.append(f'group="{self._random.randint(0, 5)}"')
        if self._chance(0.3):
            words.append(f'contype="{self._random.randint(0, 3)}" conaffinity="{self._random.randint(0, 3)}"')
        return f"<geom {' '.join(words)}/>"

    def _joint(self) -> str:
        kind, name = self._random.choice(KINDS), self._name("joint")
        words = [f'type="{kind}"']
        if self._chance(0.9):
            words.append(f'name="{name}"')
            if kind != "ball":
                self._joints.append(name)
        if kind != "ball":
            words.append(f'axis="{self._random.choice(("1 0 0", "0 1 0", "0 0 1", "0 1 1"))}"')
            if self._chance(0.8):
                words.append(f'range="{self._number(-2, 0)} {self._number(0.1, 2)}"')
        if self._chance(0.2):
            words.append(f'actuatorfrcrange="{self._number(-20, 0)} {self._number(0.1, 20)}"' if kind != "ball" else "")
        if self._chance(0.2):
            words.append(f'stiffness="{self._number(0, 5)}" damping="{self._number(0, 1)}"')
        return f"<joint {' '.join(words)}/>"

    def _body(self, depth: int, free: bool) -> str:
        name = self._name("body")
        words = [f'pos="{self._vector(0.2)}"']
        if self._chance(0.9):
            words.append(f'name="{name}"')
            self._bodies.append(name)
        if self._chance(0.15):
            words.append(f'quat="{self._vector(1.0)} 0.5"')
        inside = ["<freejoint/>"] if free else [self._joint() for _ in range(self._random.choice((0, 1, 1, 1, 2)))]
        if self._chance(0.3):
            at, mass = self._vector(0.02), self._number(0.1, 3)
            inside.append(f'<inertial pos="{at}" mass="{mass}" diaginertia="0.01 0.012 0.014"/>')
        inside += [self._geom() for _ in range(self._random.choice((0, 1, 1, 2)))]
        if self._chance(0.1):
            inside.append(f'<site name="{self._random.choice(("imu", self._name("site")))}" quat="0 1 0 0"/>')
        if depth:
            inside += [self._body(depth - 1, False) for _ in range(self._random.randint(0, 4 if free else 2))]
        return f"<body {' '.join(words)}>{''.join(inside)}</body>"

    def _leg(self, x: float, y: float) -> str:
        hip, knee, shin = self._name("joint"), self._name("joint"), self._name("body")
        self._joints += [hip, knee]
        self._bodies.append(shin)
        return f"""<body pos="{x} {y} 0"><joint name="{hip}" axis="0 1 0" range="-1 1.5"/>
<geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02"/><body name="{shin}" pos="0 0 -0.2">
<joint name="{knee}" axis="0 1 0" range="-2 -0.1"/><geom type="capsule" fromto="0 0 0 0 0 -0.18" size="0.012"/>
<geom type="sphere" pos="0 0 -0.2" size="0.02"/></body></body>"""

    def _robot(self) -> str:
        legs = [(0.2, 0.1), (0.2, -0.1), (-0.2, 0.1), (-0.2, -0.1)][: self._random.choice((2, 4, 4))]
        name = self._name("body")
        self._bodies.append(name)
        limbs = "".join(self._leg(x, y) for x, y in legs)
        return f"""<body name="{name}" pos="0 0 0.4">{"<freejoint/>" if self._chance(0.8) else ""}
<geom type="box" size="0.2 0.1 0.05" mass="6"/>{limbs}{self._body(1, False) if self._chance(0.3) else ""}</body>"""

    def _actuators(self) -> str:
        forms = (
            '<motor joint="{0}" ctrlrange="-20 20"/>', '<motor joint="{0}" gear="3" ctrlrange="-5 8"/>',
            '<position joint="{0}" kp="40" kv="1" forcerange="-30 30"/>', '<position joint="{0}" kp="50"/>',
            '<velocity joint="{0}" kv="2" forcerange="-9 9"/>', '<motor joint="{0}"/>',
            '<general joint="{0}" gainprm="20" biastype="affine" biasprm="0 -20 -1" forcerange="-9 9"/>',
        )  # fmt: skip
        form = self._random.choice(forms)
        share = self._random.choice((0.0, 0.6, 1.0, 1.0))
        chosen = [joint for joint in self._joints if self._chance(share)]
        return "".join((form if self._chance(0.9) else self._random.choice(forms)).format(joint) for joint in chosen)

    def _equalities(self) -> str:
        lines = []
        if len(self._joints) > 1 and self._chance(0.2):
            one, other = self._random.sample(self._joints, 2)
            lines.append(f'<joint joint1="{one}" joint2="{other}"/>')
        if len(self._bodies) > 1 and self._chance(0.2):
            one, other = self._random.sample(self._bodies, 2)
            lines.append(f'<connect body1="{one}" body2="{other}" anchor="0 0 0"/>')
        if self._bodies and self._chance(0.1):
            lines.append(f'<weld body1="{self._random.choice(self._bodies)}"/>')
        return "".join(lines)

    def _contacts(self) -> str:
        lines = []
        if len(self._geoms) > 1 and self._chance(0.2):
            one, other = self._random.sample(self._geoms, 2)
            lines.append(f'<pair geom1="{one}" geom2="{other}"/>')
        if len(self._bodies) > 1 and self._chance(0.2):
            one, other = self._random.sample(self._bodies, 2)
            lines.append(f'<exclude body1="{one}" body2="{other}"/>')
        return "".join(lines)

    def _tendons(self) -> str:
        if len(self._joints) < 2 or not self._chance(0.15):
            return ""
        one, other = self._random.sample(self._joints, 2)
        inside = f'<joint joint="{one}" coef="1"/><joint joint="{other}" coef="-0.5"/>'
        return f'<tendon><fixed stiffness="{self._random.choice((0, 5))}">{inside}</fixed></tendon>'

    def _mjcf(self) -> str:
        world = '<geom name="floor" type="plane" size="5 5 0.1"/>' if self._chance(0.6) else ""
        trees = [self._robot()] if self._chance(0.6) else []
        trees += [self._body(3, self._chance(0.6)) for _ in range(self._random.choice((0, 0, 1, 1 if trees else 2)))]
        self._random.shuffle(trees)
        compiler = self._random.choice(("", "", 'inertiagrouprange="0 2"', 'settotalmass="12"', 'fusestatic="true"',
                                        'inertiafromgeom="true"', 'alignfree="true"',
                                        'boundmass="0.01" boundinertia="1e-4"',
                                        'discardvisual="true"', 'balanceinertia="true"'))  # fmt: skip
        option = self._random.choice(("", "", '<option gravity="0 0 0"/>', '<option cone="elliptic" impratio="100"/>',
                                      '<option integrator="RK4" timestep="0.01"/>',
                                      '<option density="1000"/>'))  # fmt: skip
        key = '<keyframe><key name="home"/></keyframe>' if self._chance(0.4) else ""
        return f"""<mujoco><compiler angle="radian" {compiler}/>{option}<worldbody>{world}{"".join(trees)}</worldbody>
<actuator>{self._actuators()}</actuator><equality>{self._equalities()}</equality><contact>{self._contacts()}</contact>
{self._tendons()}{key}</mujoco>"""

    def _urdf(self) -> str:
        links: list[str] = []
        joints: list[str] = []
        names: list[str] = []
        for number in range(self._random.randint(1, 9)):
            name = f"link{number}"
            inertial = f"""<inertial><mass value="{self._number(0.1, 3)}"/>
<inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>"""
            shape = self._random.choice(('<sphere radius="0.03"/>', '<box size="0.1 0.05 0.04"/>',
                                         '<cylinder radius="0.02" length="0.1"/>'))  # fmt: skip
            collision = f'<collision><origin xyz="0 0 -0.15"/><geometry>{shape}</geometry></collision>'
            links.append(
                f'<link name="{name}">{inertial if self._chance(0.95) else ""}'
                f"{collision if self._chance(0.8) else ''}</link>"
            )
            if names:
                kind = self._random.choice(("revolute", "revolute", "continuous", "fixed", "prismatic"))
                limit = f'<limit lower="-1" upper="1" effort="{self._number(1, 50)}" velocity="10"/>'
                joints.append(
                    f'<joint name="j{number}" type="{kind}"><origin xyz="{self._vector(0.2)}"/>'
                    f'<parent link="{self._random.choice(names)}"/><child link="{name}"/>'
                    f'<axis xyz="0 1 0"/>{limit}</joint>'
                )
            names.append(name)
        return f'<robot name="random">{"".join(links)}{"".join(joints)}</robot>'
