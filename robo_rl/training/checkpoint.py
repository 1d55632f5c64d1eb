"""Checkpoints: written whole or not at all, and loaded without running any code that is in the file."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.errors import UserError
from robo_rl.output.files import write_bytes

VERSION = 1


def to_bytes(content: Mapping[str, Any]) -> bytes:
    """A checkpoint of `content`: tensors, numbers, strings, None, lists and dicts."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **content}, buffer)
    return buffer.getvalue()


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` atomically. Raises OSError on a full disk."""
    # In memory first: torch's own writer does not report a full disk as OSError.
    write_bytes(path, to_bytes(content))


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Raises UserError when it is missing, damaged or of another version.

    `weights_only` refuses anything but plain data, so a checkpoint from elsewhere can't run code.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; train first, or name a folder that `robo-rl train` wrote")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Damaged bytes make torch's reader raise nearly anything.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is not a readable checkpoint ({reason}); train again") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        version = content.get("version") if isinstance(content, dict) else None
        raise UserError(f"{path} has checkpoint version {version}, this robo-rl reads {VERSION}; train again")
    return content


def random_state() -> dict[str, Any]:
    """The state of every global random generator: Python's, NumPy's and torch's, on CPU and GPUs."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": {"version": version, "numbers": list(numbers), "gauss": gauss},
        "numpy": {
            "name": str(name),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put every global random generator back to where `random_state` found it."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["numbers"]), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"]))
    torch.set_rng_state(state["torch"])
    # A run may continue on another machine: absent GPUs have no generator to set.
    torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])
