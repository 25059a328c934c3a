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

__all__ = ["Lane", "Transform", "with_opposites"]

Points = TypeVar("Points")


class Lane(ABC, Generic[Points]):
    """What one thread works with: a plan of its own and its arrays.

    Not FINUFFT's own threads, which add to one fine grid in the order they happen to finish.

    Parameters
    ----------
    ndim, n_fields : int
        d, and how many fields at a time.

    Attributes
    ----------
    coefficients : ndarray of complex128, shape (1 + d, fields, 2, n_f)
        c+ and c-, or G+ and G-, of each moment x_m.
    """

    _plan: Any

    def __init__(self, ndim: int, n_fields: int) -> None:
        self.n_fields = n_fields
        self._points: Points | None = None
        self.coefficients = np.zeros((1 + ndim, n_fields, 2, 0), dtype=np.complex128)

    def set_points(self, points: Points, n_features: int) -> None:
        """Sort the wavenumbers, as `Transform.points` gives them, once for all transforms until they change."""
        if points is not self._points:
            self._sort(points)
            self._points = points
            self.coefficients = np.zeros((*self.coefficients.shape[:-1], n_features), dtype=np.complex128)

    @abstractmethod
    def _sort(self, points: Points) -> None:
        """Give the plan its points."""

    @abstractmethod
    def synthesize(self, moments: int) -> np.ndarray:
        """F, shape (fields, *points), from the first so many moments of `coefficients`: one, or all 1 + d."""

    @abstractmethod
    def analyze(self, fields: np.ndarray, moments: int) -> None:
        """The first so many moments of F into `coefficients`: one, or all 1 + d."""

    def _execute(self, moment: int) -> np.ndarray:
        """The plan, from the coefficients of a moment."""
        result: np.ndarray = self._plan.execute(self.coefficients[moment].reshape(self.n_fields, -1))
        return result

    def _execute_adjoint(self, values: np.ndarray, moment: int) -> None:
        """The plan backwards, to the coefficients of a moment."""
        self._plan.execute_adjoint(values, out=self.coefficients[moment].reshape(self.n_fields, -1))


class Transform(ABC, Generic[Points]):
    """Where the sums are taken, and to what tolerance.

    Attributes
    ----------
    shape : tuple of int
        Of a field's points.
    centre : ndarray of float64, shape (d,)
        x_c.
    """

    shape: tuple[int, ...]
    centre: np.ndarray

    @abstractmethod
    def points(self, K: np.ndarray) -> Points:
        """What `Lane.set_points` takes for the wavenumbers K, shape (n_f, d)."""

    @abstractmethod
    def size(self, points: Points) -> int:
        """About how many complex numbers a lane holds for each of its fields."""

    @abstractmethod
    def lane(self, n_fields: int) -> Lane[Points]:
        """One more lane, for so many fields at a time."""


def with_opposites(points: np.ndarray) -> Sequence[np.ndarray]:
    """The d coordinates of the points and, after them, of their opposites."""
    return [np.concatenate([x, -x]) for x in points.T]
