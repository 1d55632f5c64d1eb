"""The link in C: its CRC, its frames against the host's own implementation, and a decoder that no noise breaks."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.firmware.build import HERE, WARNINGS
from real.robots.serial_frames import Decoder, crc16, decode
from tests.deploy.firmware.chip import SANITIZERS
from tests.mcu_tools import needs_gcc

pytestmark = needs_gcc
COMMON = HERE / "common"
BODY_MAX, WIRE_MAX = 96, 104


class Frame(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint8),
        ("length", ctypes.c_uint8),
        ("sequence", ctypes.c_uint16),
        ("body", ctypes.c_uint8 * BODY_MAX),
    )


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("link") / "link.so"
    command = ["gcc", *WARNINGS, "-O1", "-shared", "-fPIC", str(COMMON / "link.c"), "-o", str(library)]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.link_crc16.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    loaded.link_crc16.restype = ctypes.c_uint16
    loaded.link_encode.restype = ctypes.c_size_t
    loaded.link_newer.argtypes = [ctypes.c_uint16, ctypes.c_uint16]
    loaded.link_newer.restype = ctypes.c_bool
    loaded.link_decode.argtypes = [ctypes.c_char_p, ctypes.c_uint8, ctypes.POINTER(Frame)]
    loaded.link_decode.restype = ctypes.c_bool
    return loaded


def frame_of(kind: int, sequence: int, body: bytes) -> Frame:
    padded = (ctypes.c_uint8 * BODY_MAX)(*body)
    return Frame(kind, len(body), sequence, padded)


def encoded(link: ctypes.CDLL, frame: Frame) -> bytes:
    wire = ctypes.create_string_buffer(WIRE_MAX)
    size = link.link_encode(ctypes.byref(frame), wire)
    return wire.raw[:size]


@pytest.fixture(scope="module")
def decoder(link: ctypes.CDLL) -> Callable[[bytes], list[tuple[int, int, bytes]]]:
    """Decodes bytes with one decoder for the whole module: what came before must not matter after a zero."""
    memory = ctypes.create_string_buffer(256)
    link.link_decoder_reset(memory)

    def feed(data: bytes) -> list[tuple[int, int, bytes]]:
        found, frame = [], Frame()
        for byte in data:
            if link.link_decode(ctypes.cast(memory, ctypes.c_char_p), byte, ctypes.byref(frame)):
                found.append((frame.type, frame.sequence, bytes(frame.body[: frame.length])))
        return found

    return feed


def test_the_crc_has_its_published_check_value(link: ctypes.CDLL) -> None:
    assert link.link_crc16(b"123456789", 9) == 0x29B1


@given(data=st.binary(max_size=200))
def test_the_crc_is_the_host_s(link: ctypes.CDLL, data: bytes) -> None:
    assert link.link_crc16(data, len(data)) == crc16(data)


BODIES = st.one_of(
    st.binary(max_size=BODY_MAX),
    st.integers(0, BODY_MAX).map(bytes),
    st.integers(0, BODY_MAX).map(lambda n: b"\xff" * n),
)


@settings(max_examples=300)
@given(kind=st.integers(0, 255), sequence=st.integers(0, 65535), body=BODIES, noise=st.binary(max_size=150))
def test_a_frame_comes_back_whatever_was_on_the_wire_before(
    link: ctypes.CDLL,
    decoder: Callable[[bytes], list[tuple[int, int, bytes]]],
    kind: int,
    sequence: int,
    body: bytes,
    noise: bytes,
) -> None:
    wire = encoded(link, frame_of(kind, sequence, body))
    assert len(wire) == len(body) + 8
    assert wire.index(0) == len(wire) - 1
    assert decoder(noise + b"\0" + wire)[-1] == (kind, sequence, body)
    theirs = decode(wire[:-1])
    assert (theirs.type, theirs.sequence, theirs.body) == (kind, sequence, body)
    assert Decoder().feed(noise + b"\0" + wire)[-1] == theirs


def test_a_body_that_is_too_long_is_not_encoded(link: ctypes.CDLL) -> None:
    frame = Frame(1, BODY_MAX + 1, 0)
    assert encoded(link, frame) == b""


@given(last=st.integers(0, 65535), ahead=st.integers(0, 65535))
def test_a_sequence_is_newer_when_it_is_up_to_half_the_count_ahead(link: ctypes.CDLL, last: int, ahead: int) -> None:
    assert link.link_newer((last + ahead) % 65536, last) == (0 < ahead < 32768)


@pytest.mark.timeout(300)
def test_a_million_damaged_frames_crash_nothing_and_pass_only_by_the_odds_of_the_crc(tmp_path: Path) -> None:
    program = tmp_path / "fuzz"
    sources = [str(Path(__file__).parent / "fuzz_link.c"), str(COMMON / "link.c")]
    optimised = [flag for flag in SANITIZERS if flag != "-O1"] + ["-O2"]
    subprocess.run(["gcc", *WARNINGS, *optimised, f"-I{COMMON}", *sources, "-o", str(program)], check=True)
    out = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    sent, whole, accepted, right, wrong, bad = (int(word) for word in out.split())
    assert sent == 1_000_000
    # A whole frame is lost only when damage before it runs into it: at most after each of the cut ones.
    assert accepted == right + wrong
    assert right > 0.75 * whole
    assert bad > 0.4 * sent
    # Of some 700 000 damaged frames one in 65 536 would pass a CRC of 16 bits: 11. The length finds most of those.
    assert wrong <= 11
