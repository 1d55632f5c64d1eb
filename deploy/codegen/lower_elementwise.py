"""Elementwise operators become expressions."""

from __future__ import annotations

import numpy as np

from deploy.codegen.builder import Builder
from deploy.codegen.ir import Apply, Expression, Number
from deploy.codegen.onnx_reader import Node

# The function, in `expressions` or `c_math`, of each operator that is just one function; "" is the identity.
SIMPLE = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Neg": "neg", "Abs": "abs", "Reciprocal": "reciprocal",
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Softplus": "softplus", "Exp": "exp", "Log": "log",
    "Sqrt": "sqrt", "Equal": "equal", "Less": "less", "Greater": "greater", "LessOrEqual": "less_equal",
    "GreaterOrEqual": "greater_equal", "And": "and", "Or": "or", "Not": "not", "Where": "where", "Identity": "",
}  # fmt: skip
OPERATORS = frozenset({*SIMPLE, "Elu", "Clip", "Min", "Max", "Pow", "Cast", "Dropout", "Sum"})
_BOOL = 9
"""ONNX's number for the type bool."""


def lower(node: Node, builder: Builder) -> Expression:
    """The value of an elementwise node's single result."""
    arguments = [builder.value(name) for name in node.inputs if name]
    if node.operator in SIMPLE:
        function = SIMPLE[node.operator]
        return builder.apply(function, *arguments) if function else arguments[0]
    return _SPECIAL[node.operator](node, builder, arguments)


def activation(node: Node) -> str:
    """The name in `c_math` of a node that is an activation, else ""."""
    if node.operator == "Elu":
        return "elu" if float(node.attributes.get("alpha", 1.0)) == 1.0 else ""
    known = ("Tanh", "Sigmoid", "Relu", "Softplus")
    return SIMPLE[node.operator] if node.operator in known else ""


def _elu(node: Node, builder: Builder, arguments: list[Expression]) -> Expression:
    alpha = float(np.float32(node.attributes.get("alpha", 1.0)))
    result = builder.apply("elu", arguments[0])
    return result if alpha == 1.0 else builder.apply("scale_negative", result, Number(alpha))


def _clip(node: Node, builder: Builder, arguments: list[Expression]) -> Expression:
    del arguments
    given = [*node.inputs, "", ""][:3]
    value, low, high = (builder.value(name) if name else None for name in given)
    assert value is not None
    if low is not None and high is not None:
        return builder.apply("clip", value, low, high)
    if low is not None:
        return builder.apply("max", value, low)
    return builder.apply("min", value, high) if high is not None else value


def _fold(node: Node, builder: Builder, arguments: list[Expression]) -> Expression:
    function = {"Min": "min", "Max": "max", "Sum": "add"}[node.operator]
    result = arguments[0]
    for argument in arguments[1:]:
        result = builder.apply(function, result, argument)
    return result


def _pow(node: Node, builder: Builder, arguments: list[Expression]) -> Expression:
    base, exponent = arguments
    functions = {2.0: "square", 3.0: "cube", 0.5: "sqrt", -1.0: "reciprocal", 1.0: ""}
    if not isinstance(exponent, Number) or exponent.value not in functions:
        raise node.refused("the exponent must be a constant 2, 3, 0.5, 1 or -1")
    function = functions[exponent.value]
    return builder.apply(function, base) if function else base


def _cast(node: Node, builder: Builder, arguments: list[Expression]) -> Expression:
    if node.attributes["to"] == _BOOL and node.inputs[0] not in builder.graph.booleans:
        return builder.apply("not", Apply("equal", (arguments[0], Number(0.0)), arguments[0].shape))
    return arguments[0]


def _dropout(node: Node, builder: Builder, arguments: list[Expression]) -> Expression:
    """The value itself: a policy that acts drops nothing."""
    training = builder.array(node, 2)
    if len(node.inputs) > 2 and node.inputs[2] and (training is None or training.any()):
        raise node.refused("it draws at random in training mode; export the policy in evaluation mode")
    return arguments[0]


_SPECIAL = {
    "Elu": _elu, "Clip": _clip, "Min": _fold, "Max": _fold, "Sum": _fold, "Pow": _pow, "Cast": _cast,
    "Dropout": _dropout,
}  # fmt: skip
