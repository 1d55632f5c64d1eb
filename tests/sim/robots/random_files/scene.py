"""What an MJCF has beside the robot's bodies: actuators, sensors, tendons, constraints, scenery, options."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

from tests.sim.robots.random_files.dice import Dice, called

MAIN = (
    '<motor joint={0} ctrlrange="-20 20"/>', '<motor joint={0} gear="3" ctrlrange="-5 8"/>',
    '<motor joint={0} ctrlrange="-1 1" gear="25"/>', '<motor joint={0} gear="-10" forcerange="-2 2"/>',
    '<position joint={0} kp="40" kv="1" forcerange="-30 30"/>', '<position joint={0} kp="50" forcerange="-20 20"/>',
    '<position joint={0} kp="60" dampratio="1" forcerange="-30 30" inheritrange="1"/>',
    '<position class="leg" joint={0} kp="30" forcerange="-30 30" ctrlrange="-2 2"/>',
    '<velocity joint={0} kv="2" forcerange="-9 9"/>', '<motor class="leg" joint={0} ctrlrange="-15 15"/>',
    '<general joint={0} gainprm="20" biastype="affine" biasprm="0 -20 -1" forcerange="-9 9"/>',
    '<intvelocity joint={0} kp="30" kv="1" actrange="-2 2" forcerange="-30 30"/>',
    '<position joint={0} kp="40" timeconst="0.02" forcerange="-30 30"/>',
    '<general joint={0} dyntype="filter" dynprm="0.1" ctrlrange="-9 9" group="1"/>',
    '<motor jointinparent={0} ctrlrange="-20 20"/>',
)  # fmt: skip
"""Actuators that drive a robot, most of them with a limit."""
RARE = (
    '<motor joint={0}/>', '<position joint={0} kp="50"/>', '<damper joint={0} kv="1" ctrlrange="0 1"/>',
    '<cylinder joint={0} area="0.01" timeconst="0.1" ctrlrange="-1 1"/>',
    '<muscle joint={0} lengthrange="0.1 0.4" ctrlrange="0 1"/>', '<general joint={0} dyntype="integrator"/>',
    '<position joint={0} kp="0" forcerange="0 0"/>', '<motor joint={0} ctrlrange="0 10" ctrllimited="false"/>',
    '<general joint={0} gaintype="affine" gainprm="1 2 3" biastype="affine" biasprm="1 1 1"/>',
    '<motor joint={0} ctrlrange="1 2" forcerange="-3 -1"/>', '<dcmotor joint={0} motorconst="0.1" resistance="1"/>',
)  # fmt: skip
JOINT_SENSORS = ("jointpos", "jointvel", "jointactuatorfrc", "jointlimitpos", "jointlimitvel", "jointlimitfrc")
"""Those of limits are for joints that have some."""
SITE_SENSORS = ("accelerometer", "gyro", "velocimeter", "force", "torque", "touch", "magnetometer", "rangefinder")
BODY_SENSORS = ("subtreecom", "subtreelinvel", "subtreeangmom")
FRAME_SENSORS = ("framepos", "framequat", "framelinvel", "frameangvel", "framelinacc", "framexaxis")


@dataclass
class Names:
    """What was named so far, and what of it is to be moved."""

    of: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind of element."""
    motors: list[str] = field(default_factory=list)
    """Joints that have a motor, if they have a name."""
    loops: list[tuple[str, str]] = field(default_factory=list)
    """Bodies that are connected."""
    meshes: list[str] = field(default_factory=list)
    limited: bool = False
    """Whether all joints of legs have a range."""

    def add(self, kind: str, name: str) -> None:
        self.of.setdefault(kind, []).extend([name] if name else [])

    def pick(self, dice: Dice, kind: str, count: int) -> list[str]:
        """Names of different elements; fewer where there are not as many."""
        known = self.of.get(kind, [])
        return dice.random.sample(known, min(count, len(known)))


def acting(dice: Dice, names: Names) -> list[str]:
    """The sections on what acts on bodies and joints; some of them."""
    sections = [_tendons(dice, names), _actuators(dice, names), _equalities(dice, names), _contacts(dice, names),
                _sensors(dice, names)]  # fmt: skip
    return [section for section in sections if section]


def _section(tag: str, lines: list[str]) -> str:
    return f"<{tag}>{''.join(lines)}</{tag}>" if any(lines) else ""


def _actuators(dice: Dice, names: Names) -> str:
    form, lines = dice.choice([form for form in MAIN if names.limited or "inherit" not in form]), []
    share = dice.choice((0.0, 0.5) + 18 * (1.0,))
    for joint in filter(None, names.motors):
        if not dice.chance(share):
            continue
        name = dice.name("actuator", f"{joint}_motor" if dice.chance(0.5) else joint)
        chosen = form if dice.chance(0.997) else dice.choice(RARE)
        lines.append(chosen.format(quoteattr(joint)).replace(" ", f" {called(name)} ", 1))
    if dice.chance(0.08):
        lines += [f'<adhesion {called(b, "body")} ctrlrange="0 1" gain="5"/>' for b in names.pick(dice, "body", 1)]
    if dice.chance(0.08):
        lines += [f'<general {called(site, "site")} gear="0 0 1 0 0 0"/>' for site in names.pick(dice, "site", 1)]
    if dice.chance(0.3):
        lines += [f'<motor {called(tendon, "tendon")} ctrlrange="-1 1"/>' for tendon in names.pick(dice, "tendon", 1)]
    if dice.chance(0.05):
        lines += [dice.choice(RARE).format(quoteattr(joint)) for joint in names.pick(dice, "joint", 1)]
    return _section("actuator", lines)


def _tendons(dice: Dice, names: Names) -> str:
    lines = []
    words = dice.some(('stiffness="5"', 'damping="0.1"', 'limited="true" range="-3 3"', 'frictionloss="0.1"'), 0.3)
    if dice.chance(0.12):
        coefs = "".join(f'<joint {called(joint, "joint")} coef="0.5"/>' for joint in names.pick(dice, "joint", 2))
        name = dice.name("tendon")
        names.add("tendon", name if coefs else "")
        lines += [f"<fixed {called(name)} {words}>{coefs}</fixed>"] if coefs else []
    sites = names.pick(dice, "site", 2)
    if len(sites) == 2 and dice.chance(0.3):
        ends = [f"<site {called(site, 'site')}/>" for site in sites]
        wrapped = "".join(f"<geom {called(geom, 'geom')}/>" for geom in names.of.get("pulley", [])[:1])
        lines.append(f'<spatial {words} width="0.01">{ends[0]}{wrapped}{ends[1]}</spatial>')
    return _section("tendon", lines)


def _equalities(dice: Dice, names: Names) -> str:
    lines = []
    for one, other in names.loops:
        if one and other:
            lines.append(f'<connect {called(one, "body1")} {called(other, "body2")} anchor="0 0 -0.1"/>')
    pair, words = names.pick(dice, "body", 2), dice.choice(("", "", 'active="false"', 'solref="0.01 1"'))
    name = called(dice.name("equality"))
    if len(pair) == 2 and dice.chance(0.08):
        ends = f"{called(pair[0], 'body1')} {called(pair[1], 'body2')}"
        lines.append(dice.choice((f'<weld {name} {ends} {words}/>', f'<connect {ends} anchor="0 0 0" {words}/>',
                                  f'<weld {called(pair[0], "body1")} relpose="0 0 0.3 1 0 0 0"/>',
                                  f'<connect {called(pair[1], "body1")} anchor="0 0 0" {words}/>')))  # fmt: skip
    sites, joints = names.pick(dice, "site", 2), names.pick(dice, "joint", 2)
    if len(sites) == 2 and dice.chance(0.1):
        lines.append(f"<weld {called(sites[0], 'site1')} {called(sites[1], 'site2')} {words}/>")
    if len(joints) == 2 and dice.chance(0.08):
        other = called(joints[1], "joint2") if dice.chance(0.7) else ""
        lines.append(f'<joint {called(joints[0], "joint1")} {other} polycoef="0 {dice.number(-1, 1)} 0 0 0" {words}/>')
    if dice.chance(0.2):
        lines += [f"<tendon {called(tendon, 'tendon1')}/>" for tendon in names.pick(dice, "tendon", 1)]
    return _section("equality", lines)


def _contacts(dice: Dice, names: Names) -> str:
    lines, ground = [], names.of.get("ground", [])
    geoms, bodies = names.pick(dice, "geom", 2), names.pick(dice, "body", 2)
    if len(geoms) == 2 and dice.chance(0.15):
        lines.append(f'<pair {called(geoms[0], "geom1")} {called(geoms[1], "geom2")} condim="4"/>')
    if geoms and ground and dice.chance(0.15):
        lines.append(f"<pair {called(geoms[0], 'geom1')} {called(ground[0], 'geom2')}/>")
    if len(bodies) == 2 and dice.chance(0.15):
        lines.append(f"<exclude {called(bodies[0], 'body1')} {called(dice.choice((bodies[1], 'world')), 'body2')}/>")
    return _section("contact", lines)


def _sensors(dice: Dice, names: Names) -> str:
    if dice.chance(0.5):
        return ""
    lines, noise = [], 'noise="0.01"'

    def add(kind: str, words: str) -> None:
        lines.append(f"<{kind} {called(dice.name('sensor'))} {words} {dice.some([noise], 0.2)}/>")

    for joint in names.pick(dice, "joint", 3):
        known = JOINT_SENSORS if names.limited and joint in names.motors else JOINT_SENSORS[:3]
        add(dice.choice(known), called(joint, "joint"))
    for site in names.pick(dice, "site", 3):
        add(dice.choice(SITE_SENSORS), called(site, "site"))
        add(dice.choice(FRAME_SENSORS), f'objtype="site" {called(site, "objname")}')
    for body in names.pick(dice, "body", 2):
        add(dice.choice(BODY_SENSORS), called(body, "body"))
        add(dice.choice(FRAME_SENSORS), f'objtype="{dice.choice(("body", "xbody"))}" {called(body, "objname")}')
    for tendon in names.pick(dice, "tendon", 1):
        add("tendonpos", called(tendon, "tendon"))
    geoms = names.pick(dice, "geom", 2)
    if len(geoms) == 2:
        add(dice.choice(("distance", "fromto", "normal")), f"{called(geoms[0], 'geom1')} {called(geoms[1], 'geom2')}")
        add("contact", called(geoms[0], "geom1") + ' data="found force" num="2"')
    if dice.chance(0.3):
        add(dice.choice(("clock", "e_potential", "e_kinetic")), "")
        add("user", 'dim="3"')
    return _section("sensor", lines)


GROUNDS = (
    'type="plane" size="5 5 0.1"', 'type="plane" size="0 0 1" material="grid"',
    'type="plane" size="5 5 1" contype="2" conaffinity="3"', 'type="plane" size="5 5 1" contype="0" conaffinity="0"',
    'type="hfield" hfield="hills"', 'type="box" size="9 9 0.1" pos="0 0 -0.1"',
)  # fmt: skip


def around(dice: Dice, names: Names, weight: str) -> list[str]:
    """Ground and scenery: elements of the world; `weight` is what bodies hold that move."""
    ground = dice.name("geom", dice.choice(("floor", "ground")))
    plane = dice.choice(GROUNDS)
    trees, ball = [], '<geom size="0.1"/>'
    if dice.chance(0.6):
        names.add("ground", ground)
        trees.append(f"<geom {called(ground)} {plane}/>")
    crate, post, marker = (dice.name("body", kind) for kind in ("crate", "post", "marker"))
    site, pulley = dice.name("site", "hook"), dice.name("geom", "pulley")
    rare = [
        f'<body {called(crate)} pos="2 0 0.3"><freejoint/>{weight}<geom type="box" size="0.1 0.1 0.1"/></body>',
        f'<body {called(post)} pos="0 3 0"><geom type="cylinder" size="0.1 0.5"/></body>',
        f'<body {called(marker)} mocap="true" pos="1 1 1"><geom size="0.05" contype="0" conaffinity="0"/></body>',
        f'<body pos="3 0 1"><joint axis="0 0 1"/>{weight}<geom type="box" size="0.4 0.02 0.9"/></body>',
        f'<replicate count="3" offset="0 1 0"><body pos="3 0 1"><freejoint/>{weight}{ball}</body></replicate>',
        '<light pos="0 0 3" dir="0 0 -1" type="directional"/><camera pos="0 -2 1" xyaxes="1 0 0 0 1 2"/>',
        '<frame pos="-3 0 0"><geom type="capsule" size="0.1" fromto="0 0 0 0 0 1"/></frame>',
        '<body><geom type="plane" size="3 3 0.1" pos="0 0 -0.01"/></body>',
        '<flexcomp type="grid" count="3 3 1" spacing="0.1 0.1 0.1" name="cloth" radius="0.01" pos="5 5 1" dim="2"/>'
        if dice.chance(0.2) else "",
    ]  # fmt: skip
    for shown, kind, name in ((rare[0], "body", crate), (rare[1], "body", post), (rare[2], "body", marker)):
        if dice.chance(0.12):
            names.add(kind, name)
            trees.append(shown)
    if dice.chance(0.15) and site and pulley:
        names.add("site", site)
        names.add("pulley", pulley)
        wheel = f'<geom {called(pulley)} type="cylinder" size="0.05 0.1" contype="0" conaffinity="0" pos="0 0 2"/>'
        trees.append(f'{wheel}<site {called(site)} pos="0 0.1 1.8"/>')
    return trees + [thing for thing in rare[3:] if dice.chance(0.07)]


def assets() -> str:
    """What geoms refer to and is in no file."""
    return """<asset><texture type="2d" name="grid" builtin="checker" width="64" height="64"/><texture type="skybox"
builtin="gradient" width="32" height="32"/><material name="grid" texture="grid" texrepeat="5 5"/>
<hfield name="hills" nrow="3" ncol="3" size="5 5 0.2 0.1" elevation="0 0 0 0 1 0 0 0 0"/>
<hfield name="sole" nrow="2" ncol="2" size="0.04 0.03 0.01 0.01" elevation="0 1 1 0"/></asset>"""


OPTIONS = ('timestep="0.001"', 'timestep="0.01"', 'gravity="0 0 0"', 'gravity="0 0 -1.62"',
           'cone="elliptic"', 'impratio="10"', 'integrator="implicitfast"', 'integrator="RK4"',
           'solver="PGS"', 'solver="CG"', 'density="1000"', 'viscosity="0.1"', 'wind="3 0 0"',
           'noslip_iterations="3"', 'jacobian="sparse"', 'actuatorgroupdisable="1"', 'magnetic="0 0 1"',
           'o_solref="0.02 1" o_margin="0.01"', 'iterations="2"', 'ls_iterations="1"')  # fmt: skip
FLAGS = ('contact="disable"', 'gravity="disable"', 'eulerdamp="disable"', 'limit="disable"', 'actuation="disable"',
         'equality="disable"', 'energy="enable"', 'multiccd="enable"', 'override="enable"', 'sensor="disable"',
         'filterparent="disable"', 'damper="disable"', 'frictionloss="disable"', 'island="disable"')  # fmt: skip


def options(dice: Dice) -> str:
    """Options, flags and the sections that change no physics."""
    words = {word.partition("=")[0]: word for word in OPTIONS if dice.chance(0.06)}
    flags = dice.some(FLAGS, 0.04)
    text = f"<option {' '.join(words.values())}>{f'<flag {flags}/>' if flags else ''}</option>"
    rare = ('<custom><numeric name="n" data="1 2"/><text name="t" data="hello"/></custom>', '<size memory="5M"/>',
            '<visual><global offwidth="640"/><map znear="0.01"/></visual>', '<statistic meansize="0.1" extent="2"/>',
            '<option/>')  # fmt: skip
    return text + dice.some(rare, 0.1)


def keyframes(dice: Dice, bodies: str, degree: bool) -> str:
    """Keyframes with the positions of all joints of the bodies, or without any."""
    if dice.chance(0.4) or any(word in bodies for word in ("<replicate", "<flexcomp", "<attach")):
        return ""
    values, share, wild = [], dice.uniform(0.3, 0.7), dice.chance(0.05)
    for element in ElementTree.fromstring(f"<world>{bodies}</world>").iter():
        kind = {"freejoint": "free", "joint": element.get("type", "hinge")}.get(element.tag)
        low, high = (
            float(end) for end in (element.get("range", "0 0") if kind in ("hinge", "slide") else "0 0").split()
        )
        at = (1 - share) * low + share * high
        here = {"free": "0 0 0.5 1 0 0 0", "ball": "1 0 0 0", None: ""}
        values.append(here.get(kind, f"{dice.uniform(-1, 1) if wild else math.radians(at) if degree else at:.4g}"))
    name, near = called(dice.name("key", dice.choice(("home", "stand")))), " ".join(values)
    keys = (f'<key {name} qpos="{near}"/>', f"<key {name}/>", f'<key time="1" {name}/><key name="down" qpos="{near}"/>')
    return f"<keyframe>{dice.choice((keys[0], keys[0], *keys))}</keyframe>"
