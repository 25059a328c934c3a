"""Sums at the points of a uniform grid: FINUFFT spreads, and the fast Fourier transforms go axis by axis.

Along an axis of N points numbered q from x_c, h apart, with n >= sigma N, t_j = n k_j h / 2 pi and FINUFFT's phi,

    exp(i k_j h q) = (1 / phihat(q)) sum_l phi(l - t_j) exp(2 pi i l q / n),
    phihat(q)      = int phi(s) exp(2 pi i s q / n) ds

to within the tolerance: a nonuniform transform of type 1, as FINUFFT computes it. FINUFFT's own Fourier transforms are
of the whole fine grid; these leave most of it out:

- Wavenumbers hardly ever reach the Nyquist number. l runs over L < n numbers then, and an axis is transformed only for
  those numbers l of the axes that are still to come.
- Of the n points of a period only N are kept before the next axis follows.
- x_m F differs from F along one axis: all 1 + d moments need one transform of the last axis more than F does, not d.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import fft

from simsnn_ref.spectrum import PI, Grid
from simsnn_ref_finufft.plans import KERNEL_WIDTH, call_finufft, least_upsampling, make_plan
from simsnn_ref_finufft.workspace import Transform, Workspace, with_opposites

__all__ = ["GridTransform"]

Index: TypeAlias = tuple[slice, ...]

KERNEL_STEPS = 64
"""Points of the midpoint rule for the integral phihat, per point of the fine grid; phi falls to the tolerance before it
ends."""

LATTICE_STEP = 8
"""L is an odd multiple of this step, so that training rarely changes it; with even multiples columns would share the
same lines of the cache."""


@dataclass(frozen=True)
class LatticePoints:
    """Wavenumbers as places on the lattice that they are spread on.

    Attributes
    ----------
    lattice : tuple of d int
        L of each axis.
    angles : sequence of d ndarray of float64, shape (2 n_f,)
        2 pi t / L in [-pi, pi], for the wavenumbers and then for their opposites.
    """

    lattice: tuple[int, ...]
    angles: tuple[np.ndarray, ...]


class GridTransform(Transform[LatticePoints]):
    """Sums at the points of a uniform grid; x_c is the point with the number floor(N/2) along each axis.

    It is 0 on a periodic grid with N even, and never more than a spacing from 0, so that phases k.x_c stay small.

    Raises
    ------
    ConfigError
        If FINUFFT does not reach the tolerance.
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
        """Return the places, from angles reduced in long double: a phase is up to N/2 angles, errors included."""
        turns = K * self._spacings / (2 * PI)
        turns -= np.rint(turns)
        fine = np.array([axis.n_fine for axis in self.axes])
        reach = np.ceil(np.max(np.abs(turns), axis=0) * fine).astype(int) + KERNEL_WIDTH // 2 + 1
        steps = -(-2 * reach // LATTICE_STEP)
        lattice = np.clip(LATTICE_STEP * (steps + 1 - steps % 2), 2 * KERNEL_WIDTH, fine)
        angles = (turns * (2 * PI * fine / lattice)).astype(np.float64)
        return LatticePoints(tuple(int(n) for n in lattice), tuple(with_opposites(angles)))

    def size(self, points: LatticePoints) -> int:
        """Return three times the size of the largest array: one axis before, in and after its transform."""
        transformed = [
            int(np.prod(self.shape[:a])) * axis.n_fine * int(np.prod(points.lattice[a + 1 :]))
            for a, axis in enumerate(self.axes)
        ]
        return 3 * max(transformed)

    def workspace(self, n_fields: int) -> "_GridWorkspace":
        return _GridWorkspace(self, n_fields)


class _GridWorkspace(Workspace[LatticePoints]):
    def __init__(self, transform: GridTransform, n_fields: int) -> None:
        super().__init__(len(transform.shape), n_fields)
        self._axes = transform.axes
        self._tolerance, self._upsampling = transform.tolerance, transform.upsampling
        self._lattice: tuple[int, ...] = ()

    def _sort(self, points: LatticePoints) -> None:
        if points.lattice != self._lattice:
            self._plan = _spreading_plan(points.lattice, self._tolerance, self._upsampling, self.n_fields)
            self._lattice = points.lattice
        call_finufft(self._plan.setpts, *points.angles)

    def synthesize(self, moments: int) -> np.ndarray:
        """Transform from the first axis to the last; the sum with x_m joins at its own axis."""
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
        """Transform from the last axis to the first, as the adjoint; x_m F branches off at its own axis."""
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
    """Transforms along one axis, between L numbers l of the lattice and N points q; both count from -floor(./2) on.

    Attributes
    ----------
    position : int
        Position of the axis in the arrays, whose first axis counts fields.
    n_fine : int
        The period n. It is even, for L may be n, and FINUFFT has its origin at L/2.
    weight, moment : ndarray of complex128, shape (1, 1, .., N, .., 1)
        1 / phihat(q) and x_q / phihat(q). They are real; but a product of both types takes NumPy three times as long.
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
        """Return weight(q) sum_l lattice(l) exp(2 pi i l q / n)."""
        cyclic = self._cyclic(lattices)
        for centred, wrapped in self._halves(lattices.shape[self.position]):
            cyclic[wrapped] = lattices[centred]
        cyclic = fft.ifft(cyclic, axis=self.position, norm="forward", overwrite_x=True)
        fields = self._empty(cyclic, weight.size)
        for centred, wrapped in self._halves(weight.size):
            np.multiply(weight[centred], cyclic[wrapped], out=fields[centred])
        return fields

    def analyze(self, fields: np.ndarray, weight: np.ndarray, n_lattice: int) -> np.ndarray:
        """Return sum_q weight(q) field(q) exp(-2 pi i l q / n), the adjoint of `synthesize`."""
        cyclic = self._cyclic(fields)
        for centred, wrapped in self._halves(weight.size):
            np.multiply(weight[centred], fields[centred], out=cyclic[wrapped])
        cyclic = fft.fft(cyclic, axis=self.position, overwrite_x=True)
        lattices = self._empty(cyclic, n_lattice)
        for centred, wrapped in self._halves(n_lattice):
            lattices[centred] = cyclic[wrapped]
        return lattices

    def _cyclic(self, values: np.ndarray) -> np.ndarray:
        """Return an array for n numbers in the order of the transform, with zeros between the halves of `values`."""
        n = values.shape[self.position]
        cyclic = self._empty(values, self.n_fine)
        cyclic[self._slice(n - n // 2, self.n_fine - n // 2)] = 0.0
        return cyclic

    def _halves(self, n: int) -> tuple[tuple[Index, Index], tuple[Index, Index]]:
        """Return the slices of the numbers from 0 on, and of those below 0, in -floor(n/2) .. and in the transform."""
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
    """Return a plan that spreads on the lattice and, as its adjoint, interpolates; l stands at l + L/2, L is even."""
    return make_plan(1, lattice, tolerance, upsampling, n_fields, spreadinterponly=1)


def _kernel(ndim: int, upsampling: float, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the kernel is sampled, and phi there, which FINUFFT interpolates from a lattice with a single 1.

    That is done along one axis; the others each give a factor phi(0), which is 1 to rounding.
    """
    n = 2 * KERNEL_WIDTH
    s = (np.arange(KERNEL_STEPS * KERNEL_WIDTH) + 0.5) / KERNEL_STEPS - 0.5 * KERNEL_WIDTH
    plan = _spreading_plan((n,) * ndim, tolerance, upsampling)
    call_finufft(plan.setpts, 2.0 * np.pi * s / n, *[np.zeros_like(s)] * (ndim - 1))
    single = np.zeros((n,) * ndim, dtype=np.complex128)
    single[(n // 2,) * ndim] = 1.0
    return s, plan.execute_adjoint(single).real
