"""The missions by the kind of bundle that they run. A new kind is a new file with its options and one entry here."""

from __future__ import annotations

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.missions.mission import Options
from real.missions.options import FlightOptions, WalkOptions

KINDS: dict[str, type[Options]] = {options.kind.name: options for options in (FlightOptions, WalkOptions)}


def options_for(manifest: Manifest) -> type[Options]:
    """The options of the mission that runs a bundle; UserError where none does, or where the bundle lacks a part."""
    options = KINDS.get(manifest.kind)
    if options is None:
        known = ", ".join(sorted(KINDS))
        raise UserError(
            f"policy {manifest.identity.name} is of kind {manifest.kind}, which no mission runs; kinds: {known}"
        )
    options.kind.check(manifest)
    return options
