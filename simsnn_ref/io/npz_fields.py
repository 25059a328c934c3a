"""Fields in .npz archives: arrays by name, and among them a text that describes the others, docs/io.md."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError, ModelFileError
from simsnn_ref.io.coordinates import Labels
from simsnn_ref.io.field_info import Attributes, Scalar, plain_attributes
from simsnn_ref.io.npz import read_npz
from simsnn_ref.io.safetensors import open_regular
from simsnn_ref.io.schema import conform
from simsnn_ref.io.strict_json import parse_json, shown

__all__ = ["DESCRIPTION", "Variable", "description", "labels_of", "read_members", "write_variable"]

DESCRIPTION = "description"
"""Name of the member with the names and attributes, as JSON text."""

_ATTRIBUTES = {str: object}
_DESCRIPTION = {
    "name": str,
    "dims": [str],
    "attrs": _ATTRIBUTES,
    "coords": {str: _ATTRIBUTES},
    "dataset_attrs": _ATTRIBUTES,
    ...: object,
}


@dataclass(frozen=True)
class Variable:
    """A variable with all that a file says of it.

    Attributes
    ----------
    name : str
    dims : tuple of str
        Names of the axes of `values`.
    values : ndarray
    attrs : dict
        Attributes of the variable.
    coords : dict
        Dimensions, values and attributes of each coordinate, by name.
    dataset_attrs : dict
        Attributes of the file.
    """

    name: str
    dims: tuple[str, ...]
    values: np.ndarray
    attrs: Attributes
    coords: dict[str, tuple[tuple[str, ...], Any, Attributes]]
    dataset_attrs: Attributes


def write_variable(path: Path, variable: Variable) -> None:
    """Write a variable, its coordinates and the description of both."""
    text = {
        "name": variable.name,
        "dims": variable.dims,
        "attrs": variable.attrs,
        "coords": {name: attrs for name, (_, _, attrs) in variable.coords.items()},
        "dataset_attrs": variable.dataset_attrs,
    }
    members = {name: np.asarray(values) for name, (_, values, _) in variable.coords.items()}
    members = {variable.name: variable.values, **members, DESCRIPTION: np.asarray(json.dumps(text))}
    # numpy.savez takes no member called "file".
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def read_members(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive by name.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        with open_regular(path) as stream:
            return read_npz(stream, path)
    except ModelFileError as error:
        raise DataError(str(error)) from error


def description(path: Path, members: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """The text that describes the members of an archive, None where there is none.

    Raises
    ------
    DataError
        If it is not right, or names what is no member.
    """
    text = members.get(DESCRIPTION)
    if text is None or text.dtype.kind != "U" or text.ndim:
        return None
    try:
        described: dict[str, Any] = parse_json(str(text), DESCRIPTION)
        conform(described, _DESCRIPTION, DESCRIPTION)
    except ModelFileError as error:
        fault = str(error)
    else:
        missing = [name for name in (described["name"], *described["coords"]) if name not in members]
        if not missing:
            return described
        fault = f"{shown(missing[0])} is no member"
    raise DataError(f"{path}: the member {DESCRIPTION!r} does not describe the others: {fault}; see docs/io.md")


def labels_of(path: Path, members: Mapping[str, np.ndarray]) -> Labels | None:
    """The labels of the field on a grid that an archive describes; None where it describes none.

    Raises
    ------
    DataError
        As for `description`.
    """
    text = description(path, members)
    if text is None or members[text["name"]].ndim != len(text["dims"]):
        return None
    values, dims = members[text["name"]], tuple(text["dims"])
    axes, scalars = {}, []
    for name, attrs in text["coords"].items():
        own = plain_attributes(attrs)[0]
        if name in dims and members[name].shape == (values.shape[dims.index(name)],):
            axes[name] = (members[name], own)
        elif members[name].ndim == 0:
            scalars.append(Scalar.from_array(name, members[name], own))
    attrs, dataset = plain_attributes(text["attrs"])[0], plain_attributes(text["dataset_attrs"])[0]
    return Labels(text["name"], dims, axes, attrs, tuple(scalars), dataset)
