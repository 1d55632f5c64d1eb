"""Kinds of bundles: which mission runs one, what it can't do without, and what its robot must offer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from policies.specs import SafetyEnvelope, SensorSpec
from real.contract.offer import POSITION, Offer
from real.missions.kinds import KINDS, options_for
from real.robots.legged_wire import LeggedWire
from real.robots.wires import nearest
from tests.real.fake_robot import FakeBundle, FakeClock, FakeRobot, fly_fake, make_manifest
from tests.real.missions.test_walk import LegBundle, LegRobot, leg_manifest, walk

MANIFESTS = {"flight": make_manifest(), "velocity": leg_manifest()}
NO_ENVELOPE = SafetyEnvelope(None, 0.1, 0.1)


def without(manifest: Manifest, part: str) -> Manifest:
    """The manifest with a part such as "safety.max_tilt" left out; a geofence as a whole."""
    owner, name = part.split(".")
    names = ["geofence_low", "geofence_high"] if name == "geofence_low" else [name]
    changes: dict[str, Any] = dict.fromkeys(names)
    return replace(manifest, **{owner: replace(getattr(manifest, owner), **changes)})


@pytest.mark.parametrize(
    ("kind", "part"), [(kind, part) for kind, options in KINDS.items() for part in options.kind.demands]
)
def test_a_bundle_without_a_part_that_its_kind_needs_is_refused(kind: str, part: str) -> None:
    assert options_for(MANIFESTS[kind]) is KINDS[kind]
    with pytest.raises(UserError, match=f"lacks {part}, which kind {kind} needs; export it with them"):
        options_for(without(MANIFESTS[kind], part))


def test_all_that_is_lacking_is_named_in_one_line() -> None:
    with pytest.raises(UserError) as caught:
        options_for(replace(make_manifest(), safety=NO_ENVELOPE))
    assert str(caught.value) == (
        "policy fake lacks safety.max_tilt, safety.max_position_error, safety.max_speed, safety.geofence_low, which "
        "kind flight needs; export it with them"
    )


def test_the_mission_comes_from_the_kind_alone() -> None:
    # With joints, and yet a flight: nothing follows from a field that is there or not.
    flying = replace(leg_manifest(), kind="flight", safety=make_manifest().safety)
    assert options_for(flying) is KINDS["flight"]
    with pytest.raises(UserError, match="of kind swimming, which no mission runs; kinds: flight, velocity"):
        options_for(replace(make_manifest(), kind="swimming"))


def test_a_mission_runs_no_bundle_of_another_kind() -> None:
    with pytest.raises(UserError, match="policy fake is of kind velocity, this mission runs kind flight"):
        fly_fake(bundle=FakeBundle(leg_manifest()))
    with pytest.raises(UserError, match="policy fake is of kind flight, this mission runs kind velocity"):
        walk(LegBundle(make_manifest()), LegRobot(FakeClock()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_driver_offers_what_each_kind_needs(kind: str) -> None:
    manifest = MANIFESTS[kind]
    if kind == "flight":
        rotors = replace(manifest.commands[0], labels=("rotor_1", "rotor_2", "rotor_3", "rotor_4"))
        manifest = replace(manifest, commands=(rotors,))
    missing = KINDS[kind].kind.missing
    assert nearest(lambda offer: missing(manifest, offer))[1] == []


def test_what_no_driver_offers_is_named_against_the_nearest_one() -> None:
    scan = SensorSpec("height_scan", 187, "m", "heading, from the base", -2.0, 2.0)
    manifest = replace(leg_manifest(), sensors=(*leg_manifest().sensors, scan))
    wire, missing = nearest(lambda offer: KINDS["velocity"].kind.missing(manifest, offer))
    assert wire is LeggedWire
    assert missing == ["sensor height_scan [187] (m, heading, from the base) is missing"]


def test_what_the_envelope_reads_must_be_offered_whatever_the_policy_reads() -> None:
    manifest = replace(make_manifest(), sensors=make_manifest().sensors[:1])
    missing = KINDS["flight"].kind.missing(manifest, Offer((POSITION,), FakeRobot.offer.commands))
    assert missing == [
        "sensor orientation [4] (1, body to world, w x y z) is missing",
        "sensor linear_velocity [3] (m/s, world) is missing",
    ]


def test_a_goal_in_other_units_is_refused() -> None:
    goal = replace(leg_manifest().sensors[0], unit="km/h")
    with pytest.raises(UserError, match="sensor velocity_command has unit km/h, the robot's is m/s, m/s, rad/s"):
        walk(LegBundle(replace(leg_manifest(), sensors=(goal, *leg_manifest().sensors[1:]))), LegRobot(FakeClock()))
