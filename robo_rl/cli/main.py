"""`robo-rl`: imports the subcommand asked for and runs it; a user's mistake becomes one line and exit code 2.

Exit codes: 0 done, 1 a check failed, 2 wrong arguments, files or bundles, 130 ended by Ctrl-C, 143 by SIGTERM.
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
"""When the program started, after the interpreter: import times in result files are measured from here."""

COMMANDS = {
    "tasks": "list the tasks",
    "train": "train a policy for a task",
    "eval": "evaluate a run or a bundle from held-out starts",
    "play": "view a run or a bundle: as a film, or in the browser",
    "report": "write an HTML page about a run: curves, evaluation, film",
    "compare": "compare groups of runs over their seeds, with a test and a plot",
    "sweep": "train over a range of settings, several seeds of each",
    "export": "export a run as a bundle, the folder that a robot loads",
    "codegen": "generate C99 from a bundle, for a microcontroller",
    "firmware": "write firmware with a bundle, for a microcontroller or an autopilot",
    "sim2sim": "evaluate a bundle in another physics engine and compare",
    "verify": "check a bundle: hashes, schema, shapes, golden replay",
    "bridge": "run a rosbridge server, for machines without ROS",
    "robot": "simulate a robot in real time, behind a bridge or a serial port",
    "deploy": "run a bundle on a robot, through a bridge or a serial port",
    "rehearse": "run bridge, simulated robot and deploy together on this machine",
    "contexts": "train in the contexts of one setting that serve all of them best",
    "demo": "train, export, verify and fly, and print the results",
    "bench": "run a benchmark and write the result as JSON",
    "inspect": "show what a robot file is understood to say, and whether the robot stands",
    "doctor": "show what is installed here, and what is missing for which command",
}
EXTRAS = {
    "torch": "train", "warp": "train", "tensorboard": "train", "onnx": "train", "onnxscript": "train",
    "matplotlib": "train", "onnxruntime": "robot", "roslibpy": "robot", "websockets": "robot", "mcap": "robot",
    "serial": "robot",
    "viser": "view", "mjviser": "view", "imageio_ffmpeg": "view", "PIL": "view", "mujoco": "train",
    "pybullet": "sim2sim", "gymnasium": "doors", "rsl_rl": "doors", "tensordict": "doors",
    "adastop": "stats", "optuna": "stats", "wandb": "wandb",
}  # fmt: skip

FULL = (errno.ENOSPC, errno.EDQUOT)


class Subcommand(Protocol):
    """A module of this package: it parses its own arguments and returns the exit code."""

    def run(self, argv: Sequence[str]) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run `robo-rl` with `argv`, the process's own arguments by default, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = dispatch(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _print_error(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _print_error(f"{error.name} is not installed; it comes with: pip install 'robo-rl[{extra}]'")
    except ProcessFailed as error:
        print(f"robo-rl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output, such as `head`, has closed it: keep the interpreter's final flush quiet, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        fix = "free some space there" if error.errno in FULL else "name a place that exists and is writable"
        return _print_error(f"{where}{error.strerror}; {fix}")


def dispatch(arguments: Sequence[str]) -> int:
    """Run the subcommand named by the first of `arguments`. Raises UserError for an unknown name."""
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
    """The text of `robo-rl --help`."""
    lines = [f"  {name:<8} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        (
            "usage: robo-rl [-h] [--version] COMMAND ...",
            "",
            "Train robot controllers in simulation, export them, and run them on robots.",
            "",
            *lines,
            "",
            "`robo-rl COMMAND --help` shows a command's options; docs/cli.md describes all commands.",
        )
    )


def _version() -> str:
    try:
        return version("robo-rl")
    except PackageNotFoundError:
        return "not installed (running from a checkout)"


def _print_error(message: str) -> int:
    print(f"robo-rl: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
