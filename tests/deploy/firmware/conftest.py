"""The stand-in policy, built once for all tests: for this machine, under sanitizers, and for the emulated chip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.firmware.build import build_firmware
from tests.deploy.firmware import stand_in
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
