"""Arrays of numbers as C definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

C_TYPES = {"float32": "float", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "uint32": "uint32_t"}


@dataclass(frozen=True)
class ConstantArray:
    """A `static const` array of the generated C, and its bytes for the checksum."""

    name: str
    values: npt.NDArray[Any]
    """Shape [count]; float32, int8, int16, int32 or uint32."""

    def definition(self) -> str:
        """The C definition, ending in a line break."""
        c_type = C_TYPES[self.values.dtype.name]
        per_line = 16 if self.values.dtype.itemsize == 1 else 6
        words = [c_number(value) for value in self.values]
        lines = [", ".join(words[start : start + per_line]) for start in range(0, len(words), per_line)]
        body = ",\n    ".join(lines)
        return f"static const {c_type} {self.name}[{len(words)}] = {{\n    {body},\n}};\n"

    def content(self) -> bytes:
        """The array's bytes in little-endian memory."""
        return self.values.astype(self.values.dtype.newbyteorder("<")).tobytes()


def c_number(value: Any) -> str:
    """A C literal of exactly this value, hexadecimal for floats and uint32. Raises ValueError if it is not finite."""
    if isinstance(value, np.uint32):
        return f"0x{int(value):08x}u"
    if not isinstance(value, np.floating):
        return str(int(value))
    if not np.isfinite(value):
        raise ValueError(f"{value} has no C literal")
    mantissa, _, exponent = float(value).hex().partition("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}f"
