"""Which module imports what, read from the source without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOMS = ("policies", "sim", "robo_rl", "deploy", "real")


def modules(root: Path) -> dict[str, Path]:
    """Dotted name to file of every module in the five rooms below `root`."""
    found = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(source: str) -> frozenset[str]:
    """Dotted names that the text `source` imports anywhere: at the top, inside functions, for types.

    `from a import b` counts as `a.b`, since b may be a module. The standard library is left out; imports relative to a
    package don't occur, ruff forbids them.
    """
    return _foreign(ast.walk(ast.parse(source)))


@cache
def imports_at_once(source: str) -> frozenset[str]:
    """Those of `imports` that importing the module itself brings: not what stands in functions or is for types."""
    return _foreign(_at_once(ast.parse(source).body))


def dependencies(root: Path) -> dict[str, set[str]]:
    """Each module below `root` -> the modules of ours that it imports, wherever in it."""
    known = modules(root)
    graph = {}
    for module, path in known.items():
        found = imports(path.read_text(encoding="utf-8"))
        # `a.b` of `from a import b` is a module or something in the module `a`.
        named = {name if name in known else name.rpartition(".")[0] for name in found}
        graph[module] = (named & known.keys()) - {module}
    return graph


def _at_once(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        for field in ("body", "orelse", "finalbody"):
            yield from _at_once(getattr(node, field, []))


def _foreign(nodes: Iterable[ast.AST]) -> frozenset[str]:
    return frozenset(name for name in _imported(nodes) if name.split(".")[0] not in sys.stdlib_module_names)


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_below(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether `name` is one of the dotted `prefixes` or lies inside one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)
