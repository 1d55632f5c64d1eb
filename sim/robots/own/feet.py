"""Where the feet are: the geoms that touch the ground at the ends of the legs, those of one link being one foot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.robots.derive import SAME_LEVEL, lowest_point
from sim.robots.own.tree import Tree

Array = NDArray[np.float64]
AS_LOW = 0.005
"""Height in m above a foot's lowest geom up to which a geom of the same link is part of the foot."""


def links_of(model: mujoco.MjModel, geoms: Iterable[int]) -> list[list[int]]:
    """The geoms grouped by the link that they are fixed to, in the order of their first ones."""
    links: dict[int, list[int]] = {}
    for geom in geoms:
        links.setdefault(int(model.body_weldid[model.geom_bodyid[geom]]), []).append(geom)
    return list(links.values())


def leaves(tree: Tree) -> set[int]:
    """The links at the ends of the robot's chains, by the number of their first body."""
    model = tree.model
    link = {body: int(model.body_weldid[body]) for body in tree.robot}
    parents = {link[int(model.body_parentid[b])] for b in tree.robot if b != tree.base and link[b] == b}
    return set(link.values()) - parents - {link[tree.base]}


def find_feet(tree: Tree, data: mujoco.MjData, touching: set[str]) -> list[list[int]]:
    """The lowest touching geoms of each link at the end of a chain, where that is the robot's lowest point.

    Geoms of the link that are alike, or as low, are the same foot: the balls below a sole, for example.
    """
    model, ends = tree.model, leaves(tree)
    candidates = [
        g for g in range(model.ngeom)
        if int(model.body_weldid[model.geom_bodyid[g]]) in ends and str(model.geom(g).name) in touching
        and int(model.geom_bodyid[g]) in tree.robot
    ]  # fmt: skip
    feet = []
    for geoms in links_of(model, candidates):
        heights = {geom: lowest_point(model, data, geom) for geom in geoms}
        first = min(geoms, key=lambda geom: heights[geom])
        foot = [g for g in geoms if heights[g] < heights[first] + AS_LOW or _alike(model, g, first)]
        feet.append((heights[first], foot))
    ground = min((height for height, _ in feet), default=0.0)
    return [foot for height, foot in feet if height < ground + SAME_LEVEL]


def _alike(model: mujoco.MjModel, one: int, other: int) -> bool:
    same = model.geom_type[one] == model.geom_type[other] and model.geom_bodyid[one] == model.geom_bodyid[other]
    return bool(same) and np.allclose(model.geom_size[one], model.geom_size[other])


def centres(data: mujoco.MjData, feet: Sequence[Sequence[int]]) -> Array:
    """The mean of the centres of each foot's geoms [F, 3], m."""
    return np.array([data.geom_xpos[list(foot)].mean(0) for foot in feet])


def alternating(places: Array) -> tuple[float, ...]:
    """Phases in turns of feet at `places` [F, 3] in the base's frame, m: the neighbours of a foot, on its own side and
    across, are half a stride from it. Two legs step in turns, four trot, six walk on tripods."""
    phases = [0.0] * len(places)
    left = places[:, 1] > -1e-6
    for side in (left, ~left):
        feet = [int(foot) for foot in np.flatnonzero(side)]
        # Feet that differ by a rounding keep the file's order.
        feet.sort(key=lambda foot: -round(float(places[foot, 0]), 3))
        for rank, foot in enumerate(feet):
            phases[foot] = 0.5 * ((rank + int(not left[foot])) % 2)
    return tuple(phases)
