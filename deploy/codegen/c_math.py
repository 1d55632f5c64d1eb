"""Elementary functions as portable C99: float32 only, no libm, the same bits on every IEEE 754 machine.

Each is a `static float policy_<name>(float x)`. NaN gives NaN, so that the check of a policy's outputs finds it. The
coefficients are this project's own minimax fits (Lawson's reweighted least squares), rounded to float32. Bits agree
between machines only without contraction to fused multiply-add, which the head of the generated file switches off.

Largest errors against float64, checked by a test: tanh 1.4e-7 absolute and 2.5e-7 relative; exp, elu, sigmoid, log and
softplus 3e-7 relative, exp also 1e-45 absolute where it is subnormal; sqrt is correctly rounded.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploy.errors import BundleError

_BITS = """\
/* A float and its IEEE 754 bits. */
typedef union {
    float real;
    uint32_t bits;
} policy_bits;
"""

_TANH = """\
/* tanh x: a polynomial near zero, then 1 - 2 / (exp 2|x| + 1), which is 1 in float32 beyond 9.02. */
static float policy_tanh(float x)
{
    const float s = x * x;
    policy_bits turns, power;
    float rest, p;
    if (s < 0.3025f) {
        p = 0x1.0d5032p-6f * s - 0x1.af7cccp-5f;
        p = p * s + 0x1.10cef6p-3f;
        p = p * s - 0x1.555452p-2f;
        return p * s * x + x;
    }
    /* exp 2|x| = 2^(whole + rest); adding 1.5 * 2^23 leaves the nearest integer in the low bits. */
    rest = (x > 0.0f ? x : -x) * 0x1.715476p+1f;
    turns.real = rest + 0x1.8p+23f;
    if (turns.bits > 0x4b40001au) {
        return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; /* beyond 2^26, or NaN */
    }
    rest -= turns.real - 0x1.8p+23f;
    p = 0x1.5bb9e6p-10f * rest + 0x1.3ceab6p-7f;
    p = p * rest + 0x1.c6b754p-5f;
    p = p * rest + 0x1.ebf9bcp-3f;
    p = p * rest + 0x1.62e42ap-1f;
    power.real = p * rest + 1.0f;
    power.bits += turns.bits << 23;
    p = 1.0f - 2.0f / (power.real + 1.0f);
    return x > 0.0f ? p : -p;
}
"""

_REDUCED_EXP = """\
/* exp x - 1 for x = whole * ln 2 + rest, |rest| <= ln(2) / 2: returns exp(rest) - 1, and whole in two's complement. */
static float policy_reduced_exp(float x, uint32_t *whole)
{
    policy_bits shifted;
    float turns, rest, q;
    /* Adding 1.5 * 2^23 leaves the nearest integer in the low bits. */
    shifted.real = x * 0x1.715476p+0f + 0x1.8p+23f;
    *whole = shifted.bits - 0x4b400000u;
    turns = shifted.real - 0x1.8p+23f;
    /* ln 2 in two parts; the first has trailing zeros, so its product with `turns` is exact. */
    rest = (x - turns * 0x1.62ep-1f) - turns * 0x1.0bfbe8p-15f;
    q = 0x1.6becp-10f * rest + 0x1.12279cp-7f;
    q = q * rest + 0x1.555674p-5f;
    q = q * rest + 0x1.5554bp-3f;
    q = q * rest + 0x1.fffffep-2f;
    return q * (rest * rest) + rest;
}
"""

_EXP = """\
/* exp x; infinite above 88.73, subnormal and then zero below -87.34. */
static float policy_exp(float x)
{
    uint32_t whole, half;
    policy_bits first, second;
    float reduced;
    if (x > 89.0f) {
        x = 89.0f;
    }
    if (x < -105.0f) {
        x = -105.0f;
    }
    reduced = policy_reduced_exp(x, &whole);
    /* 2^whole as two factors, since it may lie outside the normal numbers. */
    half = ((whole + 256u) >> 1) - 128u;
    first.bits = (half + 127u) << 23;
    second.bits = (whole - half + 127u) << 23;
    return (1.0f + reduced) * first.real * second.real;
}
"""

_ELU = """\
/* x above zero, exp x - 1 below, without cancellation near zero. */
static float policy_elu(float x)
{
    uint32_t whole;
    policy_bits scale;
    float reduced;
    if (x > 0.0f) {
        return x;
    }
    if (x < -18.0f) {
        return -1.0f;
    }
    reduced = policy_reduced_exp(x, &whole);
    scale.bits = (whole + 127u) << 23;
    return scale.real * reduced + (scale.real - 1.0f);
}
"""

_SIGMOID = """\
/* 1 / (1 + exp -x); 0 where exp -x is infinite. */
static float policy_sigmoid(float x)
{
    return 1.0f / (1.0f + policy_exp(-x));
}
"""

_LOG = """\
/* The natural logarithm; -infinity at 0, NaN below. */
static float policy_log(float x)
{
    policy_bits value;
    float exponent = -127.0f, fraction, s, t;
    value.real = x;
    if (x < 0x1p-126f) {
        if (x < 0.0f) {
            value.bits = 0x7fc00000u;
            return value.real;
        }
        if (value.bits << 1 == 0u) {
            value.bits = 0xff800000u;
            return value.real;
        }
        value.real = x * 0x1p+23f; /* subnormal */
        exponent = -150.0f;
    }
    if ((value.bits & 0x7f800000u) == 0x7f800000u) {
        return x; /* infinity or NaN */
    }
    exponent += (float)(value.bits >> 23);
    value.bits = (value.bits & 0x7fffffu) | 0x3f800000u;
    if (value.real > 0x1.6a09e6p+0f) {
        value.real *= 0.5f;
        exponent += 1.0f;
    }
    /* log(1 + f) = 2 atanh(s) with s = f / (2 + f). */
    fraction = value.real - 1.0f;
    s = fraction / (2.0f + fraction);
    t = s * s;
    t = ((0x1.31e0ep-2f * t + 0x1.995edp-2f) * t + 0x1.55557ap-1f) * t;
    /* 2 s = f - f s, with one rounding less. */
    t = fraction - (fraction * s - s * t);
    return exponent * 0x1.62ep-1f + (exponent * 0x1.0bfbe8p-15f + t);
}
"""

_SOFTPLUS = """\
/* log(1 + exp x) = max(x, 0) + log(1 + exp -|x|). */
static float policy_softplus(float x)
{
    const float z = policy_exp(x > 0.0f ? -x : x);
    const float u = 1.0f + z;
    /* Corrects the rounding of u to first order (Kahan's log1p); near z = 0 the logarithm is z. */
    const float tail = u > 1.0f ? policy_log(u) * (z / (u - 1.0f)) : z;
    return x > 0.0f ? x + tail : tail;
}
"""

_RELU = """\
/* x above zero, else 0; a NaN stays. */
static float policy_relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}
"""

_SQRT = """\
/* The correctly rounded square root; NaN below zero. One instruction where available, else bit by bit. */
#if defined(__GNUC__) && defined(__ARM_FP) && (__ARM_FP & 4) && !defined(__aarch64__) && !defined(POLICY_PORTABLE)
static float policy_sqrt(float x)
{
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
}
#elif defined(__GNUC__) && defined(__SSE__) && !defined(POLICY_PORTABLE)
static float policy_sqrt(float x)
{
    float root;
    __asm__("sqrtss %1, %0" : "=x"(root) : "x"(x));
    return root;
}
#else
static float policy_sqrt(float x)
{
    policy_bits value;
    uint32_t exponent, rest, root = 0u, bit;
    value.real = x;
    if (value.bits << 1 == 0u || value.bits == 0x7f800000u) {
        return x; /* both zeros and infinity */
    }
    if (x < 0.0f) {
        value.bits = 0x7fc00000u;
        return value.real;
    }
    exponent = value.bits >> 23;
    if (exponent == 255u) {
        return x; /* NaN */
    }
    rest = value.bits & 0x7fffffu;
    if (exponent == 0u) {
        exponent = 1u;
        while (rest < 0x800000u) {
            rest <<= 1;
            exponent -= 1u; /* may wrap below zero; the sum below wraps back */
        }
    } else {
        rest |= 0x800000u;
    }
    /* An even exponent for the root; then 25 bits of it, one at a time. */
    rest <<= (exponent & 1u) != 0u ? 1u : 2u;
    exponent = ((exponent + 1u + 256u) >> 1) - 128u + 63u;
    for (bit = 0x1000000u; bit != 0u; bit >>= 1) {
        const uint32_t trial = 2u * root + bit;
        if (rest >= trial) {
            rest -= trial;
            root += bit;
        }
        rest <<= 1;
    }
    /* The last bit is the rounding bit; a tie can't occur, since a root of 24 bits and a half squares to too many. */
    value.bits = ((exponent - 1u) << 23) + (root >> 1) + (root & 1u);
    return value.real;
}
#endif
"""

MATH: dict[str, str] = {
    "bits": _BITS,
    "tanh": _TANH,
    "reduced_exp": _REDUCED_EXP,
    "exp": _EXP,
    "elu": _ELU,
    "sigmoid": _SIGMOID,
    "log": _LOG,
    "softplus": _SOFTPLUS,
    "relu": _RELU,
    "sqrt": _SQRT,
}
"""C source by name, each using only functions before it. It needs <stdint.h>."""

_USES: dict[str, tuple[str, ...]] = {
    "tanh": ("bits",),
    "reduced_exp": ("bits",),
    "exp": ("reduced_exp",),
    "elu": ("reduced_exp",),
    "sigmoid": ("exp",),
    "log": ("bits",),
    "softplus": ("exp", "log"),
    "sqrt": ("bits",),
}


def dependencies(names: Iterable[str]) -> list[str]:
    """`names` and everything they use, each once, in the order of `MATH`. Raises BundleError for an unknown name."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in MATH:
            raise BundleError(f"there is no C function for {name!r}; there are: {', '.join(MATH)}")
        needed.add(name)
        waiting.extend(_USES.get(name, ()))
    return [name for name in MATH if name in needed]


def each(name: str) -> str:
    """C source of `policy_<name>_each`, which applies a function to every value of an array; one loop for all layers.

    A compiler inlines the function into the loop if it is not called elsewhere, and loads its constants once.
    """
    return f"""\
/* {name} of every value, in place. */
static void policy_{name}_each(float *values, uint32_t count)
{{
    uint32_t i;
    for (i = 0u; i < count; ++i) {{
        values[i] = policy_{name}(values[i]);
    }}
}}
"""
