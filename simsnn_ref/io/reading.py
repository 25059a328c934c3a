"""Fields from files: .npy, .npz, and through xarray netCDF, HDF5 and Zarr, with names, coordinates and attributes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError
from simsnn_ref.io.coordinates import Labelled, SampledField, on_grid
from simsnn_ref.io.dataarrays import is_dataarray, read_dataarray, refuse_dataset
from simsnn_ref.io.field_info import Axis, FieldInfo, default_info, plain_attributes
from simsnn_ref.io.gaps import check_scattered
from simsnn_ref.io.npz_fields import description, labels_of, read_members
from simsnn_ref.io.periodicity import Periodic
from simsnn_ref.io.samples import load_samples
from simsnn_ref.io.tables import TABLE_SUFFIXES, read_table
from simsnn_ref.io.xarray_files import is_labelled, open_dataset
from simsnn_ref.spectrum import Box, Scatter

__all__ = ["read_field", "read_scattered"]

MOST_COORDINATES = 3


def read_field(
    source: Any,
    var: str | None = None,
    *,
    select: Mapping[str, float | str] | None = None,
    isel: Mapping[str, int] | None = None,
    box: Box | None = None,
    periodic: Periodic = None,
    gaps: str = "fit",
) -> SampledField:
    """Read samples on a uniform grid, with the grid that their coordinates make up.

    Parameters
    ----------
    source : path or xarray.DataArray
        A file whose ending names the format: .npy, .npz, .nc, .h5 or .zarr; .npy for any other.
    var : str, optional
        Name of the variable, where the file holds several; ``group/name`` in a group.
    select, isel : mapping, optional
        One value of a coordinate, or one index, along each dimension that is not part of the field. A value has to be
        there, to rounding.
    box : Box, optional
        The domain, in place of what the coordinates span.
    periodic : bool or sequence of bools, optional
        Whether an axis is periodic, its end left out, so that the box is one spacing longer than the coordinates. None,
        also for single axes, is for the coordinates to say: longitudes that go round are, and other coordinates are
        not; without coordinates the samples say it.
    gaps : str, optional
        ``"fit"``: missing values are filled by the smoothest continuation of the others; ``"error"``: they are refused.

    Returns
    -------
    SampledField
        ``info`` is None where the file holds nothing but the array.

    Raises
    ------
    DataError
        If the file cannot be read, there is no such variable or place, a coordinate is not uniform, or the values
        cannot be fitted.
    """
    refuse_dataset(source)
    if is_dataarray(source):
        return read_dataarray(source, select=select, isel=isel, box=box, periodic=periodic, gaps=gaps)
    path = Path(source)
    if is_labelled(path):
        with open_dataset(path, var) as dataset:
            array = dataset[_variable(path, var, _fields(dataset), list(dataset.variables))]
            return read_dataarray(
                array, str(source), dataset.attrs, select=select, isel=isel, box=box, periodic=periodic, gaps=gaps
            )
    if select or isel:
        name = next(iter({**(select or {}), **(isel or {})}))
        raise DataError(f"{source}: {name!r} cannot be selected: the dimensions have no names in this format")
    if path.suffix.lower() == ".npz":
        return _read_npz(path, var, box, periodic, gaps)
    if var is not None:
        raise DataError(f"{source}: holds one array without a name; leave out the name {var!r}")
    if path.suffix.lower() in TABLE_SUFFIXES:
        raise DataError(f"{source}: a table has values at points, not on a grid; read_scattered reads it")
    return on_grid(Labelled(load_samples(path), None), str(source), box, periodic, gaps)


def _read_npz(path: Path, var: str | None, box: Box | None, periodic: Periodic, gaps: str) -> SampledField:
    members = read_members(path)
    labels = labels_of(path, members)
    if labels is not None and var in (None, labels.name):
        return on_grid(Labelled(members[labels.name], labels), str(path), box, periodic, gaps)
    name = _variable(path, var, [name for name, array in members.items() if _is_field(array)], list(members))
    read = on_grid(Labelled(members[name], None), f"{path}: {name}", box, periodic, gaps)
    return read._replace(info=default_info(read.values.ndim, name))


def read_scattered(
    path: str | Path,
    var: str | None = None,
    coordinates: Sequence[str] | None = None,
    *,
    box: Box | None = None,
    periodic: bool | Sequence[bool] = False,
    gaps: str = "fit",
) -> SampledField:
    """Read values at scattered points, which are variables of one dimension, or columns of a table.

    Parameters
    ----------
    path : str or Path
        A file whose ending is .npz, .nc, .h5, .zarr or .csv.
    var : str, optional
        Name of the variable with the values, where the file holds several; ``group/name`` in a group. Of a table, the
        last column that is no coordinate is taken by itself.
    coordinates : sequence of d str
        Names of the variables with the coordinates of the points; of a table, all other columns by default.
    box, periodic
        As for `Scatter`.
    gaps : str, optional
        ``"fit"``: points without a value are left out; ``"error"``: they are refused.

    Raises
    ------
    DataError
        As for `read_field`, and if the variables differ in length.
    """
    path = Path(path)
    if path.suffix.lower() in TABLE_SUFFIXES:
        columns = read_table(path)
        name, coordinates = _of_table(path, var, coordinates, list(columns))
        described: dict[str, tuple[np.ndarray, Any]] = {one: (array, {}) for one, array in columns.items()}
        dataset_attrs = {}
    elif coordinates is None:
        raise DataError(f"{path}: name the variables with the coordinates of the points")
    elif path.suffix.lower() == ".npz":
        members = read_members(path)
        text = description(path, members) or {"name": None, "attrs": {}, "coords": {}, "dataset_attrs": {}}
        name = _variable(
            path,
            var or text["name"],
            [one for one, array in members.items() if one not in coordinates and _is_field(array)],
            list(members),
        )
        attributes = text["coords"] | ({name: text["attrs"]} if name == text["name"] else {})
        described = {one: (array, attributes.get(one, {})) for one, array in members.items()}
        dataset_attrs = text["dataset_attrs"]
    elif is_labelled(path):
        with open_dataset(path, var) as dataset:
            candidates = [name for name in _fields(dataset) if name not in coordinates]
            name = _variable(path, var, candidates, list(dataset.variables))
            described = {
                str(one): (np.asarray(dataset[one].values), dataset[one].attrs)
                for one in dataset.variables
                if one in (name, *coordinates)
            }
            dataset_attrs = dataset.attrs
    else:
        raise DataError(f"{path}: has no variables to name; .npz, .nc, .h5, .zarr and .csv files have")
    shape = described[name][0].shape
    for one in coordinates:
        if one not in described:
            raise DataError(f"{path}: no variable {one!r} for a coordinate of the points")
        if described[one][0].shape != shape or len(shape) != 1:
            raise DataError(
                f"{path}: {one} has shape {described[one][0].shape}, {name} has {shape}; scattered points need the same"
                " one-dimensional shape"
            )
    scatter = Scatter(np.stack([described[one][0] for one in coordinates], axis=-1), box, periodic)
    values, scatter, notes = check_scattered(described[name][0], scatter, f"{path}: {name}", gaps=gaps)
    axes = tuple(Axis(one, plain_attributes(described[one][1])[0]) for one in coordinates)
    attrs, dataset = plain_attributes(described[name][1])[0], plain_attributes(dataset_attrs)[0]
    return SampledField(values, scatter, FieldInfo(name, axes, attrs, (), dataset), notes)


def _fields(dataset: Any) -> list[Any]:
    """Names of the variables of a file that may be a field: no bounds of others, no single numbers and no texts.

    All names where there is no such variable, for a message about them.
    """
    named_by = ("bounds", "climatology")
    bounds = {variable.attrs.get(name) for variable in dataset.variables.values() for name in named_by}
    fields = [name for name, variable in dataset.data_vars.items() if name not in bounds and _is_field(variable)]
    return fields or list(dataset.data_vars)


def _is_field(array: Any) -> bool:
    return array.ndim > 0 and array.dtype.kind in "fiuc"


def _of_table(
    path: Path, var: str | None, coordinates: Sequence[str] | None, columns: list[str]
) -> tuple[str, list[str]]:
    """The column of the values and those of the coordinates."""
    for name in (*([] if var is None else [var]), *(coordinates or [])):
        if name not in columns:
            raise DataError(f"{path}: no column {name!r}; it has {', '.join(columns)}")
    if coordinates is None and "" in columns:
        raise DataError(
            f"{path}: column {columns.index('') + 1} has no name, as the index that pandas writes; name the others, as"
            " in --coords x,y --var u"
        )
    others = [name for name in columns if name not in (coordinates or ())]
    if var is None and not others:
        raise DataError(f"{path}: all columns are coordinates; one has to hold the values")
    name = others[-1] if var is None else var
    chosen = [one for one in columns if one != name] if coordinates is None else list(coordinates)
    if not 1 <= len(chosen) <= MOST_COORDINATES or name in chosen:
        raise DataError(
            f"{path}: columns {', '.join(columns)}: name 1 to {MOST_COORDINATES} coordinates and the values, as in"
            " --coords x,y --var u"
        )
    return name, chosen


def _variable(path: Path, var: str | None, candidates: list[Any], others: Sequence[Any] = ()) -> str:
    """The name, in its group, of the variable that is asked for, or of the only one."""
    names = [str(name) for name in candidates]
    if var is not None:
        name = var.rpartition("/")[2]
        if name not in (*names, *map(str, others)):
            raise DataError(f"{path}: no variable {var!r}; it has {', '.join(names) or 'none'}")
        return name
    if len(names) != 1:
        raise DataError(
            f"{path}: {len(names)} variables, {', '.join(names)}; name one with --var"
            if names
            else f"{path}: no variables here; name one of a group with --var GROUP/NAME"
        )
    return names[0]
