"""The sums at the points of a uniform grid: FINUFFT spreads, and the fast Fourier transforms go axis by axis.

Along an axis of N points numbered q from x_c, h apart, with n >= sigma N, t_j = n k_j h / 2 pi and FINUFFT's phi,

    exp(i k_j h q) = (1 / phihat(q)) sum_l phi(l - t_j) exp(2 pi i l q / n),
    phihat(q)      = int phi(s) exp(2 pi i s q / n) ds

to within the tolerance: a non-uniform transform of type 1, as FINUFFT computes it. Its transforms cannot be told what
to leave out, and these leave out most:

- Wavenumbers hardly ever reach the Nyquist number. l runs over L < n numbers then, and an axis is transformed for those
  alone of the axes that are still to come.
- Of the n points of a period only N are kept before the next axis follows.
- x_m F differs from F along one axis: all 1 + d moments need one transform of the last axis more than F does, not d.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import fft

from simsnn_ref.spectrum import PI, Grid
from simsnn_ref_finufft.lane import Lane, Transform, with_opposites
from simsnn_ref_finufft.plans import KERNEL_WIDTH, least_upsampling, make_plan, tell

__all__ = ["GridTransform"]

Index: TypeAlias = tuple[slice, ...]

KERNEL_STEPS = 64
"""Of the rule for the integral phihat, per point of the fine grid; phi falls to the tolerance before it ends."""

LATTICE_STEP = 8
"""L is an odd multiple, so that training rarely changes it; even ones make columns meet in the same lines of the
cache."""


@dataclass(frozen=True)
class LatticePoints:
    """Wavenumbers on the lattice of what is spread.

    Attributes
    ----------
    lattice : tuple of d int
        L per axis.
    angles : sequence of d ndarray of float64, shape (2 n_f,)
        2 pi t / L in [-pi, pi], of the wavenumbers and of their opposites.
    """

    lattice: tuple[int, ...]
    angles: tuple[np.ndarray, ...]


class GridTransform(Transform[LatticePoints]):
    """On a uniform grid; x_c is the point number floor(N/2).

    It is 0 on a periodic grid with N even, and never more than a spacing from it, so that phases k.x_c stay small.

    Raises
    ------
    ConfigError
        If FINUFFT would not honour the tolerance.
    """

    def __init__(self, grid: Grid, tolerance: float) -> None:
        intervals = np.array(grid.intervals)
        self.shape = grid.shape
        self.centre = (2 * (np.array(grid.shape) // 2) - intervals) / intervals
        self.tolerance = tolerance
        self.upsampling = least_upsampling(1, grid.ndim, tolerance)
        self._spacings = np.longdouble(2) / intervals
        kernel = _kernel(grid.ndim, self.upsampling, tolerance)
        self.axes = tuple(
            _Axis.along(axis, x, grid.ndim, self.upsampling, kernel)
            for axis, x in enumerate(grid.scaled_axes(), start=1)
        )

    def points(self, K: np.ndarray) -> LatticePoints:
        """Angles reduced in long double: up to N/2 of them are added, and so are their errors."""
        turns = K * self._spacings / (2 * PI)
        turns -= np.rint(turns)
        fine = np.array([axis.n_fine for axis in self.axes])
        reach = np.ceil(np.max(np.abs(turns), axis=0) * fine).astype(int) + KERNEL_WIDTH // 2 + 1
        steps = -(-2 * reach // LATTICE_STEP)
        lattice = np.clip(LATTICE_STEP * (steps + 1 - steps % 2), 2 * KERNEL_WIDTH, fine)
        angles = (turns * (2 * PI * fine / lattice)).astype(np.float64)
        return LatticePoints(tuple(int(n) for n in lattice), tuple(with_opposites(angles)))

    def size(self, points: LatticePoints) -> int:
        """Three of the largest array: an axis before, in and after its transform."""
        transformed = [
            int(np.prod(self.shape[:a])) * axis.n_fine * int(np.prod(points.lattice[a + 1 :]))
            for a, axis in enumerate(self.axes)
        ]
        return 3 * max(transformed)

    def lane(self, n_fields: int) -> "_GridLane":
        return _GridLane(self, n_fields)


class _GridLane(Lane[LatticePoints]):
    def __init__(self, transform: GridTransform, n_fields: int) -> None:
        super().__init__(len(transform.shape), n_fields)
        self._axes = transform.axes
        self._tolerance, self._upsampling = transform.tolerance, transform.upsampling
        self._lattice: tuple[int, ...] = ()

    def _sort(self, points: LatticePoints) -> None:
        if points.lattice != self._lattice:
            self._plan = _spreading_plan(points.lattice, self._tolerance, self._upsampling, self.n_fields)
            self._lattice = points.lattice
        tell(self._plan.setpts, *points.angles)

    def synthesize(self, moments: int) -> np.ndarray:
        """The transpose of `analyze`: each x_m joins at its own axis, the first is the last there."""
        fields = self._execute(0)
        for a, axis in enumerate(self._axes):
            fields = axis.synthesize(fields, axis.weight)
            if moments > 1:
                branch = self._execute(1 + a)
                for lower in self._axes[:a]:
                    branch = lower.synthesize(branch, lower.weight)
                fields += axis.synthesize(branch, axis.moment)
        return fields

    def analyze(self, fields: np.ndarray, moments: int) -> None:
        """From the last axis to the first; x_m branches off at its own axis."""
        for a in reversed(range(len(self._axes))):
            axis = self._axes[a]
            if moments > 1:
                branch = axis.analyze(fields, axis.moment, self._lattice[a])
                for lower in reversed(range(a)):
                    branch = self._axes[lower].analyze(branch, self._axes[lower].weight, self._lattice[lower])
                self._execute_adjoint(branch, 1 + a)
            fields = axis.analyze(fields, axis.weight, self._lattice[a])
        self._execute_adjoint(fields, 0)


@dataclass(frozen=True)
class _Axis:
    """Transforms along one axis, between L numbers l of the lattice and N points q, both from -floor(./2) on.

    n is even: FINUFFT's origin is at L/2, and L may be n.

    Attributes
    ----------
    position : int
        Of the axis in the arrays, whose first axis counts fields.
    n_fine : int
        n.
    weight, moment : ndarray of complex128, shape (1, 1, .., N, .., 1)
        1 / phihat(q) and x_q / phihat(q). Real, but NumPy takes three times as long for products of both types.
    """

    position: int
    n_fine: int
    weight: np.ndarray
    moment: np.ndarray

    @classmethod
    def along(
        cls, position: int, x: np.ndarray, ndim: int, upsampling: float, kernel: tuple[np.ndarray, np.ndarray]
    ) -> "_Axis":
        n_fine = 2 * fft.next_fast_len(max(int(np.ceil(0.5 * upsampling * x.size)), KERNEL_WIDTH))
        q, (s, phi) = np.arange(x.size) - x.size // 2, kernel
        weight = KERNEL_STEPS / (np.cos(2.0 * np.pi / n_fine * q[:, None] * s) @ phi)
        shape = tuple(-1 if axis == position else 1 for axis in range(1 + ndim))
        return cls(position, n_fine, (weight + 0j).reshape(shape), (x * weight + 0j).reshape(shape))

    def synthesize(self, lattices: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """weight(q) sum_l lattice(l) exp(2 pi i l q / n)."""
        cyclic = self._cyclic(lattices)
        for centred, wrapped in self._halves(lattices.shape[self.position]):
            cyclic[wrapped] = lattices[centred]
        cyclic = fft.ifft(cyclic, axis=self.position, norm="forward", overwrite_x=True)
        fields = self._empty(cyclic, weight.size)
        for centred, wrapped in self._halves(weight.size):
            np.multiply(weight[centred], cyclic[wrapped], out=fields[centred])
        return fields

    def analyze(self, fields: np.ndarray, weight: np.ndarray, n_lattice: int) -> np.ndarray:
        """sum_q weight(q) field(q) exp(-2 pi i l q / n): the transpose but for the sign of i."""
        cyclic = self._cyclic(fields)
        for centred, wrapped in self._halves(weight.size):
            np.multiply(weight[centred], fields[centred], out=cyclic[wrapped])
        cyclic = fft.fft(cyclic, axis=self.position, overwrite_x=True)
        lattices = self._empty(cyclic, n_lattice)
        for centred, wrapped in self._halves(n_lattice):
            lattices[centred] = cyclic[wrapped]
        return lattices

    def _cyclic(self, values: np.ndarray) -> np.ndarray:
        """For n numbers in the order of the transform, with zeros where the halves of `values` do not reach."""
        n = values.shape[self.position]
        cyclic = self._empty(values, self.n_fine)
        cyclic[self._slice(n - n // 2, self.n_fine - n // 2)] = 0.0
        return cyclic

    def _halves(self, n: int) -> tuple[tuple[Index, Index], tuple[Index, Index]]:
        """Where the numbers from 0 on, and those below 0, are: among n from -floor(n/2) on, and in the transform."""
        below = n // 2
        return (
            (self._slice(below, n), self._slice(0, n - below)),
            (self._slice(0, below), self._slice(self.n_fine - below, self.n_fine)),
        )

    def _slice(self, start: int, stop: int) -> Index:
        return (*(slice(None),) * self.position, slice(start, stop))

    def _empty(self, like: np.ndarray, n: int) -> np.ndarray:
        shape = (*like.shape[: self.position], n, *like.shape[self.position + 1 :])
        return np.empty(shape, dtype=np.complex128)


def _spreading_plan(lattice: tuple[int, ...], tolerance: float, upsampling: float, n_fields: int = 1) -> Any:
    """Spreads on the lattice, and interpolates from it as its adjoint; the number l is at l + L/2, L even."""
    return make_plan(1, lattice, tolerance, upsampling, n_fields, spreadinterponly=1)


def _kernel(ndim: int, upsampling: float, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the kernel is sampled, and phi there: what FINUFFT interpolates, along one axis, from a single one.

    The other axes each give phi(0), which is 1 to rounding.
    """
    n = 2 * KERNEL_WIDTH
    s = (np.arange(KERNEL_STEPS * KERNEL_WIDTH) + 0.5) / KERNEL_STEPS - 0.5 * KERNEL_WIDTH
    plan = _spreading_plan((n,) * ndim, tolerance, upsampling)
    tell(plan.setpts, 2.0 * np.pi * s / n, *[np.zeros_like(s)] * (ndim - 1))
    single = np.zeros((n,) * ndim, dtype=np.complex128)
    single[(n // 2,) * ndim] = 1.0
    return s, plan.execute_adjoint(single).real
