"""Random robot files: most are models that MuJoCo loads, many are robots that can be trained, some are neither."""

from __future__ import annotations

from pathlib import Path

from tests.sim.robots.random_files.dice import Dice
from tests.sim.robots.random_files.mjcf import Mjcf
from tests.sim.robots.random_files.urdf import Urdf


class RandomModel:
    """A file and those that it refers to, fixed by its seed; `suffix` is the ending of its name."""

    def __init__(self, seed: int) -> None:
        dice = Dice(seed)
        urdf = dice.chance(0.3)
        model = Urdf(dice) if urdf else Mjcf(dice)
        self.suffix = ".urdf" if urdf else ".xml"
        self.text, self.files = model.text, model.files

    def write(self, folder: Path) -> Path:
        """The path of the file, in a folder that is made."""
        path = folder / "robot" / f"robot{self.suffix}"
        files = self.files | {path.name: self.text.encode()}
        for name, content in files.items():
            place = path.parent / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return path
