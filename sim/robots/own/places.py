"""Where the files are that a robot's file names, also those of models that it attaches from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco


def files_of(path: Path) -> list[Path]:
    """All files that MuJoCo reads for the one at `path`, itself included; none where it can't say."""
    try:
        return [Path(name) for name in mujoco.mju_getXMLDependencies(str(path))]
    except (ValueError, RuntimeError, mujoco.FatalError):
        return []


def with_places(spec: Any, path: Path) -> None:
    """Give the spec's folders, and the assets of attached models, which have folders of their own, absolute paths."""
    spec.meshdir = str((path.parent / spec.meshdir).resolve())
    spec.texturedir = str((path.parent / spec.texturedir).resolve())
    assets = [*((spec.meshdir, asset) for asset in (*spec.meshes, *spec.hfields)),
              *((spec.texturedir, texture) for texture in spec.textures)]  # fmt: skip
    lost = [asset for folder, asset in assets if asset.file and not (Path(folder) / asset.file).is_file()]
    known = files_of(path) if lost else []
    for asset in lost:
        ends = Path(asset.file).parts
        found = [file for file in known if file.parts[-len(ends) :] == ends and file.is_file()]
        if found:
            asset.file = str(found[0].resolve())
