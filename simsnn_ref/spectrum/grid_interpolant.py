"""The field between samples on a grid, some axes of which do not repeat: what a fit is compared with there.

Axis by axis, since the grid is a tensor product: the truncated Fourier series where an axis repeats, elsewhere the
method that best predicts samples left out (`line_interpolation`).
"""

import math
from functools import cached_property

import numpy as np

from simsnn_ref.spectrum.grid import Grid
from simsnn_ref.spectrum.line_interpolation import Choice, Line, choose_line_method, interpolate_lines, lines_along

__all__ = ["GridInterpolant"]

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

    def on(self, grid: Grid) -> np.ndarray:
        """Values on another grid of the same box, float64 of shape grid.shape; those at samples are the samples."""
        values = self.samples
        for axis, x in enumerate(grid.scaled_axes()):
            moved = np.moveaxis(values, axis, 0)
            line = self._line(axis, moved.reshape(len(moved), -1))
            values = np.moveaxis(line(x).reshape(len(x), *moved.shape[1:]), 0, axis)
        values = np.ascontiguousarray(values)
        strides = [new // old for new, old in zip(grid.intervals, self.grid.intervals, strict=True)]
        if all(
            old * stride == new for old, stride, new in zip(self.grid.intervals, strides, grid.intervals, strict=True)
        ):
            values[tuple(slice(None, None, stride) for stride in strides)] = self.samples
        return values

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at physical points (n, d), float64 of shape (n,)."""
        scaled = np.asarray(self.grid.box.to_scaled(points), dtype=np.float64)
        if self.grid.ndim == 1:
            return self._line(0, self.samples[:, np.newaxis])(scaled[:, 0])[:, 0]
        block = max(1, BLOCK // math.prod(self.grid.shape[1:]))
        return np.concatenate([self._at(scaled[start : start + block]) for start in range(0, len(scaled), block)])

    def _at(self, points: np.ndarray) -> np.ndarray:
        n, values = len(points), self.samples
        weights = [weigh(points[:, axis]) for axis, weigh in enumerate(self._weights)]
        values = np.asarray(weights[0] @ values.reshape(len(values), -1)).reshape(n, *values.shape[1:])
        for weight in weights[1:]:
            values = np.einsum("ij,ij...->i...", weight, values)
        return values

    @cached_property
    def _weights(self) -> list[Line]:
        """Per axis, from positions (m,) to the weights (m, n) of its samples, in which all methods are linear here."""
        return [self._line(axis, np.eye(n)) for axis, n in enumerate(self.grid.shape)]

    def _line(self, axis: int, values: np.ndarray) -> Line:
        choice = self.choices[axis]
        if choice is None:
            return lambda positions: _dirichlet(positions, len(values)) @ values
        return interpolate_lines(choice.name, self.grid.scaled_axes()[axis], values)


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
