"""Velocity commands: drawn, held for seconds, drawn again; some steer to a heading, some ask to stand."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sim.legged.settings import CommandSettings


class VelocityCommands:
    """The commands of N worlds. `values` [N, 3]: forward and left m/s, yaw rate rad/s, in the base's frame.

    What is asked for changes at once; `values` follow it no faster than the settings' `acceleration`, as on the robot's
    side, where the same limit comes from the bundle. Episodes start from standing. With a curriculum the ranges start
    at a share of the full ones and grow while the worlds track them.
    """

    def __init__(
        self, settings: CommandSettings, num_worlds: int, period: float, curriculum: bool, device: str = "cpu"
    ) -> None:
        self.settings = settings
        self.range = settings.start if curriculum else 1.0
        self.values = torch.zeros(num_worlds, 3, device=device)
        self._asked = torch.zeros(num_worlds, 3, device=device)
        self._step = torch.tensor(settings.acceleration, device=device) * period
        self._period = period
        self._heading = torch.zeros(num_worlds, device=device)
        self._steers = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        self._left = torch.zeros(num_worlds, device=device)
        self._held = torch.zeros(num_worlds, dtype=torch.bool, device=device)
        self._ended = 0
        self._tracked = 0.0
        self._limits = torch.tensor([settings.forward, settings.sideways, settings.yaw], device=device)

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """New commands for the worlds `ids` [K], which stand."""
        self.values = self.values.index_fill(0, ids, 0.0)
        self._draw(ids, generator)

    def _draw(self, ids: Tensor, generator: torch.Generator) -> None:
        s = self.settings
        u = torch.rand(len(ids), 7, generator=generator, device=ids.device)
        x, y, yaw, stands, steers, heading, left = u.unbind(1)
        command = (2.0 * torch.stack((x, y, yaw), 1) - 1.0) * self._limits * self.range
        x, y, yaw = command.unbind(1)
        # Slow commands ask for neither walking nor standing: they stand.
        stands = (stands < s.standing) | (torch.hypot(x, y) < 0.1) & (yaw.abs() < 0.1)
        self._asked.index_copy_(0, ids, command.masked_fill_(stands[:, None], 0.0))
        self._steers.index_copy_(0, ids, (steers < s.heading) & ~stands)
        self._heading.index_copy_(0, ids, (2.0 * heading - 1.0) * torch.pi)
        self._left.index_copy_(0, ids, s.interval[0] + left * (s.interval[1] - s.interval[0]))
        self._held.index_fill_(0, ids, False)

    def advance(self, heading: Tensor, generator: torch.Generator) -> None:
        """One control period; `heading` [N] rad is where the bases point in the world."""
        self._left -= self._period
        over = ((self._left <= 0.0) & ~self._held).nonzero()[:, 0]
        if len(over):
            self._draw(over, generator)
        error = torch.remainder(self._heading - heading + torch.pi, 2.0 * torch.pi) - torch.pi
        limit = float(self._limits[2]) * self.range
        steered = (self.settings.heading_gain * error).clamp(-limit, limit)
        yaw = torch.where(self._steers & ~self._held, steered, self._asked[:, 2])
        asked = torch.cat((self._asked[:, :2], yaw[:, None]), -1)
        # A new tensor each step, for whoever keeps the last one.
        self.values = torch.minimum(torch.maximum(asked, self.values - self._step), self.values + self._step)

    def ask(self, ids: Tensor, command: Tensor) -> None:
        """Ask the worlds `ids` [K] by hand for [K, 3] or [3], until they restart."""
        self._asked[ids] = command
        self._held[ids] = True

    def hold(self, ids: Tensor, command: Tensor) -> None:
        """As `ask`, but at once, for whoever limits the changes of commands himself."""
        self.ask(ids, command)
        self.values = self.values.index_copy(0, ids, command.expand(len(ids), 3))

    def learn(self, tracking: Tensor) -> None:
        """Widen the ranges once as many episodes as there are worlds were tracked well on average.

        `tracking` [K] is that of each episode that has just ended, 1 for perfect.
        """
        self._ended += len(tracking)
        self._tracked += float(tracking.sum())
        if self._ended >= len(self.values):
            if self._tracked > self.settings.promotion * self._ended:
                self.range = min(1.0, self.range + self.settings.growth)
            self._ended, self._tracked = 0, 0.0

    def finish_curriculum(self) -> None:
        """Full ranges from now on."""
        self.range = 1.0

    def snapshot(self) -> dict[str, Tensor]:
        return {
            "command": self.values.clone(),
            "command_asked": self._asked.clone(),
            "command_heading": self._heading.clone(),
            "command_steers": self._steers.clone(),
            "command_left": self._left.clone(),
            "command_held": self._held.clone(),
            "command_range": torch.tensor([self.range, self._ended, self._tracked], dtype=torch.float64),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self.values = snapshot["command"].clone()
        self._asked = snapshot["command_asked"].clone()
        self._heading = snapshot["command_heading"].clone()
        self._steers = snapshot["command_steers"].clone()
        self._left = snapshot["command_left"].clone()
        self._held = snapshot["command_held"].clone()
        self.range, ended, self._tracked = snapshot["command_range"].tolist()
        self._ended = int(ended)
