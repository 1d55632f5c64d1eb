"""One bundle, one bridge and one robot for all flights of the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.controller_policy import export_controller
from tests.e2e.flight_stack import Stack
from tests.e2e.trot_policy import export_trot
from tests.e2e.walk_stack import WalkStack


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


@pytest.fixture(scope="session")
def trot_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "trot"
    export_trot(out)
    return out


@pytest.fixture(scope="session")
def session_walk_stack(tmp_path_factory: pytest.TempPathFactory, trot_bundle: Path) -> Iterator[WalkStack]:
    stack = WalkStack(tmp_path_factory.mktemp("walks"), trot_bundle)
    yield stack
    stack.close()


@pytest.fixture
def walk_stack(session_walk_stack: WalkStack) -> WalkStack:
    """The processes of a walk, without faults, with the robot lying where it began."""
    session_walk_stack.reset()
    return session_walk_stack
