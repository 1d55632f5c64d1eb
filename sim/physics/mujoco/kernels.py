"""Reading a batch of worlds, and starting some of them anew, in one pass each, where torch and numpy need a dozen.

The body of the first is C++, which Warp compiles as it does its own language: loops over rows of plain numbers take an
eighth of the time that way. Rows are contiguous. They are fetched ahead, because what a step has written is far from
this core, which saves a third of the time.
"""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp


@wp.struct
class BatchRows:
    """A batch of N worlds, and where its sensors come from."""

    data: wp.array2d(dtype=wp.float64)
    """MuJoCo's own sensors [N, S]."""
    state: wp.array2d(dtype=wp.float64)
    """Its states [N, K], which are newer."""
    copies: wp.array2d(dtype=int)
    """Sensors that are in the state: rows of (first column to write, first column of the state, how many)."""
    velocities: wp.array2d(dtype=int)
    """Velocities in a body's frame: rows of (first column to write, its quaternion and velocity in the state)."""
    speeds: int
    """First column of the speeds in the state."""
    count: int
    """How many speeds there are."""
    warnings: wp.array2d(dtype=int)
    """Pairs of (detail, count) of each kind of MuJoCo's warnings [N, 2 W], the first of which is about inertias."""
    speed_limit: float
    enormous: float


@wp.func_native("""
    const int width = values.shape[1], speeds = s.speeds, count = s.count;
    const auto &copies = s.copies, &velocities = s.velocities;
    const double* of = s.data.data + size_t(i) * width;
    const double* now = s.state.data + size_t(i) * s.state.shape[1];
    const int* alarm = s.warnings.data + size_t(i) * s.warnings.shape[1];
    float* __restrict out = values.data + size_t(i) * width;
#ifndef __CUDACC_RTC__
    const int ahead = 4;
    if (i + ahead < values.shape[0]) {
        for (int k = 0; k < width; k += 8) __builtin_prefetch(of + size_t(ahead) * width + k);
        for (int k = 0; k < speeds + count; k += 8) __builtin_prefetch(now + size_t(ahead) * s.state.shape[1] + k);
        for (int k = 0; k < width; k += 16) __builtin_prefetch(out + size_t(ahead) * width + k, 1);
    }
#endif
    for (int k = 0; k < width; ++k) out[k] = of[k];
    for (int row = 0; row < copies.shape[0]; ++row) {
        const int* run = copies.data + 3 * row;
        for (int k = 0; k < run[2]; ++k) out[run[0] + k] = now[run[1] + k];
    }
    for (int row = 0; row < velocities.shape[0]; ++row) {
        const int* at = velocities.data + 3 * row;
        const double *q = now + at[1], *v = now + at[2];
        const wp::quat turn(q[1], q[2], q[3], q[0]);
        const wp::vec3 along = wp::quat_rotate_inv(turn, wp::vec3(v[0], v[1], v[2]));
        for (int k = 0; k < 3; ++k) out[at[0] + k] = along[k];
    }
    // Several sums at once, because each addition waits for the one before it. Non-finite numbers compare as false.
    float sums[8] = {};
    for (int k = 0; k + 8 <= width; k += 8)
        for (int j = 0; j < 8; ++j) sums[j] += out[k + j];
    for (int k = width & ~7; k < width; ++k) sums[0] += out[k];
    float total = 0.0f;
    for (int j = 0; j < 8; ++j) total += sums[j];
    bool good = total < s.enormous && -total < s.enormous;
    for (int k = 0; k < count; ++k) good &= now[speeds + k] < s.speed_limit && -now[speeds + k] < s.speed_limit;
    for (int k = 3; k < s.warnings.shape[1]; k += 2) good &= alarm[k] == 0;
    sound.data[i] = good;
""")
def read_world(s: BatchRows, i: int, values: wp.array2d(dtype=float), sound: wp.array(dtype=bool)): ...


@wp.kernel(enable_backward=False)
def read_worlds(s: BatchRows, values: wp.array2d(dtype=float), sound: wp.array(dtype=bool)):
    """Sensors `values` [N, S] float32 of all worlds, one world a thread.

    A world is `sound` [N] if the sum of its sensors is finite and below `enormous`, each of its speeds below
    `speed_limit`, and MuJoCo has counted no warning but of inertias.
    """
    read_world(s, wp.tid(), values, sound)


@wp.struct
class Starts:
    """Where worlds start anew: positions [N, nq], velocities [N, nv] and commands [N, nu], and their columns."""

    nominal: wp.array(dtype=wp.float64)
    """The model's own state [K]."""
    position: int
    velocity: int
    control: int
    worlds: wp.array(dtype=bool)
    """Which worlds [N] do."""
    qpos: wp.array2d(dtype=wp.float64)
    qvel: wp.array2d(dtype=wp.float64)
    command: wp.array2d(dtype=wp.float64)
    state: wp.array2d(dtype=wp.float64)
    warnings: wp.array2d(dtype=int)


@wp.kernel(enable_backward=False)
def start_worlds(s: Starts):
    """Write the states [N, K] of the chosen worlds, and clear their warnings [N, 2 W]."""
    i = wp.tid()
    if not s.worlds[i]:
        return
    for k in range(s.state.shape[1]):
        s.state[i, k] = s.nominal[k]
    for k in range(s.qpos.shape[1]):
        s.state[i, s.position + k] = s.qpos[i, k]
    for k in range(s.qvel.shape[1]):
        s.state[i, s.velocity + k] = s.qvel[i, k]
    for k in range(s.command.shape[1]):
        s.state[i, s.control + k] = s.command[i, k]
    for k in range(s.warnings.shape[1]):
        s.warnings[i, k] = 0
