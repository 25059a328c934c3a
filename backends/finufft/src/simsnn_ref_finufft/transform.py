"""Exponential sums over the wavenumbers k_j and their opposites -k_j, and their adjoints, by FINUFFT.

    synthesis   F(x_n) = sum_j c+_j exp(i k_j.(x_n - x_c)) + c-_j exp(-i k_j.(x_n - x_c))
    analysis    G+_j   = sum_n F(x_n) exp(-i k_j.(x_n - x_c)),     G-_j  with the opposite sign

One plan runs both ways, so that analysis is the transpose of synthesis to rounding, whatever the tolerance.
"""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import finufft
import numpy as np

from simsnn_ref.errors import ConfigError
from simsnn_ref.grid import PI, Grid

__all__ = ["GridTransform", "Lane", "PointTransform"]

UPSAMPLINGS = (1.25, 1.5, 1.6, 1.7, 1.8, 1.9, 1.95, 2.05)
"""Of the fine grid; the first that allows the tolerance (1e-9, 1e-12, 1e-13, 3e-14, 1e-14, 3e-15, 2e-15 in two
dimensions) takes the least time. Not 2: grids of a power of two make fine grids of one, whose columns meet in the same
few lines of the cache, and the transform takes more than twice the time.

Always given to FINUFFT: where it chooses by itself it clips the tolerance to what its choice allows, and says nothing.
"""

KERNEL_WIDTH = 16
"""Largest in FINUFFT, in points of the fine grid."""


class Lane:
    """A plan of one transform on one thread, with the arrays it works on; threads take one each.

    A thread each, not FINUFFT's own threads, which add to one fine grid in the order they happen to finish.

    Attributes
    ----------
    coefficients : ndarray of complex128, shape (2, n_f)
        c+ and c-, or G+ and G-.
    field, other : ndarray of complex128, shape of the points
    """

    def __init__(self, plan: Any, shape: tuple[int, ...]) -> None:
        self._plan = plan
        self._points: tuple[np.ndarray | None, ...] = ()
        self.coefficients = np.empty((2, 0), dtype=np.complex128)
        self.field = np.empty(shape, dtype=np.complex128)
        self.other = np.empty(shape, dtype=np.complex128)

    def set_points(self, points: tuple[np.ndarray | None, ...], n_features: int) -> None:
        """Sort the points once for all transforms until they change."""
        if points is not self._points:
            _tell(self._plan.setpts, *points)
            self._points = points
            self.coefficients = np.empty((2, n_features), dtype=np.complex128)

    def synthesize(self, out: np.ndarray) -> None:
        """From `coefficients` to `out`."""
        self._plan.execute(self.coefficients.reshape(-1), out=out)

    def analyze(self, field: np.ndarray) -> None:
        """From `field` to `coefficients`."""
        self._plan.execute_adjoint(field, out=self.coefficients.reshape(-1))


class _Transform(ABC):
    """What the two kinds share; `_plan` is all that another library with FINUFFT's interface replaces.

    Parameters
    ----------
    kind : int
        FINUFFT's type.
    modes : tuple of int, or int
        Its modes per axis, or number of axes.
    shape : tuple of int
        Of a field.
    centre : ndarray of float64, shape (d,)
        x_c.
    coordinates : sequence of ndarray
        x_1 .. x_d, each to be broadcast against a field.
    tolerance : float
        Error allowed, relative to the 2-norm.

    Raises
    ------
    ConfigError
        If FINUFFT would not honour the tolerance.
    """

    def __init__(
        self,
        kind: int,
        modes: Any,
        shape: tuple[int, ...],
        centre: np.ndarray,
        coordinates: list[np.ndarray],
        tolerance: float,
    ) -> None:
        self._kind, self._modes, self._tolerance = kind, modes, tolerance
        self.shape, self.centre, self.coordinates = shape, centre, coordinates
        self.upsampling = self._least_upsampling(len(centre))

    def _plan(self, modes: Any, upsampling: float) -> Any:
        return finufft.Plan(
            self._kind, modes, n_trans=1, eps=self._tolerance, isign=1, nthreads=1, upsampfac=upsampling, showwarn=0
        )

    def _least_upsampling(self, ndim: int) -> float:
        """Let the library judge the tolerance, on a single point: it knows its kernels, and they change."""
        zero = np.zeros(1)
        modes = (1,) * ndim if self._kind == 1 else ndim
        for upsampling in UPSAMPLINGS:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    plan = self._plan(modes, upsampling)
                    plan.setpts(*[zero] * ndim, **dict.fromkeys("stu"[:ndim] if self._kind == 3 else "", zero))
            except (Warning, RuntimeError):
                continue
            return upsampling
        raise ConfigError(
            f"nufft_tolerance = {self._tolerance:g}: less than FINUFFT keeps to in double precision; use 2e-15 or more"
        )

    def lane(self) -> Lane:
        """One more plan."""
        return Lane(_tell(self._plan, self._modes, self.upsampling), self.shape)

    @abstractmethod
    def points(self, K: np.ndarray) -> tuple[np.ndarray | None, ...]:
        """What `Lane.set_points` takes for the wavenumbers K, shape (n_f, d)."""

    @abstractmethod
    def fine_size(self, K: np.ndarray) -> int:
        """About how many complex numbers a transform holds."""


class GridTransform(_Transform):
    """On a uniform grid: type 1, whose equispaced modes are the grid's points and whose points are the wavenumbers.

    FINUFFT counts its N modes from -floor(N/2), so that x_c is the point number floor(N/2): 0 on a periodic grid with
    N even, and never more than a spacing from it, so that phases k.x_c stay small.
    """

    def __init__(self, grid: Grid, tolerance: float) -> None:
        intervals = np.array(grid.intervals)
        centre = (2 * (np.array(grid.shape) // 2) - intervals) / intervals
        self._spacings = np.longdouble(2) / intervals
        coordinates = np.meshgrid(*grid.scaled_axes(), indexing="ij", sparse=True)
        super().__init__(1, grid.shape, grid.shape, centre, list(coordinates), tolerance)

    def points(self, K: np.ndarray) -> tuple[np.ndarray | None, ...]:
        """Angles k h in [-pi, pi], reduced in long double: up to N/2 of them are added, and so are their errors."""
        angles = K * self._spacings
        angles -= 2 * PI * np.rint(angles / (2 * PI))
        return _with_opposites(angles.astype(np.float64))

    def fine_size(self, K: np.ndarray) -> int:
        return int(np.prod(np.maximum(self.upsampling * np.array(self.shape), 2 * KERNEL_WIDTH)))


class PointTransform(_Transform):
    """At any points: type 3, from the wavenumbers to the points.

    Parameters
    ----------
    points : ndarray of float64, shape (n_points, d)
    """

    def __init__(self, points: np.ndarray, tolerance: float) -> None:
        ndim = points.shape[1]
        coordinates = [np.ascontiguousarray(x) for x in points.T]
        super().__init__(3, ndim, (points.shape[0],), np.zeros(ndim), coordinates, tolerance)

    def points(self, K: np.ndarray) -> tuple[np.ndarray | None, ...]:
        return *_with_opposites(K), *[None] * (3 - K.shape[1]), *self.coordinates

    def fine_size(self, K: np.ndarray) -> int:
        """Type 3 samples the box of wavenumbers times that of the points, and again for a type 2 inside it."""
        widths = np.array([np.ptp(x) / 2 for x in self.coordinates])
        outer = self.upsampling * 2 / np.pi * np.max(np.abs(K), axis=0) * widths + KERNEL_WIDTH
        return int(np.prod(self.upsampling * outer) + np.prod(outer))


def _with_opposites(points: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate([x, -x]) for x in points.T)


def _tell(function: Any, *arguments: Any) -> Any:
    """Call FINUFFT and put its refusals (a transform too large, most often) in the package's words."""
    try:
        return function(*arguments)
    except RuntimeError as error:
        raise ConfigError(f"feature_map = 'nufft': {error}; use 'separable' or 'dense'") from error
