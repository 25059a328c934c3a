"""Samples of users: they become float64 without a silent loss, or an error names the first that does not."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from simsnn_ref.backend import host_array
from simsnn_ref.errors import ConfigError, DataError, SimsnnError
from simsnn_ref.io.atomic import write_whole
from simsnn_ref.spectrum import Grid

__all__ = [
    "GAPS",
    "LEAST_SAMPLES",
    "check_grid",
    "check_range",
    "check_samples",
    "is_constant",
    "load_samples",
    "read_npy",
    "sample_function",
    "save_array",
]

GAPS = ("fit", "error")
"""What may be done about missing values: fit the others, or refuse them all."""

LEAST_SAMPLES = 4
"""Number of points per axis below which there is nothing to fit."""

EXACT_INTEGER = 2**53
"""Largest integer up to which float64 holds all."""

LARGEST = 2.0**1000
"""Largest |u|, and its inverse the smallest: residues of 2^-60 |u|, and what a network overshoots, stay in range."""


def _first(mask: np.ndarray) -> str:
    """The index of the first entry that is true, for a message."""
    index = np.unravel_index(int(np.argmax(mask)), mask.shape)
    return f"[{', '.join(str(int(i)) for i in index)}]"


def check_samples(values: Any, name: str = "u", *, gaps: str = "error") -> tuple[np.ndarray, list[str]]:
    """Return `values` as a finite float64 array of 1 to 3 dimensions, and notes on what was converted.

    Parameters
    ----------
    gaps : str, one of `GAPS`
        Whether values may be missing, which masked ones and NaN are; they are NaN in the result.

    Raises
    ------
    DataError
        Not an array of real numbers, 0 or more than 3 dimensions, fewer than 4 points on an axis, integers that
        float64 cannot hold, Inf (with the first index), and if values are missing that may not be, or all are.
    ConfigError
        For another word than those of `GAPS`.
    """
    if gaps not in GAPS:
        raise ConfigError(f"gaps = {gaps!r}: choose one of {', '.join(GAPS)}")
    array = host_array(values, name)
    if array.dtype.kind == "c":
        raise DataError(f"{name}: complex values ({array.dtype}); fit the real and the imaginary part separately")
    if array.dtype.kind not in "fiu":
        raise DataError(f"{name}: values of dtype {array.dtype} are not real numbers; convert them to float64")
    if not 1 <= array.ndim <= 3:
        raise DataError(f"{name}: {array.ndim} dimensions; samples on a grid have 1, 2 or 3")
    for axis, n in enumerate(array.shape):
        if n < LEAST_SAMPLES:
            raise DataError(
                f"{name}: axis {axis} has {n} points, needs at least {LEAST_SAMPLES}{_hint(array.shape, axis)}"
            )
    notes = []
    # What stands under a mask is no value, and may be any number.
    masked = np.ma.getmaskarray(array) if np.ma.is_masked(array) else None
    array = np.ma.getdata(array)
    if array.dtype.kind in "iu":
        too_large = (array > EXACT_INTEGER) | (array < -EXACT_INTEGER)
        too_large = too_large if masked is None else too_large & ~masked
        if np.any(too_large):
            raise DataError(
                f"{name}: integer at index {_first(too_large)} is beyond 2^53 and overflows float64; scale the data"
            )
    elif np.finfo(array.dtype).eps > np.finfo(np.float64).eps:
        rounding = 0.5 * float(np.finfo(array.dtype).eps)
        notes.append(
            f"{name} is {array.dtype}: below about {rounding:.0e} of its size nothing is signal; it is computed in"
            " float64"
        )
    elif array.dtype != np.float64:
        notes.append(f"{name} is {array.dtype}; it is computed in float64")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=np.float64)
    if masked is not None:
        converted = np.where(masked, np.nan, converted)
    bad = ~np.isfinite(converted)
    if np.any(bad):
        _check_missing(converted, bad, name, gaps)
    return converted, notes


def _check_missing(values: np.ndarray, bad: np.ndarray, name: str, gaps: str) -> None:
    """Raise DataError for Inf, and for NaN where none may be, or where too few values are left."""
    missing = np.isnan(values)
    inf = bad & ~missing
    count = np.count_nonzero(missing)
    if np.any(inf):
        raise DataError(
            f"{name}: Inf at index {_first(inf)} ({np.count_nonzero(bad)} of {bad.size} values are not finite); mask or"
            " remove it"
        )
    if gaps == "error":
        raise DataError(
            f"{name}: NaN or masked at index {_first(missing)} ({count} of {missing.size} values are missing); fill or"
            " remove them"
        )
    if missing.size - count < LEAST_SAMPLES:
        raise DataError(f"{name}: {count} of {missing.size} values are missing; a fit needs at least {LEAST_SAMPLES}")


def _hint(shape: tuple[int, ...], axis: int) -> str:
    """What may be meant by an axis that is too short."""
    if shape[axis] == 1:
        rest = ", ".join(str(n) for n in shape if n != 1)
        return f"; leave the axis out: reshape({rest})" if rest else ""
    return "; coordinates go in as points of shape (n, d): fit(points, values)"


def is_constant(u: np.ndarray) -> bool:
    """Whether all values are the same."""
    return bool(np.all(u == u.flat[0]))


def check_range(u: np.ndarray) -> None:
    """Raise DataError if the largest |u| of a field that is not constant is beyond 2^-1000 or 2^1000."""
    largest = float(np.max(np.abs(u)))
    if not is_constant(u) and not 1.0 / LARGEST <= largest <= LARGEST:
        raise DataError(
            f"u: the largest |u| is {largest:.3g}, where residues and predictions leave the range of float64; scale the"
            f" data to between {1.0 / LARGEST:.2g} and {LARGEST:.2g}"
        )


def load_samples(path: str | Path) -> np.ndarray:
    """Read an array from a .npy file, never unpickling.

    Raises
    ------
    DataError
        If the file is missing, truncated, not .npy, or holds objects.
    """
    try:
        with Path(path).open("rb") as stream:
            magic = stream.read(6)
            stream.seek(0)
            if magic != b"\x93NUMPY":
                raise DataError(
                    f"{path}: not a .npy file; save the samples with numpy.save, or points as a table, .csv"
                )
            return read_npy(stream, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_npy(stream: IO[bytes], where: str) -> np.ndarray:
    """Read an array in the .npy format, never unpickling; `where` is the name of the stream in messages.

    Raises
    ------
    DataError
        If it is truncated or damaged, or holds objects.
    """
    try:
        return np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        if "Object arrays" in str(error):
            raise DataError(f"{where}: holds Python objects, which are never unpickled; save real numbers") from error
        raise DataError(f"{where}: truncated or damaged .npy file ({' '.join(str(error).split())})") from error


def sample_function(target: Callable[[np.ndarray], Any], points: np.ndarray, *, extended: bool = False) -> np.ndarray:
    """Values of the function `target` at `points` (n, d), shape (n,), in float64; with `extended` in long double.

    A function written with NumPy keeps the type of its points, so that long double points give long double values. One
    that does not is as accurate as the type it returns.

    Raises
    ------
    DataError
        If it raises anything, or does not return n finite real numbers.
    """
    dtype = np.longdouble if extended else np.float64
    given = points.astype(dtype)
    try:
        raw = target(given)
    except (SimsnnError, MemoryError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise DataError(
            f"target: raised {type(error).__name__} ({text}) when called with points of shape {points.shape}, one"
            " point a row; it has to return a value for each"
        ) from error
    raw = host_array(raw, "target")
    if raw.shape != (points.shape[0],) or raw.dtype.kind not in "fiu":
        raise DataError(
            f"target: called with points of shape {points.shape} it must return {points.shape[0]} real numbers,"
            f" got {raw.dtype} of shape {raw.shape}"
        )
    values = np.ma.filled(raw.astype(dtype), np.nan)
    bad = ~np.isfinite(values)
    if np.any(bad):
        raise DataError(f"target: not finite at x = {points[int(np.argmax(bad))].astype(float).tolist()}")
    return values


def check_grid(u: np.ndarray, grid: Grid) -> None:
    """Raise DataError unless `u` has one value for each point of `grid`."""
    if u.shape != grid.shape:
        raise DataError(f"u: shape {u.shape} does not match the grid's {grid.shape}")


def save_array(path: str | Path, values: np.ndarray) -> None:
    """Write an array as .npy, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_whole(Path(path), lambda new: _save(new, values))


def _save(path: Path, values: np.ndarray) -> None:
    # numpy.save adds an ending to a name that has another one.
    with path.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)
