"""Writes a recording from a separate thread, so that a slow disk can't delay the control loop."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mcap.writer import Writer

from real.recording.messages import SCHEMAS, Message, TickRecord, encode
from real.recording.report import RecorderReport

FLUSH_EVERY = 1.0
"""Time in s between two flushes of finished chunks to the system."""
CHUNK_BYTES = 64 * 1024
"""About half a second of a flight at 100 Hz: a crash of this process may lose as much, besides `FLUSH_EVERY`."""


class Recorder:
    """Records to `path`, under the name `path`.partial until it is finished.

    `put` never blocks and never raises: when the queue is full a record is dropped and counted. After a write error the
    recorder stops, says so in `failure`, and what was written before stays under the partial name.
    """

    def __init__(self, path: Path, capacity: int = 2048, open_file: Callable[[Path], BinaryIO] | None = None) -> None:
        """Open the file at once. Raises OSError when it can't be made."""
        self.path = path
        self.failure = ""
        self._partial = path.with_name(path.name + ".partial")
        self._dropped = 0
        self._messages = 0
        self._queue: queue.Queue[TickRecord | Message | None] = queue.Queue(capacity)
        self._stop = threading.Event()
        # Unix time = monotonic time + this; a step of the system's clock must not show in the recording.
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        if open_file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = (open_file or _open)(self._partial)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def put(self, record: TickRecord | Message) -> None:
        """Queue one record; its messages are encoded and written by the recorder's thread."""
        if self.failure:
            self._dropped += 1
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def close(self, timeout: float = 10.0) -> RecorderReport:
        """Write what is queued, finish the file and give it its name. May be called again."""
        self._stop.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout)
        if self._thread.is_alive() and not self.failure:
            self.failure = f"the disk did not take the recording within {timeout:g} s"
        path = self._partial if self.failure else self.path
        return RecorderReport(str(path), self._messages, self._dropped, self.failure)

    def _run(self) -> None:
        try:
            with self._stream:
                self._record()
                os.fsync(self._stream.fileno())
            os.replace(self._partial, self.path)
        except Exception as error:  # Any error must end only the recording.
            self.failure = f"{type(error).__name__}: {error}"
            self._dropped += self._queue.qsize()

    def _record(self) -> None:
        writer = Writer(self._stream, chunk_size=CHUNK_BYTES)
        writer.start(profile="", library="robo-rl")
        channels = _register(writer)
        flushed = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                record = self._queue.get(timeout=0.1)
                if record is not None:
                    self._write(writer, channels, record)
            if time.monotonic() - flushed >= FLUSH_EVERY:
                self._stream.flush()
                flushed = time.monotonic()
            if self._stop.is_set() and self._queue.empty():
                writer.finish()  # type: ignore[no-untyped-call]
                self._stream.flush()
                return

    def _write(self, writer: Writer, channels: dict[str, int], record: TickRecord | Message) -> None:
        for topic, at, content in record.messages() if isinstance(record, TickRecord) else (record,):
            nanoseconds = self._epoch_ns + int(at * 1e9)
            self._messages += 1
            writer.add_message(channels[topic], nanoseconds, encode(content, nanoseconds), nanoseconds, self._messages)


def _open(path: Path) -> BinaryIO:
    return path.open("wb")


def _register(writer: Writer) -> dict[str, int]:
    schemas: dict[str, int] = {}
    channels: dict[str, int] = {}
    for topic, schema in SCHEMAS.items():
        title = schema["title"]
        if title not in schemas:
            schemas[title] = writer.register_schema(title, "jsonschema", json.dumps(schema).encode())
        channels[topic] = writer.register_channel(topic, "json", schemas[title])
    return channels
