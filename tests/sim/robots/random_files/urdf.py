"""A random URDF: links, joints and what programs other than MuJoCo read in it."""

from __future__ import annotations

from tests.sim.robots.random_files.dice import Dice, called, stl

LEGS = (("hip_pitch", "knee"), ("hip_roll", "hip_pitch", "knee"), ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle"))
AXES = {"hip_roll": "1 0 0", "hip_yaw": "0 0 1"}
KINDS = ("revolute", "revolute", "continuous", "fixed", "prismatic", "floating", "planar")
TRANSMISSION = """<transmission name="t_{0}"><type>transmission_interface/SimpleTransmission</type><joint name={1}>
<hardwareInterface>EffortJointInterface</hardwareInterface></joint><actuator name="m_{0}">
<mechanicalReduction>1</mechanicalReduction></actuator></transmission>"""
GAZEBO = """<gazebo reference={}><mu1>0.6</mu1><material>Gazebo/Grey</material></gazebo>
<gazebo><plugin name="control" filename="libgazebo_ros_control.so"/></gazebo>"""
MATERIAL = '<material name="grey"><color rgba="0.5 0.5 0.5 1"/></material>'


class Urdf:
    """`text` is the file's; `files` are those beside it, by name."""

    def __init__(self, dice: Dice) -> None:
        self._dice, self.files = dice, dict[str, bytes]()
        self._links: list[str] = []
        self._parts: list[str] = []
        self._loose = dice.choice((0.0, 0.0, 0.0, 0.02, 0.2))
        """How often links lack masses and joints limits."""
        self._continuous = dice.chance(0.1)
        self._extension = dice.choice(("", "", self._compiler()))
        legged = dice.chance(0.8)
        self._root(legged)
        if legged:
            self._legs()
        for _ in range(dice.choice((0, 0, 1, 3)) if legged else dice.choice((0, 2, 6))):
            self._joint(dice.choice(self._links), dice.choice(KINDS) if not legged else "fixed", dice.vector(0.1))
        head = dice.choice(('<?xml version="1.0"?>', '<?xml version="1.0" encoding="utf-8"?><!-- by xacro -->', ""))
        if dice.chance(0.3):
            self._parts.append(MATERIAL + "".join(GAZEBO.format(called(self._links[-1])[5:]) for _ in range(1)))
        dice.random.shuffle(self._parts)
        inside = "".join(self._parts)
        name = dice.choice(("robot", "a robot", "größe"))
        self.text = f'{head}<robot name="{name}">{self._extension}{inside}</robot>'

    def _compiler(self) -> str:
        words = ('meshdir="meshes"', 'discardvisual="false"', 'fusestatic="false"', 'balanceinertia="true"',
                 'strippath="true"', 'inertiafromgeom="true"', 'boundmass="0.01"', 'angle="radian"',
                 'settotalmass="9"')  # fmt: skip
        return f"<mujoco><compiler {self._dice.some(words, 0.3)}/><option timestep='0.001'/></mujoco>"

    def _root(self, legged: bool) -> None:
        dice = self._dice
        if dice.chance(0.1):
            self._link("world", "", bare=True)
            self._joint("world", dice.choice(("floating", "fixed")), "0 0 1", "base_link", mass=6.0)
        else:
            dummy = dice.chance(0.3)
            self._link("base_link", self._shape('<box size="0.5 0.16 0.1"/>'), 6.0, bare=dummy)
            if dummy:
                self._joint("base_link", "fixed", "0 0 0", "trunk", mass=6.0)
        if legged and dice.chance(0.3):
            self._joint(self._links[-1], "fixed", "0 0 0.05", "imu", bare=True)
            self._links.pop()

    def _legs(self) -> None:
        dice, base = self._dice, self._links[-1]
        names, pairs = dice.choice(LEGS), dice.choice((1, 2, 2, 3))
        feet, long = dice.choice(("sphere", "box", "mesh", "cylinder")), dice.uniform(0.12, 0.3)
        follows = dice.chance(0.1)
        for row in range(pairs):
            x = 0.2 - 0.4 * row / max(1, pairs - 1) if pairs > 1 else 0.0
            for side, y in (("left", 0.1), ("right", -0.1)):
                parent, at = base, f"{x:.4g} {y} 0"
                for number, name in enumerate(names):
                    end, box = number == len(names) - 1, '<box size="0.03 0.03 0.1"/>'
                    shape = self._foot(feet, long) if end else self._shape(box)
                    extra = ""
                    if follows and name == "knee":
                        hip = called(self._wanted(f"{side}{row}_hip_pitch"), "joint")
                        extra = f'<mimic {hip} multiplier="-2" offset="0"/>'
                    kind, axis = "continuous" if self._continuous else "revolute", AXES.get(name, "0 1 0")
                    parent = self._joint(parent, kind, at, f"{side}{row}_{name}", shape, extra, axis=axis)
                    at = f"0 0 {-long:.4g}" if name in ("hip_pitch", "knee") else "0 0 0"
                if dice.chance(0.02):
                    self._joint(parent, "fixed", "0 0 -0.1", f"{side}{row}_foot", bare=True)

    def _wanted(self, name: str) -> str:
        return f"{name}_joint"

    def _link(self, name: str, shape: str, mass: float = 0.4, bare: bool = False) -> None:
        dice, place = self._dice, f'<origin xyz="0 0 -0.05" rpy="{self._dice.choice(("0 0 0", "0 0.1 0"))}"/>'
        moment = "0" if dice.chance(0.1 * self._loose) else f"{0.01 * mass:.5g}"
        inertial = f"""<inertial>{place}<mass value="{mass}"/><inertia ixx="{moment}" ixy="0" ixz="0" iyy="{moment}"
iyz="0" izz="{moment}"/></inertial>"""
        inside = "" if bare else (inertial if not dice.chance(self._loose) else "") + shape
        self._links.append(name)
        self._parts.append(f"<link {called(name)}>{inside}</link>" if inside else f"<link {called(name)}/>")

    def _joint(
        self, parent: str, kind: str, at: str, name: str = "", shape: str = "", extra: str = "", mass: float = 0.4,
        bare: bool = False, axis: str = "0 1 0",
    ) -> str:  # fmt: skip
        """A joint and its child; the child's name."""
        dice = self._dice
        name = name or dice.name("link") or f"link{len(self._links)}"
        shape = shape or self._shape(dice.choice(('<box size="0.05 0.05 0.05"/>', '<sphere radius="0.03"/>')))
        self._link(name, shape, mass, bare)
        limit = f'<limit lower="-1.2" upper="1.2" effort="{dice.choice(("30", "20.5"))}" velocity="10"/>'
        if kind == "continuous" and dice.chance(0.5):
            limit = '<limit effort="30" velocity="20"/>'
        if dice.chance(self._loose):
            limit = dice.choice(("", '<limit lower="0" upper="0" effort="0" velocity="0"/>', '<limit effort="10"/>'))
        rare = dice.some(('<dynamics damping="0.1" friction="0.1"/>', '<safety_controller k_velocity="10"/>'), 0.1)
        joint = self._wanted(name)
        self._parts.append(
            f'<joint {called(joint)} type="{kind}"><origin xyz="{at}" rpy="0 0 0"/><parent {called(parent, "link")}/>'
            f'<child {called(name, "link")}/><axis xyz="{axis}"/>{limit}{rare}{extra}</joint>'
        )
        if dice.chance(0.1):
            self._parts.append(TRANSMISSION.format(len(self._parts), called(joint)[5:]))
        return name

    def _shape(self, geometry: str, at: str = "0 0 -0.05") -> str:
        dice, place = self._dice, f'<origin xyz="{at}" rpy="0 0 0"/><geometry>{geometry}</geometry>'
        visual = f"<visual>{place}{MATERIAL if dice.chance(0.3) else ''}</visual>"
        if dice.chance(0.15):
            visual = f"<visual><geometry>{self._mesh()}</geometry></visual>"
        collision = f"<collision>{place}</collision>"
        return dice.choice((visual + collision, collision))

    def _foot(self, kind: str, long: float) -> str:
        shapes = {"sphere": '<sphere radius="0.03"/>', "box": '<box size="0.1 0.05 0.02"/>',
                  "cylinder": '<cylinder radius="0.02" length="0.03"/>'}  # fmt: skip
        return self._shape(shapes.get(kind) or self._mesh(), f"0 0 {-long:.4g}")

    def _mesh(self) -> str:
        """A mesh that is where MuJoCo looks for it, most of the time."""
        dice, name = self._dice, f"mesh{len(self.files)}.{self._dice.choice((*('stl', 'STL') * 5, 'dae'))}"
        # With a compiler of its own a URDF keeps the folders of paths.
        stripped = not self._extension or 'strippath="true"' in self._extension
        if dice.chance(0.95):
            folder = "meshes/" if "meshdir" in self._extension else ""
            self.files[folder + (name if stripped else f"shapes/{name}")] = stl(0.03)
        package = dice.choice(("package://robot_description/meshes/", "", "meshes/", "file:///nowhere/"))
        package = package if stripped else "shapes/"
        return f'<mesh filename="{package}{name}" scale="{dice.choice(("1 1 1", "1 -1 1"))}"/>'
