"""A run's or bundle's copy of a robot of the user's own: the robot as it was derived, its MJCF and the files in it.

So neither needs the robot's own files any longer, nor derives a robot from them again, perhaps otherwise than when the
policy was trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast, get_type_hints
from xml.etree import ElementTree

from policies.errors import UserError, one_line
from robo_rl.training.strict import strict_converter
from sim.robots.loading import OwnRobot
from sim.robots.robot import Part, Robot

FOLDER = "robot"
"""Name of the copy's folder."""
_DOCUMENT, _MODEL = "robot.json", "robot.xml"
_PLACES = ("meshdir", "texturedir", "assetdir", "strippath")
"""Attributes of MJCF's compiler that say where files are."""
_SIDES = ("file", "fileright", "fileleft", "fileup", "filedown", "filefront", "fileback")


@dataclass(frozen=True)
class _Text:
    text: str

    def __call__(self) -> str:
        return self.text


def copy_of(own: OwnRobot) -> dict[str, bytes]:
    """The files of a copy by name. UserError for a file that the MJCF names and that can't be read."""
    text, files = _with_files_beside(own.robot.mjcf())
    files[_MODEL] = text.encode()
    document = asdict(own)
    document["robot"].pop("mjcf")
    parts = own.robot.parts
    document["robot"]["parts"] = [{"part": type(part).__name__, **asdict(cast(Any, part))} for part in parts]
    document["files"] = {name: _digest(data) for name, data in files.items()}
    return {**files, _DOCUMENT: json.dumps(document, indent=1, allow_nan=False).encode()}


def is_kept(folder: Path) -> bool:
    """Whether the folder of a run or bundle has a copy."""
    return (folder / FOLDER / _DOCUMENT).is_file()


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of the copy in the folder of a run or bundle by name. UserError when one was changed or is gone."""
    copy = folder / FOLDER
    try:
        text = (copy / _DOCUMENT).read_bytes()
        digests = json.loads(text)["files"]
        files = {Path(name).name: (copy / Path(name).name).read_bytes() for name in digests}
        changed = [name for name, data in files.items() if _digest(data) != digests[name]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{copy} is damaged ({one_line(error)[:160]}); put it back, or train again") from None
    if changed:
        raise UserError(f"{copy / changed[0]} was changed since it was written; put it back, or train again")
    return {**files, _DOCUMENT: text}


def load_copy(folder: Path) -> OwnRobot:
    """The robot of the copy in the folder of a run or bundle. UserError when it was changed or can't be read."""
    files = read_files(folder)
    document, converter = json.loads(files[_DOCUMENT]), strict_converter()

    def structured(kind: type[Any], data: Mapping[str, Any], apart: tuple[str, ...]) -> dict[str, Any]:
        hints = get_type_hints(kind)
        known = [field.name for field in fields(kind) if field.name in data and field.name not in apart]
        return {name: converter.structure(data[name], hints[name]) for name in known}

    try:
        robot, kinds = document["robot"], {kind.__name__: kind for kind in _kinds(Part)}
        parts = tuple(
            kinds[part["part"]](**structured(kinds[part["part"]], part, ("part",))) for part in robot["parts"]
        )
        text = _with_folder(files[_MODEL].decode(), (folder / FOLDER).resolve()) if len(files) > 2 else ""
        own = Robot(
            mjcf=_Text(text or files[_MODEL].decode()), parts=parts, **structured(Robot, robot, ("mjcf", "parts"))
        )
        return OwnRobot(robot=own, **structured(OwnRobot, document, ("robot",)))
    except UserError:
        raise
    except Exception as error:  # cattrs raises groups of errors.
        raise UserError(f"{folder / FOLDER} does not fit this robo-rl ({one_line(error)[:160]}); train again") from None


def _with_files_beside(text: str) -> tuple[str, dict[str, bytes]]:
    """MJCF that names files in its own folder, and these files; the text itself where it names none."""
    root = ElementTree.fromstring(text)
    settings: dict[str, str] = {}
    for compiler in root.iter("compiler"):
        settings |= {name: compiler.attrib[name] for name in _PLACES if name in compiler.attrib}
    files: dict[str, bytes] = {}
    for element, side in _named_files(root):
        place = settings.get("texturedir" if element.tag == "texture" else "meshdir", settings.get("assetdir", ""))
        name = element.attrib[side]
        path = Path(place) / (Path(name).name if settings.get("strippath") == "true" else name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"can't read {path}, which the robot's MJCF names ({error.strerror})") from None
        beside = f"{_digest(data)[:12]}-{path.name}"
        files[beside] = data
        # MuJoCo names an asset after its file unless it has a name.
        element.attrib.setdefault("name", Path(name).stem)
        element.set(side, beside)
    if not files:
        return text, {}
    for compiler in root.iter("compiler"):
        for name in _PLACES:
            compiler.attrib.pop(name, None)
    return ElementTree.tostring(root, encoding="unicode"), files


def _with_folder(text: str, folder: Path) -> str:
    """MJCF whose files are in `folder`."""
    root = ElementTree.fromstring(text)
    places = {"meshdir": str(folder), "texturedir": str(folder)}
    root.insert(0, ElementTree.Element("compiler", places))
    return ElementTree.tostring(root, encoding="unicode")


def _named_files(root: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, str]]:
    """The assets with files, and the attributes that name these."""
    for tag in ("mesh", "hfield", "skin", "texture"):
        for element in root.iter(tag):
            for side in _SIDES:
                if element.get(side):
                    yield element, side


def _kinds(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
