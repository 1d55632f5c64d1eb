"""One bundle, one bridge and one robot for all flights of the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.controller_policy import export_controller
from tests.e2e.flight_stack import Stack


@pytest.fixture(scope="session")
def controller_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "controller"
    export_controller(out)
    return out


@pytest.fixture(scope="session")
def session_stack(tmp_path_factory: pytest.TempPathFactory, controller_bundle: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("flights"), controller_bundle)
    yield stack
    stack.close()


@pytest.fixture
def stack(session_stack: Stack) -> Stack:
    """The processes, without faults, with the vehicle on its test stand."""
    session_stack.reset()
    return session_stack
