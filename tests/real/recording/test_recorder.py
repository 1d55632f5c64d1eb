"""Recordings: complete and typed, readable after a crash, and never a danger to the flight."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from mcap.reader import make_reader

from real.contract.goal import Target
from real.contract.robot import LinkStatus, RobotReading
from real.recording.messages import SCHEMAS, TickRecord, log_message, read_recording, state_message
from real.recording.recorder import Recorder
from tests.real.fake_robot import fly_fake

pytestmark = pytest.mark.realtime

LINK = LinkStatus(True, 0.01, "us", "flying", 0, 0)


def tick(i: int, **sensors: Any) -> TickRecord:
    values = {"position": np.array([0.1 * i, 0.0, 1.0]), "orientation": np.array([1.0, 0.0, 0.0, 0.0]), **sensors}
    command = {"rotor_speed": np.full(4, float(i))}
    return TickRecord(
        0.01 * i, 0.0, 1e-4, 0, LINK, Target(np.zeros(3), np.zeros(3)), RobotReading(values, 0.01 * i, 0.01 * i, i),
        0.002, 0.003, command, command,
    )  # fmt: skip


def test_every_message_comes_back_with_a_schema_that_foxglove_knows(tmp_path: Path) -> None:
    path = tmp_path / "flight.mcap"
    recorder = Recorder(path)
    for i in range(500):
        recorder.put(tick(i))
    recorder.put(log_message(5.0, 4, "tilt"))
    recorder.put(state_message(5.0, "DAMP", "tilt"))
    report = recorder.close()
    assert (report.failure, report.dropped, report.path) == ("", 0, str(path))
    assert list(tmp_path.iterdir()) == [path]

    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == report.messages
    channels = {c.topic: summary.schemas[c.schema_id] for c in summary.channels.values()}
    assert channels["/pose"].name == "foxglove.PoseInFrame"
    assert channels["/events"].name == "foxglove.Log"
    assert {schema.encoding for schema in channels.values()} == {"jsonschema"}

    topics = read_recording(path)
    assert [m["pose"]["position"]["x"] for _, m in topics["/pose"]] == pytest.approx([0.1 * i for i in range(500)])
    assert [m["sent"]["rotor_speed"] for _, m in topics["/command"]] == [[float(i)] * 4 for i in range(500)]
    assert topics["/events"][0][1]["message"] == "tilt"
    for topic, messages in topics.items():
        assert all(set(content) == set(SCHEMAS[topic]["properties"]) for _, content in messages)


def test_what_is_not_finite_is_recorded_as_null(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "flight.mcap")
    recorder.put(tick(1, angular_velocity=np.array([np.nan, np.inf, 1.0])))
    assert recorder.close().failure == ""
    (sensors,) = read_recording(tmp_path / "flight.mcap")["/sensors"]
    assert sensors[1]["sensors"]["angular_velocity"] == [None, None, 1.0]


def full_disk(path: Path) -> BinaryIO:
    return open("/dev/full", "wb")


class FillingDisk:
    """A file that takes `room` bytes; a fake for a disk that fills up in flight."""

    def __init__(self, path: Path, room: int) -> None:
        self._stream = path.open("wb")
        self._room = room

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(28, "No space left on device")
        return self._stream.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> FillingDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def test_a_full_disk_stops_the_recorder_and_nothing_else(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "flight.mcap", open_file=full_disk)
    for i in range(2000):
        recorder.put(tick(i))
    report = recorder.close()
    assert "No space left" in report.failure
    assert report.path.endswith(".partial")


@pytest.mark.parametrize("room", [0, 100_000])
def test_a_flight_goes_on_when_the_disk_is_full(room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("real.recording.recorder._open", lambda path: FillingDisk(path, room))
    report, _ = fly_fake(record=tmp_path / "flight.mcap", duration=4.0)
    assert report.success
    (event,) = [e for e in report.events if e.cause == "recorder_failed"]
    assert "No space left" in event.detail
    assert report.recording is not None
    assert "No space left" in report.recording.failure
    assert not (tmp_path / "flight.mcap").exists()
    if room:
        assert len(read_recording(tmp_path / "flight.mcap.partial")["/command"]) > 10


def test_a_recording_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "flight.mcap"
    recorder = Recorder(path)
    for i in range(1500):
        recorder.put(tick(i))
    recorder.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(0.7 * len(whole))])
    messages = read_recording(path)["/command"]
    assert 200 < len(messages) < 1500
    assert [m["sent"]["rotor_speed"][0] for _, m in messages] == [float(i) for i in range(len(messages))]


def test_a_file_that_is_no_recording_says_so(tmp_path: Path) -> None:
    path = tmp_path / "flight.mcap"
    path.write_bytes(b"no recording at all, but long enough to look at")
    with pytest.raises(ValueError, match="not a readable recording"):
        read_recording(path)


def test_a_slow_disk_drops_and_counts_instead_of_waiting(tmp_path: Path) -> None:
    go_on = threading.Event()

    class Slow(FillingDisk):
        def write(self, data: bytes) -> int:
            assert go_on.wait(30.0)
            return super().write(data)

    recorder = Recorder(tmp_path / "flight.mcap", capacity=10, open_file=lambda path: Slow(path, 10**9))  # type: ignore[arg-type,return-value]
    for i in range(50):
        recorder.put(tick(i))
    go_on.set()
    report = recorder.close()
    assert report.failure == ""
    assert report.dropped >= 39
    assert len(read_recording(tmp_path / "flight.mcap")["/command"]) == 50 - report.dropped


def test_a_disk_that_never_answers_does_not_hang_the_end(tmp_path: Path) -> None:
    go_on = threading.Event()

    class Hanging(FillingDisk):
        def write(self, data: bytes) -> int:
            assert go_on.wait(30.0)
            return super().write(data)

    recorder = Recorder(tmp_path / "flight.mcap", open_file=lambda path: Hanging(path, 10**9))  # type: ignore[arg-type,return-value]
    report = recorder.close(timeout=0.05)
    go_on.set()
    assert "within" in report.failure
