"""The serial link's frames: what is sent comes back, and no noise is taken for a frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from real.robots import serial_frames as frames
from real.robots.serial_frames import (
    Ask,
    Decoder,
    FrameError,
    Heartbeat,
    Hello,
    Info,
    Message,
    Odometry,
    Request,
    Setpoint,
    Status,
)  # fmt: skip
from tests.real.host_messages import FromHost, from_host

word, short, byte = st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.integers(0, 255)
single = st.floats(width=32, allow_nan=False, allow_infinity=False)
vector = st.tuples(single, single, single)
four = st.tuples(single, single, single, single)
HOST = st.one_of(
    st.builds(Heartbeat, word),
    st.builds(Setpoint, vector, vector, word),
    st.builds(Request, st.sampled_from(Ask)),
    st.just(Hello()),
)
CHIP = st.one_of(
    st.builds(Status, byte, byte, short, word, word, short, short, short, short),
    st.builds(Odometry, word, vector, four, vector, vector, four),
    st.builds(Info, word, word, word, word, word),
)


def test_the_checksum_is_the_published_one() -> None:
    assert frames.crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize(
    ("message", "sequence", "wire"),
    [
        # Worked out by hand, the CRC bit by bit, so that the two directions can't be wrong alike.
        (Hello(), 0x0100, "02 04 01 04 01 10 5e 00"),
        (Heartbeat(0x01020304), 1, "04 01 04 01 07 04 03 02 01 69 17 00"),
    ],
)
def test_bytes_on_the_wire(message: Message, sequence: int, wire: str) -> None:
    assert frames.encode(message, sequence).hex(" ") == wire


LONG = bytes(range(1, 255))
"""254 bytes without a zero: the most that one code byte of COBS covers."""


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        # The examples of https://en.wikipedia.org/wiki/Consistent_Overhead_Byte_Stuffing, but for its longest run,
        # after which this encoder, as many do, adds a code byte of its own.
        (b"\0", b"\1\1"),
        (b"\0\0", b"\1\1\1"),
        (b"\0\x11\0", b"\1\2\x11\1"),
        (b"\x11\x22\0\x33", b"\3\x11\x22\2\x33"),
        (LONG[:253], b"\xfe" + LONG[:253]),
        (LONG, b"\xff" + LONG + b"\1"),
        (b"\0" + LONG, b"\1\xff" + LONG + b"\1"),
        (LONG + b"\xff", b"\xff" + LONG + b"\2\xff"),
        (LONG + b"\0", b"\xff" + LONG + b"\1\1"),
        (LONG + LONG + b"\7\0\x22", b"\xff" + LONG + b"\xff" + LONG + b"\2\7\2\x22"),
    ],
)
def test_stuffing_is_the_published_one(data: bytes, encoded: bytes) -> None:
    assert frames.cobs_encode(data) == encoded
    assert frames.cobs_decode(encoded) == data


@pytest.mark.parametrize(
    "encoded", [b"\0", b"\1\0", b"\2", b"\3\x11", b"\3\x11\0", b"\2\0", b"\xff" + LONG[:253], b"\2\x11\5\1\1\1"]
)
def test_what_no_encoder_returns_is_refused(encoded: bytes) -> None:
    with pytest.raises(FrameError, match=r"^the stuffing does not hold$"):
        frames.cobs_decode(encoded)


@given(st.binary(max_size=700))
def test_stuffing_keeps_the_bytes_and_leaves_no_zero(data: bytes) -> None:
    encoded = frames.cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + 1 + len(data) // 254
    assert frames.cobs_decode(encoded) == data


@given(HOST, short)
@example(Setpoint((0.0,) * 3, (0.0,) * 3, 2**32 - 1), 0)
@example(Heartbeat(2**32 - 1), 0xFFFF)
def test_a_host_message_comes_back(message: FromHost, sequence: int) -> None:
    (frame,) = Decoder().feed(frames.encode(message, sequence))
    assert (from_host(frame), frame.sequence) == (message, sequence)


@given(st.lists(CHIP, max_size=8), st.integers(1, 40), st.binary(max_size=40))
def test_chip_messages_come_back_from_any_cuts_of_the_stream(
    messages: list[frames.FromChip], size: int, before: bytes
) -> None:
    stream = before + b"\0" + b"".join(frames.encode(m, 65530 + i) for i, m in enumerate(messages))
    decoder = Decoder()
    found = [f for at in range(0, len(stream), size) for f in decoder.feed(stream[at : at + size])]
    assert [f.from_chip() for f in found] == messages
    assert [f.sequence for f in found] == [(65530 + i) % 65536 for i in range(len(messages))]


@given(CHIP, st.data())
def test_a_damaged_frame_is_counted_and_the_next_one_read(message: frames.FromChip, data: st.DataObject) -> None:
    encoded = bytearray(frames.encode(message, 7))
    at = data.draw(st.integers(0, len(encoded) - 2))
    encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    decoder = Decoder()
    found = decoder.feed(bytes(encoded) + frames.encode(message, 8))
    # One flipped bit is always found by the CRC, unless it made a zero and cut the frame: then both parts are bad.
    assert [f.sequence for f in found] == [8]
    assert decoder.bad >= 1


def test_noise_is_no_frame_and_takes_no_memory() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
    decoder = Decoder()
    found = sum(len(decoder.feed(noise[at : at + 997])) for at in range(0, len(noise), 997))
    # Some 11 700 runs between two zeros, of which few pass the stuffing and one in 65536 of those the CRC.
    assert found <= 1
    assert decoder.bad > 5_000
    assert len(decoder._kept) <= 110


def test_a_long_run_without_a_zero_is_one_bad_frame() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x55" * 5000) == decoder.feed(b"\x55" * 5000 + b"\0") == []
    assert decoder.bad == 1
    assert len(decoder.feed(frames.encode(Hello(), 0))) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39])
def test_a_setpoint_that_is_not_finite_is_never_packed(value: float) -> None:
    for setpoint in (Setpoint((0.0, value, 0.0), (0.0,) * 3, 0), Setpoint((0.0,) * 3, (0.0, 0.0, value), 0)):
        with pytest.raises(FrameError, match="must be finite"):
            frames.encode(setpoint, 0)


def test_an_unknown_request_is_still_one_byte() -> None:
    assert Request(255).pack() == b"\xff"  # type: ignore[arg-type]


def payload(body: bytes, length: int | None = None, flip: int = 0) -> bytes:
    """A payload of type 0x55 before stuffing; its header may claim another length, and its check may be wrong."""
    content = bytes((0x55, len(body) if length is None else length, 7, 0)) + body
    return content + (frames.crc16(content) ^ flip).to_bytes(2, "little")


@pytest.mark.parametrize("size", [0, 1, frames.MAX_BODY - 1, frames.MAX_BODY])
@pytest.mark.parametrize("filling", [b"\0", b"\x55"])
def test_a_frame_of_any_length_is_read(size: int, filling: bytes) -> None:
    encoded = frames.cobs_encode(payload(filling * size))
    assert frames.decode(encoded) == frames.Frame(0x55, 7, filling * size)
    decoder = Decoder()
    (frame,) = decoder.feed(encoded + b"\0")
    assert (frame.body, decoder.bad) == (filling * size, 0)
    # Byte by byte, too.
    assert [f for byte in encoded + b"\0" for f in decoder.feed(bytes((byte,)))] == [frame]


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (payload(b"")[:5], "a payload of 5 bytes"),
        (b"", "a payload of 0 bytes"),
        (payload(bytes(frames.MAX_BODY + 1)), "a payload of 103 bytes"),
        (payload(b"1234", flip=1), "the checksum does not hold"),
        (payload(b"1234", flip=0x8000), "the checksum does not hold"),
        (payload(b"1234", length=3), "the length does not hold"),
        (payload(b"1234", length=5), "the length does not hold"),
    ],
)
def test_a_frame_is_refused_with_what_is_wrong_with_it(damaged: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=f"^{words}$"):
        frames.decode(frames.cobs_encode(damaged))
    decoder = Decoder()
    good = frames.encode(Hello(), 3)
    assert [f.sequence for f in decoder.feed(frames.cobs_encode(damaged) + b"\0" + good)] == [3]
    assert decoder.bad == 1


def test_a_message_of_the_chip_is_read_whole_and_refused_with_a_byte_more() -> None:
    odometry = Odometry(1, (2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0), (9.0, 10.0, 11.0), (12.0, 13.0, 14.0), (15.0,) * 4)
    (frame,) = Decoder().feed(frames.encode(odometry, 0))
    assert frame.from_chip() == odometry
    with pytest.raises(FrameError, match=r"^type 0x82 with a body of 73 bytes, expected 72$"):
        frames.Frame(Odometry.TYPE, 0, frame.body + b"\0").from_chip()


def test_zeros_between_frames_are_no_error() -> None:
    decoder = Decoder()
    hello = frames.encode(Hello(), 5)
    assert len(decoder.feed(b"\0\0" + hello + b"\0\0\0" + hello)) == 2
    assert decoder.bad == 0


def test_the_longest_run_that_may_be_a_frame_is_one_bad_frame_and_so_is_a_longer_one() -> None:
    longest = frames._MAX_ENCODED
    for cut in (1, 50, longest - 1, longest):
        for size in (longest, longest + 1):
            decoder = Decoder()
            run = b"\x55" * size
            assert decoder.feed(run[:cut]) == []
            assert decoder.bad == 0
            assert decoder.feed(run[cut:]) == []
            # Whatever is too long is given up as soon as that is certain; the rest waits for its end.
            assert decoder.bad == size - longest
            assert decoder.feed(b"\0") == []
            assert decoder.bad == 1
            assert len(decoder.feed(frames.encode(Hello(), 0))) == 1


def test_a_body_of_another_length_or_type_is_refused() -> None:
    (hello,) = Decoder().feed(frames.encode(Hello(), 0))
    with pytest.raises(FrameError, match="type 0x04"):
        hello.from_chip()
    with pytest.raises(FrameError, match="expected 20"):
        frames.Frame(Status.TYPE, 0, b"12345").from_chip()
