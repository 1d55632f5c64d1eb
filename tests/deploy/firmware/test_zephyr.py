"""The Zephyr sample behind a transcription of Zephyr's interface: it compiles, with the link's baud rate alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deploy.firmware.build import HERE, write_firmware
from tests.mcu_tools import needs_gcc

HEADERS = Path(__file__).parent / "zephyr_headers_stand_in"
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only")
SAMPLE = HERE / "zephyr" / "sample"


def compiled(folder: Path, *defines: str) -> subprocess.CompletedProcess[str]:
    command = ["gcc", *FLAGS, f"-I{folder}/src", f"-I{HEADERS}", *defines, f"{folder}/sample/src/main.c"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_firmware(generated, tmp_path_factory.mktemp("zephyr") / "module", "zephyr")


@needs_gcc
def test_the_sample_compiles_at_the_rate_of_its_board_s_overlay(folder: Path) -> None:
    overlay = (folder / "sample" / "boards" / "nucleo_f446re.overlay").read_text(encoding="utf-8")
    speeds = re.findall(r"&usart1 \{\s*current-speed = <(\d+)>;", overlay)
    assert len(speeds) == 1
    assert re.search(r"chosen \{\s*robo-rl,link = &usart1;", overlay)
    finished = compiled(folder, f"-DCURRENT_SPEED={speeds[0]}")
    assert finished.stderr == ""


@needs_gcc
def test_another_rate_and_a_missing_uart_do_not_compile(folder: Path) -> None:
    slow = compiled(folder, "-DCURRENT_SPEED=115200").stderr
    assert "the link runs at 921600 bit/s: set current-speed of its UART" in slow
    assert "choose the UART of the link in the board's overlay" in compiled(folder).stderr


def test_the_readme_s_board_has_an_overlay() -> None:
    boards = re.findall(r"west build -b (\w+) sample", (HERE / "zephyr" / "README.md").read_text(encoding="utf-8"))
    assert boards
    for board in boards:
        assert (SAMPLE / "boards" / f"{board}.overlay").is_file()


def test_the_sample_has_a_random_generator_on_chips_with_and_without_one() -> None:
    settings = (SAMPLE / "prj.conf").read_text(encoding="utf-8").splitlines()
    assert "sys_rand32_get" in (SAMPLE / "src" / "main.c").read_text(encoding="utf-8")
    assert {"CONFIG_ENTROPY_GENERATOR=y", "CONFIG_TEST_RANDOM_GENERATOR=y"} <= set(settings)


def test_the_library_compiles_every_file_of_the_folder(folder: Path) -> None:
    listed = re.findall(r"src/(\w+\.c)", (folder / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(path.name for path in (folder / "src").glob("*.c"))
