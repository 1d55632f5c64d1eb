"""Expressions as C, and the helper functions that they call."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from deploy.codegen.c_math import MATH
from deploy.codegen.ir import Apply, Expression, Load, Number, View
from deploy.codegen.kernels.constants import c_number

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_COMPARED = {"less": "<", "greater": ">", "less_equal": "<=", "greater_equal": ">="}
_JOINED = {"and": "&&", "or": "||"}
CONDITIONS = frozenset({*_COMPARED, *_JOINED, "not", "equal"})
"""Functions whose C has the type int; stored in memory as 1 and 0."""

HELPERS = {
    "clip": """\
/* x limited to low and high; NaN stays NaN. */
static float policy_clip(float x, float low, float high)
{
    if (x < low) {
        return low;
    }
    return x > high ? high : x;
}
""",
    "min": """\
/* The smaller number; NaN if either is NaN. */
static float policy_min(float a, float b)
{
    if (a < b) {
        return a;
    }
    return b <= a ? b : a + b;
}
""",
    "max": """\
/* The larger number; NaN if either is NaN. */
static float policy_max(float a, float b)
{
    if (a > b) {
        return a;
    }
    return b >= a ? b : a + b;
}
""",
    "abs": """\
static float policy_abs(float x)
{
    policy_bits value;
    value.real = x;
    value.bits &= 0x7fffffffu;
    return value.real;
}
""",
    "equal": """\
/* Whether two numbers are equal, without a warning about comparing floats. */
static int policy_equal(float a, float b)
{
    return a <= b && a >= b;
}
""",
    "square": """\
static float policy_square(float x)
{
    return x * x;
}
""",
    "cube": """\
static float policy_cube(float x)
{
    return x * x * x;
}
""",
    "scale_negative": """\
static float policy_scale_negative(float x, float factor)
{
    return x < 0.0f ? factor * x : x;
}
""",
}
"""C source of the functions that are not in `c_math`. They use `policy_bits`, which is "bits" there."""


def helpers(used: Iterable[str]) -> list[str]:
    """C source of the helper functions among the functions used, in a fixed order."""
    wanted = set(used)
    return [source for name, source in HELPERS.items() if name in wanted]


def math_names(used: Iterable[str]) -> list[str]:
    """The functions of `c_math` among those used, and "bits", which every policy needs."""
    return ["bits", *(name for name in MATH if name in set(used))]


class Writer:
    """Writes expressions as C; `element` gives the C of a loaded view's element."""

    def __init__(self, element: Callable[[View], str]) -> None:
        self._element = element

    def real(self, expression: Expression, nested: bool = False) -> str:
        """C of type float; in parentheses if it is `nested` in a larger expression and needs them."""
        if isinstance(expression, Load):
            return self._element(expression.view)
        if isinstance(expression, Number):
            text = c_number(np.float32(expression.value))
            return f"({text})" if nested and text.startswith("-") else text
        name, arguments = expression.function, expression.arguments
        if name in CONDITIONS:
            return f"({self.condition(expression)} ? 1.0f : 0.0f)"
        if name in _INFIX:
            left, right = (self.real(argument, nested=True) for argument in arguments)
            text = f"{left} {_INFIX[name]} {right}"
        elif name == "neg":
            text = f"-{self.real(arguments[0], nested=True)}"
        elif name == "reciprocal":
            text = f"1.0f / {self.real(arguments[0], nested=True)}"
        elif name == "where":
            yes, no = (self.real(argument, nested=True) for argument in arguments[1:])
            text = f"{self.condition(arguments[0])} ? {yes} : {no}"
        else:
            return f"policy_{name}({', '.join(self.real(argument) for argument in arguments)})"
        return f"({text})" if nested else text

    def condition(self, expression: Expression) -> str:
        """C of type int, in parentheses unless it is a single term."""
        if not isinstance(expression, Apply) or expression.function not in CONDITIONS:
            return f"({self.real(expression, nested=True)} > 0.5f)"
        name, arguments = expression.function, expression.arguments
        if name in _COMPARED:
            left, right = (self.real(argument, nested=True) for argument in arguments)
            return f"({left} {_COMPARED[name]} {right})"
        if name == "equal":
            return f"policy_equal({', '.join(self.real(argument) for argument in arguments)})"
        if name == "not":
            return f"!{self.condition(arguments[0])}"
        left, right = (self.condition(argument) for argument in arguments)
        return f"({left} {_JOINED[name]} {right})"
