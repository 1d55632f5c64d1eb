"""A robot's files as MuJoCo reads them: MJCF or URDF with all that they include, and the YAML spec beside them."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import mujoco
import yaml

from policies.errors import UserError, one_line
from policies.validation import with_numbers
from sim.robots.own.places import files_of, with_places

FREE = mujoco.mjtJoint.mjJNT_FREE
UNNAMED = "unnamed_"
"""How the names begin that elements without one are given."""


def near(name: str, known: Iterable[str]) -> str:
    """A hint that names what is spelled like `name`, or the first of all that there is."""
    names = [one for one in known if one]
    close = get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"it has {', '.join(names[:30]) or 'none with a name'}"


def read_spec(path: Path, fields: Sequence[str]) -> dict[str, Any]:
    """The YAML document with some of `fields`; UserError, in one line, for any other."""
    try:
        document = with_numbers(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read the robot's spec {path}: {one_line(error)}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold fields such as 'mjcf: FILE' and 'feet: [...]', it holds {document!r}")
    unknown = [str(key) for key in document if key not in fields]
    if unknown:
        raise UserError(f"{path} has no field {', '.join(unknown)}; fields: {', '.join(fields)}")
    return document


def read_model(path: Path, what: str) -> tuple[Any, set[str], list[str]]:
    """The MjSpec of an MJCF or URDF file, the names that were given to elements without one, and warnings.

    Static links stay links (a URDF's root would become the world), and free joints keep the frame that they have in
    the file.
    """
    if not path.is_file():
        raise UserError(f"{what}: there is no MJCF file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise UserError(f"{what}: {path} is not valid MJCF or URDF: {_reason(error)}") from None
    # Meshes are found from wherever the text is compiled.
    with_places(spec, path)
    spec.compiler.discardvisual = spec.compiler.alignfree = False
    # What floats must be on the world, which it may be on through static links alone.
    spec.compiler.fusestatic = any(j.type == FREE and j.parent not in spec.worldbody.bodies for j in spec.joints)
    spec.compiler.savecanonical, spec.compiler.saveinertial = True, False
    # A file that loads without has given all its limits; models that it attaches need not.
    spec.compiler.autolimits = True
    for joint in spec.joints:
        if joint.type == FREE:
            joint.align = mujoco.mjtAlignFree.mjALIGNFREE_FALSE
    # What a file reserves may be too little for a compilation that it was not written for.
    spec.memory = -1
    if len(spec.flexes):
        raise UserError(f"{what}: soft bodies (flex {spec.flexes[0].name}) are not simulated; leave them out")
    given: set[str] = set()
    for kind, elements in (
        ("body", spec.bodies[1:]), ("geom", spec.geoms), ("joint", spec.joints), ("tendon", spec.tendons),
        ("equality", spec.equalities), ("site", spec.sites),
    ):  # fmt: skip
        broken = [element.name for element in elements if any(c < " " for c in element.name)]
        if broken:
            raise UserError(f"{what}: the {kind} {broken[0]!r} has a tab or line break in its name; rename it")
        given |= _name(kind, elements)
    return spec, given, _leave_out_what_is_only_looked_at(spec, what)


def _reason(error: BaseException) -> str:
    """MuJoCo's reason in one line, without what it says of the spec, which is ours."""
    line = re.sub(r" The [a-z ]+ of the spec were .*", "", one_line(error))
    if "could not find decoder" in line:
        return "its name must end in .xml or .urdf"
    return line.removeprefix("XML ").removeprefix("Error: ")


def _name(kind: str, elements: Sequence[Any]) -> set[str]:
    """Name the elements without a name; returns their names."""
    taken, given = {element.name for element in elements}, set()
    for number, element in enumerate(elements):
        if not element.name:
            name = f"{UNNAMED}{kind}{number}"
            while name in taken:
                name += "_"
            element.name = name
            given.add(name)
    return given


def without_options(spec: Any) -> None:
    """Give the spec the options that MuJoCo has by default."""
    defaults = mujoco.MjSpec().option
    for name in dir(defaults):
        if not name.startswith("_"):
            setattr(spec.option, name, getattr(defaults, name))


def mjcf_text(spec: Any) -> str:
    """The text of a spec that was compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(spec.to_xml())


def compiled(spec: Any, what: str, lines: list[str] | None = None) -> mujoco.MjModel:
    """The compiled model; UserError with MuJoCo's reason, in one line, otherwise. `lines` take its warnings."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = spec.compile()
        # A setting that a later MuJoCo will not have is no concern of this one.
        said = [" ".join(str(warning.message).split()) for warning in caught]
        if lines is not None:
            lines += [f"MuJoCo warns: {line}" for line in said if "deprecated" not in line]
        return model
    except (ValueError, mujoco.FatalError) as error:
        raise UserError(f"{what}: MuJoCo does not compile its file: {_reason(error)}") from None


def _leave_out_what_is_only_looked_at(spec: Any, what: str) -> list[str]:
    """Delete skins, and the visual geoms and textures whose files can't be used; a mesh that touches or weighs
    something must be there."""
    for skin in list(spec.skins):
        spec.delete(skin)
    meshes = {mesh.name: mesh.file for mesh in spec.meshes if mesh.file and not _usable_mesh(spec, mesh)}
    textures = {
        texture.name: next(filter(None, _files(texture)))
        for texture in spec.textures
        if any(_files(texture)) and not _there(spec, texture)
    }
    paired = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
    for geom in list(spec.geoms):
        if geom.meshname not in meshes:
            continue
        file, body = meshes[geom.meshname], geom.parent.name
        if geom.contype or geom.conaffinity or geom.name in paired:
            raise UserError(
                f"{what}: a geom of {body} that touches needs the mesh {file}, which is missing or can't be used "
                f"(looked for in {spec.meshdir}); put an STL, OBJ or MSH there, or replace the geom by a primitive"
            )
        if _weighs(spec, geom):
            raise UserError(
                f"{what}: the mass of {body} follows from the mesh {file}, which is missing or can't be used (looked "
                f"for in {spec.meshdir}); put it there, or give {body} an inertial element"
            )
        spec.delete(geom)
    for material in spec.materials:
        if set(material.textures) & textures.keys():
            material.textures = ["" if name in textures else name for name in material.textures]
    for mesh in [mesh for mesh in spec.meshes if mesh.name in meshes]:
        spec.delete(mesh)
    for texture in [texture for texture in spec.textures if texture.name in textures]:
        spec.delete(texture)
    lost = [*meshes.values(), *textures.values()]
    shown = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
    return [f"only looked at and left out, because the file is missing or can't be used: {shown}"] if lost else []


def _usable_mesh(spec: Any, mesh: Any) -> bool:
    """Whether MuJoCo reads the mesh alone."""
    trial = mujoco.MjSpec()
    trial.meshdir = spec.meshdir
    copy = trial.add_mesh(name="mesh", file=mesh.file)
    copy.content_type, copy.scale, copy.inertia = mesh.content_type, mesh.scale, mesh.inertia
    trial.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="mesh")
    try:
        trial.compile()
    except (ValueError, mujoco.FatalError):
        return False
    return True


def _files(texture: Any) -> list[str]:
    """The files of a texture: one, or those of a cube's sides."""
    return [texture.file, *texture.cubefiles]


def _there(spec: Any, texture: Any) -> bool:
    """Whether MuJoCo reads the texture alone."""
    trial = mujoco.MjSpec()
    trial.texturedir = spec.texturedir
    copy = trial.add_texture(name="texture", file=texture.file, type=texture.type)
    copy.content_type, copy.cubefiles = texture.content_type, texture.cubefiles
    copy.gridsize, copy.gridlayout = texture.gridsize, texture.gridlayout
    try:
        trial.compile()
    except (ValueError, mujoco.FatalError):
        return False
    return True


def _weighs(spec: Any, geom: Any) -> bool:
    """Whether the mass of the geom's body is computed from it."""
    compiler = spec.compiler
    low, high = compiler.inertiagrouprange
    never, always = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE, mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
    if compiler.inertiafromgeom == never or not low <= geom.group <= high:
        return False
    if geom.parent.explicitinertial and compiler.inertiafromgeom != always:
        return False
    return geom.mass != 0.0 and not (geom.mass != geom.mass and geom.density == 0.0)


def digest(path: Path, given: Mapping[str, Any], further: Sequence[Path] = ()) -> str:
    """Twelve hexadecimal digits that change with the file, whatever it includes or refers to, and the spec."""
    named = files_of(path)
    # A URDF names its meshes by packages; MuJoCo looks for them beside it.
    for name in re.findall(r'filename="(?:package://)?([^"]+)"', path.read_text(encoding="utf-8", errors="replace")):
        named += [file for file in (path.parent / name, path.parent / Path(name).name) if file.is_file()]
    files = {os.path.relpath(file, path.parent): file for file in (path, *named, *further)}
    whole = hashlib.sha256(repr(sorted(given.items())).encode())
    for name in sorted(files):
        content = files[name].read_bytes() if files[name].is_file() else b"missing"
        whole.update(hashlib.sha256(name.encode() + b"\0" + content).digest())
    return whole.hexdigest()[:12]


def first_digest(path: Path, given: Mapping[str, Any]) -> str:
    """The digest in the names of runs that were made when only the file itself and the spec counted."""
    return hashlib.sha256(path.read_bytes() + repr(sorted(given.items())).encode()).hexdigest()[:12]
