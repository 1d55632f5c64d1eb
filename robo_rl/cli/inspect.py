"""`robo-rl inspect FILE`: what a robot's files are understood to say, and whether it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from policies.errors import UserError
from robo_rl.cli.common import OptionalFile, check_writable, os_error, write_json
from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """Show what a robot's files are understood to say, and what happens when 64 robots hold the stance for 1 s."""

    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SPEC_OR_MJCF_OR_URDF")]
    """YAML spec, MJCF or URDF of a robot, or menagerie:NAME (docs/robots.md)."""
    json: OptionalFile = None
    """File for the result, as JSON."""
    picture: OptionalFile = None
    """PNG file for a picture of the robot after the hold."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "inspect", argv)
    check_writable(arguments.json)
    _check_picture(arguments.picture)
    from sim.tasks.inspection import inspect_robot

    def look(task: Any, environment: Any) -> None:
        from robo_rl.view.portrait import portrait

        assert arguments.picture is not None
        portrait(task, environment, arguments.picture)

    report = inspect_robot(arguments.file, look if arguments.picture is not None else None)
    print("\n".join(lines(report)))
    write_json(arguments.json, report)
    return 0


def _check_picture(path: Path | None) -> None:
    """UserError, before any work, for a picture that can't be written."""
    if path is None:
        return
    if path.suffix.lower() != ".png" or path.is_dir():
        raise UserError(f"--picture {path} must name a file that ends in .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't make the folder {path.parent} ({os_error(error)}); name another --picture") from None


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report as text."""
    hold, mirror, sources = report["hold"], report["mirror"], report["sources"]
    text = [
        f"{report['name']}: base {report['base']}, {report['mass']:.6g} kg (MuJoCo: {report['mujoco_mass']:.6g} kg), "
        f"stands {report['stand_height']:.4g} m high",
        "",
        f"{'joint':<24}{'limits rad':>18}{'stance':>9}{'Nm/rad':>9}{'Nm s/rad':>10}{'Nm':>8}  mirror",
    ]
    for i, joint in enumerate(report["joints"]):
        low, high = report["joint_low"][i], report["joint_high"][i]
        sign = "-" if mirror["signs"][i] < 0.0 else ""
        text.append(
            f"{joint:<24}{f'{low:.3g} to {high:.3g}':>18}{report['stance'][i]:>9.3g}{report['stiffness'][i]:>9.3g}"
            f"{report['damping'][i]:>10.3g}{report['torque_limit'][i]:>8.3g}  {sign}{mirror['joints'][i]}"
        )
    text.append("")
    for field, words in sources.items():
        where: dict[str, list[str]] = {}
        for joint, source in zip(report["joints"], words, strict=True):
            where.setdefault(source, []).append(joint)
        if len(where) == 1 or len(where) > 4:
            text.append(f"{field} from: {', '.join(list(where)[:2])}{', ...' if len(where) > 2 else ''}")
        else:
            text += [f"{field} of {', '.join(joints)} from: {source}" for source, joints in where.items()]
    if report["passive"]:
        text.append(f"passive joints: {', '.join(report['passive'])}")
    text += [
        f"foot {' + '.join(foot)}: phase {phase:g}" for foot, phase in zip(report["feet"], report["gait"], strict=True)
    ]
    solver, touching = report["solver"], report["contacts"].items()
    text += [
        *(
            f"touching the ground, of the {part}: {', '.join(dict.fromkeys(geoms))}"
            for part, geoms in touching
            if geoms
        ),
        f"solver: {solver['timestep']} s, {solver['integrator']}, {solver['cone']} cones, "
        f"impratio {solver['impratio']}",
        f"64 robots hold the stance for 1 s: {hold['falls']} fall, {hold['failed_worlds']} worlds fail, largest speed "
        f"{hold['largest_speed']:.3g} m/s or rad/s, base at {hold['base_height']:.3g} m",
        *(f"warning: {warning}" for warning in report["warnings"]),
    ]
    return text
