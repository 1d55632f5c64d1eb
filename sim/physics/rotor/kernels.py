"""The quadrotor's equations of motion and their RK4 step, as Warp kernels (float32).

p' = v;  q' = 1/2 q (0, w);  v' = R(q) e_z sum T_i / m + g + F / m;  w' = J^-1 (tau + tau_d - w x J w);
n' = (n_cmd - n) / time constant (rise or fall);  T_i = c0 + c1 u_i + c2 u_i^2, u_i = n_i / n_max;
tau = sum(size r_i x T_i e_z + s_i k_m T_i e_z).  Source: public code of arXiv 2311.13081.

Row layouts: state [17] = position 3 (m, world), orientation 4 (w, x, y, z), linear velocity 3 (m/s, world), angular
velocity 3 (rad/s, body), rotor speed 4 (rad/s). parameters [12] = mass, inertia 3, c0, c1, c2, k_m, rise, fall, n_max,
size: the factor on the rotors' positions. wrench [6] = force 3 (N, world), torque 3 (N m, body).
"""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp

STATE_DIM = 17
PARAMETER_DIM = 12
WRENCH_DIM = 6


@wp.func
def wrench_of_rotors(
    n: wp.vec4, c: wp.vec3, k_m: float, n_max: float, size: float, x: wp.vec4, y: wp.vec4, s: wp.vec4
) -> wp.vec4:
    """(roll, pitch, yaw torque in N m, total thrust in N)."""
    u = n / n_max
    thrust = wp.vec4(c[0], c[0], c[0], c[0]) + c[1] * u + c[2] * wp.cw_mul(u, u)
    return wp.vec4(
        size * wp.dot(y, thrust),
        -size * wp.dot(x, thrust),
        k_m * wp.dot(s, thrust),
        thrust[0] + thrust[1] + thrust[2] + thrust[3],
    )


@wp.func
def quaternion_rate(q: wp.vec4, w: wp.vec3) -> wp.vec4:
    return 0.5 * wp.vec4(
        -q[1] * w[0] - q[2] * w[1] - q[3] * w[2],
        q[0] * w[0] + q[2] * w[2] - q[3] * w[1],
        q[0] * w[1] - q[1] * w[2] + q[3] * w[0],
        q[0] * w[2] + q[1] * w[1] - q[2] * w[0],
    )


@wp.func
def acceleration(q: wp.vec4, thrust_per_mass: float, field: wp.vec3) -> wp.vec3:
    """World acceleration: thrust along body z, plus gravity and external force per mass in `field`."""
    return (
        thrust_per_mass
        * wp.vec3(
            2.0 * (q[1] * q[3] + q[0] * q[2]),
            2.0 * (q[2] * q[3] - q[0] * q[1]),
            1.0 - 2.0 * (q[1] * q[1] + q[2] * q[2]),
        )
        + field
    )


@wp.func
def angular_acceleration(w: wp.vec3, torque: wp.vec3, j: wp.vec3) -> wp.vec3:
    return wp.cw_div(torque - wp.cross(w, wp.cw_mul(j, w)), j)


@wp.kernel
def rk4_step(
    first: int,
    dt: float,
    x: wp.vec4,
    y: wp.vec4,
    s: wp.vec4,
    gravity: float,
    parameters: wp.array2d(dtype=float),
    wrench: wp.array2d(dtype=float),
    command: wp.array2d(dtype=float),
    state: wp.array2d(dtype=float),
    out: wp.array2d(dtype=float),
):
    """One RK4 step of world `first + tid`. `out` may be `state` when no gradient is wanted."""
    i = first + wp.tid()
    mass = parameters[i, 0]
    j = wp.vec3(parameters[i, 1], parameters[i, 2], parameters[i, 3])
    c = wp.vec3(parameters[i, 4], parameters[i, 5], parameters[i, 6])
    k_m = parameters[i, 7]
    rise = 1.0 / parameters[i, 8]
    fall = 1.0 / parameters[i, 9]
    n_max = parameters[i, 10]
    size = parameters[i, 11]
    field = wp.vec3(wrench[i, 0] / mass, wrench[i, 1] / mass, wrench[i, 2] / mass - gravity)
    torque_d = wp.vec3(wrench[i, 3], wrench[i, 4], wrench[i, 5])

    p = wp.vec3(state[i, 0], state[i, 1], state[i, 2])
    q = wp.vec4(state[i, 3], state[i, 4], state[i, 5], state[i, 6])
    v = wp.vec3(state[i, 7], state[i, 8], state[i, 9])
    w = wp.vec3(state[i, 10], state[i, 11], state[i, 12])
    n = wp.vec4(state[i, 13], state[i, 14], state[i, 15], state[i, 16])
    target = wp.vec4(
        wp.clamp(command[i, 0], 0.0, n_max),
        wp.clamp(command[i, 1], 0.0, n_max),
        wp.clamp(command[i, 2], 0.0, n_max),
        wp.clamp(command[i, 3], 0.0, n_max),
    )
    # A first-order lag never crosses its target, so rise or fall is decided once a step.
    rate = wp.vec4(
        wp.where(target[0] > n[0], rise, fall),
        wp.where(target[1] > n[1], rise, fall),
        wp.where(target[2] > n[2], rise, fall),
        wp.where(target[3] > n[3], rise, fall),
    )
    h = 0.5 * dt

    f1 = wrench_of_rotors(n, c, k_m, n_max, size, x, y, s)
    v1 = acceleration(q, f1[3] / mass, field)
    w1 = angular_acceleration(w, wp.vec3(f1[0], f1[1], f1[2]) + torque_d, j)
    q1 = quaternion_rate(q, w)
    n1 = wp.cw_mul(rate, target - n)

    qb = q + h * q1
    vb = v + h * v1
    wb = w + h * w1
    nb = n + h * n1
    f2 = wrench_of_rotors(nb, c, k_m, n_max, size, x, y, s)
    v2 = acceleration(qb, f2[3] / mass, field)
    w2 = angular_acceleration(wb, wp.vec3(f2[0], f2[1], f2[2]) + torque_d, j)
    q2 = quaternion_rate(qb, wb)
    n2 = wp.cw_mul(rate, target - nb)

    qc = q + h * q2
    vc = v + h * v2
    wc = w + h * w2
    nc = n + h * n2
    f3 = wrench_of_rotors(nc, c, k_m, n_max, size, x, y, s)
    v3 = acceleration(qc, f3[3] / mass, field)
    w3 = angular_acceleration(wc, wp.vec3(f3[0], f3[1], f3[2]) + torque_d, j)
    q3 = quaternion_rate(qc, wc)
    n3 = wp.cw_mul(rate, target - nc)

    qd = q + dt * q3
    vd = v + dt * v3
    wd = w + dt * w3
    nd = n + dt * n3
    f4 = wrench_of_rotors(nd, c, k_m, n_max, size, x, y, s)
    v4 = acceleration(qd, f4[3] / mass, field)
    w4 = angular_acceleration(wd, wp.vec3(f4[0], f4[1], f4[2]) + torque_d, j)
    q4 = quaternion_rate(qd, wd)
    n4 = wp.cw_mul(rate, target - nd)

    k = dt / 6.0
    pn = p + k * (v + 2.0 * vb + 2.0 * vc + vd)
    qn = wp.normalize(q + k * (q1 + 2.0 * q2 + 2.0 * q3 + q4))
    vn = v + k * (v1 + 2.0 * v2 + 2.0 * v3 + v4)
    wn = w + k * (w1 + 2.0 * w2 + 2.0 * w3 + w4)
    nn = n + k * (n1 + 2.0 * n2 + 2.0 * n3 + n4)
    for a in range(3):
        out[i, a] = pn[a]
        out[i, 7 + a] = vn[a]
        out[i, 10 + a] = wn[a]
    for b in range(4):
        out[i, 3 + b] = qn[b]
        out[i, 13 + b] = wp.clamp(nn[b], 0.0, n_max)
