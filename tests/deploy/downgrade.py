"""A manifest as schemas 4 and 3 had it: what an older robo-rl wrote."""

from __future__ import annotations

import json
from typing import Any

from deploy.bundle.manifest import Manifest


def as_schema_4(manifest: Manifest) -> dict[str, Any]:
    """The document, without its digest, of a manifest in schema 4."""
    document: dict[str, Any] = json.loads(manifest.to_json())
    del document["digest"], document["runtime"]
    document["schema_version"] = 4
    return document


def as_schema_3(manifest: Manifest) -> dict[str, Any]:
    """The document, without its digest, of a flight's or a walk's manifest in schema 3."""
    document = as_schema_4(manifest)
    del document["kind"]
    document["schema_version"] = 3
    for age in ("max_input_age", "max_command_age"):
        document["timing"][age] = document["safety"].pop(age)
    for command in document["commands"]:
        del command["frame"]
    if document["joints"] is not None:
        document["joints"] |= document["joints"].pop("motors")
    return document
