"""C identifiers, comments and strings for names that ONNX and manifests choose freely."""

from __future__ import annotations

import re

from deploy.errors import BundleError

_C = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
"""
_CPP = """
asm alignas alignof and bitand bitor bool catch class compl concept constexpr decltype delete explicit export
false friend mutable namespace new noexcept not nullptr operator or private protected public requires
static_assert template this throw true try typeid typename using virtual wchar_t xor
"""
KEYWORDS = frozenset([*_C.split(), *_CPP.split()])
"""Keywords of C, and of C++ for firmware that includes the header there."""
_OWN = (
    *("state", "sensors", "commands", "scratch", "i", "j", "k", "l", "m", "n", "sum", "best"),
    *("memcpy", "memmove", "memset", "size_t", "int8_t", "int16_t", "int32_t", "uint8_t", "uint16_t", "uint32_t"),
    # Macros of gcc in its GNU dialects.
    *("unix", "linux", "i386", "arm"),
)


class Names:
    """Hands out identifiers, each once."""

    def __init__(self) -> None:
        self._taken = set(KEYWORDS) | set(_OWN)

    def fresh(self, hint: str) -> str:
        """An identifier like `hint`, with a number if that one is taken."""
        base = re.sub(r"\W+", "_", hint, flags=re.ASCII).strip("_") or "value"
        base = base if base[0].isalpha() else f"v{base}"
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def member(what: str, name: str) -> str:
    """`name` as a struct member, or BundleError if C or C++ can't have a member of that name."""
    if name in KEYWORDS or not name.isascii() or name in ("substep", "pooled", "unused"):
        raise BundleError(f"{what} {name!r} can't be a member of a C struct; give it another name and export again")
    return name


def comment(text: str) -> str:
    """`text` as the content of a C comment: one line of ASCII that can't end the comment."""
    plain = text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")
    return plain.encode("ascii", "replace").decode()


def string(text: str) -> str:
    """`text` as a C string literal, in ASCII."""
    plain = text.encode("ascii", "replace").decode()
    # Two question marks can begin a trigraph.
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '"'
