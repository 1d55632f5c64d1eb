"""Commands of `robo-rl` as processes of their own: started, waited for until they are ready, and ended in any case."""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


class ProcessFailed(RuntimeError):
    """A process ended, or was not ready in time; the message says which one and what it wrote last."""


def command(arguments: Sequence[str]) -> list[str]:
    """The command line of `robo-rl ARGUMENTS` in this interpreter."""
    return [sys.executable, "-m", "robo_rl.cli.main", *arguments]


def call(arguments: Sequence[str], quiet: bool = False) -> int:
    """Run `robo-rl ARGUMENTS` to its end and return the exit code. `quiet` drops its standard output."""
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command(arguments), stdout=output, check=False).returncode


def call_stoppable(arguments: Sequence[str]) -> int:
    """Run `robo-rl ARGUMENTS` to its end. SIGINT and SIGTERM are passed on to it, once each, and then the exit code is
    128 plus the signal's number; also when it was killed."""
    # In a group of its own, it does not get a terminal's Ctrl-C beside ours.
    process = subprocess.Popen(command(arguments), process_group=0)
    seen: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        seen.append(number)
        process.send_signal(number)

    before: dict[int, Any] = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen or code < 0:
        return 128 + (seen[0] if seen else -code)
    return code


@contextmanager
def running(arguments: Sequence[str], ready: str, log: Path, timeout: float = 60.0) -> Iterator[str]:
    """Run `robo-rl ARGUMENTS` in the background; yields the rest of the line that begins with `ready`.

    What it writes to standard error goes to `log`. When the block is left it gets SIGTERM, and is killed if it has not
    ended within 5 s. Raises ProcessFailed when it ends or stays silent for `timeout` s before it is ready.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        process = subprocess.Popen(command(arguments), stdout=subprocess.PIPE, stderr=errors)
        try:
            assert process.stdout is not None
            yield _wait_for(process, process.stdout, ready, log, timeout, arguments[0])
        finally:
            process.terminate()
            try:
                process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _wait_for(
    process: subprocess.Popen[bytes], output: IO[bytes], ready: str, log: Path, timeout: float, name: str
) -> str:
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (rest := deadline - time.monotonic()) > 0.0 and selector.select(rest):
            line = output.readline().decode(errors="replace").strip()
            if line.startswith(ready):
                return line.removeprefix(ready).strip()
            if not line and process.poll() is not None:
                break
    tail = log.read_text(errors="replace").strip().splitlines()[-1:]
    state = f"ended with {process.returncode}" if process.poll() is not None else f"was not ready in {timeout:g} s"
    raise ProcessFailed(f"robo-rl {name} {state}: {' '.join(tail) or 'it wrote nothing'}")
