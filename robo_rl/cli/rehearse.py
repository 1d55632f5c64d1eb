"""`robo-rl rehearse BUNDLE`: walk a legged robot's bundle through the whole chain, with processes on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from policies.errors import UserError
from policies.validation import require
from robo_rl.cli.common import BundleFolder, os_error
from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """Walk a bundle on a simulated robot behind a bridge, along a square and through a push, and report the path.

    Bridge, robot and `robo-rl deploy` are processes of their own; the path is the robot's true one. Exit code 0 when
    the robot walked and lay down.
    """

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote, of a legged robot."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/rehearsal")
    """Folder for logs, recording, report and a picture of the path."""
    robot: Annotated[str | None, tyro.conf.arg(metavar="NAME|BUNDLE")] = None
    """Simulated robot, a name or a bundle as for `robo-rl robot`; None: the bundle's own."""
    terrain: str = ""
    """Ground to walk on, KIND:LEVEL such as stairs_up:3, as for `robo-rl robot`; empty: flat."""
    side: float = 1.0
    """Side of the square in m."""
    speed: float = 0.5
    """Speed along its sides in m/s."""
    push: float = 0.5
    """Sideways push in m/s."""
    push_at: float = 8.0
    """When to push, in s after the first command."""

    def __post_init__(self) -> None:
        for name in ("side", "speed", "push_at"):
            require(self, name, above=0.0)
        require(self, "push")


def run(argv: Sequence[str]) -> int:
    given = parse(Arguments, "rehearse", argv)
    from deploy.bundle.reader import load_bundle

    manifest = load_bundle(given.bundle).manifest
    kind = manifest.kind
    if kind != "velocity":
        raise UserError(
            f"{given.bundle} is of kind {kind}, and rehearse walks kind velocity; for a flight see `robo-rl demo`, or "
            "start `robo-rl bridge`, `robo-rl robot crazyflie` and `robo-rl deploy`"
        )
    from real.robots.wires import needs_map
    from real.ros.topics import LeggedTopics
    from real.simulated.legged_settings import MAP_RATE, RobotSettings
    from robo_rl.output import results
    from robo_rl.workflows.rehearse import rehearse

    RobotSettings(terrain=given.terrain)  # Refuses a terrain that does not exist before anything is started.
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't write into {given.out} ({os_error(error)}); name another --out") from None
    robot = given.robot or str(given.bundle)
    walk: tuple[str, ...] = ("--program", "square", "--side", str(given.side), "--speed", str(given.speed))
    simulated: tuple[str, ...] = ("--push", "0", str(given.push), "0", "--push-at", str(given.push_at))
    if given.terrain:
        simulated += ("--terrain", given.terrain)
    if needs_map(manifest):
        walk += ("--elevation-map", LeggedTopics().elevation)
        simulated += ("--elevation-rate", f"{MAP_RATE:g}")
    figures = rehearse(given.bundle, given.out, robot, given.side, simulated, walk)
    results.write(given.out / "rehearsal.json", figures)
    print(json.dumps(figures, indent=2))
    return 0 if figures["exit_code"] == 0 else 1
