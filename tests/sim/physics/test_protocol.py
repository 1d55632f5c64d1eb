"""What every physics backend does alike, whichever it is: a free box or quadrotor in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mujoco
import pytest
import torch
from torch import Tensor

from sim.physics.masks import mask_of
from sim.physics.mujoco.physics import MujocoPhysics
from sim.physics.protocol import JointedPhysics, Physics
from sim.physics.pybullet.physics import PybulletPhysics
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS

N, SUBSTEPS, DT = 5, 4, 0.005
BOX = """<mujoco><option timestep="0.005"/><worldbody>
  <body name="box" pos="0 0 2"><freejoint/><geom type="box" size="0.1 0.1 0.1" mass="1"/><site name="box"/>
    <body pos="0 0 0.2"><joint name="hinge" axis="0 1 0"/>
      <geom size="0.05" mass="0.1" contype="0" conaffinity="0"/></body>
  </body></worldbody>
  <actuator><motor joint="hinge"/></actuator>
  <sensor><framepos name="position" objtype="site" objname="box"/></sensor></mujoco>"""


def jointed(backend: Callable[..., JointedPhysics]) -> JointedPhysics:
    return backend(mujoco.MjModel.from_xml_string(BOX), N, substeps=SUBSTEPS)


MAKERS: dict[str, Callable[[], Physics]] = {
    "mujoco": lambda: jointed(MujocoPhysics),
    "pybullet": lambda: jointed(PybulletPhysics),
    "rotor": lambda: RotorPhysics(N, PARAMETERS["crazyflie"], DT, substeps=SUBSTEPS),
}


@pytest.fixture(params=sorted(MAKERS))
def physics(request: pytest.FixtureRequest) -> Iterator[Physics]:
    made = MAKERS[request.param]()
    yield made
    if request.param != "rotor":
        made.close()  # type: ignore[attr-defined]


def idle(physics: Physics) -> Tensor:
    return torch.zeros(N, 4 if isinstance(physics, RotorPhysics) else 1)


def position(physics: Physics) -> Tensor:
    return physics.values[:, physics.columns("position")]


def test_what_is_written_into_live_tensors_holds_from_the_next_step_on(physics: Physics) -> None:
    """All worlds fall alike but world 2, which is thrown upwards; and one that is lifted."""
    before = position(physics).clone()
    physics.qvel[2, 2] = 3.0
    physics.qpos[4, 2] += 1.0
    physics.step(idle(physics))
    fallen = position(physics)[:, 2] - before[:, 2]
    time = SUBSTEPS * DT
    assert fallen[[0, 1, 3]].tolist() == pytest.approx([-0.5 * 9.81 * time**2] * 3, abs=0.001)
    assert float(fallen[2] - fallen[0]) == pytest.approx(3.0 * time, abs=1e-5)
    assert float(fallen[4] - fallen[0]) == pytest.approx(1.0, abs=1e-5)


def test_a_mask_restarts_its_worlds_alone_and_reads_no_row_of_the_others(physics: Physics) -> None:
    for _ in range(3):
        physics.step(idle(physics))
    qpos, qvel, values = physics.qpos.clone(), physics.qvel.clone(), physics.values.clone()
    mask = mask_of(torch.tensor([1, 3]), N)
    start, speed = torch.full_like(qpos, torch.nan), torch.full_like(qvel, torch.nan)
    start[mask], speed[mask] = 0.0, 0.0
    start[mask, 2], start[mask, 3] = torch.tensor([5.0, 6.0]).to(qpos), 1.0
    speed[mask, 0] = 0.5
    physics.write(mask, start, speed)
    assert torch.equal(physics.qpos[mask], start[mask]) and torch.equal(physics.qvel[mask], speed[mask])
    assert torch.equal(physics.qpos[~mask], qpos[~mask]) and torch.equal(physics.qvel[~mask], qvel[~mask])
    assert torch.equal(physics.values[~mask], values[~mask])
    assert position(physics)[mask].tolist() == [[0.0, 0.0, 5.0], [0.0, 0.0, 6.0]]
    physics.step(idle(physics))
    assert physics.qpos[mask, 0].tolist() == pytest.approx([0.5 * SUBSTEPS * DT] * 2, abs=1e-6)


def test_values_are_new_after_every_step_and_of_one_type(physics: Physics) -> None:
    first = physics.values
    kept = first.clone()
    physics.step(idle(physics))
    assert torch.equal(first, kept) and not torch.equal(first, physics.values)
    assert physics.values.dtype == torch.float32 and physics.values.shape[0] == physics.num_worlds == N
    assert str(physics.values.device) == physics.device and physics.dt == DT


def test_a_schedule_of_one_command_is_that_command_held(physics: Physics) -> None:
    other = next(make for name, make in MAKERS.items() if isinstance(MAKERS[name](), type(physics)))()
    command = 0.2 * torch.rand_like(idle(physics))
    for _ in range(3):
        physics.step(command)
        other.step(command[:, None].expand(-1, SUBSTEPS, -1))
    assert torch.equal(physics.qpos, other.qpos) and torch.equal(physics.qvel, other.qvel)


def test_what_a_scenario_asks_of_jointed_physics_is_there_on_every_backend() -> None:
    for backend in (MujocoPhysics, PybulletPhysics):
        physics = jointed(backend)
        physics.wrench[2, 2] = 10.0
        physics.step(idle(physics))
        assert float(physics.qvel[2, 2]) > float(physics.qvel[0, 2]) + 0.1
        physics.qvel[3, 2] = 1e6
        physics.step(idle(physics))
        assert physics.failed.tolist() == [False, False, False, True, False] and physics.failures == 1
        assert physics.qpos[3].tolist() == physics.model.qpos0.tolist()
        physics.close()
