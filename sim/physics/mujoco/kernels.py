"""Reading a batch of worlds in one pass, as a Warp kernel: what it writes, torch and numpy need a dozen passes for."""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp


@wp.kernel
def read_worlds(
    data: wp.array2d(dtype=wp.float64),
    state: wp.array2d(dtype=wp.float64),
    copies: wp.array2d(dtype=int),
    velocities: wp.array2d(dtype=int),
    speeds: int,
    count: int,
    speed_limit: float,
    enormous: float,
    values: wp.array2d(dtype=float),
    sound: wp.array(dtype=bool),
):
    """Sensors `values` [N, S] from MuJoCo's own `data` [N, S] and what its `state` [N, K] says newer of them.

    Each row of `copies` is (first column to write, first column of the state, how many); of `velocities` (first column
    to write, the body's quaternion in the state, its velocity in the world). `sound` [N] tells whether the sum of a
    world's sensors is finite and below `enormous`, and each of `count` speeds, from the state's column `speeds` on,
    below `speed_limit`.
    """
    i = wp.tid()
    for column in range(values.shape[1]):
        values[i, column] = float(data[i, column])
    for row in range(copies.shape[0]):
        at = copies[row, 0]
        of = copies[row, 1]
        for k in range(copies[row, 2]):
            values[i, at + k] = float(state[i, of + k])
    for row in range(velocities.shape[0]):
        at = velocities[row, 0]
        q = velocities[row, 1]
        v = velocities[row, 2]
        turn = wp.quat(float(state[i, q + 1]), float(state[i, q + 2]), float(state[i, q + 3]), float(state[i, q]))
        along = wp.quat_rotate_inv(turn, wp.vec3(float(state[i, v]), float(state[i, v + 1]), float(state[i, v + 2])))
        for k in range(3):
            values[i, at + k] = along[k]
    # What is not finite compares as false.
    total = values[i, 0]
    for column in range(1, values.shape[1]):
        total += values[i, column]
    good = wp.abs(total) < enormous
    for k in range(count):
        good = good and wp.abs(float(state[i, speeds + k])) < speed_limit
    sound[i] = good
