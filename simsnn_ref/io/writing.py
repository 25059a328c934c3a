"""Fields to files: .npy, .npz, and through xarray netCDF, HDF5 and Zarr, with the names and units of the input."""

from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError, OutputError
from simsnn_ref.io.atomic import check_absent, check_writable, write_whole
from simsnn_ref.io.coordinates import follows
from simsnn_ref.io.field_info import Attributes, Axis, FieldInfo, default_info
from simsnn_ref.io.npz_fields import Variable, write_variable
from simsnn_ref.io.samples import save_array
from simsnn_ref.io.xarray_files import ZARR_SUFFIX, is_labelled, load_xarray
from simsnn_ref.spectrum import Grid

__all__ = ["check_output", "to_dataarray", "write_field"]

SAMPLE = "sample"
"""Name of the dimension of scattered points."""

ORDERS = ("", "gradient", "Hessian")


def check_output(path: str | Path, what: str, force: bool = True) -> None:
    """Raise OutputError now if `write_field` could not write `path` later, DataError if a package for it is missing.

    Without `force` that is also where there is such a file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz") and not is_labelled(path):
        raise OutputError(f"{what} {path}: the ending tells the format; use .npy, .npz, .nc, .h5 or .zarr")
    if is_labelled(path):
        load_xarray(path, _engine(path))
    if suffix == ZARR_SUFFIX and path.is_dir():
        if not _is_zarr(path):
            raise OutputError(f"{what} {path}: is a folder that is no Zarr store; name another one")
        check_absent(path, what, force)
        path = path.with_name(f"{path.name}~")
    check_writable(path, what, force)


def write_field(
    path: str | Path,
    values: np.ndarray,
    where: Grid | np.ndarray,
    info: FieldInfo | None = None,
    provenance: Attributes | None = None,
) -> None:
    """Write values or derivatives in the format that the ending of `path` names; whole or not at all.

    ``.npy`` holds the array alone. The others hold the variable under its name with its dimensions, coordinates and
    attributes; ``.npz`` has the latter as JSON text in the member ``description``.

    Parameters
    ----------
    values : ndarray
        Values, shape (n,) at points or that of the grid; first derivatives, (..., d), or second ones, (..., d, d),
        become the variable NAME_gradient or NAME_hessian with one or two more dimensions.
    where : Grid, or ndarray of shape (n, d)
        Where the values are. Axes of a grid that descend in the input, by `info`, are written in descending order.
    info : FieldInfo, optional
        What the field is called; u over x, y, z by default.
    provenance : dict, optional
        More attributes of the file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    DataError
        If a package is missing, or the values are not those of `where`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        save_array(path, _as_given(values, where, info))
        return
    variable = _describe(values, where, info, provenance or {})
    if suffix == ".npz":
        write_whole(path, lambda new: write_variable(new, variable))
        return
    dataset = _dataset(load_xarray(path, _engine(path)), variable)
    encoding = {name: {"_FillValue": None} for name, item in dataset.variables.items() if item.dtype.kind == "f"}
    if suffix == ZARR_SUFFIX:
        options: dict[str, Any] = {"zarr_format": 2, "consolidated": True, "encoding": encoding}
        write_whole(path, lambda new: dataset.to_zarr(new, mode="w", **options))
    else:
        write_whole(path, lambda new: dataset.to_netcdf(new, engine=_engine(path), encoding=encoding))


def to_dataarray(
    values: np.ndarray, where: Grid | np.ndarray, info: FieldInfo | None = None, provenance: Attributes | None = None
) -> Any:
    """Values or derivatives as an xarray.DataArray, with what `write_field` writes beside them.

    Parameters
    ----------
    values, where, info, provenance
        As for `write_field`.

    Returns
    -------
    xarray.DataArray

    Raises
    ------
    DataError
        If xarray is missing, or the values are not those of `where`.
    """
    variable = _describe(values, where, info, provenance or {})
    return _dataset(load_xarray("to_dataarray", "xarray"), variable)[variable.name]


def _describe(values: np.ndarray, where: Grid | np.ndarray, info: FieldInfo | None, provenance: Attributes) -> Variable:
    if isinstance(where, Grid):
        d, shape, places = where.ndim, where.shape, where.axes()
    else:
        places = tuple(where.reshape(len(where), -1).T)
        d, shape = len(places), (len(where),)
    info = default_info(d) if info is None else info
    order = values.ndim - len(shape)
    if len(info.axes) != d or order not in range(len(ORDERS)) or values.shape != (*shape, *(d,) * order):
        raise DataError(f"values: shape {values.shape} at {shape} points of {d} dimensions called {info.dims}")
    coords: dict[str, tuple[tuple[str, ...], Any, Attributes]] = {}
    for axis, ascending in zip(info.axes, places, strict=True):
        known = axis.values
        place = ascending[::-1] if isinstance(where, Grid) and _descends(axis) else ascending
        same = known is not None and isinstance(where, Grid) and follows(known, place)
        dim = axis.name if isinstance(where, Grid) else SAMPLE
        coords[axis.name] = ((dim,), known if same else place, axis.attrs)
    dims = info.dims if isinstance(where, Grid) else (SAMPLE,)
    coords |= {one.name: ((), one.value, one.attrs) for one in info.scalars}
    directions = ("derivative",) if order == 1 else tuple(f"derivative_{i + 1}" for i in range(order))
    coords |= {direction: ((direction,), np.asarray(info.dims), {}) for direction in directions}
    return Variable(
        name=f"{info.name}_{ORDERS[order].lower()}" if order else info.name,
        dims=(*dims, *directions),
        values=_as_given(values, where, info),
        attrs=_attributes_of_derivative(info, order) if order else info.attrs,
        coords=coords,
        dataset_attrs=info.dataset_attrs | provenance,
    )


def _as_given(values: np.ndarray, where: Grid | np.ndarray, info: FieldInfo | None) -> np.ndarray:
    """Values on a grid with the axes turned round that descend in the input."""
    if info is None or not isinstance(where, Grid) or len(info.axes) != where.ndim:
        return values
    return np.flip(values, axis=tuple(i for i, axis in enumerate(info.axes) if _descends(axis)))


def _descends(axis: Axis) -> bool:
    return axis.values is not None and len(axis.values) > 1 and bool(axis.values[-1] < axis.values[0])


def _attributes_of_derivative(info: FieldInfo, order: int) -> Attributes:
    """The name of a derivative and, where all coordinates have the same units, its units."""
    attrs = {"long_name": f"{ORDERS[order]} of {info.attrs.get('long_name', info.name)}"}
    lengths = {axis.attrs.get("units") for axis in info.axes}
    length = lengths.pop()
    if not lengths and isinstance(length, str) and isinstance(info.attrs.get("units"), str):
        attrs["units"] = f"({info.attrs['units']}) ({length})-{order}"
    return attrs


def _dataset(xarray: Any, variable: Variable) -> Any:
    values = (variable.dims, variable.values, variable.attrs)
    return xarray.Dataset({variable.name: values}, variable.coords, variable.dataset_attrs)


def _engine(path: Path) -> str:
    return "zarr" if path.suffix.lower() == ZARR_SUFFIX else "h5netcdf"


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (".zgroup", ".zattrs", "zarr.json"))
