"""Exponential sums over the wavenumbers k_j and their opposites -k_j, weighed by coordinates, and their adjoints.

For each of some fields at a time:

    synthesis   F(x) = sum_m x_m sum_j c+_mj exp(i k_j.(x - x_c)) + c-_mj exp(-i k_j.(x - x_c)),     m = 0 .. d, x_0 = 1
    analysis    G+_mj = sum_n x_m F(x_n) exp(-i k_j.(x_n - x_c)),     G-_mj  with the opposite sign

One plan runs both ways, so that analysis is the transpose of synthesis to rounding, whatever the tolerance.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

__all__ = ["Transform", "Workspace", "with_opposites"]

Points = TypeVar("Points")


class Workspace(ABC, Generic[Points]):
    """A plan and the arrays of one thread.

    FINUFFT's own threads are not used: they add to one fine grid in the order in which they happen to finish.

    Parameters
    ----------
    ndim : int
        Number of dimensions d.
    n_fields : int
        Number of fields that are transformed at a time.

    Attributes
    ----------
    coefficients : ndarray of complex128, shape (1 + d, n_fields, 2, n_f)
        c+ and c-, or G+ and G-, of each moment x_m.
    """

    _plan: Any

    def __init__(self, ndim: int, n_fields: int) -> None:
        self.n_fields = n_fields
        self._points: Points | None = None
        self.coefficients = np.zeros((1 + ndim, n_fields, 2, 0), dtype=np.complex128)

    def set_points(self, points: Points, n_features: int) -> None:
        """Sort the wavenumbers, given as `Transform.points` returns them, unless they are those of the last call."""
        if points is not self._points:
            self._sort(points)
            self._points = points
            self.coefficients = np.zeros((*self.coefficients.shape[:-1], n_features), dtype=np.complex128)

    @abstractmethod
    def _sort(self, points: Points) -> None:
        """Give the plan its points."""

    @abstractmethod
    def synthesize(self, moments: int) -> np.ndarray:
        """Return F, shape (n_fields, *points), from `coefficients`: from the first moment only, or from all 1 + d."""

    @abstractmethod
    def analyze(self, fields: np.ndarray, moments: int) -> None:
        """Write the sums of F to `coefficients`: the first moment only, or all 1 + d."""

    def _execute(self, moment: int) -> np.ndarray:
        """Run the plan from the coefficients of a moment."""
        result: np.ndarray = self._plan.execute(self.coefficients[moment].reshape(self.n_fields, -1))
        return result

    def _execute_adjoint(self, values: np.ndarray, moment: int) -> None:
        """Run the plan backwards, to the coefficients of a moment."""
        self._plan.execute_adjoint(values, out=self.coefficients[moment].reshape(self.n_fields, -1))


class Transform(ABC, Generic[Points]):
    """The points at which the sums are taken, and the tolerance.

    Attributes
    ----------
    shape : tuple of int
        Shape of a field at the points.
    centre : ndarray of float64, shape (d,)
        The centre x_c.
    """

    shape: tuple[int, ...]
    centre: np.ndarray

    @abstractmethod
    def points(self, K: np.ndarray) -> Points:
        """Return the wavenumbers K, shape (n_f, d), in the form that `Workspace.set_points` takes."""

    @abstractmethod
    def size(self, points: Points) -> int:
        """Return about how many complex numbers a workspace holds for each of its fields."""

    @abstractmethod
    def workspace(self, n_fields: int) -> Workspace[Points]:
        """Return a new workspace."""


def with_opposites(points: np.ndarray) -> Sequence[np.ndarray]:
    """Return, for each of the d coordinates, those of the points and after them those of their opposites."""
    return [np.concatenate([x, -x]) for x in points.T]
