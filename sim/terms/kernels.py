"""The kernel that computes reward terms in one pass over all worlds, put together from their Warp functions."""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
from typing import Any

import warp as wp


def reward_kernel(inputs: Any, functions: tuple[Any, ...], offsets: tuple[int, ...]) -> Any:
    """A kernel, one world a thread, that adds up `functions`, each with its parameters from its place in `offsets` on.

    `inputs` is a wp.struct with at least `failed` [N] bool and `parameters`, all parameters one after the other; a
    function takes it, the world's index and the index of its first parameter, and returns a float. The kernel writes
    `reward` [N] and adds to `sums` [N, T] what each term contributes.
    """
    count = len(functions)
    each = wp.types.vector(max(count, 1), float)

    @wp.kernel(enable_backward=False, module="unique", module_options={"max_unroll": 256})
    def add_up(
        given: inputs,
        weights: wp.array(dtype=float),
        sums: wp.array2d(dtype=float),
        reward: wp.array(dtype=float),
    ):
        world = wp.tid()
        total = wp.float32(0.0)
        # A world in quarantine has been reset: its values do not describe the step.
        if not given.failed[world]:
            # All is read before anything is written, so that the compiler shares what several terms read.
            values = each()
            for k in range(wp.static(count)):
                values[k] = weights[k] * wp.static(functions[k])(given, world, wp.static(offsets[k]))
            for k in range(wp.static(count)):
                sums[world, k] += values[k]
                total += values[k]
        reward[world] = total

    return add_up
