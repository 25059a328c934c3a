"""The manifest of a folder of cases: read, and checked against the files that it names."""

import hashlib
import json
from pathlib import Path
from typing import Any

from simsnn_ref.errors import ModelFileError
from simsnn_ref.reference.cases import Tensors
from simsnn_ref.storage import read_tensors

__all__ = ["ROLES", "SCHEMA", "read_case", "read_manifest"]

SCHEMA = "simsnn-reference-2"
"""docs/reference-manifest.schema.json."""

ROLES = ("given", "forward", "backward", "update")

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
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelFileError(f"{path}: not JSON ({error})") from error
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
            for name, tensor in entry["tensors"].items():
                problems += _wrong(f"{where}: tensor {name}", tensor, _TENSOR)
    if problems:
        raise ModelFileError("\n".join(problems))
    return manifest


def _wrong(where: str, entry: Any, fields: dict[str, type]) -> list[str]:
    """A line for each field that is missing or of another type."""
    if not isinstance(entry, dict):
        return [f"{where}: not an object"]
    kinds = {name: (int, float) if kind is float else (kind,) for name, kind in fields.items()}
    return [
        f"{where}: {name} is missing" if name not in entry else f"{where}: {name} is no {fields[name].__name__}"
        for name, kind in kinds.items()
        if name not in entry or not isinstance(entry[name], kind)
    ]


def read_case(folder: Path, entry: dict[str, Any]) -> Tensors:
    """The tensors of a case.

    Raises
    ------
    ModelFileError
        If its file is damaged, or holds other tensors than the manifest says; a line for each.
    """
    path = folder / entry["file"]
    tensors = read_tensors(path)
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
