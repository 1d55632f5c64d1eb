"""Parsing with tyro, with its boxed error messages reduced to one line."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any, TypeVar

import tyro

from policies.errors import UserError

T = TypeVar("T")
_BORDER, _EDGES, _RULE = " │", ("╭", "╰"), "─-"
_PHRASES = (
    # Errors of a dataclass's own checks are reported under the dataclass's name, which the user does not know.
    (r"^Error parsing (--[\w.-]+)", r"\1"),
    (r"^Error parsing [\w.\[\]]+: ", ""),
    (r"invalid literal for int\(\) with base 10: ", "expected a whole number, got "),
    (r"could not convert string to float: ", "expected a number, got "),
    (r"^Missing from [^:]*: ", "missing: "),
    (r" \(required\)", ""),
)
"""tyro's wording as a pattern, and ours."""


def parse(
    kind: type[T], command: str, argv: Sequence[str], default: T | None = None, description: str | None = None
) -> T:
    """Parse `argv` into a `kind`. Fields of nested dataclasses are flags without a prefix.

    Raises UserError, in one line, for wrong arguments; SystemExit(0) after --help.
    """
    given: dict[str, Any] = {} if default is None else {"default": default}
    # Alone, because the help omits positional arguments that precede it.
    words = ["--help"] if {"-h", "--help"} & set(argv) else list(argv)
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            parsed: T = tyro.cli(
                kind,
                args=words,
                prog=f"robo-rl {command}",
                description=description,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
                **given,
            )
            return parsed
    except SystemExit as exit_:
        if exit_.code in (0, None):
            sys.stderr.write(printed.getvalue())
            raise
        raise UserError(one_line(printed.getvalue(), f"robo-rl {command}")) from None


def one_line(box: str, program: str) -> str:
    """tyro's boxed error in one line: what is wrong, what was probably meant, and where the options are listed."""
    sections: list[list[str]] = [[]]
    for raw in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        text = raw.strip(_BORDER)
        if not text.strip(_RULE):
            sections.append([])
        elif not text.startswith(_EDGES):
            sections[-1].append(text)
    filled = [section for section in sections if section]
    if not box.lstrip().startswith(_EDGES):
        # If the output's encoding has no box-drawing characters, the title is a section of its own.
        filled = filled[1:]
    if not filled:
        return f"the arguments can't be parsed; see {program} --help"
    message = " ".join(filled[0])
    for pattern, phrase in _PHRASES:
        message = re.sub(pattern, phrase, message)
    message = message.rstrip(".")
    meant = [flag for section in filled[1:] if section[0].startswith("Perhaps") for flag in _flags(section)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(meant))}?" if meant else ""
    return f"{message}{hint} (see {program} --help)"


def _flags(section: Sequence[str]) -> list[str]:
    return [word for line in section for word in re.findall(r"^--[\w.-]+", line)][:3]
