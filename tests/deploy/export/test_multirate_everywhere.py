"""One policy with every kind of state, called five times a period on a recorded flight: in torch, on onnxruntime and as
compiled C."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.bundle.golden import Bools, Floats
from deploy.bundle.reader import Bundle, load_bundle
from deploy.codegen.generate import generate
from deploy.export.exporter import export_bundle
from deploy.mcu.host import run_on_host
from policies.graph.multirate import MultiRate
from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import GruNetwork
from robo_rl.workflows.export import visit
from sim.tasks import find_task
from tests.mcu_tools import needs_gcc

SUBSTEPS, CALLS = 5, 600
TASK = find_task("crazyflie-track")
ASKED = (0, 43, 44, 207, 390)
"""Calls before which the policy is reset besides those after a crash: the second and third in mid-period."""
CASE = """\
#include "cases.h"
#include "policy.h"
#include <string.h>

/* In: whether to reset, then the sensors. Out: status, the commands, then the state held. */
void mcu_case(const float *in, float *out) {
    static policy_state state;
    policy_sensors sensors;
    policy_commands commands;
    if (in[0] != 0.0f) {
        policy_reset(&state);
    }
    memcpy(&sensors, in + 1, sizeof sensors);
    out[0] = (float)policy_step(&state, &sensors, &commands);
    memcpy(out + 1, &commands, sizeof commands);
    memcpy(out + 1 + POLICY_COMMAND_FLOATS, &state, POLICY_STATE_FLOATS * sizeof(float));
}
"""


@dataclass(frozen=True)
class Flight:
    """A flight under torch, call by call: resets before them, sensors, and the commands and held states after them."""

    reset: Bools
    sensors: list[dict[str, Floats]]
    commands: list[Floats]
    states: list[dict[str, Floats]]


@pytest.fixture(scope="module")
def graph() -> PolicyGraph:
    """Memory, action history, integral and rate of change: states of both kinds, in one policy of random weights."""
    torch.manual_seed(2)
    network = GruNetwork(TASK.observation_dim, 8, (16,), 4, squash=True, output_gain=0.5)
    graph = TASK.policy_graph(network).eval()
    assert {s.between for s in graph.states} == {"mean", "first"}
    return graph


@pytest.fixture(scope="module")
def bundle(graph: PolicyGraph, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "track"
    export_bundle(
        graph,
        visit(graph, TASK),
        out,
        name="track",
        task=TASK.name,
        kind=TASK.kind,
        safety=TASK.safety,
        provenance={},
        evaluation={},
    )
    return load_bundle(out)


@pytest.fixture(scope="module")
def flight(graph: PolicyGraph) -> Flight:
    environment = TASK.stepped(SUBSTEPS).make_environment(1, 7)
    fast = MultiRate(graph, graph.states, SUBSTEPS)
    seen, _ = environment.reset()
    state, crashed = fast.initial_state(1), False
    flown = Flight(np.zeros(CALLS, np.bool_), [], [], [])
    with torch.no_grad():
        for call in range(CALLS):
            flown.reset[call] = crashed or call in ASKED
            state = fast.reset_where(state, torch.tensor([bool(flown.reset[call])]))
            flown.sensors.append({name: value[0].numpy().copy() for name, value in seen.items()})
            commands, state = fast.step(seen, state)
            flown.commands.append(commands["rotor_speed"][0].numpy())
            flown.states.append({s.name: state[s.name][0].numpy() for s in graph.states})
            step = environment.step(commands)
            seen, crashed = step.sensors, bool((step.terminated | step.truncated)[0])
    return flown


def on_onnxruntime(bundle: Bundle, flight: Flight) -> tuple[Floats, Floats]:
    """The commands [T, 4], and after each call the held states side by side [T, K]."""
    policy, commands, states = bundle.policy.with_substeps(SUBSTEPS), [], []
    for reset, sensors in zip(flight.reset, flight.sensors, strict=True):
        if reset:
            policy.reset()
        commands.append(policy.step(sensors)["rotor_speed"])
        states.append(np.concatenate(list(policy.state.values())))
    return np.array(commands), np.array(states)


def in_c(bundle: Bundle, flight: Flight, folder: Path) -> tuple[Floats, Floats]:
    """The same of the generated C, compiled for this machine; every call's status must be POLICY_OK."""
    manifest = bundle.manifest
    generate(bundle.path, folder, rate=SUBSTEPS / manifest.timing.period)
    sources = {name: (folder / name).read_text() for name in ("policy.h", "policy.c")}
    rows = [
        np.concatenate([[reset], *(sensors[s.name] for s in manifest.sensors)])
        for reset, sensors in zip(flight.reset, flight.sensors, strict=True)
    ]
    width = sum(c.dim for c in manifest.commands)
    held = sum(s.dim for s in manifest.states)
    found = run_on_host({**sources, "case.c": CASE}, np.array(rows, np.float32), 1 + width + held, ("-std=c99", "-O2"))
    assert (found[:, 0] == 0.0).all()
    return found[:, 1 : 1 + width], found[:, 1 + width :]


def test_the_flight_tries_what_it_should(flight: Flight) -> None:
    """Resets at every place of a period, and a policy that does not saturate."""
    starts = np.flatnonzero(flight.reset)
    places = {int(later - earlier) % SUBSTEPS for earlier, later in zip(starts, starts[1:], strict=False)}
    assert len(places) > 1
    assert len(starts) >= len(ASKED)
    commands = np.array(flight.commands)
    assert commands.std(0).min() > 10.0


def test_onnxruntime_steps_as_torch_does(bundle: Bundle, flight: Flight) -> None:
    commands, states = on_onnxruntime(bundle, flight)
    span = bundle.manifest.commands[0].high[0]
    assert np.abs(commands - np.array(flight.commands)).max() <= 1e-6 * span
    expected = np.array([np.concatenate(list(held.values())) for held in flight.states])
    np.testing.assert_allclose(states, expected, rtol=0.0, atol=1e-6)


@needs_gcc
def test_the_generated_c_steps_as_onnxruntime_does(bundle: Bundle, flight: Flight, tmp_path: Path) -> None:
    (ours, held), (theirs, kept) = in_c(bundle, flight, tmp_path / "c"), on_onnxruntime(bundle, flight)
    assert np.abs(ours - theirs).max() <= 1e-6 * bundle.manifest.commands[0].high[0]
    np.testing.assert_allclose(held, kept, rtol=0.0, atol=1e-6)
    # Held through a period, and moved on at its end alone.
    moved = np.flatnonzero((held[1:] != held[:-1]).any(1)) + 1
    assert len(moved) < CALLS // SUBSTEPS + 2 * int(flight.reset.sum())
