"""Sums at any points: FINUFFT's transform of type 3, from the wavenumbers to the points."""

import numpy as np

from simsnn_ref_finufft.plans import KERNEL_WIDTH, call_finufft, least_upsampling, make_plan
from simsnn_ref_finufft.workspace import Transform, Workspace, with_opposites

__all__ = ["PointTransform"]


class PointTransform(Transform[tuple[np.ndarray, ...]]):
    """Sums at any points; x_c is the origin.

    Parameters
    ----------
    where : ndarray of float64, shape (n_points, d)
    tolerance : float
        Error of a transform in the 2-norm, relative to its result.

    Raises
    ------
    ConfigError
        If FINUFFT does not reach the tolerance.
    """

    def __init__(self, where: np.ndarray, tolerance: float) -> None:
        n_points, ndim = where.shape
        self.shape, self.centre = (n_points,), np.zeros(ndim)
        self.tolerance = tolerance
        self.upsampling = least_upsampling(3, ndim, tolerance)
        self.coordinates = [np.ascontiguousarray(x) for x in where.T]

    def points(self, K: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(with_opposites(K))

    def size(self, points: tuple[np.ndarray, ...]) -> int:
        """Return the size of both fine grids: type 3 spreads on one and has a type 2 with a finer one inside it."""
        widths = np.array([np.ptp(x) / 2 for x in self.coordinates])
        reach = np.array([np.max(np.abs(k)) for k in points])
        outer = self.upsampling * 2 / np.pi * reach * widths + KERNEL_WIDTH
        return int(np.prod(self.upsampling * outer) + np.prod(outer))

    def workspace(self, n_fields: int) -> "_PointWorkspace":
        return _PointWorkspace(self, n_fields)


class _PointWorkspace(Workspace[tuple[np.ndarray, ...]]):
    def __init__(self, transform: PointTransform, n_fields: int) -> None:
        super().__init__(len(transform.centre), n_fields)
        self._coordinates = transform.coordinates
        self._plan = make_plan(3, len(transform.centre), transform.tolerance, transform.upsampling, n_fields)

    def _sort(self, points: tuple[np.ndarray, ...]) -> None:
        call_finufft(self._plan.setpts, *points, *[None] * (3 - len(points)), *self._coordinates)

    def synthesize(self, moments: int) -> np.ndarray:
        """Do one transform for each moment."""
        fields = self._execute(0)
        for m in range(1, moments):
            fields += self._coordinates[m - 1] * self._execute(m)
        return fields

    def analyze(self, fields: np.ndarray, moments: int) -> None:
        """Do one transform for each moment."""
        for m in range(moments):
            weighed = fields if m == 0 else self._coordinates[m - 1] * fields
            self._execute_adjoint(weighed, m)
