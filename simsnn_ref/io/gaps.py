"""Missing values: filled on a grid by the smoothest continuation of the others, left out at scattered points."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import fft, ndimage, sparse
from scipy.sparse import linalg

from simsnn_ref.backend import EPS, binary_scale, host_array
from simsnn_ref.errors import DataError
from simsnn_ref.io.samples import LEAST_SAMPLES, check_range, check_samples
from simsnn_ref.spectrum import Scatter

__all__ = ["EDGE", "LOWEST", "check_scattered", "fill_gaps", "lines_without_gaps", "order_of", "without_gaps"]

TENSION = 1e-8
"""Weight of the first differences beside the second ones. It decides where these leave a plane free, as where a single
row has values; it is felt over 1 / sqrt(TENSION) points, more than a grid has."""

LOWEST, HIGHEST = 2, 5
"""Orders of the differences: a plate is of order 2, and beyond 5 smooth samples gain little for the time it takes."""

EDGE = 8.0
"""Distance from the samples, in points, within which differences of the higher order count for more than those of the
plate; alone they would carry the least noise of the samples far into a wide gap."""

MOST_DIMENSIONS = 3

LARGEST_DIRECT = {1: math.inf, 2: 1.5e6, 3: 1e5}
"""By dimension, largest number of unknowns times the square of the order that is solved for within seconds."""

MOST_ROUNDING = 0.03
"""Largest rounding of the equations relative to their smallest eigenvalue, that of the longest wave in a gap; about a
hundredth of it is what is then seen of rounding."""

MOST_LINES = 32
"""Lines that are filled to see what a field does at its seam."""

RELATIVE_RESIDUAL = 1e-9
"""Of the iteration in three dimensions. What is left is far below what tells a continuation from the field."""

MOST_ITERATIONS = 2000
"""Of the same; some hundred suffice for a hole of half the width of a cube of 64 points."""

PRECONDITIONER_SHIFT = 1e-2
"""Added to the eigenvalues k^4, in points^-4, of the operator without gaps: no wave in a gap is longer than the gap."""


def without_gaps(values: np.ndarray, periodic: Sequence[bool], name: str) -> tuple[np.ndarray, list[str]]:
    """Samples on a grid with their gaps filled by `fill_gaps`, and a note where there are any.

    Raises
    ------
    DataError
        If there are gaps between values out of range, as `check_range` has it.
    """
    missing = int(np.count_nonzero(np.isnan(values)))
    if not missing:
        return values, []
    check_range(values[~np.isnan(values)])
    note = (
        f"{name}: {missing} of {values.size} values are missing; their gaps are filled by the smoothest continuation of"
        " the others, so that predictions there are interpolation (--gaps error refuses gaps)"
    )
    return fill_gaps(values, periodic), [note]


def lines_without_gaps(values: np.ndarray, axis: int) -> np.ndarray:
    """Lines of samples along an axis, shape (n, m), that tell whether the field goes on across the seam.

    That is all lines without gaps; where there are none, some of those that have samples at both ends, each filled by
    itself: a gap at the seam would be filled as what is to be found out says.

    Examples
    --------
    >>> lines_without_gaps(np.asarray([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]), 0).tolist()
    [[1.0, 3.0], [4.0, 6.0]]
    """
    lines = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    missing = np.isnan(lines)
    whole = ~np.any(missing, axis=0)
    if np.any(whole):
        return lines[:, whole]
    near = len(lines) // 4
    at_ends = ~np.any(missing[[*range(near), *range(-near, 0)]], axis=0)
    enough = np.count_nonzero(~missing, axis=0) >= LEAST_SAMPLES
    chosen = np.flatnonzero(at_ends & enough) if np.any(at_ends & enough) else np.flatnonzero(enough)
    if not len(chosen):
        return np.moveaxis(fill_gaps(values, (False,) * values.ndim), axis, 0).reshape(lines.shape)
    some = chosen[np.unique(np.linspace(0, len(chosen) - 1, MOST_LINES).astype(int))]
    return np.stack([fill_gaps(line, (False,)) for line in lines[:, some].T], axis=1)


def check_scattered(
    values: Any, scatter: Scatter, name: str = "values", *, gaps: str = "fit"
) -> tuple[np.ndarray, Scatter, list[str]]:
    """Values at scattered points as a finite float64 array, points without a value left out, and notes.

    Points that are one but for rounding become one, with the mean of their values.

    Parameters
    ----------
    values : array_like of shape (n,)
    gaps : str, one of `GAPS`

    Raises
    ------
    DataError
        As `check_samples` and `Scatter.check_values` do, and if fewer than 4 points are left.
    """
    values = host_array(values, name)
    scatter.check_values(values)
    array, notes = check_samples(values, name, gaps=gaps)
    missing = np.isnan(array)
    if np.any(missing):
        count = int(np.count_nonzero(missing))
        notes.append(f"{name}: {count} of {array.size} values are missing; their points are left out")
        array, scatter = array[~missing], scatter.subset(~missing)
    kept, place, counts = np.unique(scatter.first_at_place(), return_inverse=True, return_counts=True)
    if len(kept) < scatter.size:
        # Differences, so that the mean of equal values is that value.
        differences = array - array[kept][place]
        notes.append(
            f"points: {scatter.size - len(kept)} of {scatter.size} are at the place of another one; the values there,"
            f" which differ by up to {np.max(np.abs(differences)):.2g}, are averaged"
        )
        array = array[kept] + np.bincount(place, differences) / counts
        scatter = scatter.subset(kept)
    if scatter.size < LEAST_SAMPLES:
        raise DataError(f"points: {scatter.size} with a value each are left, a fit needs at least {LEAST_SAMPLES}")
    return array, scatter, notes


def fill_gaps(values: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """The smoothest continuation of samples on a uniform grid into their gaps.

    That is the minimum of the sum of all squared second differences, mixed ones counted twice, as of a thin plate that
    is held at the samples, and of those of a higher order beside them: where the samples are smooth enough for that to
    predict them, the plate then leaves the edge of a gap without a kink. Ends of an axis are free. Lengths count in
    points.

    Parameters
    ----------
    values : ndarray of float64, 1 to 3 dimensions
        NaN where there is no sample.
    periodic : sequence of d bools
        Whether an axis goes round.

    Returns
    -------
    ndarray of float64
        The samples to the bit, and finite values in between.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.linspace(0.0, 1.0, 9)
    >>> bool(np.allclose(fill_gaps(np.where(np.abs(line - 0.6) < 0.2, np.nan, line), [False]), line, rtol=1e-12))
    True
    """
    missing = np.isnan(values).ravel()
    # Relative to one of the samples a constant is filled to the bit; a power of two keeps the squares in range.
    origin = values.ravel()[~missing][0]
    relative = values - origin
    scale = binary_scale(relative)
    relative = relative / scale
    known = relative.ravel()[~missing]
    operator: Any = 0.0
    right = np.zeros(np.count_nonzero(missing))
    for weight, differences in _differences(values.shape, tuple(periodic), order_of(relative)):
        unknown = differences[:, missing]
        operator = operator + weight * (unknown.T @ unknown)
        right -= weight * (unknown.T @ (differences[:, ~missing] @ known))
    filled = values.ravel().copy()
    filled[missing] = origin + scale * _solve(sparse.csc_array(operator), right, missing.reshape(values.shape))
    return filled.reshape(values.shape)


def order_of(values: np.ndarray) -> int:
    """Order of the differences that are smallest between neighbouring samples, 2 to `HIGHEST`: noise grows with it.

    It is less where so many unknowns would take too long, where an axis has too few points, and where rounding would be
    felt in a gap as wide as the widest one.
    """
    missing = np.isnan(values)
    count = int(np.count_nonzero(missing))
    wave = math.pi / (2.0 * float(np.max(ndimage.distance_transform_edt(missing))))
    highest = min(HIGHEST, *(n - 1 for n in values.shape))
    while highest > LOWEST and (
        highest**2 * count > LARGEST_DIRECT[values.ndim]
        or EPS * (4.0 * values.ndim) ** highest * EDGE ** (2 * (highest - LOWEST)) > MOST_ROUNDING * wave**4
    ):
        highest -= 1
    sizes = []
    for order in range(LOWEST, highest + 1):
        differences = [np.diff(values, n=order, axis=axis) for axis in range(values.ndim)]
        there = [part[np.isfinite(part)] for part in differences]
        sizes.append(max(float(np.mean(part**2)) if part.size else np.inf for part in there))
    return LOWEST + int(np.argmin(sizes))


def _differences(shape: tuple[int, ...], periodic: tuple[bool, ...], order: int) -> Iterator[tuple[float, Any]]:
    """The differences whose squares are summed, as sparse matrices on the grid, each with its weight."""
    weights = {1: TENSION, LOWEST: 1.0}
    if order > LOWEST:
        weights[order] = EDGE ** (2 * (order - LOWEST))
    for total, weight in weights.items():
        for orders in itertools.product(range(total + 1), repeat=len(shape)):
            if sum(orders) == total:
                product: Any = sparse.eye_array(1)
                for n, goes_round, one in zip(shape, periodic, orders, strict=True):
                    product = sparse.kron(product, _difference(n, goes_round, one), format="csr")
                times = math.factorial(total) // math.prod(map(math.factorial, orders))
                yield weight * times, sparse.csc_array(product)


def _difference(n: int, periodic: bool, order: int) -> Any:
    """The matrix of the differences of an order along an axis of `n` points."""
    matrix: Any = sparse.eye_array(n, format="csr")
    for _ in range(order):
        rows = matrix.shape[0]
        step = sparse.eye_array(rows, k=1) - sparse.eye_array(rows)
        matrix = ((step + sparse.eye_array(rows, k=1 - rows)) if periodic else step.tocsr()[:-1]) @ matrix
    return matrix


def _solve(operator: Any, right: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Directly; by conjugate gradients where the factors would fill up, as in large gaps in three dimensions."""
    if missing.ndim < MOST_DIMENSIONS or LOWEST**2 * len(right) <= LARGEST_DIRECT[MOST_DIMENSIONS]:
        options = {"SymmetricMode": True}
        factors = linalg.splu(operator, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        return factors.solve(right)
    # The operator on the grid without gaps is close to diagonal in cosines.
    waves = [4.0 * np.sin(0.5 * np.pi * np.arange(n) / n) ** 2 for n in missing.shape]
    inverse = 1.0 / (sum(np.meshgrid(*waves, indexing="ij")) ** 2 + PRECONDITIONER_SHIFT)

    def precondition(residual: np.ndarray) -> np.ndarray:
        whole = np.zeros(missing.shape)
        whole[missing] = residual
        smooth: np.ndarray = fft.idctn(inverse * fft.dctn(whole, norm="ortho"), norm="ortho")[missing]
        return smooth

    preconditioner = linalg.LinearOperator(operator.shape, matvec=precondition, dtype=np.float64)
    solution, _ = linalg.cg(
        sparse.csr_array(operator), right, rtol=RELATIVE_RESIDUAL, maxiter=MOST_ITERATIONS, M=preconditioner
    )
    return solution
