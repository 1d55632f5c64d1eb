"""Statements as C: loops over views, with adjacent axes merged where all views allow it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy.codegen.expressions import Writer
from deploy.codegen.ir import Dense, Load, Map, Reduce, Repeat, Statement, Take, View, loads
from deploy.codegen.kernels.base import DenseKernel
from deploy.codegen.kernels.plain import kernel_for
from deploy.codegen.names import comment

_VARIABLES = "ijklmn"
_COPY = 8
"""A plain copy of at least this many floats uses memcpy."""
Loops = tuple[tuple[int, tuple[int, ...]], ...]
"""For each loop, its length and the stride of every view."""


class StatementWriter:
    """Writes statements as C, with a kernel for the dense layers."""

    def __init__(self, kernel: DenseKernel) -> None:
        self._kernel = kernel

    def lines(self, statement: Statement) -> list[str]:
        """The statement's C at block scope, indented only within its own blocks."""
        if isinstance(statement, Map):
            lines = self._map(statement)
        elif isinstance(statement, Reduce):
            lines = self._reduce(statement)
        elif isinstance(statement, Dense):
            lines = self._dense(statement)
        elif isinstance(statement, Take):
            lines = self._take(statement)
        else:
            lines = self._repeat(statement)
        return ([f"/* {comment(statement.comment)} */"] if statement.comment and lines else []) + lines

    def _map(self, statement: Map) -> list[str]:
        target = statement.target
        views = _unique([target, *(view for view in loads(statement.expression))])
        loops = _collapse(target.shape, [view.broadcast(target.shape) for view in views])
        source = statement.expression
        if isinstance(source, Load) and place(source.view) == place(target) and len(views) <= 2:
            walks = {strides for _, strides in loops}
            if all(len(set(strides)) == 1 for strides in walks):
                return []  # It was computed in place already.
        if isinstance(source, Load) and len(loops) == 1 and loops[0][0] >= _COPY and loops[0][1] == (1, 1):
            return [f"memcpy({pointer(target)}, {pointer(source.view)}, {loops[0][0]}u * sizeof(float));"]
        variables = _VARIABLES[: len(loops)]
        writer = Writer(lambda view: element(view, variables, _own(loops, views.index(view))))
        left = element(target, variables, _own(loops, 0))
        return _nest(loops, variables, [f"{left} = {writer.real(source)};"])

    def _reduce(self, statement: Reduce) -> list[str]:
        target, axes = statement.target, statement.axes
        shape = np.broadcast_shapes(*(view.shape for view in loads(statement.expression)), target.shape)
        shape = tuple(np.broadcast_shapes(shape, statement.expression.shape))
        kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
        views = _unique([target, *loads(statement.expression)])
        wide = [view.broadcast(shape) for view in views]
        outer = _collapse(tuple(shape[a] for a in kept), [view.transposed((*kept, *axes)) for view in wide])
        inner = _collapse(
            tuple(shape[a] for a in axes), [view.transposed((*axes, *kept)) for view in wide]
        )  # fmt: skip
        names = _VARIABLES[: len(outer) + len(inner)]
        loops = outer + inner
        writer = Writer(lambda view: element(view, names, _own(loops, views.index(view))))
        term = writer.real(statement.expression)
        count = int(np.prod([shape[a] for a in axes]))
        left = element(target, names[: len(outer)], _own(outer, 0))
        if statement.kind == "max":
            first = writer_at_start(statement, views, names, outer)
            body = [f"float best = {first};"]
            body += _nest(inner, names[len(outer) :], [f"best = policy_max(best, {term});"]) + [f"{left} = best;"]
        else:
            body = ["float sum = 0.0f;", *_nest(inner, names[len(outer) :], [f"sum += {term};"])]
            mean = statement.kind == "mean"
            body.append(f"{left} = sum / {float(count)}f;" if mean else f"{left} = sum;")
        return _nest(outer, names[: len(outer)], body, block=True)

    def _dense(self, statement: Dense) -> list[str]:
        outputs, inputs = statement.weight.shape
        arguments = (statement.symbol, pointer(statement.source), pointer(statement.target), inputs, outputs)
        kernel = kernel_for(statement.weight, self._kernel)
        return kernel.call(*arguments, statement.activation).splitlines()

    def _take(self, statement: Take) -> list[str]:
        outer, count, inner = statement.target.shape
        from_view, to_view = pointer(statement.source), pointer(statement.target)
        size = statement.source.shape[1]
        loops: Loops = tuple((n, ()) for n in (outer, count, inner))
        used = [(v, n) for v, n in zip("ijk", (outer, count, inner), strict=True) if n > 1]
        at = _sum(0, [(count * inner, "i"), (inner, "j"), (1, "k")], dict(used))
        taken = [(size * inner, "i"), (1, "k")]
        index = f"{statement.symbol}[j]" + (f" * {inner}u" if inner > 1 else "")
        rest = _sum(0, taken, dict(used))
        source = index if rest == "0" else f"{index} + {rest}"
        body = [f"({to_view})[{at}] = ({from_view})[{source}];"]
        kept = tuple(loop for loop in loops if loop[0] > 1)
        return _nest(kept, "".join(v for v, _ in used), body)

    def _repeat(self, statement: Repeat) -> list[str]:
        body = [line for inner in statement.body for line in self.lines(inner)]
        variable = statement.variable
        head = f"for (uint32_t {variable} = 0u; {variable} < {statement.count}u; {variable}++) {{"
        return [head, *indent(body), "}"]


def writer_at_start(statement: Reduce, views: list[View], names: str, outer: Loops) -> str:
    """The C of a reduction's first term, with every inner loop at its start."""
    writer = Writer(lambda view: element(view, names, _own(outer, views.index(view))))
    return writer.real(statement.expression)


def place(view: View) -> tuple[str, str, int]:
    """A key that is equal for two views that start at the same element."""
    owner, start = view.buffer.root()
    return owner.kind, owner.name, start + view.offset


def base(view: View) -> str:
    """The C of the array that a view addresses."""
    prefix = {"sensor": "sensors->", "state": "state->"}.get(view.buffer.kind, "")
    return prefix + view.buffer.name


def pointer(view: View) -> str:
    """The C of a pointer to the view's first element."""
    text = _sum(view.offset, [(stride, name) for name, stride in (view.turns or {}).items()])
    return base(view) if text == "0" else f"{base(view)} + {text}"


def element(view: View, variables: str, strides: Sequence[int]) -> str:
    """The C of a view's element, for loop variables with these strides."""
    terms = [(stride, name) for name, stride in (view.turns or {}).items()]
    return f"{base(view)}[{_sum(view.offset, [*terms, *zip(strides, variables, strict=False)])}]"


def indent(lines: Sequence[str]) -> list[str]:
    """The lines, indented by one more level."""
    return [f"    {line}" if line else line for line in lines]


def _sum(offset: int, terms: Sequence[tuple[int, str]], only: dict[str, int] | None = None) -> str:
    """The C of offset + stride * variable + ..., in unsigned arithmetic; `only` keeps these variables alone."""
    text = f"{offset}u" if offset else ""
    for stride, name in terms:
        if stride == 0 or (only is not None and name not in only):
            continue
        product = name if abs(stride) == 1 else f"{abs(stride)}u * {name}"
        if text:
            text += f" {'+' if stride > 0 else '-'} {product}"
        else:
            assert stride > 0, "a negative stride needs a positive offset"
            text = product
    return text or "0"


def _collapse(shape: tuple[int, ...], views: list[View]) -> Loops:
    """The loops over the first len(shape) axes of every view, without those of length 1, adjacent axes merged."""
    loops: list[tuple[int, tuple[int, ...]]] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        strides = tuple(view.strides[axis] for view in views)
        if loops:
            length, before = loops[-1]
            if all(b == s * size for b, s in zip(before, strides, strict=True)):
                loops[-1] = length * size, strides
                continue
        loops.append((size, strides))
    return tuple(loops)


def _own(loops: Loops, index: int) -> list[int]:
    return [strides[index] for _, strides in loops]


def _unique(views: list[View]) -> list[View]:
    found: list[View] = []
    for view in views:
        if view not in found:
            found.append(view)
    return found


def _nest(loops: Loops, variables: str, body: list[str], block: bool = False) -> list[str]:
    """The body within its loops; with `block` it gets braces even without a loop."""
    lines = list(body)
    if not loops and block:
        return ["{", *indent(lines), "}"]
    for (size, _), name in reversed(list(zip(loops, variables, strict=True))):
        lines = [f"for (uint32_t {name} = 0u; {name} < {size}u; {name}++) {{", *indent(lines), "}"]
    return lines
