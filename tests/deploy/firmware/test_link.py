"""The link in C: its CRC, its frames against the host's own implementation, and a decoder that no noise breaks."""

from __future__ import annotations

import ctypes
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploy.firmware.build import HERE, WARNINGS
from real.robots.serial_frames import Decoder, cobs_encode, crc16, decode
from tests.deploy.firmware.chip import SANITIZERS
from tests.mcu_tools import needs_gcc

pytestmark = needs_gcc
COMMON = HERE / "common"
BODY_MAX, PAYLOAD_MAX, WIRE_MAX, QUEUE = 96, 102, 104, 512


class Frame(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint8),
        ("length", ctypes.c_uint8),
        ("sequence", ctypes.c_uint16),
        ("body", ctypes.c_uint8 * BODY_MAX),
    )


class LinkDecoder(ctypes.Structure):
    _fields_ = (
        ("payload", ctypes.c_uint8 * PAYLOAD_MAX),
        ("size", ctypes.c_uint8),
        ("left", ctypes.c_uint8),
        ("begun", ctypes.c_bool),
        ("zero_follows", ctypes.c_bool),
        ("broken", ctypes.c_bool),
        ("bad", ctypes.c_uint16),
    )


class Queue(ctypes.Structure):
    _fields_ = (
        ("bytes", ctypes.c_uint8 * QUEUE),
        ("first", ctypes.c_uint16),
        ("count", ctypes.c_uint16),
        ("dropped", ctypes.c_uint16),
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
    loaded.link_decode.argtypes = [ctypes.POINTER(LinkDecoder), ctypes.c_uint8, ctypes.POINTER(Frame)]
    loaded.link_decode.restype = ctypes.c_bool
    loaded.link_queue_frame.restype = ctypes.c_bool
    loaded.link_queue_take.argtypes = [ctypes.POINTER(Queue), ctypes.c_char_p, ctypes.c_size_t]
    loaded.link_queue_take.restype = ctypes.c_size_t
    loaded.link_get_u32.restype = ctypes.c_uint32
    return loaded


def frame_of(kind: int, sequence: int, body: bytes) -> Frame:
    padded = (ctypes.c_uint8 * BODY_MAX)(*body)
    return Frame(kind, len(body), sequence, padded)


def encoded(link: ctypes.CDLL, frame: Frame) -> bytes:
    wire = ctypes.create_string_buffer(WIRE_MAX)
    size = link.link_encode(ctypes.byref(frame), wire)
    return wire.raw[:size]


class Feed:
    """One decoder for the whole module: what came before must not matter after a zero."""

    def __init__(self, link: ctypes.CDLL) -> None:
        self._link = link
        self.memory = LinkDecoder()
        ctypes.memset(ctypes.byref(self.memory), 0xA5, ctypes.sizeof(self.memory))
        link.link_decoder_reset(ctypes.byref(self.memory))
        assert self.memory.bad == 0

    def __call__(self, data: bytes) -> list[tuple[int, int, bytes]]:
        found, frame = [], Frame()
        for byte in data:
            if self._link.link_decode(ctypes.byref(self.memory), byte, ctypes.byref(frame)):
                found.append((frame.type, frame.sequence, bytes(frame.body[: frame.length])))
        return found


@pytest.fixture(scope="module")
def decoder(link: ctypes.CDLL) -> Feed:
    return Feed(link)


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
    decoder: Feed,
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


def checked(kind: int, length: int, body: bytes, flip: int = 0) -> bytes:
    """A payload as it is stuffed: its header may claim another length than its body has, its check may be wrong."""
    content = bytes((kind, length, 1, 2)) + body
    return content + (crc16(content) ^ flip).to_bytes(2, "little")


LENGTHS = st.integers(0, BODY_MAX + 4)
PAYLOADS = st.one_of(
    st.builds(lambda kind, body: checked(kind, len(body), body), st.integers(0, 255), BODIES),
    st.builds(checked, st.integers(0, 255), LENGTHS, st.binary(max_size=BODY_MAX + 4)),
    st.builds(lambda size: checked(9, size, b"\1" * size), LENGTHS),
    st.builds(lambda body, bit: checked(9, len(body), body, 1 << bit), BODIES, st.integers(0, 15)),
    st.binary(max_size=8),
)
PIECES = st.one_of(
    PAYLOADS.map(lambda payload: cobs_encode(payload) + b"\0"),
    st.builds(lambda payload, cut: cobs_encode(payload)[:cut] + b"\0", PAYLOADS, st.integers(0, WIRE_MAX)),
    st.binary(max_size=130).map(lambda noise: noise + b"\0"),
    st.integers(90, 300).map(lambda size: b"\x55" * size + b"\0"),
    st.just(b"\0"),
)


@settings(max_examples=400)
@given(pieces=st.lists(PIECES, max_size=6))
@example(pieces=[cobs_encode(checked(1, BODY_MAX, bytes(BODY_MAX))) + b"\0"])
@example(pieces=[cobs_encode(checked(1, BODY_MAX + 1, bytes(BODY_MAX + 1))) + b"\0"])
@example(pieces=[b"\xff" * 255 + b"\0", b"\1\0", b"\2\0", b"\1\1\1\1\1\0", cobs_encode(checked(1, 0, b"")) + b"\0"])
def test_chip_and_host_find_the_same_frames_and_the_same_number_of_bad_ones(decoder: Feed, pieces: list[bytes]) -> None:
    host, before = Decoder(), decoder.memory.bad
    for piece in pieces:
        theirs = [(frame.type, frame.sequence, frame.body) for frame in host.feed(piece)]
        assert decoder(piece) == theirs
        assert (decoder.memory.bad - before) % 65536 == host.bad


def test_a_reset_forgets_half_a_frame_and_the_count(link: ctypes.CDLL) -> None:
    feed, wire = Feed(link), encoded(link, frame_of(3, 4, b"body"))
    for junk in (b"\x05\x55", b"\x02\x55", b"\x55" * 200, b"\x03\0"):
        feed(junk)
        link.link_decoder_reset(ctypes.byref(feed.memory))
        assert feed.memory.bad == 0
        assert feed(wire) == [(3, 4, b"body")]


@settings(max_examples=200)
@given(st.lists(st.one_of(BODIES, st.integers(0, 600)), max_size=40))
@example([bytes(BODY_MAX)] * 4 + [bytes(88), b"", 504, 1] + [bytes(BODY_MAX)] * 5 + [600, 1])
def test_a_queue_gives_what_it_took_in_order_and_drops_whole_frames(
    link: ctypes.CDLL, steps: list[bytes | int]
) -> None:
    queue, waiting, dropped = Queue(), b"", 0
    ctypes.memset(ctypes.byref(queue), 0xA5, ctypes.sizeof(queue))
    link.link_queue_reset(ctypes.byref(queue))
    for step in steps:
        if isinstance(step, int):
            room = ctypes.create_string_buffer(600)
            size = link.link_queue_take(ctypes.byref(queue), room, step)
            assert room.raw[:size] == waiting[:step]
            assert room.raw[size:] == bytes(600 - size)
            waiting = waiting[step:]
        else:
            frame = frame_of(7, 8, step)
            wire = encoded(link, frame)
            fits = len(waiting) + len(wire) <= QUEUE
            assert link.link_queue_frame(ctypes.byref(queue), ctypes.byref(frame)) == fits
            waiting, dropped = (waiting + wire, dropped) if fits else (waiting, dropped + 1)
        assert (queue.count, queue.dropped) == (len(waiting), dropped)
    assert not link.link_queue_frame(ctypes.byref(queue), ctypes.byref(Frame(1, BODY_MAX + 1, 0)))


@given(st.integers(0, 255), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.floats(width=32, allow_nan=False))
def test_fields_are_little_endian(link: ctypes.CDLL, byte: int, short: int, word: int, number: float) -> None:
    frame = Frame()
    link.link_put_u8(ctypes.byref(frame), byte)
    link.link_put_u16(ctypes.byref(frame), short)
    link.link_put_u32(ctypes.byref(frame), word)
    link.link_put_floats(ctypes.byref(frame), (ctypes.c_float * 2)(number, 1.0), 2)
    body = bytes(frame.body[: frame.length])
    assert body == struct.pack("<BHIff", byte, short, word, number, 1.0)
    assert link.link_get_u32(body[3:7]) == word
    back = (ctypes.c_float * 2)()
    link.link_get_floats(body[7:], back, 2)
    assert list(back) == [number, 1.0]


def test_a_full_body_takes_no_more(link: ctypes.CDLL) -> None:
    frame = Frame(5, BODY_MAX - 1, 6)
    link.link_put_u16(ctypes.byref(frame), 0x1234)
    assert (frame.length, frame.body[BODY_MAX - 1], frame.type, frame.sequence) == (BODY_MAX, 0x34, 5, 6)


def test_a_body_that_is_too_long_is_not_encoded(link: ctypes.CDLL) -> None:
    frame = Frame(1, BODY_MAX + 1, 0)
    assert encoded(link, frame) == b""


@given(last=st.integers(0, 65535), ahead=st.integers(0, 65535))
@example(last=65535, ahead=0)
@example(last=65535, ahead=1)
@example(last=40000, ahead=32767)
@example(last=40000, ahead=32768)
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
