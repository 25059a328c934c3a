"""A candidate's tensors compared with those of the cases, from the forward pass down."""

from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io import read_tensors
from simsnn_ref.verify import Comparison, compare
from simsnn_ref.verify.reference.cases import Tensors
from simsnn_ref.verify.reference.manifest import read_case, read_manifest

__all__ = ["check"]

ROUNDINGS = 30.0
"""Allowed error of a tensor in units of its sensitivity: another code rounds in other places."""


def check(folder: str | Path, candidate: str | Path, tolerance: float = 1e-13) -> list[Comparison]:
    """Compare a candidate's tensors with the reference, from the forward pass down.

    Parameters
    ----------
    folder : str or Path
        A folder that `export` wrote.
    candidate : str or Path
        A folder with a file for each case, NAME.safetensors or NAME.npz; it may leave out cases and kinds of tensors
        (all of ``Hv``, say), not single tensors of a kind.
    tolerance : float
        Allowed error of a tensor, relative to its 2-norm; `ROUNDINGS` times its sensitivity where that is more.

    Returns
    -------
    list of Comparison
        One for each tensor, in the order of the room's description.

    Raises
    ------
    ModelFileError
        If a manifest or a file is missing, damaged or foreign, or tensors are missing, one too many, misnamed,
        misshaped, of another type, or not finite; a line for each.
    """
    folder, candidate = Path(folder), Path(candidate)
    manifest = read_manifest(folder)
    comparisons: list[Comparison] = []
    problems: list[str] = []
    for entry in manifest["cases"]:
        found = next((p for s in (".safetensors", ".npz") if (p := candidate / f"{entry['name']}{s}").exists()), None)
        if found is None:
            continue
        expected = read_case(folder, entry)
        got = read_tensors(found)
        problems += _problems(str(found), got, expected, entry["tensors"])
        if not problems:
            comparisons += _check_case(entry, got, expected, tolerance)
    if problems:
        raise ModelFileError("\n".join(problems))
    if not comparisons:
        names = ", ".join(entry["name"] for entry in manifest["cases"])
        raise ModelFileError(f"{candidate}: holds none of the cases {names} as .safetensors or .npz")
    return comparisons


def _problems(where: str, got: Tensors, expected: Tensors, stated: dict[str, Any]) -> list[str]:
    """The reasons why a candidate's file cannot be compared, a line each."""
    known = [name for name in expected if stated[name]["role"] != "given"]
    kinds = {name.partition(".")[0] for name in got}
    lines = [f"{where}: {name} is none of the tensors of this case" for name in got if name not in expected]
    lines += [
        f"{where}: {name} is missing beside the others of its kind"
        for name in known
        if name not in got and "." in name and name.partition(".")[0] in kinds
    ]
    for name in known:
        if name not in got:
            continue
        if got[name].shape != expected[name].shape:
            lines.append(f"{where}: {name} has the shape {got[name].shape}, expected {expected[name].shape}")
        elif not np.all(np.isfinite(got[name])):
            lines.append(f"{where}: {name} holds numbers that are not finite")
    return lines


def _check_case(entry: dict[str, Any], got: Tensors, expected: Tensors, tolerance: float) -> list[Comparison]:
    return [
        compare(
            name.partition(".")[0],
            entry["name"],
            {name: got[name]},
            {name: reference},
            max(tolerance, ROUNDINGS * float(entry["tensors"][name]["sensitivity"])),
        )
        for name, reference in expected.items()
        if name in got and entry["tensors"][name]["role"] != "given"
    ]
