"""Walking worlds judged in one pass, and their critics told in another: Warp kernels with bodies in C++ (see
sim.physics.mujoco.kernels). Torch would need a hundred passes over all worlds for the same.
"""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp

COARSE, FINE, YAW = 0.25, 0.03, 0.25
"""Widths of the tracking kernels, (m/s)^2 and (rad/s)^2."""
TERMS = (
    "track_velocity", "track_velocity_finely", "velocity_error", "track_yaw", "yaw_error", "gait", "vertical_velocity",
    "tilt_rate", "tilt", "height", "torque", "joint_speed", "acceleration", "action_rate", "action_jerk",
    "joint_limits", "stance", "standing_still", "slip", "clearance", "swing", "air_time", "fall",
)  # fmt: skip
"""The reward terms, in the order of their weights; sim.legged.rewards says what each is."""
COLUMNS = (
    "linear_velocity", "angular_velocity", "joint_position", "joint_velocity", "joint_torque", "base_position",
    "foot_contact", "foot_position", "foot_velocity", "orientation",
)  # fmt: skip
"""Signals whose first columns in the physics' values the kernels are told, in this order."""
NUMBERS = ("period", "stand_height", "clearance", "rest", "highest_gravity", "lowest")
"""Single numbers that the judging kernel is told, in this order; see `sim.legged.rewards`."""
_NAMES = f"""
    enum {{ {", ".join(f"c_{name}" for name in COLUMNS)} }};
    enum {{ {", ".join(f"n_{name}" for name in NUMBERS)} }};
    enum {{ {", ".join(f"t_{name}" for name in TERMS)}, terms }};
    const float coarse = {COARSE}f, fine = {FINE}f, yaw = {YAW}f;
"""


@wp.func_native(
    _NAMES
    + """
    const int joints = action.shape[1], feet = air.shape[1];
    const size_t world = i;
    const float* now = values.data + world * values.shape[1];
    const float *velocity = now + at.data[c_linear_velocity], *rate = now + at.data[c_angular_velocity];
    const float *position = now + at.data[c_joint_position], *speed = now + at.data[c_joint_velocity];
    const float *torque = now + at.data[c_joint_torque], *contact = now + at.data[c_foot_contact];
    const float *foot = now + at.data[c_foot_position], *foot_velocity = now + at.data[c_foot_velocity];
    const float* last_speed = before.data + world * values.shape[1] + at.data[c_joint_velocity];
    const float* wanted = gait.data + steps.data[i] % gait.shape[0] * gait.shape[1] + 2;
    const float* lift = wanted + feet;
    // A critic's row begins with the direction of gravity.
    const float *down = told.data + world * told.shape[1], *asked = command.data + world * 3;
    const float* ground = below.data + world * (feet + 1);
    const float *act = action.data + world * joints, *last = last_action.data + world * joints;
    const float* older = older_action.data + world * joints;
    const float *stance = pose.data, *low = pose.data + joints, *high = pose.data + 2 * joints;
    const bool stands = asked[0] == 0.0f && asked[1] == 0.0f && asked[2] == 0.0f;
    const float rate_of_steps = 1.0f / number.data[n_period];
    float term[terms] = {};

    const float ex = velocity[0] - asked[0], ey = velocity[1] - asked[1], turn = rate[2] - asked[2];
    const float off = ex * ex + ey * ey;
    term[t_track_velocity] = wp::exp(off * (-1.0f / coarse));
    term[t_track_velocity_finely] = wp::exp(off * (-1.0f / fine));
    term[t_track_yaw] = wp::exp(turn * turn * (-1.0f / yaw));
    term[t_velocity_error] = wp::sqrt(off);
    term[t_yaw_error] = wp::abs(turn);
    term[t_vertical_velocity] = velocity[2] * velocity[2];
    term[t_tilt_rate] = rate[0] * rate[0] + rate[1] * rate[1];
    term[t_tilt] = down[0] * down[0] + down[1] * down[1];
    const float height = now[at.data[c_base_position] + 2] - ground[feet];
    const float sunk = height - number.data[n_stand_height];
    term[t_height] = sunk * sunk;

    for (int k = 0; k < joints; ++k) {
        const float change = act[k] - last[k], jerk = change - (last[k] - older[k]);
        const float faster = (speed[k] - last_speed[k]) * rate_of_steps, bent = position[k] - stance[k];
        const float beyond = position[k] - wp::min(wp::max(position[k], low[k]), high[k]);
        term[t_torque] += torque[k] * torque[k];
        term[t_joint_speed] += speed[k] * speed[k];
        term[t_acceleration] += faster * faster;
        term[t_action_rate] += change * change;
        term[t_action_jerk] += jerk * jerk;
        term[t_joint_limits] += beyond * beyond;
        term[t_stance] += bent * bent;
    }
    if (stands) term[t_stance] *= 5.0f;
    if (stands) term[t_standing_still] = term[t_joint_speed];

    for (int k = 0; k < feet; ++k) {
        const bool touches = contact[k] > 0.0f, should = stands || wanted[k] > 0.0f;
        const float high_up = foot[3 * k + 2] - ground[k], over = high_up - number.data[n_clearance];
        const float* along = foot_velocity + 3 * k;
        const float slides = along[0] * along[0] + along[1] * along[1];
        const float swing = stands ? 0.0f : lift[k] * (number.data[n_clearance] - number.data[n_rest]);
        const float missed = high_up - (number.data[n_rest] + swing);
        const float aloft = air.data[world * feet + k];
        term[t_gait] += (touches == should ? 1.0f : 0.0f) / feet;
        if (touches) term[t_slip] += slides;
        if (!should) term[t_clearance] += over * over * wp::sqrt(slides);
        term[t_swing] += missed * missed;
        if (touches && aloft > 0.0f && !stands) term[t_air_time] += aloft - 0.25f;
        air_after.data[world * feet + k] = touches ? 0.0f : aloft + number.data[n_period];
    }

    // What is not finite compares as false.
    const bool upright = down[2] <= number.data[n_highest_gravity] && height >= number.data[n_lowest];
    const bool fell = !upright || failed.data[i];
    term[t_fall] = fell ? 1.0f : 0.0f;
    float sum = 0.0f;
    // A term without weight must not bring in what is not finite.
    for (int k = 0; k < terms; ++k) if (weights.data[k] != 0.0f) sum += weights.data[k] * term[k];
    // A world in quarantine has been put back: what it shows is not what it did.
    reward.data[i] = failed.data[i] ? 0.0f : sum;
    tracking.data[i] = term[t_track_velocity];
    fallen.data[i] = fell;
"""
)
def judge_world(
    i: int,
    weights: wp.array(dtype=float),
    at: wp.array(dtype=int),
    number: wp.array(dtype=float),
    pose: wp.array2d(dtype=float),
    gait: wp.array2d(dtype=float),
    values: wp.array2d(dtype=float),
    before: wp.array2d(dtype=float),
    steps: wp.array(dtype=wp.int64),
    told: wp.array2d(dtype=float),
    below: wp.array2d(dtype=float),
    command: wp.array2d(dtype=float),
    action: wp.array2d(dtype=float),
    last_action: wp.array2d(dtype=float),
    older_action: wp.array2d(dtype=float),
    air: wp.array2d(dtype=float),
    failed: wp.array(dtype=bool),
    reward: wp.array(dtype=float),
    tracking: wp.array(dtype=float),
    fallen: wp.array(dtype=bool),
    air_after: wp.array2d(dtype=float),
): ...


@wp.kernel(enable_backward=False)
def judge_worlds(
    weights: wp.array(dtype=float),
    at: wp.array(dtype=int),
    number: wp.array(dtype=float),
    pose: wp.array2d(dtype=float),
    gait: wp.array2d(dtype=float),
    values: wp.array2d(dtype=float),
    before: wp.array2d(dtype=float),
    steps: wp.array(dtype=wp.int64),
    told: wp.array2d(dtype=float),
    below: wp.array2d(dtype=float),
    command: wp.array2d(dtype=float),
    action: wp.array2d(dtype=float),
    last_action: wp.array2d(dtype=float),
    older_action: wp.array2d(dtype=float),
    air: wp.array2d(dtype=float),
    failed: wp.array(dtype=bool),
    reward: wp.array(dtype=float),
    tracking: wp.array(dtype=float),
    fallen: wp.array(dtype=bool),
    air_after: wp.array2d(dtype=float),
):
    """From what `sim.legged.rewards.Now` holds to what its `Verdict` does, one world a thread."""
    judge_world(
        wp.tid(), weights, at, number, pose, gait, values, before, steps, told, below, command, action, last_action,
        older_action, air, failed, reward, tracking, fallen, air_after,
    )  # fmt: skip


@wp.func_native(
    _NAMES
    + """
    const int joints = action.shape[1], feet = below.shape[1] - 1;
    const size_t world = i;
    const float *now = values.data + world * values.shape[1], *ground = below.data + world * (feet + 1);
    const float* clock = gait.data + steps.data[i] % gait.shape[0] * gait.shape[1];
    float* out = told.data + world * told.shape[1];
    auto append = [&out](const float* of, int count) { for (int k = 0; k < count; ++k) *out++ = of[k]; };
    const float* q = now + at.data[c_orientation];
    *out++ = 2.0f * (q[0] * q[2] - q[1] * q[3]);
    *out++ = -2.0f * (q[2] * q[3] + q[0] * q[1]);
    *out++ = 2.0f * (q[1] * q[1] + q[2] * q[2]) - 1.0f;
    append(now + at.data[c_linear_velocity], 3);
    append(now + at.data[c_angular_velocity], 3);
    append(now + at.data[c_joint_position], joints);
    append(now + at.data[c_joint_velocity], joints);
    append(command.data + world * 3, 3);
    append(action.data + world * joints, joints);
    append(clock, 2);
    for (int k = 0; k < feet; ++k) *out++ = now[at.data[c_foot_contact] + k] > 0.0f ? 1.0f : 0.0f;
    for (int k = 0; k < feet; ++k) *out++ = now[at.data[c_foot_position] + 3 * k + 2] - ground[k];
    *out++ = now[at.data[c_base_position] + 2] - ground[feet];
    append(parameters.data + world * parameters.shape[1], parameters.shape[1]);
    // All that the robot feels stands side by side, its orientation first.
    const float* zero = zeros.data + world * zeros.shape[1];
    for (int k = 0; k < felt.shape[1]; ++k) felt.data[world * felt.shape[1] + k] = q[k] + zero[k];
"""
)
def tell_critic(
    i: int,
    at: wp.array(dtype=int),
    gait: wp.array2d(dtype=float),
    values: wp.array2d(dtype=float),
    steps: wp.array(dtype=wp.int64),
    below: wp.array2d(dtype=float),
    command: wp.array2d(dtype=float),
    action: wp.array2d(dtype=float),
    parameters: wp.array2d(dtype=float),
    zeros: wp.array2d(dtype=float),
    told: wp.array2d(dtype=float),
    felt: wp.array2d(dtype=float),
): ...


@wp.kernel(enable_backward=False)
def tell_critics(
    at: wp.array(dtype=int),
    gait: wp.array2d(dtype=float),
    values: wp.array2d(dtype=float),
    steps: wp.array(dtype=wp.int64),
    below: wp.array2d(dtype=float),
    command: wp.array2d(dtype=float),
    action: wp.array2d(dtype=float),
    parameters: wp.array2d(dtype=float),
    zeros: wp.array2d(dtype=float),
    told: wp.array2d(dtype=float),
    felt: wp.array2d(dtype=float),
):
    """The rows `told` [N, D] and `felt` [N, F] that `sim.legged.critic.CriticRows.fill` says, one world a thread."""
    tell_critic(wp.tid(), at, gait, values, steps, below, command, action, parameters, zeros, told, felt)
