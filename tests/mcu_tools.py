"""Marks for tests that need a compiler, the emulator, cmake or cppcheck, which `make mcu-tools` installs.

A test with such a mark skips with a reason where the tool is absent. Under CI=true it runs and fails there instead,
so that a machine that should have the tools can't pass by leaving the tests out.
"""

from __future__ import annotations

import os
import shutil

import pytest


def needs(*tools: str) -> pytest.MarkDecorator:
    """A mark that skips a test unless every one of `tools` is on the PATH."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    reason = f"needs {', '.join(missing)}: make mcu-tools"
    return pytest.mark.skipif(bool(missing) and os.environ.get("CI") != "true", reason=reason)


needs_gcc = needs("gcc")
needs_clang = needs("clang")
needs_arm = needs("arm-none-eabi-gcc")
needs_qemu = needs("qemu-system-arm")
needs_cmake = needs("cmake")
needs_cppcheck = needs("cppcheck")
