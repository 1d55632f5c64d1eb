"""The configuration of a training run: frozen, checked when built, and reloaded from the run's own YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import cattrs
import yaml

from policies.errors import UserError, one_line
from policies.validation import require, require_choice
from robo_rl.algorithms.registry import AlgorithmConfig, algorithm_name, find_algorithm
from robo_rl.output import results
from robo_rl.output.files import write_text
from robo_rl.training.strict import strict_converter, structured

MAX_SEED = 9_999_999
"""Largest seed of a training; evaluations draw their starts from larger ones, which no training can have seen."""


LOGGERS = ("tensorboard", "wandb")

TermSettings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Group of terms -> term -> setting -> value, as `sim.task.Task.settings` gives it."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run."""

    task: str
    """Name of the task, as `robo-rl tasks` lists it, or FILE.py:NAME."""
    algorithm: AlgorithmConfig
    """Settings of the learning algorithm; their type names the algorithm."""
    seed: int = 0
    """Seed of every random draw in training, below 10 000 000; larger ones are kept for evaluation."""
    device: str = "cpu"
    """Where networks and physics run: cpu, cuda or cuda:N."""
    threads: int = 1
    """Threads of torch; 1 is fastest for small networks. Results depend on it, so a resumed run keeps its own."""
    checkpoint_every: int = 50
    """Iterations between checkpoints; one more is written at the end and on SIGINT or SIGTERM."""
    task_digest: str = ""
    """Digest of the task's file, of which the run keeps a copy; empty for tasks without a file."""
    terms: TermSettings = field(default_factory=dict)
    """Weight and parameters of every term of the task: group -> term -> setting -> value."""
    label: str = ""
    """Name of the group of runs, of several seeds, that this run belongs to."""
    logger: str = LOGGERS[0]
    """Where metrics go beside the run's own files: tensorboard, or wandb beside it."""

    def __post_init__(self) -> None:
        require(self, "seed", low=0, high=MAX_SEED)
        require(self, "threads", low=1, high=1024)
        require(self, "checkpoint_every", low=1)
        require_choice(self, "logger", LOGGERS)
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise UserError(f"device must be cpu, cuda or cuda:N, got {self.device!r}")


def to_document(config: TrainConfig) -> dict[str, Any]:
    """The whole configuration as plain dicts, lists, text and numbers, defaults included."""
    settings = _converter().unstructure(config.algorithm, type(config.algorithm))
    document = {field.name: getattr(config, field.name) for field in fields(config)}
    document["algorithm"] = {"name": algorithm_name(config.algorithm), **settings}
    plain: dict[str, Any] = results.plain(document)
    return plain


class _Dumper(yaml.SafeDumper):
    """Escapes what YAML's reader takes for the end of a line, anywhere in a text."""

    def text(self, value: str) -> yaml.ScalarNode:
        quoted = '"' if set(value) & set("\x85\u2028\u2029\ufeff") else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=quoted)


_Dumper.add_representer(str, _Dumper.text)


def to_yaml(config: TrainConfig) -> str:
    """The whole configuration as YAML, defaults included."""
    return yaml.dump(to_document(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def from_yaml(text: str, source: str = "config") -> TrainConfig:
    """Read what `to_yaml` wrote. Raises UserError that names `source`, the field, its value and what it may be."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise UserError(f"{source} must hold fields such as 'task:' and 'algorithm:', it holds {document!r}")
    config: TrainConfig = structured(document, TrainConfig, source, _converter())
    return config


def save(config: TrainConfig, path: Path) -> None:
    """Write `config` as YAML, atomically."""
    write_text(path, to_yaml(config))


def load(path: Path) -> TrainConfig:
    """Read a run's own configuration. Raises UserError when the file is missing or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"can't read {path} ({error.strerror}); name the folder of a run that `robo-rl train` wrote"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged, it is no UTF-8 text; train again") from None
    return from_yaml(text, str(path))


def differences(run: Any, given: Any, prefix: str = "") -> list[str]:
    """Fields, and keys of mappings in them, that differ, as "rewards.slip.weight is A in the run, B was given"."""
    found = []
    if isinstance(run, Mapping):
        pairs = [(str(key), run.get(key), given.get(key)) for key in dict.fromkeys((*run, *given))]
    else:
        pairs = [(field.name, getattr(run, field.name), getattr(given, field.name)) for field in fields(run)]
    for name, ours, theirs in pairs:
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            found += differences(ours, theirs, prefix if name == "terms" else f"{prefix}{name}.")
        elif hasattr(ours, "__dataclass_fields__") and type(ours) is type(theirs):
            found += differences(ours, theirs, prefix)
        elif ours != theirs:
            found.append(f"{prefix}{name} is {ours!r} in the run, {theirs!r} was given")
    return found


def _converter() -> cattrs.Converter:
    converter = strict_converter()
    converter.register_structure_hook_func(lambda kind: kind is AlgorithmConfig, _structure_algorithm)
    converter.register_structure_hook_func(lambda kind: kind == TermSettings, _structure_terms)
    return converter


def _structure_terms(value: Any, _: Any) -> TermSettings:
    levels = [value]
    for _level in range(3):
        if not all(isinstance(level, dict) for level in levels):
            raise UserError("must hold settings as group: {term: {setting: value}}")
        levels = [item for level in levels for item in level.values()]
    return {
        group: {
            term: {name: tuple(item) if isinstance(item, list) else item for name, item in settings.items()}
            for term, settings in terms.items()
        }
        for group, terms in value.items()
    }


def _structure_algorithm(value: Any, _: Any) -> AlgorithmConfig:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise UserError("must hold 'name: ppo' (or another algorithm) and that algorithm's fields")
    settings = {name: item for name, item in value.items() if name != "name"}
    config: AlgorithmConfig = strict_converter().structure(settings, find_algorithm(value["name"]).config_class())
    return config
