"""A hand-written policy with the interface of a generated one, and the manifest that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.bundle.manifest import SCHEMA_VERSION, Identity, Manifest, Timing
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec

HERE = Path(__file__).parent
POLICY = HERE / "policy_stand_in"
SHA256 = "5ca1ab1e" + "0" * 56
LOWEST, HIGHEST = 0.0, 2000.0


def sensor(name: str, dim: int, unit: str, frame: str, bound: float, relative_to: str = "") -> SensorSpec:
    return SensorSpec(name, dim, unit, frame, (-bound,) * dim, (bound,) * dim, relative_to, ())


SENSORS = (
    sensor("position", 3, "m", "world", 100.0, "target"),
    sensor("orientation", 4, "1", "body to world, w x y z", 1.01),
    sensor("linear_velocity", 3, "m/s", "world", 30.0),
    sensor("angular_velocity", 3, "rad/s", "body", 40.0),
)
ROTORS = ("rotor_1", "rotor_2", "rotor_3", "rotor_4")


def manifest(rate_limit: float = 2e5, sensors: tuple[SensorSpec, ...] = SENSORS, **changes: Any) -> Manifest:
    """The manifest of the stand-in, whose limits are those of the Crazyflie tasks."""
    arguments: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "identity": Identity("stand-in", "crazyflie-hover", SHA256, "0" * 64),
        "kind": "flight",
        "timing": Timing(0.01),
        "sensors": sensors,
        "commands": (
            CommandSpec("rotor_speed", 4, "rad/s", (LOWEST,) * 4, (HIGHEST,) * 4, rate_limit, ROTORS, (0.0,) * 4),
        ),
        "states": (),
        "safety": SafetyEnvelope(1.4, 0.1, 0.1, 0.8, 4.0, (-2.0, -2.0, -2.0), (2.0, 2.0, 2.0)),
        "joints": None,
        "provenance": {},
        "evaluation": {},
    }
    return Manifest(**(arguments | changes))


def write_generated(folder: Path, manifest: Manifest, edit: tuple[str, str] = ("", "")) -> Path:
    """A folder as the generator leaves it, with its manifest; `edit` replaces a text of policy.c."""
    folder.mkdir(parents=True)
    for path in POLICY.iterdir():
        text = path.read_text()
        if path.name == "policy.c":
            assert edit[0] in text
            text = text.replace(*edit)
        (folder / path.name).write_text(text)
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder
