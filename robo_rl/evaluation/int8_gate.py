"""The gate of kernel int8: its C is written only if it flies the bundle's own task about as well as float32.

Rounded weights move commands by about 1 % of their range. Errors of commands don't show whether that matters, so both
fly: the C that would be written, compiled for this machine with the chip's bits, and the bundle on onnxruntime. Both
fly one episode from each of the same starts in the task that the bundle names. The starts are those of the development
seed, since the kernel is chosen with them; the held-out ones are only for the final evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.codegen.generate import Draft
from deploy.errors import BundleError
from policies.errors import UserError

if TYPE_CHECKING:
    from robo_rl.evaluation.flying import Evaluation
    from robo_rl.evaluation.walking import WalkingEvaluation

FLIGHTS = 200
"""Starts of a task that isn't one of walking."""
WALKS = 64
"""Worlds of a task of walking."""
MARGIN = 0.02
"""How much smaller the share of successes may be than in float32, or how much larger that of falls."""
VELOCITY_ERROR_RATIO = 1.1
"""How many times float32's velocity error the kernel's may be."""
ROUNDING = 1e-9
"""Tolerance for rounding: a difference of exactly the margin is within it."""


@dataclass(frozen=True)
class Figure:
    """One measure of both, in words, and whether int8's is close enough to float32's."""

    text: str
    holds: bool


def check(draft: Draft) -> str:
    """Fly the draft's C and its bundle; returns one sentence with both results.

    Raises UserError, one line, when int8 does worse, or when it can't be compared: the simulator or a C compiler is
    missing, the task is unknown, or float32 fails so often that the gate can't tell them apart.
    """
    try:
        figures, starts = _try_both(draft)
    except (UserError, BundleError) as error:
        raise _untested(str(error)) from None
    except ImportError as error:
        raise _untested(f"{error.name or error} is not installed") from None
    found = "; ".join(figure.text for figure in figures)
    if not all(figure.holds for figure in figures):
        raise UserError(
            f"kernel int8 does worse than float32, so nothing is written: {found} ({starts}); "
            "--kernel c computes in float32"
        )
    return f"Kernel int8 in simulation, before it was written: {found} ({starts})."


def compare_flights(ours: Evaluation, theirs: Evaluation) -> tuple[Figure, ...]:
    """int8 and float32 from the same starts: success at 0.1 m, or survival in a task without a target's position.

    Raises UserError when float32 succeeds so rarely that a policy that never does would be within the margin.
    """
    if ours.success is not None and theirs.success is not None:
        name, a, b = "success at 0.1 m", ours.success.value, theirs.success.value
    else:
        name, a, b = "survival", ours.survival.value, theirs.survival.value
    if b <= MARGIN:
        raise _hopeless(name, b)
    return (Figure(_shares(name, a, b), a >= b - MARGIN - ROUNDING),)


def compare_walks(ours: WalkingEvaluation, theirs: WalkingEvaluation) -> tuple[Figure, ...]:
    """int8 and float32 in the same worlds: falls and velocity error.

    Raises UserError when float32 falls so often that a policy that always does would be within the margin.
    """
    falls, allowed = ours.fall_rate.value, theirs.fall_rate.value + MARGIN + ROUNDING
    error, own_error = ours.velocity_error.value, theirs.velocity_error.value
    if allowed >= 1.0:
        raise _hopeless("falls", theirs.fall_rate.value)
    return (
        Figure(_shares("falls", falls, theirs.fall_rate.value), falls <= allowed),
        Figure(f"velocity error {error:.3f} m/s (float32: {own_error:.3f})", error <= VELOCITY_ERROR_RATIO * own_error),
    )


def _try_both(draft: Draft) -> tuple[tuple[Figure, ...], str]:
    """The results of int8 and float32, and their starts."""
    # Imported here: a machine without a simulator gets an error only for this kernel, and can write all others.
    from deploy.mcu.batch import BatchLibrary
    from robo_rl.evaluation.c_pilot import CPilot
    from robo_rl.evaluation.flying import Calls, evaluate
    from robo_rl.evaluation.walking import DEVELOPMENT_SEED, evaluate_walking
    from robo_rl.training.tasks import task_of_bundle

    bundle, calls = draft.bundle, Calls(draft.substeps)
    pilot = CPilot(BatchLibrary(draft.texts, bundle.manifest), bundle.manifest)
    task = task_of_bundle(bundle)
    if task.evaluation == "walking":
        walked = [evaluate_walking(one, task, WALKS, DEVELOPMENT_SEED, calls=calls) for one in (pilot, bundle)]
        return compare_walks(*walked), f"{WALKS} worlds of {task.name}, seed {DEVELOPMENT_SEED}"
    flown = [evaluate(one, task, FLIGHTS, DEVELOPMENT_SEED, calls=calls) for one in (pilot, bundle)]
    return compare_flights(*flown), f"{FLIGHTS} starts of {task.name}, seed {DEVELOPMENT_SEED}"


def _shares(name: str, ours: float, theirs: float) -> str:
    return f"{name} {100.0 * ours:.1f} % (float32: {100.0 * theirs:.1f} %)"


def _hopeless(name: str, value: float) -> UserError:
    return UserError(
        f"the policy itself fails in float32 ({name} {100.0 * value:.1f} %), so the gate can't tell them apart"
    )


def _untested(why: str) -> UserError:
    return UserError(
        f"kernel int8 must do as well as float32 in simulation before it is written, which can't be tested: {why}; "
        "--ungated writes it untested, --kernel c needs no test"
    )
