"""The stance: from a keyframe of the file or of the scene beside it, or derived; and how passive joints follow it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from mujoco.minimize import Verbosity, least_squares
from numpy.typing import NDArray

from sim.robots.derive import posed
from sim.robots.own.feet import leaves
from sim.robots.own.joints import HINGE, SLIDE
from sim.robots.own.tree import Tree

Array = NDArray[np.float64]
CROUCH = {True: 0.75, False: 0.95}
"""Height of the hips above the feet as a share of the stretched legs: on more than two legs, and on two."""
STARTS, ROUNDS = 12, 60
APART = 1e-3
"""Distance in m (or rad) by which constraints may miss each other in the stance without a warning."""


def keyframe(model: mujoco.MjModel, path: Path) -> tuple[Array, str, Path | None] | None:
    """The positions [nq] of the keyframe "home", or of the first one: of the model itself, or of a scene beside `path`
    that includes it. With a few words on where they are from, and the scene's file. None without any."""
    if model.nkey:
        names = [str(model.key(k).name) for k in range(model.nkey)]
        chosen = names.index("home") if "home" in names else 0
        return np.array(model.key_qpos[chosen]), f"keyframe {names[chosen] or 'of the file'}", None
    for scene in sorted(path.parent.glob("*scene*.xml")):
        try:
            if scene == path or path.name not in scene.read_text(encoding="utf-8"):
                continue
            keys = mujoco.MjSpec.from_file(str(scene)).keys
        except (OSError, ValueError):
            continue
        fitting = {str(key.name): np.array(key.qpos, float) for key in keys if len(key.qpos) == model.nq}
        if fitting:
            name = "home" if "home" in fitting else next(iter(fitting))
            return fitting[name], f"keyframe {name} of {scene.name}", scene
    return None


@dataclass(frozen=True)
class _Chain:
    """A leg from its hip down: addresses of its joints in qpos, and the point at its end."""

    joints: list[int]
    addresses: list[int]
    hip: int
    """The first joint."""
    body: int
    """The link at the end."""
    tip: Array
    """The middle of its lowest geom, in the frame of that body [3], m."""
    length: float
    """From joint to joint to the tip in the legs' plane, m."""


def derived_stance(tree: Tree, joints: Sequence[str], touching: set[str]) -> dict[str, float]:
    """Joint positions in rad in which the feet are below the hips, the legs bent and, on a leg of four joints or more,
    the feet level. Joints that are in no leg are at 0, or at the nearest limit."""
    model = tree.model
    ids = [int(model.joint(name).id) for name in joints]
    pose = {name: float(np.clip(0.0, *limits(model, j))) for name, j in zip(joints, ids, strict=True)}
    chains = [chain for leaf in sorted(leaves(tree)) if (chain := _chain(tree, leaf, ids, touching)) is not None]
    below = [chain for chain in chains if chain.length > 0.5 * max(c.length for c in chains)]
    for chain in below:
        solved = _Leg(tree, chain, CROUCH[len(below) > 2]).solve()
        pose |= {str(model.joint(j).name): float(value) for j, value in zip(chain.joints, solved, strict=True)}
    return pose


def limits(model: mujoco.MjModel, joint: int) -> tuple[float, float]:
    """Limits of travel in rad, a turn without."""
    low, high = model.jnt_range[joint] if model.jnt_limited[joint] else (-math.pi, math.pi)
    return float(low), float(high)


def _chain(tree: Tree, leaf: int, ids: Sequence[int], touching: set[str]) -> _Chain | None:
    """The leg that ends at the link `leaf`, None if nothing of it touches or none of the joints move it."""
    model = tree.model
    geoms = [
        g for g in range(model.ngeom)
        if int(model.body_weldid[model.geom_bodyid[g]]) == leaf and str(model.geom(g).name) in touching
    ]  # fmt: skip
    way = []
    body = leaf
    while body != tree.base and body:
        way.append(body)
        body = int(model.body_parentid[body])
    moving = [j for j in ids if int(model.jnt_bodyid[j]) in way]
    if not geoms or not moving:
        return None
    data = posed(model, {})
    last = data.xanchor[moving[-1]]
    far = max(geoms, key=lambda g: float(np.linalg.norm(data.geom_xpos[g] - last)))
    points = np.array([*(data.xanchor[j] for j in moving), data.geom_xpos[far]])
    length = float(np.linalg.norm(np.diff(points, axis=0)[:, [0, 2]], axis=1).sum())
    tip = (data.geom_xpos[far] - data.xpos[leaf]) @ data.xmat[leaf].reshape(3, 3)
    return _Chain(moving, [int(model.jnt_qposadr[j]) for j in moving], moving[0], leaf, tip, length)


class _Leg:
    """The joints of one leg that put its foot below its hip, by damped least squares from several starts."""

    def __init__(self, tree: Tree, chain: _Chain, share: float) -> None:
        self._model, self._chain, self._height = tree.model, chain, share * chain.length
        self._data = posed(tree.model, {})
        self._hip = self._data.xanchor[chain.hip].copy()
        self._level = self._data.xmat[chain.body].reshape(3, 3).copy()
        self._low, self._high = np.array([limits(tree.model, j) for j in chain.joints]).T
        self._rest = np.clip(0.0, self._low, self._high)
        # Hips and ankles that turn sideways stay where they are.
        aside = 1.0 - np.abs(self._data.xaxis[chain.joints][:, 1])
        self._rigid = 0.02 + aside
        self._weight = 1.0 if len(chain.joints) >= 4 else 0.0

    def _residual(self, q: Array) -> Array:
        data, chain = self._data, self._chain
        data.qpos[chain.addresses] = q
        mujoco.mj_kinematics(self._model, data)
        turn = data.xmat[chain.body].reshape(3, 3)
        foot = data.xpos[chain.body] + turn @ chain.tip - self._hip
        tilt = (turn @ self._level.T)[:2, 2]
        return np.concatenate(((10.0 * foot[0], 10.0 * (foot[2] + self._height)), self._weight * tilt,
                               self._rigid * (q - self._rest)))  # fmt: skip

    def _descend(self, q: Array) -> tuple[float, Array]:
        end = fitted(q, self._residual, self._low, self._high)
        r = self._residual(end)
        return float(r @ r), end

    def solve(self) -> Array:
        """The best of all starts; of equally good ones that whose joints are furthest behind the hip."""
        random = np.random.default_rng(0)
        starts = random.uniform(np.maximum(self._low, -1.6), np.minimum(self._high, 1.6), (STARTS, len(self._low)))
        ends = [self._descend(np.clip(start, self._low, self._high)) for start in starts]
        least = min(cost for cost, _ in ends)
        good = [q for cost, q in ends if cost < 1.05 * least + 1e-4]
        return min(good, key=self._ahead)

    def _ahead(self, q: Array) -> float:
        self._residual(q)
        return round(float(sum(self._data.xanchor[j][0] for j in self._chain.joints)), 3)


def assembled(
    model: mujoco.MjModel, pose: Mapping[str, float], passive: Mapping[str, float]
) -> tuple[dict[str, float], float]:
    """Where the passive hinges and slides are when the others are in `pose` and the constraints hold, from `passive`;
    and by how much the constraints still miss each other, m or rad."""
    names = [name for name in passive if int(model.jnt_type[model.joint(name).id]) in (HINGE, SLIDE)]
    data = posed(model, {**pose, **{name: passive[name] for name in names}})
    addresses = [int(model.joint(name).qposadr[0]) for name in names]

    def gaps(q: Array) -> Array:
        data.qpos[addresses] = q
        mujoco.mj_fwdPosition(model, data)
        rows = data.efc_type[: data.nefc] == mujoco.mjtConstraint.mjCNSTR_EQUALITY
        return np.array(data.efc_pos[: data.nefc][rows])

    q = np.array([passive[name] for name in names])
    low, high = np.array([limits(model, int(model.joint(n).id)) for n in names]).T if names else (q, q)
    if len(q) and len(gaps(q)):
        q = fitted(q, gaps, low, high)
    return dict(zip(names, map(float, q), strict=True)), float(np.abs(gaps(q)).max(initial=0.0))


def fitted(start: Array, residual: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """The positions [n] between `low` and `high` near `start` where the sum of the residual's squares is least."""

    def columns(points: Array) -> Array:
        return np.array([residual(point) for point in points.T]).T

    found, _ = least_squares(
        np.clip(start, low, high), columns, (low, high), max_iter=ROUNDS, verbose=Verbosity.SILENT
    )  # fmt: skip
    return np.asarray(found, dtype=float)
