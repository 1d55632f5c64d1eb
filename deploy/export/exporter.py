"""From a policy graph to a bundle: trace, fold, compare with PyTorch on every visited state, record, write.

The exported network is the graph that was trained. An export that does not agree with PyTorch to 1e-5 of each command's
range writes no bundle.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from deploy.bundle import onnx_graph
from deploy.bundle.folder import check_replaceable, replace_folder
from deploy.bundle.golden import TOLERANCE, Episode, Floats, Golden, largest_difference
from deploy.bundle.manifest import SCHEMA_VERSION, Identity, Manifest, Runtime, Timing
from deploy.bundle.reader import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    OWN,
    POLICY_FILE,
    STATIC_FILE,
    check_replay,
    load_bundle,
    replay,
)
from deploy.bundle.runtime import PolicySession
from deploy.errors import BundleError, NotAPolicyError, first_line
from policies.graph.policy_graph import PolicyGraph
from policies.networks.mlp import all_finite, parameter_count
from policies.signals import Sensors, State
from policies.specs import JointSpec, SafetyEnvelope

MINIMUM_VISITED = 1000
GOLDEN_STEPS = 500
_UNSIGNED = "0" * 64


@dataclass(frozen=True)
class Parity:
    """The largest |PyTorch - onnxruntime| of one output: as a share of its range, and in its own unit.

    States are normalised already: both figures are the same and the unit is empty.
    """

    output: str
    unit: str
    normalised: float
    si: float


@dataclass(frozen=True)
class ExportReport:
    """What was exported: `visited` states compared, `golden_steps` recorded, operators by count, trainable values."""

    path: Path
    manifest: Manifest
    visited: int
    golden_steps: int
    parity: tuple[Parity, ...]
    operators: dict[str, int]
    parameters: int
    model_bytes: int
    seconds: float


def export_bundle(
    graph: PolicyGraph,
    visited: Episode,
    out: Path,
    *,
    name: str,
    task: str,
    kind: str,
    safety: SafetyEnvelope,
    provenance: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    joints: JointSpec | None = None,
    accept: Callable[[Manifest], object] = lambda manifest: None,
    batch: int | None = None,
    robot: Mapping[str, bytes] | None = None,
) -> ExportReport:
    """Write `graph` as a bundle to the folder `out`, replacing an older bundle there whole.

    `visited` holds at least 1000 states of the policy's own flights; robot 0's are the golden episode. `joints` belongs
    to a robot with position-controlled joints. `accept` may raise for a manifest that must not be written. With
    `batch`, the same network for exactly that many robots is written beside the first. `robot` holds further files
    below `robot/`, path -> bytes, for simulators.

    Raises BundleError, and leaves `out` as it was, when the policy can't be deployed or PyTorch and onnxruntime differ;
    NotAPolicyError for anything but a policy graph, such as a teacher.
    """
    started = time.perf_counter()
    out = Path(out)
    check_replaceable(out, OWN)
    check_batch(batch)
    _check_policy(graph)
    _check_visited(graph, visited)
    manifest = _manifest(graph, name, task, kind, safety, joints, dict(provenance), dict(evaluation))
    accept(manifest)
    manifest.to_json()  # Refuses provenance and evaluation that are not JSON data before the slow part.
    # The caller may continue to train the graph: the export works on a copy, on the CPU, where a robot will run it.
    policy = copy.deepcopy(graph).cpu().eval()
    model = onnx_graph.clean(_trace(policy))
    onnx_graph.check_operators(model)
    onnx_graph.check(model)
    data = model.SerializeToString(deterministic=True)
    parity = _compare(policy, PolicySession(data, manifest), visited)
    recorded = _record(policy, visited)
    golden = recorded.to_bytes()
    identity = Identity(name, task, hashlib.sha256(data).hexdigest(), hashlib.sha256(golden).hexdigest())
    manifest = dataclasses.replace(manifest, identity=identity)
    files = {POLICY_FILE: data, GOLDEN_FILE: golden, MANIFEST_FILE: manifest.to_json().encode(), **(robot or {})}
    if batch is not None:
        files[STATIC_FILE] = _static(model, batch, manifest, recorded)
    replace_folder(out, files, check=load_bundle)
    return ExportReport(
        path=out,
        manifest=manifest,
        visited=visited.visited,
        golden_steps=min(GOLDEN_STEPS, len(visited.reset)),
        parity=parity,
        operators=onnx_graph.operators(model),
        parameters=parameter_count(policy),
        model_bytes=len(data),
        seconds=time.perf_counter() - started,
    )


def check_batch(batch: int | None) -> None:
    """Raise BundleError for a batch that no network can have."""
    if batch is not None and batch < 1:
        raise BundleError(f"a network of a fixed batch is for 1 robot or more, got {batch}; choose --batch 1")


class _ByPosition(nn.Module):
    """The policy graph with positional inputs and outputs, in the bundle's order, as an ONNX graph has them."""

    def __init__(self, graph: PolicyGraph) -> None:
        super().__init__()
        self.policy = graph  # Not `self.graph`: torch.fx uses that name on the traced module.
        self.sensor_names = [s.name for s in graph.used_sensors]
        self.state_names = [s.name for s in graph.states]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        split = len(self.sensor_names)
        sensors = Sensors(dict(zip(self.sensor_names, inputs[:split], strict=True)))
        state = State(dict(zip(self.state_names, inputs[split:], strict=True)))
        commands, following = self.policy(sensors, state)
        return (*(commands[c.name] for c in self.policy.commands), *(following[name] for name in self.state_names))


def _trace(policy: PolicyGraph) -> onnx.ModelProto:
    """The ONNX model of the graph, batch dynamic, constants folded."""
    dims = [s.dim for s in policy.used_sensors] + [s.dim for s in policy.states]
    # Three rows, because torch.export treats a batch of 0 or 1 as a constant.
    examples = tuple(torch.full((3, dim), 0.5) for dim in dims)
    inputs = [s.name for s in policy.used_sensors] + [f"state.{s.name}" for s in policy.states]
    outputs = [c.name for c in policy.commands] + [f"next_state.{s.name}" for s in policy.states]
    batch = torch.export.Dim("batch")
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # The warnings concern the exporter's internals and torchvision; the result is checked below.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _ByPosition(policy).eval(),
                examples,
                dynamo=True,
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=(tuple({0: batch} for _ in dims),),
                opset_version=onnx_graph.OPSET,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # The exporter wraps an exception of a term in its own types.
        cause = _root(error)
        raise BundleError(
            f"the policy can't be exported: {type(cause).__name__}: {first_line(cause)}; "
            "its terms must be plain torch functions of declared sensors and states, for any batch"
        ) from error
    finally:
        logger.setLevel(level)
    if program is None:
        raise BundleError("torch.onnx.export returned no model; install the torch and onnxscript of constraints.txt")
    model: onnx.ModelProto = program.model_proto
    return model


def _static(model: onnx.ModelProto, batch: int, manifest: Manifest, golden: Golden) -> bytes:
    """The network for a fixed batch, which replays the golden episode."""
    data: bytes = onnx_graph.static(model, batch).SerializeToString(deterministic=True)
    check_replay(replay(PolicySession(data, manifest, static=True), golden), manifest)
    return data


def _check_policy(graph: object) -> None:
    if not isinstance(graph, PolicyGraph):
        raise NotAPolicyError(
            f"only a PolicyGraph can be exported, got {type(graph).__name__}: critics, teachers and all else that "
            "reads Truth stay in the simulator; distil the teacher into a policy of Sensors"
        )
    if not all_finite(graph):
        raise BundleError("the policy's weights are not all finite, training diverged; export an earlier checkpoint")
    if not graph.used_sensors:
        raise BundleError("the policy reads no sensor; give it an observation term that does")
    device = next((p.device for p in graph.parameters()), torch.device("cpu"))
    probe = Sensors({s.name: torch.zeros(2, s.dim, device=device) for s in graph.used_sensors})
    try:
        with torch.no_grad():
            graph(probe, graph.initial_state(2, device))
    except KeyError as error:
        raise BundleError(
            f"a term reads what the robot does not measure: {error.args[0]}; what only a simulator knows can't be "
            "deployed, and every sensor that a term reads must be in its `sensors`"
        ) from None


def _check_visited(graph: PolicyGraph, visited: Episode) -> None:
    if visited.visited < MINIMUM_VISITED:
        raise BundleError(
            f"only {visited.visited} visited states, at least {MINIMUM_VISITED} prove an export; record more"
        )
    if len(visited.reset) < 2:
        raise BundleError("the visited episode has one step, the golden episode needs at least 2; record more steps")
    for sensor in graph.used_sensors:
        if sensor.name not in visited.sensors:
            raise BundleError(f"the visited states lack sensor {sensor.name!r}, which the policy reads; record it too")
        dim = visited.sensors[sensor.name].shape[2]
        if dim != sensor.dim:
            raise BundleError(f"visited sensor {sensor.name!r} has {dim} channels, the robot's has {sensor.dim}")


def _compare(policy: PolicyGraph, session: PolicySession, visited: Episode) -> tuple[Parity, ...]:
    """Both runtimes over every visited state, all robots at once; each step starts from PyTorch's own state."""
    spans = session.manifest.spans()
    units = {c.name: c.unit for c in policy.commands} | {f"next_state.{s.name}": "" for s in policy.states}
    worst = dict.fromkeys(units, (0.0, 0.0))
    inputs: dict[str, tuple[Sensors, State]] = {}
    state = policy.initial_state(visited.reset.shape[1])
    with torch.no_grad():
        for t in range(len(visited.reset)):
            state = policy.reset_where(state, torch.from_numpy(visited.reset[t]))
            row = {s.name: visited.sensors[s.name][t].astype(np.float32) for s in policy.used_sensors}
            sensors = Sensors({name: torch.from_numpy(value) for name, value in row.items()})
            ours = session.evaluate(row, {name: value.numpy() for name, value in state.items()})
            commands, following = policy(sensors, state)
            pairs = {name: (ours[0][name], value.numpy()) for name, value in commands.items()}
            pairs |= {f"next_state.{name}": (ours[1][name], value.numpy()) for name, value in following.items()}
            for output, (a, b) in pairs.items():
                found = largest_difference(a, b, spans.get(output, (1.0,))), largest_difference(a, b)
                if found >= worst[output]:
                    worst[output], inputs[output] = found, (sensors, state)
            state = following
    parity = tuple(Parity(output, units[output], *worst[output]) for output in units)
    wrong = max(parity, key=lambda p: p.normalised)
    if wrong.normalised > TOLERANCE:
        rounding = _rounding(policy, *inputs[wrong.output], spans)
        if rounding > 0.1 * wrong.normalised:
            fix = f"PyTorch itself is off by {rounding:.2g} from float64: train smaller weights or squashed actions"
        else:
            fix = "rounding does not explain it: a term or layer behaves differently when it is exported"
        raise BundleError(
            f"onnxruntime differs from PyTorch: {wrong.output} by {wrong.si:.3g} {wrong.unit} "
            f"({wrong.normalised:.2g} of its range, allowed is {TOLERANCE:.0e}); {fix}"
        )
    return parity


def _rounding(policy: PolicyGraph, sensors: Sensors, state: State, spans: Mapping[str, tuple[float, ...]]) -> float:
    """How far PyTorch itself is from float64 in float32, as a share of the range: the conditioning of the network."""
    exact = copy.deepcopy(policy).double()
    double = Sensors({k: v.double() for k, v in sensors.items()}), State({k: v.double() for k, v in state.items()})
    with torch.no_grad():
        (near, near_state), (far, far_state) = policy(sensors, state), exact(*double)
    shares = [largest_difference(value.numpy(), far[name].numpy(), spans[name]) for name, value in near.items()]
    return max(shares + [largest_difference(value.numpy(), far_state[k].numpy()) for k, value in near_state.items()])


def _record(policy: PolicyGraph, visited: Episode) -> Golden:
    """Robot 0's first steps as PyTorch acts on them; when no later reset falls among them, one is put in the middle."""
    steps = min(GOLDEN_STEPS, len(visited.reset))
    reset = visited.reset[:steps, 0].copy()
    if not reset[1:].any():
        reset[steps // 2] = True
    sensors: dict[str, Floats] = {
        s.name: visited.sensors[s.name][:steps, 0].astype(np.float32) for s in policy.used_sensors
    }
    commands: dict[str, list[Floats]] = {c.name: [] for c in policy.commands}
    states: dict[str, list[Floats]] = {s.name: [] for s in policy.states}
    state = policy.initial_state(1)
    with torch.no_grad():
        for t in range(steps):
            if reset[t]:
                state = policy.initial_state(1)
            for name, value in state.items():
                states[name].append(value[0].numpy())
            row = Sensors({name: torch.from_numpy(values[t : t + 1]) for name, values in sensors.items()})
            chosen, state = policy(row, state)
            for name, value in chosen.items():
                commands[name].append(value[0].numpy())
    return Golden(
        reset,
        sensors,
        {name: np.stack(rows) for name, rows in states.items()},
        {name: np.stack(rows) for name, rows in commands.items()},
    )


def _manifest(
    policy: PolicyGraph,
    name: str,
    task: str,
    kind: str,
    safety: SafetyEnvelope,
    joints: JointSpec | None,
    provenance: dict[str, Any],
    evaluation: dict[str, Any],
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        identity=Identity(name, task, _UNSIGNED, _UNSIGNED),
        kind=kind,
        timing=Timing(policy.period),
        runtime=Runtime(onnx_graph.IR_VERSION, onnx_graph.OPSET, onnx_graph.ONNXRUNTIME),
        sensors=tuple(policy.used_sensors),
        commands=tuple(policy.commands),
        states=tuple(policy.states),
        safety=safety,
        joints=joints,
        provenance=provenance,
        evaluation=evaluation,
    )


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
