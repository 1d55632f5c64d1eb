"""Velocity commands: drawn, held for seconds, drawn again; some steer to a heading, some ask to stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor

from policies.specs import SensorSpec
from sim.legged import draws
from sim.physics.passes import StructPass
from sim.terms.parameters import Limits, NonNegative, Positive, Share
from sim.terms.stateful import CommandTerm
from sim.terms.terms import Command
from sim.terms.view import View

Interval = Annotated[tuple[float, float], Limits(above=0.0, ordered=True)]
Accelerations = Annotated[tuple[float, float, float], Limits(above=0.0)]


class VelocityCommands(CommandTerm):
    """The commands of N worlds. `values` [N, 3]: forward and left m/s, yaw rate rad/s (left turn positive), in the
    base's frame.

    `forward`, `sideways` and `yaw` are the largest speeds in either direction; `standing` is the share of commands that
    ask to stand still, `heading` that of commands whose yaw rate steers to a heading, as a person's or a planner's
    would, by `heading_gain` rad/s per rad of error. A command is held for a time within `interval` s. What is asked for
    changes at once; `values` follow it no faster than `acceleration` (m/s^2, m/s^2, rad/s^2), as on the robot's side,
    where the same limit comes from the bundle. Episodes start from standing.
    """

    def __init__(
        self,
        num_worlds: int,
        period: float,
        device: str = "cpu",
        *,
        forward: Positive = 1.5,
        sideways: Positive = 0.8,
        yaw: Positive = 1.2,
        standing: Share = 0.1,
        heading: Share = 0.25,
        heading_gain: NonNegative = 0.8,
        interval: Interval = (5.0, 10.0),
        acceleration: Accelerations = (3.0, 3.0, 8.0),
    ) -> None:
        self.range = 1.0
        """Share of the whole speeds that is drawn from; a curriculum may change it."""
        self.place: Callable[[Tensor, Tensor, torch.Generator], Tensor] | None = None
        """Makes of the worlds `ids` [K] and the numbers [K, 7] in 0..1 that their commands are drawn by others, the
        first three of which are the speeds' places in their ranges; a curriculum may set it."""
        self.interval = interval
        """Shortest and longest time in s that a command is held."""
        self.values = torch.zeros(num_worlds, 3, device=device)
        self._standing, self._heading_share, self._gain = standing, heading, heading_gain
        self._asked = torch.zeros(num_worlds, 3, device=device)
        self._change = torch.tensor(acceleration, device=device) * period
        self._period = period
        self._heading = torch.zeros(num_worlds, device=device)
        self._steers = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        self._left = torch.zeros(num_worlds, device=device)
        self._held = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        self.limits = torch.tensor([forward, sideways, yaw], device=device)
        constant = {"limits": self.limits, "standing": standing, "steering": heading}
        self._pass = StructPass(
            draws.draw_commands, draws.CommandDraws, num_worlds, device, constant, rows=("ids", "u")
        )

    @staticmethod
    def sensor(
        *, forward: float, sideways: float, yaw: float, acceleration: tuple[float, float, float], **others: Any
    ) -> SensorSpec:
        return SensorSpec(
            "velocity_command", 3, "m/s, m/s, rad/s", "body", (-forward, -sideways, -yaw), (forward, sideways, yaw),
            labels=("forward", "left", "yaw"), rate_limit=acceleration,
        )  # fmt: skip

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """New commands for the worlds `ids` [K], which stand."""
        self.values = self.values.index_fill(0, ids, 0.0)
        self._draw(ids, generator)

    def _draw(self, ids: Tensor, generator: torch.Generator) -> None:
        u = torch.rand(len(ids), 7, generator=generator, device=ids.device)
        if self.place is not None:
            u = self.place(ids, u, generator)
        given = {
            "ids": ids, "u": u, "asked": self._asked, "steers": self._steers,
            "heading": self._heading, "left": self._left, "held": self._held,
        }  # fmt: skip
        shortest, longest = self.interval
        self._pass(given, {"count": len(ids), "range": self.range, "shortest": shortest, "span": longest - shortest})

    def advance(self, view: View, generator: torch.Generator) -> None:
        w, x, y, z = view["orientation"].unbind(-1)
        pointing = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        self._left -= self._period
        over = ((self._left <= 0.0) & ~self._held).nonzero()[:, 0]
        if len(over):
            self._draw(over, generator)
        error = torch.remainder(self._heading - pointing + torch.pi, 2.0 * torch.pi) - torch.pi
        limit = float(self.limits[2]) * self.range
        steered = (self._gain * error).clamp(-limit, limit)
        yaw = torch.where(self._steers & ~self._held, steered, self._asked[:, 2])
        asked = torch.cat((self._asked[:, :2], yaw[:, None]), -1)
        self.values = torch.minimum(torch.maximum(asked, self.values - self._change), self.values + self._change)

    def ask(self, ids: Tensor, command: Tensor) -> None:
        """Ask the worlds `ids` [K] by hand for [K, 3] or [3], until they restart."""
        self._asked[ids] = command
        self._held[ids] = True

    def hold(self, ids: Tensor, command: Tensor) -> None:
        """As `ask`, but at once, for whoever limits the changes of commands himself."""
        self.ask(ids, command)
        self.values = self.values.index_copy(0, ids, command.expand(len(ids), 3))


WALKING_COMMANDS = {"velocity": Command(VelocityCommands)}
"""The commands of every walking task."""
