"""The field between samples on a grid, some axes of which do not repeat: what a fit is compared with there.

Axis by axis, since the grid is a tensor product: the truncated Fourier series where an axis repeats, elsewhere the
method that best predicts samples left out (`line_interpolation`).
"""

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.spectrum.grid import Grid
from simsnn_ref.spectrum.line_interpolation import (
    Choice,
    choose_line_method,
    from_lines,
    interpolate_lines,
    lines_along,
)

__all__ = ["GridInterpolant"]

Basis: TypeAlias = Callable[[np.ndarray], Any]
"""From positions (m,) along an axis to the functions of a sum there, (m, k)."""

BLOCK = 2**21
"""Numbers in a block of weights or of values at points."""


class GridInterpolant:
    """A function of physical points that goes through samples.

    Parameters
    ----------
    samples : ndarray of float64, shape grid.shape
    grid : Grid

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 33)
    >>> field = GridInterpolant(np.exp(x), Grid(33, 0.0, 1.0, periodic=False))
    >>> bool(abs(field(np.asarray([[0.3]]))[0] - np.exp(0.3)) < 1e-13)
    True
    """

    def __init__(self, samples: np.ndarray, grid: Grid) -> None:
        self.samples, self.grid = samples, grid
        self.choices: tuple[Choice | None, ...] = tuple(
            None if periodic else choose_line_method(x, lines_along(samples, axis))
            for axis, (x, periodic) in enumerate(zip(grid.scaled_axes(), grid.periodic, strict=True))
        )
        """Per axis the method; None where the axis repeats."""

    @cached_property
    def _sum(self) -> tuple[np.ndarray, list[Basis]]:
        """Coefficients, and per axis the functions: the interpolant is the sum of the products of both."""
        coefficients = self.samples
        bases: list[Basis] = []
        for axis, (x, choice) in enumerate(zip(self.grid.scaled_axes(), self.choices, strict=True)):
            if choice is None:
                bases.append(partial(_dirichlet, n=len(x)))
                continue
            line = interpolate_lines(choice.name, x, lines_along(coefficients, axis))
            coefficients = from_lines(line.coefficients, axis, coefficients.shape)
            bases.append(line.basis)
        return coefficients, bases

    def on(self, grid: Grid) -> np.ndarray:
        """Values on another grid of the same box, float64 of shape grid.shape; those at samples are the samples."""
        values, bases = self._sum
        for axis, (x, basis) in enumerate(zip(grid.scaled_axes(), bases, strict=True)):
            values = from_lines(basis(x) @ lines_along(values, axis), axis, values.shape)
        values = np.ascontiguousarray(values)
        pairs = list(zip(self.grid.intervals, grid.intervals, strict=True))
        if all(new % old == 0 for old, new in pairs):
            values[tuple(slice(None, None, new // old) for old, new in pairs)] = self.samples
        return values

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at physical points (n, d), float64 of shape (n,)."""
        scaled = np.asarray(self.grid.box.to_scaled(points), dtype=np.float64)
        coefficients, _ = self._sum
        block = max(1, BLOCK // math.prod(coefficients.shape[1:]))
        return np.concatenate([self._at(scaled[start : start + block]) for start in range(0, len(scaled), block)])

    def _at(self, points: np.ndarray) -> np.ndarray:
        values, (first, *others) = self._sum
        shape = values.shape[1:]
        values = np.asarray(first(points[:, 0]) @ values.reshape(len(values), -1)).reshape(len(points), *shape)
        for axis, basis in enumerate(others, start=1):
            there = basis(points[:, axis])
            values = np.einsum("ij,ij...->i...", there @ np.eye(values.shape[1]), values)
        return values


def _dirichlet(positions: np.ndarray, n: int) -> np.ndarray:
    """Weights of n samples that repeat, at positions in [-1, 1): trigonometric interpolation in barycentric form.

    (-1)^j / sin(t_j) for odd n and (-1)^j / tan(t_j) for even n, t_j half the phase between position and sample,
    over their sum (Henrici, Numer. Math. 33, 1979).
    """
    cells = (positions + 1.0) * n / 2.0
    half_phase = np.pi * (cells[:, np.newaxis] - np.arange(n)) / n
    is_sample = np.abs(np.remainder(cells[:, np.newaxis] - np.arange(n) + n / 2.0, n) - n / 2.0) < 1e-12
    half_phase[is_sample] = 1.0
    signs = np.where(np.arange(n) % 2, -1.0, 1.0)
    weights = signs / (np.sin(half_phase) if n % 2 else np.tan(half_phase))
    weights[np.any(is_sample, axis=1)] = 0.0
    weights[is_sample] = 1.0
    scaled: np.ndarray = weights / np.sum(weights, axis=1, keepdims=True)
    return scaled
