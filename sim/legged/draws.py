"""What is drawn for walking worlds that restart, as kernels: in most steps a few worlds do, and one kernel takes a
fraction of the time of many small operations.

Each kernel reads numbers `u` [K, D] drawn in [0, 1) for the worlds `ids` [K], and is launched for N worlds; `count`
is K.
Products and sums are not fused, so that a seed's episodes are those of separate operations in torch.
"""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp

OPTIONS = {"fuse_fp": False}


@wp.struct
class CommandDraws:
    """See `sim.legged.commands.VelocityCommands`; the last five are written."""

    count: int
    ids: wp.array(dtype=wp.int64)
    u: wp.array2d(dtype=float)
    limits: wp.array(dtype=float)
    range: float
    standing: float
    steering: float
    shortest: float
    span: float
    asked: wp.array2d(dtype=float)
    steers: wp.array(dtype=bool)
    heading: wp.array(dtype=float)
    left: wp.array(dtype=float)
    held: wp.array(dtype=bool)


@wp.kernel(enable_backward=False, module="unique", module_options=OPTIONS)
def draw_commands(s: CommandDraws):
    k = wp.tid()
    if k >= s.count:
        return
    i = int(s.ids[k])
    x = (2.0 * s.u[k, 0] - 1.0) * s.limits[0] * s.range
    y = (2.0 * s.u[k, 1] - 1.0) * s.limits[1] * s.range
    yaw = (2.0 * s.u[k, 2] - 1.0) * s.limits[2] * s.range
    speed = float(wp.sqrt(wp.float64(x) * wp.float64(x) + wp.float64(y) * wp.float64(y)))
    # Slow commands ask for neither walking nor standing: they stand.
    stands = s.u[k, 3] < s.standing or (speed < 0.1 and wp.abs(yaw) < 0.1)
    if stands:
        x, y, yaw = 0.0, 0.0, 0.0
    s.asked[i, 0] = x
    s.asked[i, 1] = y
    s.asked[i, 2] = yaw
    s.steers[i] = s.u[k, 4] < s.steering and not stands
    s.heading[i] = (2.0 * s.u[k, 5] - 1.0) * wp.pi
    s.left[i] = s.shortest + s.u[k, 6] * s.span
    s.held[i] = False


@wp.struct
class StartDraws:
    """See `sim.legged.starts.Starts`; `qpos` and `qvel` are written, whose columns are side by side in what follows."""

    count: int
    ids: wp.array(dtype=wp.int64)
    u: wp.array2d(dtype=float)
    cosine: wp.array(dtype=float)
    """Of half the heading [K], and its sine."""
    sine: wp.array(dtype=float)
    points: wp.array2d(dtype=wp.float64)
    """Where the bases start [K, 3], m."""
    source: wp.array(dtype=wp.int64)
    """Which of the drawn numbers each column is moved by [W]."""
    middle: wp.array(dtype=float)
    spread: wp.array(dtype=float)
    position: int
    orientation: int
    height: wp.float64
    qpos: wp.array2d(dtype=wp.float64)
    qvel: wp.array2d(dtype=wp.float64)


@wp.kernel(enable_backward=False, module="unique", module_options=OPTIONS)
def draw_starts(s: StartDraws):
    k = wp.tid()
    if k >= s.count:
        return
    i = int(s.ids[k])
    positions = s.qpos.shape[1]
    for column in range(s.middle.shape[0]):
        moved = (2.0 * s.u[k, int(s.source[column])] - 1.0) * s.spread[column]
        value = wp.float64(s.middle[column] + moved)
        if column < positions:
            s.qpos[i, column] = value
        else:
            s.qvel[i, column - positions] = value
    for axis in range(3):
        s.qpos[i, s.position + axis] = s.points[k, axis]
    s.qpos[i, s.position + 2] += s.height
    s.qpos[i, s.orientation] = wp.float64(s.cosine[k])
    s.qpos[i, s.orientation + 3] = wp.float64(s.sine[k])


@wp.struct
class BodyDraws:
    """See `sim.legged.plan.Randomization`; columns that are not drawn are -1, the last six are written."""

    count: int
    ids: wp.array(dtype=wp.int64)
    u: wp.array2d(dtype=wp.float64)
    middle: wp.array(dtype=wp.float64)
    half: wp.array(dtype=wp.float64)
    lowest: wp.array(dtype=wp.float64)
    renewal: int
    share: wp.float64
    late: int
    longest: wp.float64
    zero: int
    observed: wp.array(dtype=wp.int64)
    """The columns of the parameters that critics see, whether they are drawn, and whether they stay with the body."""
    known: wp.array(dtype=float)
    of_body: wp.array(dtype=bool)
    has_body: wp.array(dtype=bool)
    parameters: wp.array2d(dtype=float)
    delay: wp.array(dtype=wp.int64)
    joint_offset: wp.array2d(dtype=float)
    factors: wp.array2d(dtype=wp.float64)
    """What was drawn [K, D], and a 1."""
    fresh: wp.array(dtype=bool)
    """Worlds [K] that get another body."""


@wp.kernel(enable_backward=False, module="unique", module_options=OPTIONS)
def draw_bodies(s: BodyDraws):
    k = wp.tid()
    if k >= s.count:
        return
    i = int(s.ids[k])
    one = wp.float64(1.0)
    width = s.u.shape[1]
    for column in range(width):
        moved = s.half[column] * (wp.float64(2.0) * s.u[k, column] - one)
        s.factors[k, column] = wp.max(s.lowest[column], s.middle[column] + moved)
    s.factors[k, width] = one
    fresh = s.renewal < 0 or not s.has_body[i]
    if not fresh:
        fresh = s.factors[k, s.renewal] < s.share
    s.fresh[k] = fresh
    for p in range(s.observed.shape[0]):
        if fresh or not s.of_body[p]:
            s.parameters[i, p] = float(wp.float64(2.0) * s.u[k, int(s.observed[p])] - one) * s.known[p]
    if s.late >= 0:
        s.delay[i] = wp.int64(wp.min(s.factors[k, s.late], s.longest))
    if s.zero >= 0:
        for joint in range(s.joint_offset.shape[1]):
            s.joint_offset[i, joint] = float(s.factors[k, s.zero + joint])
