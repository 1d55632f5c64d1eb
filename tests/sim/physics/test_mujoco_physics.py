"""MuJoCo worlds: as one MuJoCo would step them, alone in failure, exact in delay, snapshot and ray."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from sim.physics.masks import mask_of
from sim.physics.mujoco.physics import MujocoPhysics
from sim.physics.mujoco.quarantine import MOST_DUMPS, read_dump

MJCF = """
<mujoco>
  <option timestep="0.005" integrator="implicitfast"/>
  <asset><hfield name="hills" nrow="9" ncol="7" size="1.5 2 0.4 0.5" elevation="{hills}"/></asset>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" friction="0.8 0.01 0.01"/>
    <geom name="hills" type="hfield" hfield="hills" pos="4 0 0.1"/>
    <geom name="step" type="box" pos="-4 0 0.1" size="1 1 0.1" group="3"/>
    <body name="trunk" pos="0 0 0.5">
      <freejoint/>
      <geom type="box" size="0.2 0.1 0.05" mass="5"/>
      <site name="imu"/>
      <body name="leg" pos="0.2 0 0">
        <joint name="knee" type="hinge" axis="0 1 0" damping="0.1" armature="0.01"/>
        <geom name="foot" type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02" mass="0.5"/>
      </body>
    </body>
  </worldbody>
  <actuator><position name="knee" joint="knee" kp="20" kv="0.5" forcerange="-10 10"/></actuator>
  <sensor>
    <framequat name="imu_orientation" objtype="site" objname="imu"/>
    <gyro name="imu_gyro" site="imu"/>
    <accelerometer name="imu_accelerometer" site="imu"/>
    <jointpos name="knee_position" joint="knee"/>
    <jointvel name="knee_velocity" joint="knee"/>
    <actuatorfrc name="knee_torque" actuator="knee"/>
    <framepos name="base_position" objtype="site" objname="imu"/>
    <velocimeter name="base_linear_velocity" site="imu"/>
    <contact name="foot_contact" geom1="foot" num="1" data="found"/>
  </sensor>
</mujoco>
""".format(hills=" ".join(str(v) for v in np.random.default_rng(3).random(63).round(3)))
CURRENT = ("imu_orientation", "imu_gyro", "knee_position", "knee_velocity", "base_position", "base_linear_velocity")
N = 6
DOWN = torch.tensor([0.0, 0.0, -1.0])


def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(MJCF)


def scattered(n: int = N, substeps: int = 4, threads: int = 1, dump: Path | None = None) -> MujocoPhysics:
    """Worlds in different states, falling and tumbling."""
    physics = MujocoPhysics(model(), n, substeps=substeps, threads=threads, dump=dump)
    random = np.random.default_rng(0)
    qpos = np.tile(physics.model.qpos0, (n, 1))
    qpos[:, 2] += random.uniform(-0.2, 0.2, n)
    qpos[:, 7] = random.uniform(-1, 1, n)
    qvel = random.normal(0, 0.5, (n, physics.model.nv))
    physics.write(torch.ones(n, dtype=torch.bool), torch.from_numpy(qpos), torch.from_numpy(qvel))
    return physics


def late(command: Tensor, before: Tensor, delay: Tensor, substeps: int = 4) -> Tensor:
    """A schedule [N, substeps, nu]: for each world's first `delay` [N] substeps the command `before`."""
    waits = torch.arange(substeps) < delay[:, None]
    return torch.where(waits[..., None], before[:, None], command[:, None])


def only(*worlds: int, n: int = N) -> Tensor:
    return mask_of(torch.tensor(worlds), n)


def commands(steps: int, n: int = N) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, 1, generator=generator) for _ in range(steps)]


def alone(physics: MujocoPhysics, world: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
    return physics.batch.get_model(world), physics.batch.get_data(world)


def test_worlds_step_as_mujoco_steps_each_of_them() -> None:
    physics = scattered()
    singles = [alone(physics, world) for world in range(N)]
    for command in commands(30):
        physics.step(command)
        for world, (own, data) in enumerate(singles):
            data.ctrl[:] = command[world].numpy()
            mujoco.mj_step(own, data, 4)
            np.testing.assert_array_equal(physics.qpos[world], data.qpos)
            np.testing.assert_array_equal(physics.qvel[world], data.qvel)
            # What is measured by forces is of the last substep, and never another world's.
            for name in ("imu_accelerometer", "knee_torque", "foot_contact"):
                np.testing.assert_array_equal(
                    physics.values[world, physics.columns(name)].numpy(), data.sensor(name).data.astype(np.float32)
                )
            mujoco.mj_forward(own, data)
            for name in CURRENT:
                np.testing.assert_allclose(
                    physics.values[world, physics.columns(name)], data.sensor(name).data, rtol=1e-5, atol=1e-6
                )
            # mj_forward left another warm start than the step did.
            mujoco.mj_setState(own, data, physics.batch.state[world], mujoco.mjtState.mjSTATE_INTEGRATION)
    assert physics.values[:, physics.columns("foot_contact")].any()
    assert not physics.failed.any()


def test_values_are_fresh_after_each_step() -> None:
    physics = scattered()
    first = physics.values
    kept = first.clone()
    physics.step(torch.ones(N, 1))
    assert torch.equal(first, kept)
    assert not torch.equal(first, physics.values)
    assert physics.values.dtype == torch.float32


def test_tensors_are_views_of_the_memory_that_mujoco_steps() -> None:
    physics = scattered()
    expanded = physics.batch.expand("body_mass")
    views = (
        (physics.qpos, physics.batch.bind("qpos")),
        (physics.qvel, physics.batch.bind("qvel")),
        (physics.wrench, physics.batch.bind("xfrc_applied")[:, 1]),
        (physics.fields.expand("body_mass"), expanded),
    )
    for tensor, array in views:
        assert tensor.data_ptr() == array.ctypes.data
        tensor[1, 1] = 0.25
        assert array[1, 1] == 0.25
        array[2, 0] = -0.5
        assert tensor[2, 0] == -0.5
    addresses = [tensor.data_ptr() for tensor, _ in views]
    physics.step(torch.zeros(N, 1))
    physics.restore(physics.snapshot())
    assert addresses == [
        t.data_ptr() for t in (physics.qpos, physics.qvel, physics.wrench, physics.fields.expand("body_mass"))
    ]


def test_one_thread_and_two_give_the_same_bits() -> None:
    one, two = scattered(threads=1), scattered(threads=2)
    delay = torch.tensor([0, 1, 2, 3, 4, 0])
    for k, command in enumerate(commands(40)):
        for physics in (one, two):
            physics.step(late(command, torch.zeros(N, 1), delay) if k % 2 else command)
    np.testing.assert_array_equal(one.batch.state, two.batch.state)
    assert torch.equal(one.values, two.values)


def test_a_schedule_holds_each_of_its_commands_for_one_substep() -> None:
    """As single substeps under the commands then due, which differ from substep to substep and world to world."""
    physics, slow = scattered(), scattered(substeps=1)
    generator = torch.Generator().manual_seed(4)
    for _ in range(10):
        schedule = torch.randn(N, 4, 1, generator=generator)
        physics.step(schedule)
        for substep in range(4):
            slow.step(schedule[:, substep])
    np.testing.assert_array_equal(physics.batch.state, slow.batch.state)
    assert torch.equal(physics.values, slow.values)


def test_a_restored_snapshot_continues_bit_for_bit() -> None:
    physics = scattered()
    physics.fields.expand("body_mass")[1, 1] *= 1.3
    physics.fields.expand("geom_friction")[2] *= 0.5
    physics.fields.set_const(only(1))
    physics.wrench[3, :3] = torch.tensor([1.0, 2.0, 3.0])
    sequence = [late(after, before, torch.arange(N) % 3) for before, after in pairwise(commands(61))]
    for command in sequence[:20]:
        physics.step(command)
    saved = physics.snapshot()
    other = MujocoPhysics(model(), N, threads=2)
    other.fields.expand("dof_damping")[:] *= 5.0
    other.restore(saved)
    assert torch.equal(physics.values, other.values)
    for command in sequence[20:]:
        physics.step(command)
        other.step(command)
    np.testing.assert_array_equal(physics.batch.state, other.batch.state)
    after = physics.snapshot()
    physics.restore(saved)
    for command in sequence[20:]:
        physics.step(command)
    again = physics.snapshot()
    assert all(torch.equal(after[name], again[name]) for name in after)


def test_a_snapshot_of_another_number_of_worlds_is_refused() -> None:
    with pytest.raises(UserError, match="same model and number of worlds"):
        scattered(3).restore(scattered(4).snapshot())


def nan_position(physics: MujocoPhysics) -> None:
    physics.qpos[2, 0] = np.nan


def huge_velocity(physics: MujocoPhysics) -> None:
    physics.qvel[2, 6] = 1e12


def fast(physics: MujocoPhysics) -> None:
    physics.qvel[2, 0] = 5000.0


def nan_force(physics: MujocoPhysics) -> None:
    physics.wrench[2, 0] = np.nan


@pytest.mark.parametrize("harm", [nan_position, huge_velocity, fast, nan_force])
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_failed_world_is_reset_alone(harm, scheduled: bool) -> None:  # type: ignore[no-untyped-def]
    healthy, hurt = scattered(), scattered()
    for k, command in enumerate(commands(30)):
        if k == 10:
            harm(hurt)
        for physics in (healthy, hurt):
            physics.step(late(command, 0.5 * command, torch.full((N,), 2)) if scheduled else command)
        assert hurt.failed.tolist() == [False, False, k == 10, False, False, False]
        if k == 10:
            start = MujocoPhysics(model(), 1)
            np.testing.assert_array_equal(hurt.qpos[2], start.qpos[0])
            assert torch.equal(hurt.values[2], start.values[0])
    assert (hurt.failures, healthy.failures) == (1, 0)
    others = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(hurt.batch.state[others], healthy.batch.state[others])
    assert torch.equal(hurt.values[others], healthy.values[others])
    assert torch.isfinite(hurt.values).all()


def test_a_command_that_is_not_finite_fails_its_world_alone() -> None:
    physics = scattered()
    command = torch.zeros(N, 1)
    command[4] = torch.nan
    physics.step(command)
    assert physics.failed.tolist() == [False] * 4 + [True, False]
    physics.step(torch.zeros(N, 4, 1))
    assert not physics.failed.any()


def test_a_world_with_a_broken_model_gets_its_own_back() -> None:
    physics = scattered()
    physics.fields.expand("body_mass")[2] = np.nan
    physics.step(torch.zeros(N, 1))
    assert physics.failed.nonzero().tolist() == [[2]]
    assert torch.isfinite(physics.values).all()
    assert torch.equal(physics.fields.expand("body_mass")[2], physics.fields.nominal("body_mass"))
    physics.step(torch.zeros(N, 1))
    assert not physics.failed.any()


def test_a_failed_worlds_last_states_can_be_replayed(tmp_path: Path) -> None:
    folder = tmp_path / "failed"
    physics = scattered(dump=folder)
    physics.fields.expand("body_mass")[3, 1] = 7.0
    sequence = commands(12)
    for command in sequence[:10]:
        physics.step(command)
    before = physics.batch.state[3].copy()
    physics.step(sequence[10])
    between = physics.batch.state[3].copy()
    physics.qvel[3, 4] = np.inf
    physics.step(sequence[11])
    (path,) = folder.iterdir()
    assert path.name == "failed-1-world-3.npz"
    dump = read_dump(path)
    assert "velocity" in dump.reason
    assert dump.model.body_mass[1] == 7.0
    np.testing.assert_array_equal(dump.states[-2], before)
    assert np.isinf(dump.states[-1]).sum() == 1
    np.testing.assert_array_equal(dump.commands, np.tile(sequence[11][3].numpy(), (4, 1)))
    assert dump.replay().warning[mujoco.mjtWarning.mjWARN_BADQVEL].number == 1
    dump.states[-1] = between
    assert np.isfinite(dump.replay().qpos).all()


def test_no_more_than_so_many_failures_are_written(tmp_path: Path) -> None:
    physics = scattered(MOST_DUMPS + 5, dump=tmp_path)
    physics.qvel[:] = np.nan
    physics.step(torch.zeros(MOST_DUMPS + 5, 1))
    assert physics.failures == MOST_DUMPS + 5
    assert len(list(tmp_path.iterdir())) == MOST_DUMPS


def test_a_folder_that_cannot_be_written_does_not_stop_the_worlds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    physics = scattered(dump=tmp_path / "file" / "below")
    physics.qvel[0] = np.nan
    with pytest.warns(UserWarning, match="no more failed worlds are written"):
        physics.step(torch.zeros(N, 1))
    assert physics.failed.nonzero().tolist() == [[0]]


def test_mujoco_warns_nobody_else(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    physics = scattered()
    physics.qvel[0] = np.nan
    physics.step(torch.zeros(N, 1))
    assert physics.failures == 1
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_randomization_starts_from_stored_values() -> None:
    fields = scattered().fields
    mass = fields.nominal("body_mass").clone()
    for factor in (1.2, 1.4):
        fields.expand("body_mass")[1] = fields.nominal("body_mass") * factor
    assert torch.equal(fields.nominal("body_mass"), mass)
    assert torch.equal(fields.expand("body_mass")[[0, 2, 3, 4, 5]], mass.expand(5, -1))


def test_constants_follow_in_the_named_worlds_alone() -> None:
    physics = scattered()
    physics.fields.expand("body_mass")[:, 1] *= 2.0
    physics.fields.set_const(only(4, 1))
    weight = physics.batch.expanded("body_subtreemass")[:, 0]
    own = physics.model.body_subtreemass[0]
    np.testing.assert_allclose(weight, [own, own + 5.0, own, own, own + 5.0, own])


def test_a_wrench_accelerates_the_base() -> None:
    physics = scattered(2)
    physics.qpos[:, 2] = 20.0
    physics.qvel[:] = 0.0
    mass = float(physics.model.body_subtreemass[1])
    physics.wrench[1, 2] = mass * 9.81
    for _ in range(10):
        physics.step(torch.zeros(2, 1))
    height = physics.values[:, physics.columns("base_position")][:, 2]
    assert height[0] < 19.9
    momentum = np.array(physics.batch.get_data(1).qvel[2])
    assert abs(momentum) < 0.1


def test_rays_meet_the_ground_and_never_the_robot() -> None:
    """Heights by rays, over the robot, the floor, the box and the hills, which are triangles between samples."""
    physics = scattered(3)
    random = np.random.default_rng(5)
    places = np.concatenate((random.uniform((2.6, -1.9), (5.4, 1.9), (200, 2)), [(0, 0), (-4, 0.5), (0.2, 0)]))
    above = np.concatenate((places, np.full((len(places), 1), 3.0)), -1)
    distance = physics.ray(torch.from_numpy(above), DOWN)
    assert distance.shape == (203,)
    np.testing.assert_allclose(distance[200:], [3.0, 2.8, 3.0], atol=1e-6)
    np.testing.assert_allclose(3.0 - distance[:200].numpy(), hills(places[:200]), atol=1e-5)


def hills(places: np.ndarray) -> np.ndarray:
    """Heights [P] in m of the height field: two triangles per square."""
    own = model()
    heights = own.hfield_data.reshape(9, 7) * 0.4 + 0.1
    x, y = (places[:, 0] - 4 + 1.5) / 3.0 * 6, (places[:, 1] + 2.0) / 4.0 * 8
    i, j = y.astype(int), x.astype(int)
    a, b = x - j, y - i
    h00, h01, h10, h11 = heights[i, j], heights[i, j + 1], heights[i + 1, j], heights[i + 1, j + 1]
    below = h00 + a * (h01 - h00) + b * (h11 - h01)
    above = h00 + b * (h10 - h00) + a * (h11 - h10)
    return np.asarray(np.where(a >= b, below, above))


def test_points_and_directions_of_rays_broadcast() -> None:
    physics = scattered(5)
    points = torch.rand(2, 7, 3) + torch.tensor([0, 0, 1.0])
    torch.testing.assert_close(physics.ray(points, DOWN), points[..., 2], atol=1e-6, rtol=0.0)
    assert (physics.ray(points, -DOWN) == -1.0).all()
    with pytest.raises(ValueError, match="broadcast"):
        physics.ray(points, DOWN.expand(3, 1, 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MujocoPhysics(model(), 0), "num_worlds must be at least 1, got 0"),
        (lambda: MujocoPhysics(model(), 2, threads=-1), "threads must be 0 .* got -1"),
        (lambda: MujocoPhysics(model(), 2, substeps=0), "substeps must be at least 1, got 0"),
        (lambda: scattered(2).columns("imu_gyr"), "no sensor 'imu_gyr'; did you mean imu_gyro"),
        (lambda: scattered(2).columns("lidar"), "it has imu_orientation, imu_gyro"),
        (lambda: scattered(2).fields.expand("body_mas"), "no field 'body_mas'; did you mean .*body_mass"),
        (lambda: scattered(2).step(torch.zeros(2, 3)), r"command must be \[2, 1\], got \[2, 3\]"),
        (lambda: scattered(2).step(torch.zeros(2, 3, 1)), r"command must be \[2, 4, 1\], got \[2, 3, 1\]"),
        (lambda: scattered(2).refresh(torch.arange(2)), r"a mask \[N\] bool, got \[2\] torch.int64"),
    ],
)
def test_mistakes_are_named(wrong, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message) as error:
        wrong()
    assert "\n" not in str(error.value)
