"""Ways to damage a bundle so that only the check under test can notice."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deploy.bundle.manifest import seal
from deploy.bundle.reader import GOLDEN_FILE, MANIFEST_FILE, POLICY_FILE


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and seal it again: its digest holds."""
    path = folder / MANIFEST_FILE
    document = json.loads(path.read_text())
    del document["digest"]
    change(document)
    path.write_text(seal(document))


def replace_golden(folder: Path, data: bytes) -> None:
    """Replace the golden file and its hash."""
    (folder / GOLDEN_FILE).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit_manifest(folder, lambda document: document["identity"].update(golden_sha256=digest))


def replace_policy(folder: Path, data: bytes) -> None:
    """Replace the network and its hash."""
    (folder / POLICY_FILE).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    edit_manifest(folder, lambda document: document["identity"].update(policy_sha256=digest))


def edit_golden(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the golden arrays, keeping every hash right."""
    with np.load(folder / GOLDEN_FILE) as archive:
        arrays: dict[str, Any] = dict(archive)
    change(arrays)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    replace_golden(folder, stream.getvalue())
