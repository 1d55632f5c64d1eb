"""Mirror symmetry: how named signals are reflected, and, found by probing, how observations are.

For a robot with two equal sides, the mirror image of a good action is good in the mirrored situation. A `SignalMirror`
says how each named signal is reflected in the robot's sagittal (x-z) plane. The mirror of an observation is found by
evaluating its terms on random signals and on their mirror images: the results must be the same columns up to order and
signs, or the terms are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Sensors, State, Truth
from policies.specs import SensorSpec
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm

_ROWS = 128
"""Random samples of a probe; two different columns practically never agree on all of them."""
_LONGEST_HISTORY = 512
"""Steps by which every history in an observation must be full."""
_CLOCK_STEPS, _CLOCK_ROWS = 32, 4
"""Steps in which columns that advance by themselves are compared, and rows of each."""
_TOLERANCE = 1e-4
"""Two columns are equal if they differ by at most this share of the column's largest value."""


@dataclass(frozen=True)
class SignedPermutation:
    """Columns in another order and with signs: y[..., i] = sign[i] * x[..., source[i]]."""

    source: tuple[int, ...]
    sign: tuple[float, ...]

    def __post_init__(self) -> None:
        if sorted(self.source) != list(range(len(self.source))):
            raise UserError(f"a mirror must use every channel once, got the order {self.source}")
        if len(self.sign) != len(self.source) or any(s not in (1.0, -1.0) for s in self.sign):
            raise UserError(f"a mirror needs a sign of +1 or -1 for each of {len(self.source)} channels: {self.sign}")

    @property
    def dim(self) -> int:
        return len(self.source)

    def __call__(self, x: Tensor) -> Tensor:
        """`x` [..., dim] in the mirror."""
        source, sign = _tensors(self, x.device)
        picked = x.index_select(-1, source)
        return picked if x.dtype == torch.bool else picked * sign.to(x.dtype)

    def is_involution(self) -> bool:
        """Whether mirroring twice gives the original."""
        return all(
            self.source[j] == i and self.sign[i] * self.sign[j] == 1.0 for i, j in enumerate(self.source)
        )  # fmt: skip

    @staticmethod
    def identity(dim: int) -> SignedPermutation:
        return SignedPermutation(tuple(range(dim)), (1.0,) * dim)

    @staticmethod
    def joined(parts: Iterable[SignedPermutation]) -> SignedPermutation:
        """The mirror of columns that are joined in the order of `parts`."""
        source: list[int] = []
        sign: list[float] = []
        for part in parts:
            offset = len(source)
            source += [offset + j for j in part.source]
            sign += part.sign
        return SignedPermutation(tuple(source), tuple(sign))


@dataclass(frozen=True)
class LinearMirror:
    """Columns mixed by a matrix, as of a sensor whose axes are not the robot's: y = `rows` x."""

    rows: tuple[tuple[float, ...], ...]

    @property
    def dim(self) -> int:
        return len(self.rows)

    def __call__(self, x: Tensor) -> Tensor:
        """`x` [..., dim] in the mirror."""
        return x @ torch.tensor(self.rows, device=x.device, dtype=x.dtype).T

    def is_involution(self) -> bool:
        """Whether mirroring twice gives the original, but for rounding."""
        matrix = torch.tensor(self.rows)
        return torch.allclose(matrix @ matrix, torch.eye(self.dim), atol=1e-5)


@lru_cache(maxsize=256)
def _tensors(mirror: SignedPermutation, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(mirror.source, device=device), torch.tensor(mirror.sign, device=device)


@dataclass(frozen=True)
class SignalMirror:
    """How named signals are mirrored; None for a signal that stays as it is.

    `action` mirrors the normalised action. `quaternions` names the signals that are unit quaternions, so that probes
    sample unit quaternions for them. Raises UserError when a map is not an involution.
    """

    sensors: Mapping[str, SignedPermutation | LinearMirror | None]
    action: SignedPermutation
    truth: Mapping[str, SignedPermutation | LinearMirror | None]
    quaternions: tuple[str, ...] = ("orientation",)

    def __post_init__(self) -> None:
        for name, mirror in (*self.sensors.items(), *self.truth.items(), ("action", self.action)):
            if mirror is not None and not mirror.is_involution():
                raise UserError(
                    f"the mirror of {name} is not an involution: mirroring twice does not give the original; "
                    f"got {mirror}"
                )

    def mirrored_sensors(self, sensors: Sensors) -> Sensors:
        """Sensors [N, dim] as the mirrored robot reports them."""
        return Sensors(_mirrored(sensors, self.sensors, "sensor"))

    def mirrored_truth(self, truth: Truth) -> Truth:
        """Truth [N, dim] of the mirrored world."""
        return Truth(_mirrored(truth, self.truth, "truth"))


def _mirrored(
    values: Mapping[str, Tensor], mirrors: Mapping[str, SignedPermutation | LinearMirror | None], kind: str
) -> dict[str, Tensor]:
    result = {}
    for name, value in values.items():
        if name not in mirrors:
            raise UserError(f"the mirror has no entry for {kind} {name!r}; add one")
        mirror = mirrors[name]
        if mirror is not None and mirror.dim != value.shape[-1]:
            raise UserError(f"{kind} {name!r} has {value.shape[-1]} channels, its mirror has {mirror.dim}")
        result[name] = value if mirror is None else mirror(value)
    return result


def observation_mirror(
    sensors: Sequence[SensorSpec], terms: Sequence[ObservationTerm], action: ActionTerm, mirror: SignalMirror
) -> SignedPermutation:
    """The mirror of the joined observation of `terms`, found by probing the terms.

    Two robots get the same random sensors and actions, one of them mirrored, until every history is full. A term whose
    state advances by itself, such as a gait clock, has a method
    `mirrored_reset(values: dict[str, Tensor]) -> dict[str, Tensor]` that mirrors its states' reset values; it is the
    same in all rows, so several steps are compared. Raises UserError when the observation or the command is not
    equivariant up to order and signs.
    """
    generator = torch.Generator().manual_seed(0)
    _check_command(action, mirror, generator)
    read = {name for term in terms for name in term.sensors}
    specs = [s for s in sensors if s.name in read]
    state = {s.name: torch.tensor([s.reset]).repeat(_ROWS, 1) for term in terms for s in term.states}
    reflected = dict(state)
    for term in terms:
        own = {s.name: state[s.name] for s in term.states}
        reflected.update(getattr(term, "mirrored_reset", lambda values: values)(own))
    straight, turned = State(state), State(reflected)
    clocks = torch.tensor([hasattr(term, "mirrored_reset") for term in terms for _ in range(term.dim)])
    seen: list[tuple[Tensor, Tensor]] = []
    for step in range(_LONGEST_HISTORY):
        values = Sensors({s.name: _draw(s.name, s.dim, _reach(s), mirror, generator) for s in specs})
        flipped = mirror.mirrored_sensors(values)
        pair = _observe(terms, values, straight), _observe(terms, flipped, turned)
        varying = pair[0].std(0) > 0.0
        if bool(varying.all()) or (bool((varying | clocks).all()) and step >= _CLOCK_STEPS):
            seen.append(pair)
            break
        seen.append((pair[0][:_CLOCK_ROWS], pair[1][:_CLOCK_ROWS]))
        chosen = action.bound(torch.rand(_ROWS, action.dim, generator=generator) * 2.4 - 1.2)
        straight, turned = (
            _advance(terms, values, straight, chosen),
            _advance(terms, flipped, turned, mirror.action(chosen)),
        )
    ours, theirs = (torch.cat([pair[side] for pair in seen]) for side in (0, 1))
    found = match_columns(ours, theirs, what=_names(terms))
    if not found.is_involution():
        raise UserError("the mirror of the observation is not an involution: mirroring twice changes it")
    return found


def truth_mirror(observe: Callable[[Truth], Tensor], example: Truth, mirror: SignalMirror) -> SignedPermutation:
    """The mirror of a critic's observation: `observe` maps truth [N, dim] to [N, D].

    `example` gives every signal's name, width and type. `observe` must depend on the given truth alone. Raises
    UserError when it is not equivariant, or reads a signal that the mirror has no entry for.
    """
    generator = torch.Generator().manual_seed(0)
    rows = next(iter(example.values())).shape[0]
    repeats = -(-_ROWS // rows)
    straight, turned = [], []
    for _ in range(repeats):
        values = {name: _like(name, value, mirror, generator) for name, value in example.items()}
        reader = _Reader(values)
        straight.append(observe(reader))
        known = {name: value for name, value in values.items() if name in reader.names}
        turned.append(observe(Truth({**values, **mirror.mirrored_truth(Truth(known))})))
    found = match_columns(
        torch.cat(straight), torch.cat(turned), what=lambda i: f"column {i} of the critic's observation"
    )
    if not found.is_involution():
        raise UserError("the mirror of the critic observation is not an involution: mirroring twice changes it")
    return found


class _Reader(Truth):
    """Truth that records the names read from it."""

    __slots__ = ("names",)

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.names.add(name)
        return super().__getitem__(name)


def match_columns(original: Tensor, mirrored: Tensor, what: Callable[[int], str]) -> SignedPermutation:
    """The signed permutation P with mirrored = P(original), both [rows, D] of random samples.

    `what` describes a column by its index, for the UserError when it has no counterpart.
    """
    columns, images = original.detach().cpu(), mirrored.detach().cpu()
    free = torch.ones(columns.shape[1], dtype=torch.bool)
    source, sign = [], []
    scale = columns.abs().amax(0).clamp_min(1e-6)
    for i in range(images.shape[1]):
        column = images[:, i : i + 1]
        allowed = _TOLERANCE * torch.maximum(scale, column.abs().max())
        same = ((column - columns).abs().amax(0) <= allowed) & free
        opposite = ((column + columns).abs().amax(0) <= allowed) & free
        # A constant column matches every other constant one: try its own place first.
        order = [i, *range(i), *range(i + 1, len(free))]
        j = next((j for j in order if bool(same[j] | opposite[j])), None)
        if j is None:
            raise UserError(
                f"{what(i)} has no counterpart in the mirror: it is not equivariant as a signed permutation; "
                "leave it out, fix its mirror, or train with symmetry none"
            )
        free[j] = False
        source.append(j)
        sign.append(1.0 if bool(same[j]) else -1.0)
    return SignedPermutation(tuple(source), tuple(sign))


def _check_command(action: ActionTerm, mirror: SignalMirror, generator: torch.Generator) -> None:
    """Raise UserError unless mirrored actions give the same commands up to order and signs."""
    chosen = torch.rand(_ROWS, action.dim, generator=generator) * 2.0 - 1.0
    # No action term of a robot that has a mirror reads its sensors.
    straight, turned = (action(values, Sensors({})) for values in (chosen, mirror.action(chosen)))
    for name, value in straight.items():
        match_columns(value, turned[name], f"channel {{}} of command {name}".format)


def _observe(terms: Sequence[ObservationTerm], sensors: Sensors, state: State) -> Tensor:
    return torch.cat([term(sensors, state) for term in terms], -1)


def _advance(terms: Sequence[ObservationTerm], sensors: Sensors, state: State, action: Tensor) -> State:
    following: dict[str, Tensor] = {}
    for term in terms:
        following.update(term.advance(sensors, state, action))
    return State(following)


def _names(terms: Sequence[ObservationTerm]) -> Callable[[int], str]:
    owner = [type(term).__name__ + str(tuple(term.sensors)) for term in terms for _ in range(term.dim)]
    return lambda column: f"column {column} of the observation, {owner[column]},"


def _reach(spec: SensorSpec) -> Tensor:
    """Half of a sensor's range [dim], at most 10: larger values would only saturate terms that clip."""
    low, high = (torch.tensor(bound) for bound in (spec.low, spec.high))
    return (0.5 * (high - low)).clamp_max(10.0)


def _draw(name: str, dim: int, reach: Tensor, mirror: SignalMirror, generator: torch.Generator) -> Tensor:
    """Random rows [rows, dim] of all magnitudes, because some terms clip large values and some round small ones."""
    if name in mirror.quaternions:
        return torch.nn.functional.normalize(torch.randn(_ROWS, dim, generator=generator), dim=-1)
    size = 10.0 ** (-2.0 * torch.rand(_ROWS, 1, generator=generator))
    return torch.randn(_ROWS, dim, generator=generator) * size * reach


def _like(name: str, value: Tensor, mirror: SignalMirror, generator: torch.Generator) -> Tensor:
    random = torch.randn(value.shape, generator=generator)
    if value.dtype == torch.bool:
        return (random > 0.0).to(value.device)
    if name in mirror.quaternions:
        random = torch.nn.functional.normalize(random, dim=-1)
    return random.to(value.device, value.dtype)
