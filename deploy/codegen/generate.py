"""Generates a folder of C99 from a bundle: policy.h, policy.c, policy_selftest.c and a README with sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.bundle.folder import check_replaceable, replace_folder
from deploy.bundle.golden import Golden
from deploy.bundle.manifest import Manifest
from deploy.bundle.rates import substeps_at
from deploy.bundle.reader import GOLDEN_FILE, POLICY_FILE, Bundle, check_replay, load_bundle, read_files, replay
from deploy.bundle.runtime import PolicySession
from deploy.codegen.emit_header import header
from deploy.codegen.emit_selftest import record, selftest
from deploy.codegen.emit_source import source
from deploy.codegen.kernels.base import KERNELS
from deploy.codegen.kernels.int8 import Int8
from deploy.codegen.lower import lower
from deploy.codegen.memory import plan
from deploy.codegen.onnx_reader import current, read_graph
from deploy.codegen.readme import readme
from deploy.codegen.sizes import Measured, measure
from deploy.codegen.sources import Design
from deploy.errors import BundleError

HEADER, SOURCE, SELFTEST, README = "policy.h", "policy.c", "policy_selftest.c", "README.md"
FILES = (HEADER, SOURCE, SELFTEST, README)
ROUNDED = Int8.name
"""The kernel that rounds weights, so that its policy must be compared with float32 in simulation."""
UNTESTED = f"Kernel {ROUNDED} was not tested: its policy was not compared with float32 in simulation."


@dataclass(frozen=True)
class Draft:
    """A policy's C before it is written: `texts` maps file name to text; `substeps` calls are a control period."""

    bundle: Bundle
    kernel: str
    substeps: int
    texts: Mapping[str, str]


Check = Callable[[Draft], str]
"""Tests a draft and returns one sentence for the README and policy.h, or raises."""


@dataclass(frozen=True)
class Generated:
    """Sizes of the written policy; bytes on a 32-bit machine. `measured` is None without a cross compiler."""

    path: Path
    multiply_accumulates: int
    constant_bytes: int
    state_bytes: int
    scratch_bytes: int
    substeps: int
    measured: Measured | None


def generate(
    bundle: Path | str, out: Path | str, kernel: str = "c", rate: float | None = None, check: Check | None = None
) -> Generated:
    """Write the C of the bundle's policy to the folder `out`, replacing earlier generated C there as a whole.

    `kernel` is one of `KERNELS`; `rate` Hz, a whole multiple of the training rate, is how often the C will be called.
    `check` gets the C of kernel int8 before it is written, and may refuse it by raising. Raises BundleError, one line,
    and leaves `out` unchanged for a damaged bundle, a policy that can't become C, any other rate, or a folder with
    foreign files.
    """
    folder = Path(out)
    if kernel not in KERNELS:
        raise BundleError(f"there is no kernel {kernel!r}; choose one of {', '.join(KERNELS)}")
    check_replaceable(folder, frozenset(FILES), "a policy in C", "choose another folder")
    loaded = load_bundle(bundle)
    manifest = loaded.manifest
    files = read_files(loaded.path)
    substeps = substeps_at(rate, manifest.timing.period)
    golden = Golden.from_bytes(files[GOLDEN_FILE], manifest)
    design = design_of(_current(files[POLICY_FILE], manifest, golden), manifest, kernel, substeps)
    recorded = record(design, loaded.policy, golden)
    texts = {HEADER: header(design), SOURCE: source(design), SELFTEST: selftest(design, recorded)}
    note = ""
    if kernel == ROUNDED:
        note = check(Draft(loaded, kernel, substeps, texts)) if check is not None else UNTESTED
        texts[HEADER] = header(design, note)
    measured = measure(texts)
    done = Generated(
        path=folder,
        multiply_accumulates=design.multiply_accumulates,
        constant_bytes=sum(array.values.nbytes for array in design.constants()),
        state_bytes=design.state_bytes,
        scratch_bytes=design.scratch_bytes,
        substeps=substeps,
        measured=measured,
    )
    texts[README] = readme(design, done.constant_bytes, measured, note)
    replace_folder(folder, {name: text.encode("ascii") for name, text in texts.items()}, check=lambda path: None)
    return done


def _current(model: bytes, manifest: Manifest, golden: Golden) -> bytes:
    """The network in the operator set that the generator knows; one that is converted must still act as before."""
    result = current(model)
    if result is not model:
        try:
            check_replay(replay(PolicySession(result, manifest, static=True), golden), manifest)
        except BundleError as error:
            raise BundleError(f"policy.onnx acts otherwise once onnx has converted its old opset: {error}") from None
    return result


def design_of(model: bytes, manifest: Manifest, kernel: str = "c", substeps: int = 1) -> Design:
    """The program of a policy.onnx, given as bytes, with its memory layout, for one kernel."""
    program = lower(
        read_graph(model),
        {sensor.name: sensor.dim for sensor in manifest.sensors},
        {state.name: state.dim for state in manifest.states},
        {command.name: command.dim for command in manifest.commands},
    )
    return Design(manifest, program, plan(program), KERNELS[kernel], substeps)
