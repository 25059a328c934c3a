"""The manifest of a folder of cases: read, and checked against the files that it names."""

import hashlib
from pathlib import Path
from typing import Any

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io import conform, read_file, read_json, shown
from simsnn_ref.verify.reference.cases import Tensors

__all__ = ["KIND", "SCHEMA", "read_case", "read_manifest"]

KIND = "simsnn-reference"
"""Kind of the files; see `simsnn_ref.io.storage`."""

SCHEMA = "simsnn-reference-2"
"""Name of the manifest's schema, docs/reference-manifest.schema.json."""

_TENSOR = {"role": str, "shape": [int], "bound": float, "sensitivity": float, ...: object}
_CASE = {
    "name": str,
    "file": str,
    "sha256": str,
    "first_layer": str,
    "size": float,
    "scale": float,
    "paired": bool,
    "p": float,
    "hidden": [int],
    "parameters": [str],
    "frozen": [str],
    "tensors": {str: _TENSOR},
    ...: object,
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder.

    Raises
    ------
    ModelFileError
        If it is missing, no JSON, or not of the schema; the message names the entry.
    """
    path = folder / "manifest.json"
    manifest: dict[str, Any] = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise ModelFileError(f"{path}: not a manifest of schema {SCHEMA}")
    where = f"{path}: manifest"
    conform(manifest, {"cases": [_CASE], ...: object}, where)
    if not manifest["cases"]:
        raise ModelFileError(f"{where} names no cases")
    for number, case in enumerate(manifest["cases"]):
        for name in (case["name"], case["file"]):
            # It must not lead out of the folder.
            if name in ("", ".", "..") or not set(name).isdisjoint("/\\\0"):
                raise ModelFileError(f"{where}.cases[{number}]: {shown(name)} is not the name of a file in this folder")
    return manifest


def read_case(folder: Path, entry: dict[str, Any]) -> Tensors:
    """Read the tensors of a case, which `entry` of the manifest describes.

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
