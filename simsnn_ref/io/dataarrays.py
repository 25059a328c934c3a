"""An xarray.DataArray as samples on a grid, with its names, coordinates and attributes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError
from simsnn_ref.io.coordinates import ROUNDINGS, Labelled, Labels, SampledField, eps_of, on_grid
from simsnn_ref.io.field_info import Attributes, Scalar, plain_attributes
from simsnn_ref.io.periodicity import Periodic
from simsnn_ref.spectrum import Box

__all__ = ["is_dataarray", "read_dataarray", "refuse_dataset"]

LISTED = 5
"""Entries of a coordinate that an error lists."""


def is_dataarray(value: Any) -> bool:
    """Whether a value looks like an xarray.DataArray; xarray is not imported for that."""
    return all(hasattr(value, name) for name in ("dims", "coords", "attrs", "isel", "values"))


def refuse_dataset(value: Any) -> None:
    """Raise DataError for an xarray.Dataset, which holds several fields."""
    if hasattr(value, "data_vars"):
        names = ", ".join(map(str, value.data_vars)) or "none"
        raise DataError(f"u: a Dataset of the variables {names}; give one of them, dataset[NAME]")


def read_dataarray(
    array: Any,
    source: str = "",
    dataset_attrs: Mapping[Any, Any] | None = None,
    *,
    select: Mapping[str, float | str] | None = None,
    isel: Mapping[str, int] | None = None,
    box: Box | None = None,
    periodic: Periodic = None,
    gaps: str = "fit",
) -> SampledField:
    """Read samples on a uniform grid from an xarray.DataArray, as `read_field` does from a file.

    Parameters
    ----------
    array : xarray.DataArray
    source : str, optional
        Name of the file, for messages.
    dataset_attrs : mapping, optional
        Attributes of the file.
    select, isel, box, periodic, gaps
        As for `read_field`.

    Raises
    ------
    DataError
        As for `read_field`.
    """
    name = "u" if array.name is None else str(array.name)
    where = f"{source}: {name}" if source else name
    dims = [str(dim) for dim in array.dims]
    chosen = _indices(array, dims, select or {}, isel or {}, where)
    notes = []
    for dim, n in zip(dims, array.shape, strict=True):
        if n == 1 and dim not in chosen:
            chosen[dim] = 0
            notes.append(f"{where}: dimension {dim} has one entry and is left out")
    step = getattr(array, "encoding", {}).get("scale_factor")
    array = array.isel(chosen)
    if not 1 <= array.ndim <= 3:
        sizes = ", ".join(f"{dim} {n}" for dim, n in zip(array.dims, array.shape, strict=True)) or "none is left"
        raise DataError(
            f"{where}: {array.ndim} dimensions ({sizes}), a field has 1, 2 or 3; choose one entry of the others with"
            " --select DIM=VALUE or --isel DIM=INDEX"
        )
    if step is not None:
        step = float(np.abs(step))
        notes.append(f"{where}: packed in steps of {step:.3g}: below half of that, {0.5 * step:.2g}, nothing is signal")
    attrs, dropped = plain_attributes(array.attrs)
    dataset_attrs, others = plain_attributes(dataset_attrs or {})
    dropped += others
    axes, scalars, auxiliary = {}, [], []
    for key, coordinate in array.coords.items():
        own, others = plain_attributes(coordinate.attrs)
        dropped += others
        if key in array.dims:
            axes[str(key)] = _in_numbers(np.asarray(coordinate.values), own)
        elif coordinate.ndim == 0:
            scalars.append(Scalar.from_array(str(key), np.asarray(coordinate.values), own))
        else:
            auxiliary.append(str(key))
    if auxiliary:
        notes.append(f"{where}: not kept, since no coordinate of one dimension: {', '.join(auxiliary)}")
    if dropped:
        notes.append(f"{where}: attributes left out, neither text nor finite numbers: {', '.join(dropped)}")
    labels = Labels(name, tuple(str(dim) for dim in array.dims), axes, attrs, tuple(scalars), dataset_attrs)
    try:
        values = np.asarray(array.values)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise DataError(f"{where}: cannot be read ({' '.join(str(error).split())})") from error
    return on_grid(Labelled(values, labels, notes), source, box, periodic, gaps)


def _in_numbers(coordinate: np.ndarray, attrs: Attributes) -> tuple[np.ndarray, Attributes]:
    """A coordinate of times as seconds from its first one, with units and calendar that say so; others as they are."""
    if not coordinate.size:
        return coordinate, attrs
    if coordinate.dtype.kind == "m":
        return coordinate / np.timedelta64(1, "s"), {**attrs, "units": "seconds"}
    if coordinate.dtype.kind == "M":
        start = coordinate[0].astype("M8[s]")
        start = start if start == coordinate[0] else coordinate[0]
        since, calendar = str(start).replace("T", " "), "proleptic_gregorian"
        seconds = (coordinate - coordinate[0]) / np.timedelta64(1, "s")
    elif coordinate.dtype.kind == "O" and hasattr(coordinate[0], "calendar"):
        since, calendar = str(coordinate[0]), coordinate[0].calendar
        seconds = np.asarray([(time - coordinate[0]).total_seconds() for time in coordinate])
    else:
        return coordinate, attrs
    return seconds, {**attrs, "units": f"seconds since {since}", "calendar": calendar}


def _indices(
    array: Any, dims: list[str], select: Mapping[str, float | str], isel: Mapping[str, int], where: str
) -> dict[str, int]:
    """The entries that are selected, by dimension."""
    chosen = {}
    select = {dim if dim in dims or dim != "time" else _time_of(array, dims): value for dim, value in select.items()}
    for dim in (*select, *isel):
        if dim not in dims:
            raise DataError(f"{where}: no dimension {dim!r}; it has {', '.join(dims) or 'none'}")
        if dim in select and dim in isel:
            raise DataError(f"{where}: dimension {dim!r} is selected twice")
    for dim, index in isel.items():
        n = array.shape[dims.index(dim)]
        if not -n <= index < n:
            raise DataError(f"{where}: index {index} of dimension {dim!r} is not one of its {n}")
        chosen[dim] = int(index)
    for dim, value in select.items():
        if dim not in array.coords:
            raise DataError(f"{where}: dimension {dim!r} has no coordinate to select by; use --isel {dim}=INDEX")
        chosen[dim] = _index_of(np.asarray(array.coords[dim].values), value, f"{where}: {dim}")
    return chosen


def _time_of(array: Any, dims: list[str]) -> str:
    """The dimension that is the time under another name, else ``time``."""
    times = (d for d in dims if d in array.coords and array.coords[d].attrs.get("standard_name") == "time")
    return next(times, "t" if "t" in dims else "time")


def _index_of(coordinate: np.ndarray, value: float | str, name: str) -> int:
    if coordinate.dtype.kind not in "fiu":
        found = np.flatnonzero(coordinate.astype(str) == str(value))
        if len(found):
            return int(found[0])
        raise DataError(f"{name} has no {value!r}; it has {_listed(coordinate)}")
    try:
        number = float(value)
    except ValueError:
        raise DataError(f"{name} = {value!r}: expected a number") from None
    distance = np.abs(coordinate.astype(np.float64) - number)
    nearest = int(np.argmin(distance))
    if distance[nearest] <= ROUNDINGS * eps_of(coordinate) * abs(number):
        return nearest
    order = np.sort(np.argsort(distance, kind="stable")[:LISTED])
    raise DataError(f"{name} has no {value}; the nearest are {_listed(coordinate[order])}")


def _listed(entries: Any) -> str:
    return ", ".join(str(entry) for entry in entries[:LISTED]) + (", ..." if len(entries) > LISTED else "")
