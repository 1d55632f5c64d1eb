"""The pass that fills the rows of critics and sensor models.

It is C++, which Warp compiles as well: copying the rows element by element took 0.23 ms in Warp's language and takes
0.03 ms, twice in most steps.
"""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp

from sim.legged.kernels import Columns


@wp.struct
class RowInputs:
    """What a privileged row and the measured signals are made of; see `sim.legged.privileged.PrivilegedRows.fill`."""

    at: Columns
    joints: int
    feet: int
    period: float
    gait: wp.array2d(dtype=float)
    values: wp.array2d(dtype=float)
    steps: wp.array(dtype=wp.int64)
    below: wp.array2d(dtype=float)
    command: wp.array2d(dtype=float)
    action: wp.array2d(dtype=float)
    drawn: wp.array2d(dtype=float)
    zeros: wp.array2d(dtype=float)
    air: wp.array2d(dtype=float)


@wp.func_native("""
    const auto& at = s.at;
    const size_t world = i;
    const int joints = s.joints, feet = s.feet;
    const float *now = s.values.data + world * s.values.shape[1], *ground = s.below.data + world * (feet + 1);
    const float* clock = s.gait.data + s.steps.data[i] % s.gait.shape[0] * s.gait.shape[1];
    float* out = privileged.data + world * privileged.shape[1];
    auto append = [&out](const float* of, int count) { for (int k = 0; k < count; ++k) *out++ = of[k]; };
    const float* q = now + at.orientation;
    *out++ = 2.0f * (q[0] * q[2] - q[1] * q[3]);
    *out++ = -2.0f * (q[2] * q[3] + q[0] * q[1]);
    *out++ = 2.0f * (q[1] * q[1] + q[2] * q[2]) - 1.0f;
    append(now + at.linear_velocity, 3);
    append(now + at.angular_velocity, 3);
    append(now + at.joint_position, joints);
    append(now + at.joint_velocity, joints);
    append(s.command.data + world * 3, 3);
    append(s.action.data + world * joints, joints);
    append(clock, 2);
    for (int k = 0; k < feet; ++k) {
        const bool touches = now[at.foot_contact + k] > 0.0f, rests = touches || s.steps.data[i] == 0;
        *out++ = touches ? 1.0f : 0.0f;
        air_after.data[world * feet + k] = rests ? 0.0f : s.air.data[world * feet + k] + s.period;
    }
    for (int k = 0; k < feet; ++k) *out++ = now[at.foot_position + 3 * k + 2] - ground[k];
    *out++ = now[at.base_position + 2] - ground[feet];
    append(s.drawn.data + world * s.drawn.shape[1], s.drawn.shape[1]);
    // What the sensors measure lies side by side, the orientation first.
    const size_t measured = observed.shape[1];
    for (int k = 0; k < measured; ++k) observed.data[world * measured + k] = q[k] + s.zeros.data[world * measured + k];
""")
def fill_row(
    s: RowInputs,
    i: int,
    privileged: wp.array2d(dtype=float),
    observed: wp.array2d(dtype=float),
    air_after: wp.array2d(dtype=float),
): ...


@wp.kernel(enable_backward=False)
def fill_rows(
    s: RowInputs,
    privileged: wp.array2d(dtype=float),
    observed: wp.array2d(dtype=float),
    air_after: wp.array2d(dtype=float),
):
    """The rows that `sim.legged.privileged.PrivilegedRows.fill` describes, one world a thread."""
    fill_row(s, wp.tid(), privileged, observed, air_after)
