"""Generated C as a policy to evaluate: what a chip would compute, flown in a task's own worlds."""

from __future__ import annotations

import numpy as np
import torch

from deploy.bundle.manifest import Manifest
from deploy.mcu.batch import BatchLibrary
from policies.signals import Commands, Sensors, State

_STATE = "policy_state"


class CPilot:
    """A policy in C for N robots (see robo_rl.evaluation.flying.BatchPolicy).

    Each call is one `policy_step`: C generated for several calls per control period keeps its own states between them.
    """

    def __init__(self, library: BatchLibrary, manifest: Manifest) -> None:
        self._library = library
        self._sensors = tuple(sensor.name for sensor in manifest.sensors)
        self._commands = {command.name: command.dim for command in manifest.commands}

    def initial_state(self, batch: int, device: str) -> State:
        """The bytes of every robot's `policy_state`, [batch, bytes]; they stay on the processor."""
        return State({_STATE: torch.from_numpy(self._library.reset(batch))})

    def step(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        """Commands [batch, dim] of `sensors` [batch, dim], on the sensors' device, and the next state."""
        device = next(iter(sensors.values())).device
        rows = np.concatenate([sensors[name].detach().cpu().numpy() for name in self._sensors], axis=1)
        following, flat = self._library.step(state[_STATE].numpy(), rows)
        parts = torch.from_numpy(flat).to(device).split(list(self._commands.values()), dim=1)
        commands = dict(zip(self._commands, parts, strict=True))
        return Commands(commands), State({_STATE: torch.from_numpy(following)})
