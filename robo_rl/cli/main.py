"""`robo-rl`: finds the subcommand, imports it alone, and turns a user's mistake into one line and exit code 2.

Exit codes: 0 done, 1 a check failed, 2 a mistake in what was asked for, 130 ended by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from policies.errors import UserError
from robo_rl.workflows.processes import ProcessFailed

STARTED = time.perf_counter()
"""When the program began, but for the interpreter's own start: the zero of the import times in result files."""

COMMANDS = {
    "tasks": "list the tasks there are to learn",
    "train": "learn a task",
    "eval": "fly a run or a bundle from held-out starts",
    "play": "look at a run or a bundle: a film, or your browser",
    "report": "write one page about a run: curves, evaluation, film",
    "export": "turn a run into a bundle that a robot loads",
    "codegen": "turn a bundle into C99 for a microcontroller",
    "firmware": "turn a bundle into firmware for a microcontroller",
    "sim2sim": "walk a bundle in another physics engine and compare",
    "verify": "check a bundle: hashes, schema, shapes, golden replay",
    "bridge": "run the embedded rosbridge server, for machines without ROS",
    "robot": "run a simulated robot in real time behind a bridge",
    "deploy": "fly a bundle on a robot through a bridge",
    "rehearse": "walk a bundle through bridge, robot and host on this machine",
    "demo": "train, export, verify and fly, and print one table",
    "bench": "measure, and write the result as JSON",
    "doctor": "say what is installed here and what is missing for what",
}
EXTRAS = {
    "torch": "train", "warp": "train", "tensorboard": "train", "onnx": "train", "onnxscript": "train",
    "matplotlib": "train", "onnxruntime": "robot", "roslibpy": "robot", "websockets": "robot", "mcap": "robot",
    "serial": "robot",
    "viser": "view", "mjviser": "view", "imageio_ffmpeg": "view", "PIL": "view", "mujoco": "train",
    "pybullet": "sim2sim", "gymnasium": "doors", "rsl_rl": "doors", "tensordict": "doors",
}  # fmt: skip


FULL = (errno.ENOSPC, errno.EDQUOT)


class Subcommand(Protocol):
    """A module of this package: parses its own arguments and returns the exit code."""

    def run(self, argv: Sequence[str]) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run `robo-rl` with `argv`, the process's own arguments by default, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = dispatch(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(f"{error.name} is not installed; it comes with: pip install 'robo-rl[{extra}]'")
    except ProcessFailed as error:
        print(f"robo-rl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output, such as `head`, has gone: silence the interpreter's own flush, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        mend = "make room there" if error.errno in FULL else "name a place that exists and is yours"
        return _complain(f"{where}{error.strerror}; {mend}")


def dispatch(arguments: Sequence[str]) -> int:
    """Run the subcommand that `arguments` begins with. Raises UserError when there is none of that name."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        print(_version())
        return 0
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        wrong = f"there is no subcommand {name!r}" if name else "a subcommand is missing"
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"{wrong}; {hint}choose one of {', '.join(COMMANDS)}")
    subcommand: Subcommand = import_module(f"robo_rl.cli.{name}")
    return subcommand.run(rest)


def usage() -> str:
    """What `robo-rl --help` prints."""
    lines = [f"  {name:<8} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        (
            "usage: robo-rl [-h] [--version] COMMAND ...",
            "",
            "Learn robot control in simulation and fly it through a ROS bridge.",
            "",
            *lines,
            "",
            "`robo-rl COMMAND --help` shows a command's options; docs/cli.md explains them all.",
        )
    )


def _version() -> str:
    try:
        return version("robo-rl")
    except PackageNotFoundError:
        return "not installed (running from a checkout)"


def _complain(message: str) -> int:
    print(f"robo-rl: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
