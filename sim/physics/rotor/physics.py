"""Quadrotor worlds stepped by the Warp kernels, sharing memory with torch tensors; differentiable where asked."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from difflib import get_close_matches
from typing import Any

import torch
import warp as wp
from torch import Tensor
from torch.nn.functional import pad

from policies.errors import UserError
from sim.physics.rotor import kernels
from sim.physics.rows import side_by_side
from sim.physics.runtime import launch, start_warp
from sim.robots.rotors import GRAVITY, RotorParameters

COLUMNS = {
    "position": slice(0, 3),
    "orientation": slice(3, 7),
    "linear_velocity": slice(7, 10),
    "angular_velocity": slice(10, 13),
    "rotor_speed": slice(13, 17),
}

# Below this many worlds, starting a thread takes longer than its share of the work.
_WORLDS_PER_THREAD = 1024


class RotorPhysics:
    """N quadrotors, each a free body with four rotors; see `Physics`.

    `state` [N, 17], `parameters` [N, 12] and `wrench` [N, 6] are float32 tensors, live (see kernels.py; the wrench's
    torque is in the body's frame); `qpos` [N, 7] and `qvel` [N, 6] are parts of the state. Commands are rotor speeds
    [N, 4] in rad/s.

    `step` advances in place; `flow` makes a new state that carries gradients to earlier states and commands. `threads`
    splits the worlds over CPU threads; results do not depend on it. Raises UserError for zero worlds, substeps below 1
    or a time step not above 0.
    """

    def __init__(
        self,
        num_worlds: int,
        parameters: RotorParameters,
        dt: float,
        device: str = "cpu",
        threads: int = 1,
        substeps: int = 1,
    ) -> None:
        if num_worlds < 1:
            raise UserError(f"num_worlds must be at least 1, got {num_worlds}")
        if substeps < 1:
            raise UserError(f"substeps must be at least 1, got {substeps}")
        if not dt > 0.0:
            raise UserError(f"dt must be above 0 s, got {dt}")
        start_warp()
        self.num_worlds = num_worlds
        self.dt = dt
        self.substeps = substeps
        self.device = device
        self.parameters = parameter_row(parameters, device).repeat(num_worlds, 1)
        self.wrench = torch.zeros(num_worlds, kernels.WRENCH_DIM, device=device)
        self._state = torch.zeros(num_worlds, kernels.STATE_DIM, device=device)
        self._state[:, 3] = 1.0
        self._flowing: Tensor | None = None
        self._geometry = tuple(wp.vec4(*v) for v in (parameters.rotor_x, parameters.rotor_y, parameters.yaw_sign))
        self._command = torch.zeros(num_worlds, 4, device=device)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 and torch.device(device).type == "cpu" else None
        self._launches = self._record(threads if self._pool else 1)
        self._lazy_tape: _Tape | None = None

    def _record(self, threads: int) -> list[Any]:
        """The in-place step as recorded launches, one for each share of the worlds."""
        shares = max(1, min(threads, self.num_worlds // _WORLDS_PER_THREAD))
        edges = [self.num_worlds * k // shares for k in range(shares + 1)]
        arrays = [wp.from_torch(t) for t in (self.parameters, self.wrench, self._command, self._state)]
        self._arrays = arrays
        return [
            wp.launch(
                kernels.rk4_step,
                dim=b - a,
                inputs=[a, self.dt, *self._geometry, GRAVITY, *arrays],
                outputs=[arrays[3]],
                device=self.device,
                record_cmd=True,
            )
            for a, b in zip(edges, edges[1:], strict=False)
        ]

    @property
    def state(self) -> Tensor:
        """The state [N, 17] of all worlds: a live view after `step`, a new tensor after every `flow`."""
        return self._flowing if self._flowing is not None else self._state

    @property
    def qpos(self) -> Tensor:
        """Position (m, world) and orientation (w, x, y, z) [N, 7]."""
        return self.state[:, :7]

    @property
    def qvel(self) -> Tensor:
        """Linear velocity (m/s, world) and angular velocity (rad/s, body) [N, 6]."""
        return self.state[:, 7:13]

    @property
    def values(self) -> Tensor:
        """All sensors [N, 17]: a copy after `step`, part of the graph after `flow`."""
        return self.state if self._flowing is not None else self._state.clone()

    def columns(self, name: str) -> slice:
        """Where a sensor is in `values`; a UserError names near matches."""
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=3) or COLUMNS
            raise UserError(f"a quadrotor has no sensor {name!r}; did you mean {', '.join(near)}?")
        return COLUMNS[name]

    def sensors(self) -> dict[str, Tensor]:
        """The parts [N, dim] of `values` by name."""
        values = self.values
        return {name: values[:, columns] for name, columns in COLUMNS.items()}

    def step(self, command: Tensor) -> None:
        """Advance by all substeps in place under rotor speeds [N, 4] held (rad/s, clamped to 0..max), or
        [N, substeps, 4]."""
        self.detach()
        held = command.dim() == 2
        for substep in range(self.substeps):
            if substep == 0 or not held:
                self._command.copy_(command if held else command[:, substep])
            self._substep()

    def _substep(self) -> None:
        if len(self._launches) == 1 or self._pool is None:
            launch(self._launches[0], self.device)
            return
        futures: list[Future[None]] = [self._pool.submit(share.launch) for share in self._launches[1:]]
        self._launches[0].launch()
        for future in futures:
            future.result()

    def flow(self, command: Tensor) -> None:
        """One step of `dt` that carries gradients from the new `state` to the old one and to the command."""
        self._flowing = self.advance(self.state, command)

    def detach(self) -> None:
        """Cut the gradient's way into the past and return to stepping in place."""
        if self._flowing is not None:
            self._state.copy_(self._flowing.detach())
            self._flowing = None

    def write(self, worlds: Tensor, qpos: Tensor, qvel: Tensor, command: Tensor | None = None) -> None:
        """Start the masked `worlds` [N] from `qpos` [N, 7] and `qvel` [N, 6], rotors turning as `command` [N, 4] says
        (default 0)."""
        self.detach()
        turning = torch.zeros_like(self._command) if command is None else command
        torch.where(worlds[:, None], side_by_side([qpos, qvel, turning]), self._state, out=self._state)

    @property
    def _tape(self) -> _Tape:
        """Buffers of the differentiable step, made at its first use."""
        if self._lazy_tape is None:
            self._lazy_tape = _Tape(self.num_worlds, self.dt, self._geometry, self.device)
        return self._lazy_tape

    def advance(self, state: Tensor, command: Tensor) -> Tensor:
        """The state [N, 17] one step of `dt` after `state` under rotor speeds [N, 4]; differentiable in both."""
        return _Advance.apply(state, command, self)  # type: ignore[no-untyped-call,no-any-return]

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the physics' future."""
        return {
            "state": self.state.detach().clone(),
            "parameters": self.parameters.clone(),
            "wrench": self.wrench.clone(),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot, bit for bit."""
        self._flowing = None
        self._state.copy_(snapshot["state"])
        # Snapshots of earlier versions have no size.
        saved = snapshot["parameters"]
        self.parameters.copy_(pad(saved, (0, kernels.PARAMETER_DIM - saved.shape[1]), value=1.0))
        self.wrench.copy_(snapshot["wrench"])


class _Advance(torch.autograd.Function):
    """The kernel and its adjoint as one node of torch's graph."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, command: Tensor, physics: RotorPhysics) -> Tensor:
        ctx.save_for_backward(state, command, physics.parameters.clone(), physics.wrench.clone())
        ctx.tape = physics._tape
        return physics._tape.forward(state, command, physics.parameters, physics.wrench)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_state, grad_command = ctx.tape.backward(grad_out, *ctx.saved_tensors)
        return grad_state, grad_command, None


class _Tape:
    """Fixed buffers and recorded launches of one differentiable step.

    Wrapping a torch tensor for Warp costs more than the physics of a few hundred worlds, so values are copied into
    buffers that were wrapped once.
    """

    def __init__(self, num_worlds: int, dt: float, geometry: tuple[Any, ...], device: str) -> None:
        def buffer(dim: int) -> Tensor:
            return torch.zeros(num_worlds, dim, device=device)

        self._in = (buffer(kernels.PARAMETER_DIM), buffer(kernels.WRENCH_DIM), buffer(4), buffer(kernels.STATE_DIM))
        self._device = device
        self._out = buffer(kernels.STATE_DIM)
        self._grad_command, self._grad_state, self._grad_out = buffer(4), buffer(17), buffer(17)
        arrays = [wp.from_torch(t, requires_grad=False) for t in (*self._in, self._out)]
        adjoints = [wp.from_torch(t) for t in (self._grad_command, self._grad_state, self._grad_out)]
        self._arrays = [*arrays, *adjoints]  # Warp does not keep the memory of a recorded launch alive
        scalars = [0, dt, *geometry, GRAVITY]
        common = {"kernel": kernels.rk4_step, "dim": num_worlds, "device": device, "record_cmd": True}
        common |= {"inputs": [*scalars, *arrays[:4]], "outputs": [arrays[4]]}
        self._forward = wp.launch(**common)
        self._backward = wp.launch(
            **common,
            adj_inputs=[0, 0.0, wp.vec4(), wp.vec4(), wp.vec4(), 0.0, None, None, adjoints[0], adjoints[1]],
            adj_outputs=[adjoints[2]],
            adjoint=True,
        )

    def _load(self, state: Tensor, command: Tensor, parameters: Tensor, wrench: Tensor) -> None:
        for buffer, value in zip(self._in, (parameters, wrench, command, state), strict=True):
            buffer.copy_(value)

    def forward(self, state: Tensor, command: Tensor, parameters: Tensor, wrench: Tensor) -> Tensor:
        self._load(state, command, parameters, wrench)
        launch(self._forward, self._device)
        return self._out.clone()

    def backward(
        self, grad_out: Tensor, state: Tensor, command: Tensor, parameters: Tensor, wrench: Tensor
    ) -> tuple[Tensor, Tensor]:
        self._load(state, command, parameters, wrench)
        self._grad_out.copy_(grad_out)
        self._grad_state.zero_()
        self._grad_command.zero_()
        launch(self._backward, self._device)
        return self._grad_state.clone(), self._grad_command.clone()


def parameter_row(parameters: RotorParameters, device: str = "cpu") -> Tensor:
    """The kernel's parameter row [1, 12] of one quadrotor; its rotors stand where `parameters` says, so `size` is 1."""
    p = parameters
    row = (p.mass, *p.inertia, *p.thrust, p.torque_per_thrust, p.rise_time, p.fall_time, p.max_speed, 1.0)
    return torch.tensor([row], dtype=torch.float32, device=device)
