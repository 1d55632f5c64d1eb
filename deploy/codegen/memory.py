"""Places scratch buffers in one array on the stack so that buffers in use at the same time don't overlap."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.codegen.ir import Buffer, Map, Program, View, loads, reads, writes


@dataclass(frozen=True)
class Layout:
    """The offset in the array of each scratch buffer without a home, and the array's size, in floats."""

    offsets: dict[Buffer, int]
    size: int

    def position(self, view: View) -> int:
        """The offset in the array of a view's first element."""
        owner, start = view.buffer.root()
        return self.offsets[owner] + start + view.offset


def plan(program: Program) -> Layout:
    """Place buffers from largest to smallest, each at the lowest offset that is free while it is in use."""
    spans = _spans(program)
    _reuse_in_place(program, spans)
    spans = {buffer: span for buffer, span in spans.items() if buffer.home is None}
    offsets: dict[Buffer, int] = {}
    for buffer in sorted(spans, key=lambda b: (-b.size, spans[b])):
        rivals = sorted(
            (offsets[other], other.size)
            for other in offsets
            if spans[other][0] <= spans[buffer][1] and spans[buffer][0] <= spans[other][1]
        )
        place = 0
        for start, size in rivals:
            if place + buffer.size <= start:
                break
            place = max(place, start + size)
        offsets[buffer] = place
    return Layout(offsets, max((offsets[b] + b.size for b in offsets), default=0))


def _spans(program: Program) -> dict[Buffer, tuple[int, int]]:
    """The first and last statement that uses each buffer that owns memory; results are in use to the end."""
    spans: dict[Buffer, tuple[int, int]] = {}

    def touch(view: View, now: int) -> None:
        owner, _ = view.buffer.root()
        if owner.kind == "scratch":
            first, last = spans.get(owner, (now, now))
            spans[owner] = min(first, now), max(last, now)

    for now, statement in enumerate(program.statements):
        for view in (*reads(statement), *writes(statement)):
            touch(view, now)
    for view in (program.commands, *(piece.source for piece in program.pieces)):
        touch(view, len(program.statements))
    return spans


def _reuse_in_place(program: Program, spans: dict[Buffer, tuple[int, int]]) -> None:
    """Let a map overwrite, element by element, a buffer that it is the last to read."""
    for now, statement in enumerate(program.statements):
        if not isinstance(statement, Map):
            continue
        target = statement.target
        own = target.buffer
        if own.home is not None or own not in spans or spans[own][0] != now:
            continue
        if not target.contiguous or target.size != own.size:
            continue
        for view in loads(statement.expression):
            owner, start = view.buffer.root()
            if owner in spans and owner is not own and spans[owner][1] == now and spans[owner][0] < now:
                places = {
                    _walk(other, target) for other in loads(statement.expression) if other.buffer.root()[0] is owner
                }
                if places == {(start + view.offset, _strides(target))} and owner.size >= own.size:
                    own.home = owner, start + view.offset
                    spans[owner] = spans[owner][0], spans[own][1]
                    break


def _walk(view: View, target: View) -> tuple[int, tuple[int, ...]]:
    return view.buffer.root()[1] + view.offset, _strides(view.broadcast(target.shape))


def _strides(view: View) -> tuple[int, ...]:
    return tuple(stride for stride, size in zip(view.strides, view.shape, strict=True) if size > 1)
