"""Walk a Go1 that does not know its load, its motors, its delay, the ground's friction and the wind.

What is hidden differs so widely that a policy without memory can't serve all of it: the task compares students of a
privileged teacher. Everything else is that of `go1-velocity-flat`.
"""

from __future__ import annotations

from dataclasses import replace

from sim.legged import observations
from sim.legged.hidden import HIDDEN, HIDDEN_EVENTS, HIDDEN_MIRROR
from sim.legged.mirror import legged_mirror
from sim.robots.go1 import GO1
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT

MIRROR = observations.mirror(GO1)
REPLACED = ("renewal", "base_mass", "centre", "stiffness", "damping")
"""The load and the motors of each leg are in the place of these, and every episode has another body: what is shown of
it is that of the last restart."""

GO1_VELOCITY_HIDDEN = (
    replace(
        GO1_VELOCITY_FLAT,
        name="go1-velocity-hidden",
        summary="Walk a go1 with a hidden load, weak legs, a delay, slippery ground and wind at a commanded velocity.",
        mirror=replace(MIRROR, truth={**MIRROR.truth, **legged_mirror(GO1, truth=HIDDEN_MIRROR).truth}),
    )
    .changed(events={**dict.fromkeys(REPLACED), **HIDDEN_EVENTS}, privileged=HIDDEN)
    .with_settings(
        {
            "events": {
                "friction": {"range": 0.6}, "strength": {"range": 0.2}, "delay": {"longest": 0.04},
                "push": {"speed": 0.8, "spin": 0.6, "interval": (4.0, 8.0)},
            },
        }
    )
)  # fmt: skip
