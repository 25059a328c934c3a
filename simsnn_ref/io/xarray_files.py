"""netCDF, HDF5 and Zarr through xarray, which is imported when such a file is named."""

from importlib import import_module
from pathlib import Path
from typing import Any

from simsnn_ref.errors import DataError

__all__ = ["ZARR_SUFFIX", "is_labelled", "load_xarray", "open_dataset"]

NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf")
HDF5_SUFFIXES = (".h5", ".hdf5", ".he5")
ZARR_SUFFIX = ".zarr"


def is_labelled(path: str | Path) -> bool:
    """Whether the ending of a name is that of a file that xarray reads."""
    return Path(path).suffix.lower() in (*NETCDF_SUFFIXES, *HDF5_SUFFIXES, ZARR_SUFFIX)


def load_xarray(path: str | Path, engine: str) -> Any:
    """The module xarray, with the packages that its `engine` needs; `path` is named where they are missing.

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


def open_dataset(path: Path, var: str | None) -> Any:
    """The xarray.Dataset of the group that `var` names; nothing is loaded yet, and times are left numbers.

    Raises
    ------
    DataError
        If the file cannot be read, or a package is missing.
    """
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
