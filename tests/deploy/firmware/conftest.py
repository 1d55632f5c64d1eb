"""The stand-in policy, built once for all tests: for this machine, under sanitizers, and for the emulated chip."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.firmware.build import build_firmware, write_firmware
from tests.deploy.firmware import stand_in
from tests.deploy.firmware.apps import Tick, load_app
from tests.deploy.firmware.chip import Chip, compile_host, host_chip


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in.write_generated(tmp_path_factory.mktemp("stand-in") / "generated", stand_in.manifest())


@pytest.fixture(scope="session")
def host_program(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_host(generated, tmp_path_factory.mktemp("host"))


@pytest.fixture
def chip(host_program: Path) -> Iterator[Chip]:
    with host_chip(host_program) as chip:
        yield chip


@pytest.fixture(scope="session")
def lockstep_image(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(generated, tmp_path_factory.mktemp("image") / "lockstep")


@pytest.fixture(scope="session")
def uart_image(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(generated, tmp_path_factory.mktemp("image") / "uart", link="uart")


@pytest.fixture(scope="session")
def built(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, Tick]:
    """The Crazyflie app as a library, and a tick of its controller."""
    return load_app(write_firmware(generated, tmp_path_factory.mktemp("crazyflie") / "app", "crazyflie"))


@pytest.fixture
def app(built: tuple[ctypes.CDLL, Tick]) -> Tick:
    """A tick of the Crazyflie app's controller, just initialised."""
    library, tick = built
    library.controllerOutOfTreeInit()
    assert library.controllerOutOfTreeTest()
    return tick
