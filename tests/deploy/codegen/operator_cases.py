"""One small graph for each operator and way of using it; all of them beside each other make one policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from tests.deploy.codegen.harness import Floats, Model

Case = Callable[[Model], str]
CASES: dict[str, Case] = {}
RANDOM = np.random.default_rng(11)


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def weights(*shape: int) -> Floats:
    drawn: Floats = (RANDOM.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
    return drawn


def above_zero(model: Model, value: str) -> str:
    return model.node("Add", model.node("Abs", value), model.constant(0.05))


def unary(operator: str, positive: bool = False, **attributes: float) -> None:
    def build(model: Model) -> str:
        x = model.input(1, 9)
        return model.node(operator, above_zero(model, x) if positive else x, **attributes)

    CASES[f"{operator.lower()}{len(CASES)}"] = build


for name in ("Neg", "Tanh", "Sigmoid", "Elu", "Relu", "Softplus", "Exp", "Abs", "Identity"):
    unary(name)
unary("Elu", alpha=0.5)
unary("Sqrt", positive=True)
unary("Log", positive=True)
unary("Reciprocal", positive=True)
unary("Softmax", axis=-1)


@case
def broadcast(m: Model) -> str:
    """An outer product, a row, a column and a scalar in one expression."""
    row, column = m.input(1, 1, 4), m.input(1, 3, 1)
    product = m.node("Mul", row, column)
    shifted = m.node("Sub", product, m.constant([[0.5], [-0.25], [2.0]]))
    return m.node("Add", m.node("Div", shifted, m.constant(3.0)), row)


@case
def clips(m: Model) -> str:
    x = m.input(1, 6)
    both = m.node("Clip", x, m.constant(-0.5), m.constant(0.6))
    low = m.node("Clip", x, m.constant(0.1))
    high = m.node("Clip", x, "", m.constant(-0.1))
    return m.node("Concat", both, low, high, axis=1)


@case
def extremes(m: Model) -> str:
    x, y, z = m.input(1, 5), m.input(1, 5), m.input(1, 1)
    return m.node("Add", m.node("Min", x, y, z), m.node("Max", x, y))


@case
def powers(m: Model) -> str:
    x = above_zero(m, m.input(1, 4))
    parts = [m.node("Pow", x, m.constant(p)) for p in (2.0, 3.0, 0.5, -1.0, 1.0)]
    return m.node("Concat", *parts, axis=-1)


@case
def choices(m: Model) -> str:
    """Comparisons and logic, computed into memory (two readers) and within an expression."""
    x, y = m.input(1, 7), m.input(1, 7)
    less, greater = m.node("Less", x, y), m.node("Greater", x, m.constant(0.0))
    either = m.node("Or", less, m.node("And", greater, m.node("Not", m.node("LessOrEqual", y, x))))
    equal = m.node("Equal", m.node("Clip", x, m.constant(0.0), m.constant(0.1)), m.constant(0.0))
    numbers = m.node("Cast", either, to=1)
    picked = m.node("Where", either, x, m.node("Where", equal, y, numbers))
    return m.node("Add", picked, m.node("Cast", m.node("GreaterOrEqual", x, y), to=1))


@case
def truth(m: Model) -> str:
    x = m.input(1, 4)
    return m.node("Cast", m.node("Cast", m.node("Relu", x), to=9), to=1)


@case
def sums(m: Model) -> str:
    x = m.input(1, 4, 5)
    last = m.node("ReduceSum", x, m.constant([-1], np.int64), keepdims=0)
    first = m.node("ReduceMean", x, m.constant([1], np.int64), keepdims=0)
    every = m.node("ReduceSum", m.node("Mul", x, x), keepdims=0)
    largest = m.node("ReduceMax", x, m.constant([1, 2], np.int64), keepdims=0)
    one = m.constant([1], np.int64)
    parts = [last, first, m.node("Reshape", every, m.constant([1, 1], np.int64)), m.node("Unsqueeze", largest, one)]
    return m.node("Concat", *parts, axis=1)


@case
def slices(m: Model) -> str:
    x = m.input(1, 6, 4)

    def ints(*values: int) -> str:
        return m.constant(values, np.int64)

    ahead = m.node("Slice", x, ints(1, 0), ints(2**62, 3), ints(1, 2), ints(2, 1))
    back = m.node("Slice", x, ints(-1), ints(-(2**62)), ints(1), ints(-3))
    flat = [m.node("Flatten", part, axis=1) for part in (ahead, back)]
    return m.node("Concat", *flat, axis=1)


@case
def splits(m: Model) -> str:
    x = m.input(1, 7)
    a, b, c = m.nodes_of("Split", [x, m.constant([2, 3, 2], np.int64)], 3, axis=1)
    left, right = m.nodes_of("Split", [m.input(2, 4)], 2, axis=-1, num_outputs=2)
    sums = m.node("Reshape", m.node("Sub", left, right), m.constant([1, 4], np.int64))
    return m.node("Concat", c, b, a, m.node("Mul", a, c), sums, axis=-1)


@case
def gathers(m: Model) -> str:
    x = m.input(1, 8, 3)
    table = m.node("Gather", x, m.constant([7, 0, 3, 3, -2], np.int64), axis=1)
    even = m.node("Gather", x, m.constant([1, 3, 5], np.int64), axis=1)
    single = m.node("Gather", x, m.constant(2, np.int64), axis=2)
    parts = [m.node("Flatten", part, axis=1) for part in (table, even)]
    return m.node("Concat", *parts, single, axis=1)


@case
def turns(m: Model) -> str:
    x = m.input(1, 3, 4)
    turned = m.node("Transpose", x, perm=[0, 2, 1])
    flat = m.node("Reshape", turned, m.constant([1, -1], np.int64))
    again = m.node("Squeeze", m.node("Unsqueeze", m.node("Mul", flat, flat), m.constant([0], np.int64)))
    wide = m.node("Expand", m.input(1, 1, 4), m.constant([1, 3, 4], np.int64))
    sums = m.node("Add", wide, m.node("Transpose", turned, perm=[0, 2, 1]))
    return m.node("Concat", m.node("Reshape", again, m.constant([1, 12], np.int64)), m.node("Flatten", sums), axis=1)


@case
def shapes(m: Model) -> str:
    """A shape that the graph computes itself."""
    x = m.input(1, 3, 4)
    size = m.node("Gather", m.node("Shape", x), m.constant([0], np.int64))
    target = m.node("Concat", size, m.constant([-1], np.int64), axis=0)
    return m.node("Tanh", m.node("Reshape", x, target))


@case
def joins(m: Model) -> str:
    """Along an axis that isn't the first with more than one element."""
    x, y = m.input(1, 3, 2), m.input(1, 3, 4)
    joined = m.node("Concat", m.node("Neg", x), y, x, axis=2)
    return m.node("Add", joined, m.node("Concat", joined, axis=1))


@case
def layers(m: Model) -> str:
    """Gemm in its variants, with every activation that a layer absorbs, and one that it doesn't."""
    x = m.input(1, 13)
    y = m.node("Tanh", m.node("Gemm", x, m.constant(weights(11, 13)), m.constant(weights(11)), transB=1))
    y = m.node("Elu", m.node("Gemm", y, m.constant(weights(11, 9)), alpha=0.5))
    y = m.node("Softplus", m.node("Add", m.node("MatMul", y, m.constant(weights(9, 8))), m.constant(weights(8))))
    y = m.node("Sigmoid", m.node("MatMul", y, m.constant(weights(8, 5))))
    y = m.node("Relu", m.node("Gemm", y, m.constant(weights(5, 6)), m.constant(weights(1, 6)), beta=2.0))
    return m.node("Elu", m.node("Gemm", y, m.constant(weights(6, 3))), alpha=2.0)


@case
def products(m: Model) -> str:
    """A matrix of rows by constant weights, and products of computed matrices."""
    x, y = m.input(1, 4, 6), m.input(1, 6, 3)
    rows = m.node("Add", m.node("MatMul", x, m.constant(weights(6, 5))), m.constant(weights(5)))
    both = m.node("MatMul", x, y)
    score = m.node("MatMul", rows, m.node("Transpose", rows, perm=[0, 2, 1]))
    parts = [m.node("Flatten", part) for part in (rows, both, m.node("Softmax", score, axis=1))]
    return m.node("Concat", *parts, axis=1)


@case
def normalised(m: Model) -> str:
    x = m.input(1, 2, 12)
    scale, shift = m.constant(weights(12) + 1.0), m.constant(weights(12))
    first = m.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-3)
    return m.node("Add", first, m.node("LayerNormalization", x, m.constant(weights(2, 12)), axis=1))


def recurrent(operator: str, steps: int, gates: int, initial: bool, **attributes: object) -> Case:
    inputs, units = 5, 6

    def build(m: Model) -> str:
        arguments = [
            m.input(steps, 1, inputs), m.constant(weights(1, gates * units, inputs)),
            m.constant(weights(1, gates * units, units)), m.constant(weights(1, 2 * gates * units)),
        ]  # fmt: skip
        memories = 2 if operator == "LSTM" else 1
        if initial:
            arguments += ["", *(m.input(1, 1, units) for _ in range(memories))]
        results = m.nodes_of(operator, arguments, 1 + memories, hidden_size=units, **attributes)
        return m.node("Concat", *(m.node("Reshape", r, m.constant([1, -1], np.int64)) for r in results), axis=1)

    return build


for steps in (1, 3):
    CASES[f"gru{steps}"] = recurrent("GRU", steps, 3, steps == 1)
    CASES[f"gru_after{steps}"] = recurrent("GRU", steps, 3, steps == 3, linear_before_reset=1)
    CASES[f"lstm{steps}"] = recurrent("LSTM", steps, 4, True)


def convolution(width: int, channels: int, outputs: int, bias: bool = True, **attributes: object) -> Case:
    groups = int(str(attributes.get("group", 1)))

    def build(m: Model) -> str:
        x = m.input(1, channels, 10)
        arguments = [x, m.constant(weights(outputs, channels // groups, width))]
        arguments += [m.constant(weights(outputs))] if bias else []
        result = m.node("Conv", *arguments, **attributes)
        return m.node("Flatten", m.node("Tanh", result))

    return build


CASES["conv"] = convolution(3, 2, 4)
CASES["conv_padded"] = convolution(3, 2, 4, pads=[2, 1], strides=[2])
CASES["conv_dilated"] = convolution(2, 3, 5, bias=False, dilations=[3])
CASES["conv_same"] = convolution(4, 2, 3, auto_pad="SAME_UPPER", strides=[3])
CASES["conv_single"] = convolution(1, 1, 2)


@case
def biases(m: Model) -> str:
    """Of one number, of a row, of a column and of a whole matrix; none at all."""
    x, rows = m.input(1, 6), m.input(3, 6)
    parts = [
        m.node("Tanh", m.node("Add", m.node("MatMul", x, m.constant(weights(6, 8))), m.constant(0.25))),
        m.node("Relu", m.node("Add", m.constant([0.5]), m.node("MatMul", x, m.constant(weights(6, 5))))),
        m.node("Add", m.node("MatMul", x, m.constant(weights(6, 5))), m.constant(weights(1, 1, 1, 5))),
        m.node("Gemm", x, m.constant(weights(6, 4)), m.constant(0.3), beta=2.0),
        m.node("Gemm", x, m.constant(weights(6, 3)), m.constant([[-0.3]])),
        m.node("Gemm", x, m.constant(weights(6, 3))),
        m.node("Gemm", rows, m.constant(weights(6, 3)), m.constant(weights(3, 1)), alpha=0.5),
        m.node("Elu", m.node("Gemm", rows, m.constant(weights(6, 4)), m.constant(weights(3, 4)), beta=0.5)),
        m.node("Gemm", rows, m.constant(weights(6, 4)), m.constant(weights(1, 4))),
    ]
    return flat(m, parts)


@case
def broadcasts(m: Model) -> str:
    """Operands of fewer axes, or with axes of one element, on either side."""
    x, y = m.input(1, 4), m.input(1, 3, 1)
    wide = m.node("Sub", x, y)
    parts = [
        wide,
        m.node("Pow", x, m.constant(np.full((1, 3, 4), 2.0))),
        m.node("Where", m.node("Less", x, m.constant(0.0)), y, m.node("Mul", m.constant(0.5), wide)),
        m.node("Min", x, m.constant([0.4]), y),
        m.node("Sum", y, m.constant(weights(2, 1, 1, 1)), x),
        m.node("Expand", y, m.constant([2, 1, 4], np.int64)),
        m.node("MatMul", m.constant(weights(4)), m.node("Transpose", wide, perm=[0, 2, 1])),
        m.node("MatMul", m.constant(weights(2, 1, 5, 3)), wide),
    ]
    return flat(m, parts)


@case
def spelled_out(m: Model) -> str:
    """Defaults of attributes and inputs written down."""
    x, ones = m.input(1, 6), m.constant(np.ones(6))
    kept = m.node("Dropout", x, m.constant(0.5), m.constant(False, np.bool_))
    y = m.node("Gemm", kept, m.constant(weights(6, 6)), m.constant(weights(6)), alpha=1.0, beta=1.0, transA=0, transB=0)
    y = m.node("LayerNormalization", y, ones, m.constant(np.zeros(6)), axis=-1, epsilon=1e-5, stash_type=1)
    y = m.node("Softmax", m.node("Elu", y, alpha=1.0), axis=-1)
    return m.node("Clip", y, m.constant(0.0), m.constant(np.float32(3e38)))


@case
def lstm_spelled_out(m: Model) -> str:
    """An LSTM with every default written down, in any case of letters."""
    arguments = [
        m.input(2, 1, 5), m.constant(weights(1, 24, 5)), m.constant(weights(1, 24, 6)), m.constant(np.zeros((1, 48))),
        m.constant([2], np.int32), m.input(1, 1, 6), m.constant(np.zeros((1, 1, 6))), m.constant(np.zeros((1, 18))),
    ]  # fmt: skip
    names = ["sigmoid", "TANH", "Tanh"]
    results = m.nodes_of("LSTM", arguments, 3, hidden_size=6, activations=names, direction="forward", input_forget=0)
    return flat(m, results)


CASES["gru_spelled_out"] = recurrent(
    "GRU", 1, 3, True, activations=["Sigmoid", "tanh"], direction="forward", linear_before_reset=0
)


def flat(m: Model, parts: list[str]) -> str:
    """All elements of the parts, one after the other."""
    shape = m.constant([1, -1], np.int64)
    return m.node("Concat", *(m.node("Reshape", part, shape) for part in parts), axis=1)


@cache
def everything() -> Model:
    """All cases in one graph, once for all, since their weights are drawn; outputs are called by their case."""
    whole = Model()
    for name, build in CASES.items():
        part = Model(f"{name}_")
        part.output(build(part), name=f"result_{name}")
        whole.add(part)
    return whole
