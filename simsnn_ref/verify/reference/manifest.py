"""The manifest of a folder of cases: read, and checked against the files that it names."""

import hashlib
from pathlib import Path
from typing import Any

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io import read_file, read_json, shown
from simsnn_ref.verify.reference.cases import Tensors

__all__ = ["KIND", "SCHEMA", "read_case", "read_manifest"]

KIND = "simsnn-reference"
"""Of the files; see `simsnn_ref.io.storage`."""

SCHEMA = "simsnn-reference-2"
"""docs/reference-manifest.schema.json."""

_CASE = {
    "name": str,
    "file": str,
    "sha256": str,
    "first_layer": str,
    "size": float,
    "scale": float,
    "paired": bool,
    "p": float,
    "hidden": list,
    "parameters": list,
    "frozen": list,
    "tensors": dict,
}
_TENSOR = {"role": str, "shape": list, "bound": float, "sensitivity": float}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises
    ------
    ModelFileError
        If it is missing, no JSON, or not of the schema; a line for each entry that is not.
    """
    path = folder / "manifest.json"
    manifest: Any = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ModelFileError(f"{path}: not a manifest of schema {SCHEMA}")
    cases = manifest.get("cases")
    if not isinstance(cases, list) or not cases:
        raise ModelFileError(f"{path}: names no cases")
    problems = []
    for number, entry in enumerate(cases):
        where = f"{path}: case {entry['name'] if isinstance(entry, dict) and 'name' in entry else number}"
        problems += _wrong(where, entry, _CASE)
        if not problems:
            problems += _not_a_name(where, (entry["name"], entry["file"]))
            for name, tensor in entry["tensors"].items():
                problems += _wrong(f"{where}: tensor {name}", tensor, _TENSOR)
    if problems:
        raise ModelFileError("\n".join(problems))
    return manifest


def _not_a_name(where: str, names: tuple[str, ...]) -> list[str]:
    """A line for each that would lead out of the folder."""
    return [
        f"{where}: {shown(name)} is not the name of a file in this folder"
        for name in names
        if name in ("", ".", "..") or not set(name).isdisjoint("/\\\0")
    ]


def _wrong(where: str, entry: Any, fields: dict[str, type]) -> list[str]:
    """A line for each field that is missing or of another type."""
    if not isinstance(entry, dict):
        return [f"{where}: not an object"]
    kinds = {name: (int, float) if kind is float else (kind,) for name, kind in fields.items()}
    return [
        f"{where}: {name} is missing" if name not in entry else f"{where}: {name} is no {fields[name].__name__}"
        for name, kind in kinds.items()
        if name not in entry
        or not isinstance(entry[name], kind)
        or (isinstance(entry[name], bool) and bool not in kind)
    ]


def read_case(folder: Path, entry: dict[str, Any]) -> Tensors:
    """The tensors of a case.

    Raises
    ------
    ModelFileError
        If its file is damaged, or holds other tensors than the manifest says; a line for each.
    """
    path = folder / entry["file"]
    _, tensors = read_file(path, KIND)
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
        raise ModelFileError(f"{path}: damaged, or not the file that the manifest names: its SHA-256 differs")
    stated = entry["tensors"]
    problems = [f"{path}: {name} is in the manifest, not in the file" for name in stated if name not in tensors]
    problems += [f"{path}: {name} is in the file, not in the manifest" for name in tensors if name not in stated]
    problems += [
        f"{path}: {name} has the shape {list(value.shape)}, {stated[name]['shape']} in the manifest"
        for name, value in tensors.items()
        if name in stated and list(value.shape) != stated[name]["shape"]
    ]
    if problems:
        raise ModelFileError("\n".join(problems))
    return tensors
