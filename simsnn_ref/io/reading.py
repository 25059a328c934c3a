"""Fields from files: .npy, .npz, and through xarray netCDF, HDF5 and Zarr, with names, coordinates and attributes."""

import zipfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError, ModelFileError
from simsnn_ref.io.coordinates import ROUNDINGS, Labelled, Labels, SampledField, eps_of, on_grid
from simsnn_ref.io.field_info import Attributes, Axis, FieldInfo, Scalar, default_info, plain_attributes
from simsnn_ref.io.samples import check_samples, load_samples
from simsnn_ref.io.schema import conform
from simsnn_ref.io.strict_json import parse_json, shown
from simsnn_ref.spectrum import Box, Scatter

__all__ = [
    "DESCRIPTION",
    "HDF5_SUFFIXES",
    "NETCDF_SUFFIXES",
    "ZARR_SUFFIX",
    "is_dataarray",
    "is_labelled",
    "load_xarray",
    "read_dataarray",
    "read_field",
    "read_scattered",
]

NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf")
HDF5_SUFFIXES = (".h5", ".hdf5", ".he5")
ZARR_SUFFIX = ".zarr"

DESCRIPTION = "description"
"""Member of a .npz file with the names and attributes, as JSON text."""

_ATTRIBUTES = {str: object}
_DESCRIPTION = {
    "name": str,
    "dims": [str],
    "attrs": _ATTRIBUTES,
    "coords": {str: _ATTRIBUTES},
    "dataset_attrs": _ATTRIBUTES,
    ...: object,
}

LISTED = 5
"""Of what there is, entries that an error lists."""


def is_labelled(path: str | Path) -> bool:
    """Whether the name is one of a file that xarray reads."""
    return Path(path).suffix.lower() in (*NETCDF_SUFFIXES, *HDF5_SUFFIXES, ZARR_SUFFIX)


def is_dataarray(value: Any) -> bool:
    """Whether it looks like an xarray.DataArray, which is not imported for it."""
    return all(hasattr(value, name) for name in ("dims", "coords", "attrs", "isel", "values"))


def load_xarray(path: str | Path, engine: str) -> Any:
    """xarray, with the package that its `engine` needs.

    Raises
    ------
    DataError
        If one of them is not installed.
    """
    try:
        for name in {"h5netcdf": ("h5py", "h5netcdf"), "zarr": ("zarr",)}.get(engine, ()):
            import_module(name)
        return import_module("xarray")
    except ImportError as error:
        raise DataError(f"{path}: needs {error.name or engine}; pip install 'simsnn-ref[io]'") from error


def read_field(
    source: Any,
    var: str | None = None,
    *,
    select: Mapping[str, float | str] | None = None,
    isel: Mapping[str, int] | None = None,
    box: Box | None = None,
    periodic: bool | Sequence[bool] = True,
) -> SampledField:
    """Samples on a uniform grid, with the grid that their coordinates tell.

    Parameters
    ----------
    source : path or xarray.DataArray
        A file in one of the formats .npy, .npz, .nc, .h5 and .zarr, told by its ending; .npy for any other.
    var : str, optional
        Name of the variable, where the file holds several; ``group/name`` in a group.
    select, isel : mapping, optional
        One value of a coordinate, or one index, along each dimension that is not part of the field. A value has to be
        there, to rounding.
    box : Box, optional
        Takes precedence over the coordinates.
    periodic : bool or sequence of bools, optional
        Whether the end is left out, so that the box is one spacing longer than the coordinates. No file says so.

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
    if is_dataarray(source):
        return read_dataarray(source, select=select, isel=isel, box=box, periodic=periodic)
    path = Path(source)
    if is_labelled(path):
        with _opened(path, var) as dataset:
            array = dataset[_variable(path, var, list(dataset.data_vars), list(dataset.variables))]
            return read_dataarray(
                array, str(source), dataset.attrs, select=select, isel=isel, box=box, periodic=periodic
            )
    if select or isel:
        name = next(iter({**(select or {}), **(isel or {})}))
        raise DataError(f"{source}: {name!r} cannot be selected: the dimensions have no names in this format")
    if path.suffix.lower() == ".npz":
        return _read_npz(path, var, box, periodic)
    if var is not None:
        raise DataError(f"{source}: holds one array without a name; leave out the name {var!r}")
    return on_grid(Labelled(load_samples(path), None), str(source), box, periodic)


def read_dataarray(
    array: Any,
    source: str = "",
    dataset_attrs: Mapping[Any, Any] | None = None,
    *,
    select: Mapping[str, float | str] | None = None,
    isel: Mapping[str, int] | None = None,
    box: Box | None = None,
    periodic: bool | Sequence[bool] = True,
) -> SampledField:
    """`read_field` of an xarray.DataArray."""
    name = "u" if array.name is None else str(array.name)
    where = f"{source}: {name}" if source else name
    dims = [str(dim) for dim in array.dims]
    chosen = _indices(array, dims, select or {}, isel or {}, where)
    notes = []
    for dim, n in zip(dims, array.shape, strict=True):
        if n == 1 and dim not in chosen:
            chosen[dim] = 0
            notes.append(f"{where}: dimension {dim} has one entry and is left out")
    packing = getattr(array, "encoding", {}).get("scale_factor")
    array = array.isel(chosen)
    if not 1 <= array.ndim <= 3:
        sizes = ", ".join(f"{dim} {n}" for dim, n in zip(array.dims, array.shape, strict=True)) or "none is left"
        raise DataError(
            f"{where}: {array.ndim} dimensions ({sizes}), a field has 1, 2 or 3; choose one entry of the others with"
            " --select DIM=VALUE or --isel DIM=INDEX"
        )
    if packing is not None:
        notes.append(f"{where}: packed in steps of {float(np.abs(packing)):.3g}, which a fit then sees as noise")
    attrs, dropped = plain_attributes(array.attrs)
    dataset_attrs, others = plain_attributes(dataset_attrs or {})
    dropped += others
    axes, scalars, auxiliary = {}, [], []
    for key, coordinate in array.coords.items():
        own, others = plain_attributes(coordinate.attrs)
        dropped += others
        if key in array.dims:
            axes[str(key)] = (np.asarray(coordinate.values), own)
        elif coordinate.ndim == 0:
            scalars.append(_scalar(str(key), np.asarray(coordinate.values), own))
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
    return on_grid(Labelled(values, labels, notes), source, box, periodic)


def read_scattered(
    path: str | Path,
    var: str | None,
    coordinates: Sequence[str],
    *,
    box: Box | None = None,
    periodic: bool | Sequence[bool] = False,
) -> SampledField:
    """Values at scattered points: variables of one dimension, `coordinates` the names of those of the points.

    Raises
    ------
    DataError
        As for `read_field`, and if the variables differ in length.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        members = _members(path)
        told = _description(path, members) or {"name": None, "attrs": {}, "coords": {}, "dataset_attrs": {}}
        name = _variable(path, var or told["name"], [one for one in members if one not in coordinates])
        attributes = told["coords"] | ({name: told["attrs"]} if name == told["name"] else {})
        described = {one: (array, attributes.get(one, {})) for one, array in members.items()}
        dataset_attrs = told["dataset_attrs"]
    elif is_labelled(path):
        with _opened(path, var) as dataset:
            candidates = [name for name in dataset.data_vars if name not in coordinates]
            name = _variable(path, var, candidates, list(dataset.variables))
            described = {
                str(one): (np.asarray(dataset[one].values), dataset[one].attrs)
                for one in dataset.variables
                if one in (name, *coordinates)
            }
            dataset_attrs = dataset.attrs
    else:
        raise DataError(f"{path}: has no variables to name; .npz, .nc, .h5 and .zarr files have")
    shape = described[name][0].shape
    for one in coordinates:
        if one not in described:
            raise DataError(f"{path}: no variable {one!r} for a coordinate of the points")
        if described[one][0].shape != shape or len(shape) != 1:
            raise DataError(
                f"{path}: {one} has shape {described[one][0].shape}, {name} has {shape}; scattered points need the same"
                " one-dimensional shape"
            )
    values, notes = check_samples(described[name][0], f"{path}: {name}")
    scatter = Scatter(np.stack([described[one][0] for one in coordinates], axis=-1), box, periodic)
    scatter.check_values(values)
    axes = tuple(Axis(one, plain_attributes(described[one][1])[0]) for one in coordinates)
    attrs, dataset = plain_attributes(described[name][1])[0], plain_attributes(dataset_attrs)[0]
    return SampledField(values, scatter, FieldInfo(name, axes, attrs, (), dataset), notes)


def _indices(
    array: Any, dims: list[str], select: Mapping[str, float | str], isel: Mapping[str, int], where: str
) -> dict[str, int]:
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
    """The dimension that is the time under another name, else that name."""
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


def _scalar(name: str, value: np.ndarray, attrs: Attributes) -> Scalar:
    number = value.dtype.kind in "fiu" and bool(np.isfinite(value))
    return Scalar(name, value.item() if number else str(value), attrs)


def _variable(path: Path, var: str | None, candidates: list[Any], others: Sequence[Any] = ()) -> str:
    """The name of the variable in its group."""
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


def _opened(path: Path, var: str | None) -> Any:
    """The xarray.Dataset of the group, numbers as they are written but unpacked, nothing loaded yet."""
    options: dict[str, Any] = {"decode_times": False}
    if path.suffix.lower() == ZARR_SUFFIX:
        if not path.is_dir():
            raise DataError(f"{path}: cannot be read: no such folder")
        engine, options["consolidated"] = "zarr", False
    else:
        try:
            with path.open("rb") as stream:
                magic = stream.read(4)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
        if magic not in (b"\x89HDF", b"CDF\x01", b"CDF\x02"):
            raise DataError(f"{path}: not a netCDF or HDF5 file")
        engine = "h5netcdf" if magic == b"\x89HDF" else "scipy"
        if engine == "h5netcdf":
            options["phony_dims"] = "sort"
    group = "" if var is None else var.rpartition("/")[0]
    if group:
        options["group"] = group
    xarray = load_xarray(path, engine)
    try:
        return xarray.open_dataset(path, engine=engine, **options)
    except Exception as error:
        # Each engine has its own kinds of errors.
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split()) or type(error).__name__})") from error


def _members(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error) and "Object arrays" in str(error):
            raise DataError(f"{path}: holds Python objects, which are never unpickled; save real numbers") from error
        raise DataError(f"{path}: damaged, or not a .npz file ({' '.join(str(error).split())})") from error


def _read_npz(path: Path, var: str | None, box: Box | None, periodic: bool | Sequence[bool]) -> SampledField:
    members = _members(path)
    labels = _described(path, members)
    if labels is not None and var in (None, labels.name):
        return on_grid(Labelled(members[labels.name], labels), str(path), box, periodic)
    name = _variable(path, var, [name for name in members if name != DESCRIPTION])
    read = on_grid(Labelled(members[name], None), f"{path}: {name}", box, periodic)
    return read._replace(info=default_info(read.values.ndim, name))


def _described(path: Path, members: Mapping[str, np.ndarray]) -> Labels | None:
    """What the text beside the arrays says of them; None where there is none, or it describes no field on a grid."""
    told = _description(path, members)
    if told is None or members[told["name"]].ndim != len(told["dims"]):
        return None
    values, dims = members[told["name"]], tuple(told["dims"])
    axes, scalars = {}, []
    for name, attrs in told["coords"].items():
        own = plain_attributes(attrs)[0]
        if name in dims and members[name].shape == (values.shape[dims.index(name)],):
            axes[name] = (members[name], own)
        elif members[name].ndim == 0:
            scalars.append(_scalar(name, members[name], own))
    attrs, dataset = plain_attributes(told["attrs"])[0], plain_attributes(told["dataset_attrs"])[0]
    return Labels(told["name"], dims, axes, attrs, tuple(scalars), dataset)


def _description(path: Path, members: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """The description in a .npz file, every name in it one of a member."""
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
