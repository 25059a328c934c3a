"""Uniform tensor grids in 1, 2 and 3 dimensions, rescaled to [-1, 1)."""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.errors import DataError

__all__ = ["PI", "Box", "Grid", "Period", "wavenumber_units"]

Period: TypeAlias = tuple[Fraction, ...]
"""Per axis, the period of some Fourier modes in lengths of the box, exact: wavenumbers are pi m / period."""

PI = np.longdouble("3.14159265358979323846264338327950288")


def wavenumber_units(period: Period) -> tuple[float, ...]:
    """Per axis, the angular wavenumber of one cycle in a period: pi / period, in coordinates of [-1, 1]."""
    return tuple(math.pi / float(one) for one in period)


def _as_tuple(value: object, kind: Callable[[Any], Any], length: int | None = None) -> tuple[Any, ...]:
    """Broadcast a scalar to `length` (1 if unknown) and convert each entry with `kind`."""
    items = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value,) * (length or 1)
    return tuple(kind(item) for item in items)


@dataclass(frozen=True)
class Box:
    """The physical domain, an axis-parallel box, and its affine map to [-1, 1]^d.

    Parameters
    ----------
    lower, upper : float or sequence of d floats
        Corners, in the data's own units.

    Raises
    ------
    DataError
        If the corners are not finite, differ in length or ``upper <= lower``.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        lower = _as_tuple(self.lower, float)
        upper = _as_tuple(self.upper, float)
        if len(lower) != len(upper):
            raise DataError(f"box: {len(lower)} lower bounds but {len(upper)} upper bounds")
        for axis, (lo, hi) in enumerate(zip(lower, upper, strict=True)):
            if not (math.isfinite(lo) and math.isfinite(hi) and lo < hi and math.isfinite(hi - lo)):
                raise DataError(f"box: axis {axis} needs finite bounds with lower < upper, got [{lo}, {hi}]")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def ndim(self) -> int:
        return len(self.lower)

    @property
    def lengths(self) -> tuple[float, ...]:
        return tuple(hi - lo for lo, hi in zip(self.lower, self.upper, strict=True))

    def to_scaled(self, points: Any) -> Any:
        """Map physical points, shape (n, d), to the network's coordinates in [-1, 1]^d."""
        return 2.0 * ((points - np.asarray(self.lower)) / np.asarray(self.lengths)) - 1.0

    def to_physical(self, points: np.ndarray) -> np.ndarray:
        """Inverse of `to_scaled`."""
        physical: np.ndarray = np.asarray(self.lower) + 0.5 * (points + 1.0) * np.asarray(self.lengths)
        return physical


@dataclass(frozen=True)
class Grid:
    """N_1 x ... x N_d points of a box, d = 1, 2 or 3.

    Along a periodic axis the points are x_n = -1 + 2n/N, n = 0..N-1, the end excluded. Along any other axis both ends
    are included, x_n = -1 + 2n/(N-1); the DFT then has period 2N/(N-1), not 2.

    Parameters
    ----------
    shape : int or sequence of d ints
        Points per axis.
    lower, upper : float or sequence of d floats, optional
        The box in physical units; [-1, 1]^d by default.
    periodic : bool or sequence of d bools, optional
        Per axis, True by default.

    Raises
    ------
    DataError
        If d is not 1, 2 or 3, the lengths differ, or an axis has too few points.
    """

    shape: tuple[int, ...]
    lower: tuple[float, ...] = (-1.0,)
    upper: tuple[float, ...] = (1.0,)
    periodic: tuple[bool, ...] = (True,)

    def __post_init__(self) -> None:
        try:
            shape = _as_tuple(self.shape, operator.index)
        except TypeError:
            raise DataError(f"grid: the shape needs whole numbers of points, got {self.shape!r}") from None
        if not 1 <= len(shape) <= 3:
            raise DataError(f"grid: 1, 2 or 3 dimensions are supported, got {len(shape)}")
        for name, kind in (("lower", float), ("upper", float), ("periodic", bool)):
            value = _as_tuple(getattr(self, name), kind, len(shape))
            value = value * len(shape) if len(value) == 1 else value
            if len(value) != len(shape):
                raise DataError(f"grid: {name} has {len(value)} entries for {len(shape)} dimensions")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "shape", shape)
        for axis, (n, periodic) in enumerate(zip(self.shape, self.periodic, strict=True)):
            least = 1 if periodic else 2
            if n < least:
                raise DataError(f"grid: axis {axis} has {n} points, needs at least {least}")
        Box(self.lower, self.upper)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @property
    def box(self) -> Box:
        return Box(self.lower, self.upper)

    @property
    def intervals(self) -> tuple[int, ...]:
        """Per axis, how many spacings make up the box: N if periodic, else N - 1."""
        return tuple(n if periodic else n - 1 for n, periodic in zip(self.shape, self.periodic, strict=True))

    @property
    def dft_period(self) -> Period:
        """Per axis, the period of the DFT in lengths of the box: 1 if periodic, else N/(N-1)."""
        return tuple(Fraction(n, intervals) for n, intervals in zip(self.shape, self.intervals, strict=True))

    @property
    def wavenumber_units(self) -> tuple[float, ...]:
        """Per axis, the DFT's angular wavenumber of one cycle: pi (periodic) or pi (N-1)/N."""
        return wavenumber_units(self.dft_period)

    def lattice(self, period: Period) -> tuple[int, ...] | None:
        """Per axis, the number of this grid's spacings in `period`; None unless whole numbers that hold the grid."""
        counts = tuple(p * intervals for p, intervals in zip(period, self.intervals, strict=True))
        if any(count.denominator != 1 or count < n for count, n in zip(counts, self.shape, strict=True)):
            return None
        return tuple(int(count) for count in counts)

    def origin_phases(
        self, indices: np.ndarray, period: Period | None = None, dtype: type[np.floating[Any]] = np.float64
    ) -> np.ndarray:
        """Phase k.x_0 in [0, 2 pi) of Fourier modes at the first point x_0 = (-1, ..., -1).

        k_i = pi m_i / period_i, so that k.x_0 makes -sum_i m_i / (2 period_i) turns. They are reduced with integers,
        since k.x_0 itself loses |k| eps.

        Parameters
        ----------
        indices : ndarray of int64, shape (n, d)
            Signed integer wavenumbers m.
        period : d fractions, optional
            In lengths of the box; that of the DFT by default.
        dtype : type, optional
            Floating-point type of the result.

        Returns
        -------
        ndarray, shape (n,)
        """
        period = self.dft_period if period is None else period
        numerators = np.asarray([p.denominator for p in period])
        denominators = np.asarray([2 * p.numerator for p in period])
        turns = np.remainder(-indices * numerators, denominators).astype(dtype) / denominators
        phases: np.ndarray = 2.0 * PI.astype(dtype) * np.remainder(np.sum(turns, axis=1), 1.0)
        return phases

    def scaled_axes(self, dtype: type[np.floating[Any]] = np.float64) -> tuple[np.ndarray, ...]:
        """The coordinates x_n in [-1, 1] of each axis, correctly rounded; d arrays of shape (N_i,)."""
        return tuple(
            (2 * np.arange(n) - intervals).astype(dtype) / intervals
            for n, intervals in zip(self.shape, self.intervals, strict=True)
        )

    def axes(self) -> tuple[np.ndarray, ...]:
        """The physical coordinates of each axis; d float64 arrays of shape (N_i,)."""
        return tuple(
            lo + (hi - lo) * (np.arange(n) / intervals)
            for n, intervals, lo, hi in zip(self.shape, self.intervals, self.lower, self.upper, strict=True)
        )

    def points(self) -> np.ndarray:
        """All physical points in C order, float64 of shape (size, d)."""
        return _tensor_points(self.axes())

    def scaled_points(self, dtype: type[np.floating[Any]] = np.float64) -> np.ndarray:
        """All points in [-1, 1]^d in C order, shape (size, d)."""
        return _tensor_points(self.scaled_axes(dtype))

    def refined(self, factor: int = 2) -> "Grid":
        """The grid `factor` times finer on the same box; every point of this grid is one of its points."""
        shape = tuple(
            factor * intervals + (0 if periodic else 1)
            for intervals, periodic in zip(self.intervals, self.periodic, strict=True)
        )
        return replace(self, shape=shape)

    def every_second(self) -> "Grid":
        """The sub-grid of the points with even indices; its box ends at its own last point where this axis has ends."""
        shape = tuple((n + 1) // 2 for n in self.shape)
        upper = tuple(
            hi if periodic else float(axis[2 * (n - 1)])
            for hi, periodic, axis, n in zip(self.upper, self.periodic, self.axes(), shape, strict=True)
        )
        return replace(self, shape=shape, upper=upper)


def _tensor_points(axes: Sequence[np.ndarray]) -> np.ndarray:
    mesh = np.meshgrid(*axes, indexing="ij")
    return np.stack([coordinate.ravel() for coordinate in mesh], axis=-1)
