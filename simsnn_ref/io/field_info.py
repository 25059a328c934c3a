"""What a field is called and measured in: names, coordinates, units and attributes, kept from input to prediction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.errors import DataError, ModelFileError
from simsnn_ref.io.schema import conform
from simsnn_ref.io.strict_json import shown

__all__ = ["Attributes", "Axis", "FieldInfo", "Scalar", "default_info", "plain_attributes"]

Attributes: TypeAlias = dict[str, Any]
"""Texts, finite numbers, and lists of either: what netCDF, HDF5, Zarr and JSON all hold."""

_DEFAULT_AXES = ("x", "y", "z")

_AXIS = {"name": str, "attrs": {str: object}}
_ENTRY = {
    "name": str,
    "axes": [_AXIS],
    "attrs": {str: object},
    "scalars": [{**_AXIS, "value": str | float}],
    "dataset_attrs": {str: object},
}
"""The kind of what `FieldInfo.to_dict` gives, for `conform`."""

_NOT_OF_THE_FIELD = frozenset(
    (
        # How numbers were stored.
        *("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "dtype"),
        # Ranges of the values, which predictions may leave.
        *("valid_min", "valid_max", "valid_range", "actual_range"),
        # Names of other variables of the file.
        *("ancillary_variables", "bounds", "cell_measures", "coordinates", "formula_terms", "grid_mapping"),
    )
)


def _plain(value: Any) -> Any:
    """The value of an attribute without NumPy's types; None where a file of ours cannot hold it."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        entries = [_plain(entry) for entry in value]
        alike = all(isinstance(entry, str) for entry in entries) or all(
            isinstance(entry, int | float) for entry in entries
        )
        return entries if entries and alike else None
    if isinstance(value, str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    is_integer = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value if is_integer else None


def plain_attributes(attributes: Mapping[Any, Any]) -> tuple[Attributes, list[str]]:
    """The attributes that describe the field, and the names of those that no model file can hold.

    Attributes of the storage (``scale_factor``, ``valid_range``, ...) and those that point at other variables
    (``bounds``, ``grid_mapping``, ...) are left out: they would be wrong of a prediction.
    """
    plain = {str(name): _plain(value) for name, value in attributes.items() if name not in _NOT_OF_THE_FIELD}
    kept = {name: value for name, value in plain.items() if value is not None}
    return kept, [name for name in plain if name not in kept]


@dataclass(frozen=True, eq=False)
class Axis:
    """A coordinate of the field.

    Attributes
    ----------
    name : str
    attrs : dict
        Attributes of the coordinate: ``units``, ``long_name``, ...
    values : ndarray of float64, shape (n,), or None
        Values as the input has them, of samples on a grid: they differ from the grid's by rounding only, and are in
        descending order where the input's are.
    """

    name: str
    attrs: Attributes = field(default_factory=dict)
    values: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Scalar:
    """The place along another coordinate, a time or a level, at which the field was taken."""

    name: str
    value: float | str
    attrs: Attributes = field(default_factory=dict)

    @classmethod
    def from_array(cls, name: str, value: np.ndarray, attrs: Attributes) -> "Scalar":
        """The place that an array without axes holds: a finite number, or anything else as text."""
        number = value.dtype.kind in "fiu" and bool(np.isfinite(value))
        return cls(name, value.item() if number else str(value), attrs)


@dataclass(frozen=True, eq=False)
class FieldInfo:
    """The description of a field of d coordinates.

    Attributes
    ----------
    name : str
        Name of the variable.
    axes : tuple of d Axis
        Coordinates, in the order of the array's axes, or of the columns of scattered points.
    attrs : dict
        Attributes of the variable: ``units``, ``long_name``, ...
    scalars : tuple of Scalar
        Places along the coordinates that are not axes.
    dataset_attrs : dict
        Attributes of the file: ``title``, ``source``, ...

    Raises
    ------
    DataError
        If two names are the same.
    """

    name: str
    axes: tuple[Axis, ...]
    attrs: Attributes = field(default_factory=dict)
    scalars: tuple[Scalar, ...] = ()
    dataset_attrs: Attributes = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [self.name, *(axis.name for axis in self.axes), *(scalar.name for scalar in self.scalars)]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"field: two of its names are {name!r}; rename a variable or a coordinate")

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    def __str__(self) -> str:
        axes = ", ".join(f"{axis.name}{_in_units(axis.attrs)}" for axis in self.axes)
        at = "".join(f", {one.name} = {one.value}{_in_units(one.attrs)}" for one in self.scalars)
        return f"{self.name}{_in_units(self.attrs)} over {axes}{at}"

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON holds it; the values of the coordinates, which are arrays, are left to the caller."""
        return {
            "name": self.name,
            "axes": [{"name": axis.name, "attrs": axis.attrs} for axis in self.axes],
            "attrs": self.attrs,
            "scalars": [{"name": one.name, "value": one.value, "attrs": one.attrs} for one in self.scalars],
            "dataset_attrs": self.dataset_attrs,
        }

    @classmethod
    def from_dict(cls, entry: Any, coordinates: Sequence[np.ndarray | None]) -> "FieldInfo":
        """The description in an entry of a file; inverse of `to_dict`.

        Parameters
        ----------
        entry : object
            A value from JSON.
        coordinates : sequence of d ndarrays, each None or of float64 and shape (n,)
            Values of each coordinate, where they are known.

        Raises
        ------
        ModelFileError
            If anything is missing or of the wrong kind; the message names it.
        DataError
            If two names are the same.
        """
        conform(entry, _ENTRY, "field")
        if len(entry["axes"]) != len(coordinates):
            raise ModelFileError(f"field.axes has {len(entry['axes'])} entries for {len(coordinates)} dimensions")
        described = [(entry["attrs"], "field.attrs"), (entry["dataset_attrs"], "field.dataset_attrs")]
        for part in ("axes", "scalars"):
            described += [(one["attrs"], f"field.{part}[{i}].attrs") for i, one in enumerate(entry[part])]
        for attributes, where in described:
            _check_attributes(attributes, where)
        return cls(
            name=entry["name"],
            axes=tuple(Axis(**axis, values=values) for axis, values in zip(entry["axes"], coordinates, strict=True)),
            attrs=entry["attrs"],
            scalars=tuple(Scalar(**one) for one in entry["scalars"]),
            dataset_attrs=entry["dataset_attrs"],
        )


def default_info(ndim: int, name: str = "u") -> FieldInfo:
    """The description of a field of which nothing is known but its name: axes x, y, z.

    >>> print(default_info(2))
    u over x, y
    """
    axes = _DEFAULT_AXES[:ndim]
    return FieldInfo("u" if name in axes else name, tuple(Axis(axis) for axis in axes))


def _in_units(attrs: Attributes) -> str:
    return f" [{attrs['units']}]" if "units" in attrs else ""


def _check_attributes(attributes: Mapping[str, Any], where: str) -> None:
    for name, value in attributes.items():
        if _plain(value) is None:
            raise ModelFileError(f"{where}.{shown(name)} is neither a text nor a finite number nor a list of either")
