"""Terrain: what the tiles are, that looked-up heights are the surface that rays and feet meet, and bad settings."""

from __future__ import annotations

import math
from functools import cache

import mujoco
import numpy as np
import pytest
import torch

from policies.errors import UserError
from sim.physics.mujoco.model import build_model
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.terrain.heights import scan_grid, scan_places
from sim.terrain.kinds import KINDS, PLATFORM, TREAD, slope_angle, stair_height
from sim.terrain.terrain import Terrain, TerrainSettings, build_terrain

LEGS = GO1.part(Legs)


@cache
def ground() -> tuple[Terrain, mujoco.MjModel]:
    terrain = build_terrain(TerrainSettings(kinds=KINDS, rows=5))
    return terrain, build_model(GO1, terrain)


def place(terrain: Terrain, kind: str, level: int, x: float, y: float) -> float:
    """Height in m of the ground at (x, y) from the middle of a tile."""
    origin = terrain.origins[level, terrain.kinds.index(kind)]
    return float(terrain.heights.at(torch.tensor([origin[0] + x, origin[1] + y], dtype=torch.float32)))


@pytest.mark.parametrize("kind", KINDS)
def test_looked_up_heights_are_what_rays_hit(kind: str) -> None:
    terrain, model = ground()
    data = mujoco.MjData(model)
    data.qpos[2] = 50.0
    mujoco.mj_forward(model, data)
    middle = terrain.origins[0, terrain.kinds.index(kind), 1]
    random = np.random.default_rng(1)
    along = random.uniform(-terrain.size[0] / 2, terrain.size[0] / 2, 300)
    across = middle + random.uniform(-4.0, 4.0, 300)
    looked_up = terrain.heights.at(torch.tensor(np.stack((along, across), 1), dtype=torch.float32))
    geom = np.zeros(1, np.int32)
    hit = [
        10.0 - mujoco.mj_ray(model, data, [x, y, 10.0], [0, 0, -1], None, 1, -1, geom)
        for x, y in zip(along, across, strict=True)
    ]
    assert looked_up.numpy() == pytest.approx(np.array(hit), abs=1e-4)


def test_level_3_has_stairs_of_ten_centimetres_and_slopes_of_015_rad() -> None:
    terrain, _ = ground()
    assert stair_height(3) == pytest.approx(0.10)
    assert slope_angle(3) == pytest.approx(0.15)
    for kind, sign in (("stairs_up", 1), ("stairs_down", -1)):
        steps = [place(terrain, kind, 3, PLATFORM + TREAD * (k - 0.5), 0.3) for k in range(4)]
        assert np.diff(steps) == pytest.approx([sign * 0.10] * 3)
        assert steps[0] == pytest.approx(terrain.origins[3, terrain.kinds.index(kind), 2])
    for kind, sign in (("slope_up", 1), ("slope_down", -1)):
        rise = place(terrain, kind, 3, 3.0, 0.3) - place(terrain, kind, 3, 2.0, 0.3)
        assert math.atan(rise) == pytest.approx(sign * 0.15, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_get_harder_and_tiles_meet_at_height_0(kind: str) -> None:
    terrain, _ = ground()
    column = terrain.kinds.index(kind)
    spread = []
    for level in range(terrain.rows):
        origin = torch.tensor(terrain.origins[level, column, :2], dtype=torch.float32)
        grid = torch.cartesian_prod(*(torch.arange(-3.95, 3.96, 0.1),) * 2)
        spread.append(float(terrain.heights.at(origin + grid).std()))
    if kind == "flat":
        assert spread == [0.0] * terrain.rows
    else:
        assert spread[-1] > spread[0] > 0.0
    around = [(3.99, 1.0), (-3.7, -2.0), (0.5, -3.8), (-1.0, 3.99)]
    assert [place(terrain, kind, 2, x, y) for x, y in around] == pytest.approx([0.0] * 4, abs=1e-6)


def test_the_same_seed_gives_the_same_ground() -> None:
    first, second = (build_terrain(TerrainSettings(("rough",), rows=2, seed=3)) for _ in range(2))
    other = build_terrain(TerrainSettings(("rough",), rows=2, seed=4))
    assert np.array_equal(first.fields[0], second.fields[0])
    assert not np.array_equal(first.fields[0], other.fields[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_robot_stands_where_its_tile_starts(kind: str) -> None:
    terrain, model = ground()
    data = mujoco.MjData(model)
    origin = terrain.origins[3, terrain.kinds.index(kind)]
    data.qpos[:3] = origin + (0.0, 0.0, LEGS.stand_height)
    data.qpos[7:] = data.ctrl[:] = LEGS.stance
    while data.time < 1.0:
        mujoco.mj_step(model, data)
    feet = np.array([data.sensor(f"foot/{foot}_position").data for foot in LEGS.feet])
    under = terrain.heights.at(torch.tensor(feet[:, :2], dtype=torch.float32)).numpy()
    assert feet[:, 2] - under == pytest.approx(0.023, abs=0.012)
    assert data.qpos[2] - origin[2] > 0.2


def test_a_scan_turns_with_the_heading_alone() -> None:
    grid = scan_grid(1.6, 1.0, 0.2)
    assert grid.shape == (9 * 6, 2)
    assert grid.mean(0) == pytest.approx([0.0, 0.0], abs=1e-6)
    quarter = math.sqrt(0.5)
    orientation = torch.tensor([[1.0, 0, 0, 0], [quarter, 0, 0, quarter], [math.cos(0.2), 0.0, math.sin(0.2), 0.0]])
    places = scan_places(torch.tensor([[1.0, 2.0, 3.0]] * 3), orientation, torch.tensor([[0.5, 0.1]]))
    assert places[:, 0] == pytest.approx(torch.tensor([[1.5, 2.1], [0.9, 2.5], [1.5, 2.1]]))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"kinds": ("lava",)}, r"no kind 'lava'; kinds: flat, "),
        ({"kinds": ()}, "kinds must name at least one of"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
        ({"tile": 1.0}, "tile must be at least 4 m"),
        ({"tile": 8.03}, "half a tile must be a multiple of resolution"),
        ({"resolution": 0.01, "rows": 20}, r"height field too large: 16001 x 801 samples .* coarser resolution"),
        ({"rows": 10_000}, "height field too large"),
    ],
)
def test_settings_that_cannot_be_built_are_one_clear_line(change: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        TerrainSettings(**change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
