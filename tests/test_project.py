"""The project keeps its own promises: what is declared, pinned, explained and documented agrees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from robo_rl.cli.doctor import NEEDS
from tests.imports import ROOMS, imports, modules

ROOT = Path(__file__).parent.parent

# Where the import name is not the name of the distribution.
DISTRIBUTIONS = {"serial": "pyserial", "warp": "warp-lang", "yaml": "pyyaml", "PIL": "pillow", "rsl_rl": "rsl-rl-lib"}
USERS = ("", "robot", "train", "view", "sim2sim", "doors", "stats", "wandb", "menagerie")
"""The core and the extras of those who use the project."""
DEVELOPERS = ("dev", "mutants")
"""The extras of those who work on it."""


def project() -> dict[str, Any]:
    parsed: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return parsed


def declared(extra: str = "") -> dict[str, Requirement]:
    """The direct requirements of the core or of one extra, by canonical name."""
    lines = project()["optional-dependencies"][extra] if extra else project()["dependencies"]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def closure(roots: list[Requirement]) -> set[str]:
    """Every distribution that installing `roots` brings, from the metadata of what is installed here."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        seen.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        needed = (Requirement(line) for line in lines)
        waiting += [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return seen


def tracked() -> list[Path]:
    """The text files git knows; of an unpacked archive without git, what the rooms, tests and docs hold."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    folders = (*ROOMS, "tests", "docs")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]


def test_every_range_holds_its_tested_version() -> None:
    for extra in (*USERS, *DEVELOPERS):
        for name, requirement in declared(extra).items():
            assert name in pinned(), f"{name} has no tested version in constraints.txt"
            assert requirement.specifier.contains(pinned()[name]), f"{requirement} excludes {pinned()[name]}"


def test_constraints_are_complete() -> None:
    roots = [r for extra in (*USERS, *DEVELOPERS) for r in declared(extra).values()]
    assert closure(roots) - set(pinned()) == set()


def test_the_robot_extra_brings_no_training_library() -> None:
    brought = closure([*declared().values(), *declared("robot").values()])
    assert brought & {"torch", "warp-lang", "onnx", "tensorboard", "matplotlib", "scipy"} == set()
    assert "onnxruntime" in brought


def test_what_the_rooms_import_is_declared_and_the_reverse() -> None:
    used = {
        canonicalize_name(DISTRIBUTIONS.get(top, top))
        for path in modules(ROOT).values()
        for top in {name.split(".")[0] for name in imports(path.read_text(encoding="utf-8"))}
        if top not in ROOMS
    }
    promised = {name for extra in USERS for name in declared(extra)}
    # torch imports these itself: onnxscript to export, tensorboard to write its files. pybullet is imported by name.
    assert used | {"onnxscript", "tensorboard", "pybullet"} == promised


def test_the_doctor_asks_for_what_the_extras_bring() -> None:
    for name, needs in NEEDS.items():
        brought = set(declared("" if name == "base" else name))
        assert {canonicalize_name(need) for need in needs} <= brought
        # What develops the project has plugins and type stubs that nobody would miss by name.
        assert name == "dev" or len(needs) == len(brought)


def test_what_the_tests_import_is_declared() -> None:
    used = {
        canonicalize_name(DISTRIBUTIONS.get(top, top))
        for path in (ROOT / "tests").rglob("*.py")
        for top in {name.split(".")[0] for name in imports(path.read_text(encoding="utf-8"))}
        if top not in (*ROOMS, "tests")
    }
    assert used - {name for extra in (*USERS, *DEVELOPERS) for name in declared(extra)} == set()


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    explained = {canonicalize_name(name) for name in re.findall(r"^\| ([\w.-]+) \|", text, re.MULTILINE)} - {"library"}
    promised = {name for extra in (*USERS, "bench", *DEVELOPERS) for name in declared(extra)}
    assert explained == promised


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_ships_its_types_and_its_init_holds_a_docstring_only(room: str) -> None:
    assert (ROOT / room / "py.typed").exists()
    assert imports((ROOT / room / "__init__.py").read_text(encoding="utf-8")) == set()


def test_files_stay_short_enough_to_read() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in tracked()
        if p.suffix == ".py" and (n := len(p.read_bytes().splitlines())) > 400
    }
    assert long == {}


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # Assembled, so that this file does not find itself.
    forbidden = re.compile("|".join("/" + name for name in ("work/", "root/", "home/[a-z]", "opt/pypi")))
    for path in tracked():
        if path.suffix in (".py", ".md", ".toml", ".txt", ".yaml") or path.name == "Makefile":
            assert not forbidden.search(path.read_text(encoding="utf-8")), path


DATED = re.compile(
    r"reckon|hair\'s breadth|\bmend(s|ed|ing)?\b|\bheed|\bof its day\b|\bto speak of\b|\bspeaks against\b"
    r"|\bfor (it is|they are) dear\b|\bsave that\b|\bwhatever became\b|\btold\b|\bfelt\b",
    re.IGNORECASE,
)
"""Words that have a plainer or more exact one: compute, fix, handle, observation, privileged, ..."""


def test_pages_code_and_comments_use_present_day_words() -> None:
    sources = (".py", ".md", ".c", ".h", ".cpp", ".hpp", ".toml")
    for path in tracked():
        if (path.suffix in sources or path.name == "Makefile") and path != Path(__file__).resolve():
            found = [match[0] for match in DATED.finditer(path.read_text(encoding="utf-8"))]
            assert found == [], f"{path.relative_to(ROOT)}: say it in present-day words"


def test_links_in_the_documentation_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}, which is not there"


def test_the_index_names_every_document_once() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for document in (ROOT / "docs").glob("*.md"):
        times = index.count(f"]({document.name})")
        assert document.name == "README.md" or times == 1, f"docs/README.md links {document.name} {times} times"


def test_readme_starts_with_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.split("#")[0].strip() for line in lines[:6] if line.startswith("make")]
    assert commands == ["make demo", "make test"]


# Figures that only a measurement can give: shares with decimals, speeds, costs of time and memory, sizes, comparisons.
MEASURED = re.compile(
    r"""\d(\.\d+)?\ times\ (as\ )?(fast|slow|soon|quick)
    | \d[\d ,.]*(million\ |thousand\ )?(steps?|samples|updates|instructions|worlds|robots)\ (a|per)\ second
    | \d\ million\ (steps|samples) | \d[\d ]*\ instructions
    | \b(takes?|took|costs?|spends?|trains?|trained)
      (\ \w+){0,3}\ [\d.]+(\ to\ [\d.]+)?\ ?(ms|s|us|min(utes?)?|hours?|%)\b
    | \d\.\d+\ ?% | \d\ ?(kB|MB|GB)\b(?!/) | RMSE\ of\ \d | \d\ ?%\ (success|survival|longer|faster|slower)""",
    re.VERBOSE,
)
LIMITS = ("The stack (16 kB)", "less than 9 kB of flash (tested)", "at most 4 kB", "1 MB a message")
"""Sizes that are settings, or that a test holds."""


def test_measured_figures_are_generated_and_never_typed() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = document.read_text(encoding="utf-8")
        prose = re.sub(r"<!-- table: .*?<!-- end of table -->|```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        for limit in LIMITS:
            prose = prose.replace(limit, "")
        found = [match[0] for match in MEASURED.finditer(" ".join(prose.split()))]
        assert found == [], f"{document.name}: let `robo-rl bench` write such figures, or say it without a number"


@pytest.mark.parametrize(
    "text",
    [
        "98.1 % of the flights", "3 million samples", "51 200 instructions", "it takes 12 s", "56 kB of flash",
        "2.5 times as fast", "20 000 steps a second", "an RMSE of 12 mm", "its steps take 5 % longer",
        "trained for 43 minutes",
    ],
)  # fmt: skip
def test_a_typed_figure_is_found(text: str) -> None:
    assert MEASURED.search(text)


def test_the_pictures_are_small() -> None:
    pictures = list((ROOT / "docs/pictures").iterdir())
    assert {".webp", ".png"} == {path.suffix for path in pictures}
    assert sum(path.stat().st_size for path in pictures) < 2e6


def test_make_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE)) == set(phony[1].split())


def test_result_files_name_machine_versions_command_commit_and_seed() -> None:
    for path in (ROOT / "docs/results").glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert {"machine", "versions", "command", "git_commit"} <= result.keys(), path
        # Results of before they held their settings name a seed only where they had one to choose.
        assert "settings" not in result or {"seed", "first_seed"} & result["settings"].keys(), path
