"""Shortens the lifetime of large buffers: the part that the next state needs is copied out as soon as it is computed.

A history keeps a few numbers of an observation that is several times as long. Without the copy, the whole observation
would occupy the stack until the end of the step.
"""

from __future__ import annotations

from dataclasses import replace

from deploy.codegen.ir import Buffer, Load, Map, Piece, Program, Statement, View, reads, whole, writes
from deploy.codegen.names import Names

SHARE = 2
"""A piece of the next state is copied if its buffer is more than this many times as long."""


def shortened(program: Program, names: Names) -> Program:
    """The same program with a copy of each piece that would otherwise keep a much larger scratch buffer alive."""
    last_read: dict[Buffer, int] = {}
    for now, statement in enumerate(program.statements):
        for view in reads(statement):
            last_read[view.buffer.root()[0]] = now
    kept_anyway = {program.commands.buffer.root()[0]}
    kept_anyway |= {piece.source.buffer.root()[0] for piece in program.pieces if not _is_small(piece)}
    copies: dict[int, list[Statement]] = {}
    pieces = []
    for piece in program.pieces:
        owner, start = piece.source.buffer.root()
        written = _last_write(program, owner)
        if _is_small(piece) and owner not in kept_anyway and written < last_read.get(owner, -1):
            name = names.fresh(f"kept_{piece.state}".lower())
            target = whole(Buffer("scratch", name, piece.source.size), piece.source.shape)
            source = View(owner, start + piece.source.offset, piece.source.shape, piece.source.strides)
            copies.setdefault(written, []).append(Map(target, Load(source), "kept for the next state"))
            pieces.append(replace(piece, source=target))
        else:
            pieces.append(piece)
    statements = [
        each for now, statement in enumerate(program.statements) for each in (statement, *copies.get(now, ()))
    ]
    return Program(tuple(statements), program.commands, tuple(pieces))


def _is_small(piece: Piece) -> bool:
    owner, _ = piece.source.buffer.root()
    return owner.kind == "scratch" and SHARE * piece.source.size < owner.size


def _last_write(program: Program, owner: Buffer) -> int:
    return max(
        (
            now
            for now, statement in enumerate(program.statements)
            if any(view.buffer.root()[0] is owner for view in writes(statement))
        ),
        default=-1,
    )
