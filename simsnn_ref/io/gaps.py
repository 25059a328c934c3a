"""Missing values: filled on a grid by the smoothest continuation of the others, left out at scattered points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import fft, sparse
from scipy.sparse import linalg

from simsnn_ref.backend import host_array
from simsnn_ref.errors import DataError
from simsnn_ref.io.samples import LEAST_SAMPLES, check_samples
from simsnn_ref.spectrum import Scatter

__all__ = ["check_scattered", "fill_gaps", "without_gaps"]

TENSION = 1e-8
"""Weight of the first differences beside the second ones. It decides where these leave a plane free, as where a single
row has values; it is felt over 1 / sqrt(TENSION) points, more than a grid has."""

RELATIVE_RESIDUAL = 1e-9
"""Of the iteration in three dimensions. What is left is far below what tells a continuation from the field."""

MOST_ITERATIONS = 2000
"""Of the same; some hundred suffice for a hole of half the width of a cube of 64 points."""

PRECONDITIONER_SHIFT = 1e-2
"""Added to the eigenvalues k^4, in points^-4, of the operator without gaps: no wave in a gap is longer than the gap."""


def without_gaps(values: np.ndarray, periodic: Sequence[bool], name: str) -> tuple[np.ndarray, list[str]]:
    """Samples on a grid with their gaps filled by `fill_gaps`, and a note where there are any."""
    missing = int(np.count_nonzero(np.isnan(values)))
    if not missing:
        return values, []
    note = (
        f"{name}: {missing} of {values.size} values are missing; their gaps are filled by the smoothest continuation of"
        " the others, so that predictions there are interpolation (--gaps error refuses gaps)"
    )
    return fill_gaps(values, periodic), [note]


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
    is held at the samples: the discrete biharmonic equation, with natural conditions at the ends of an axis. Lengths
    count in points.

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
    # Relative to one of the samples, a constant is filled to the bit.
    origin = values.ravel()[~missing][0]
    known = (values.ravel() - origin)[~missing]
    operator: Any = 0.0
    right = np.zeros(np.count_nonzero(missing))
    for weight, differences in _differences(values.shape, tuple(periodic)):
        unknown = differences[:, missing]
        operator = operator + weight * (unknown.T @ unknown)
        right -= weight * (unknown.T @ (differences[:, ~missing] @ known))
    filled = values.ravel().copy()
    filled[missing] = origin + _solve(sparse.csc_array(operator), right, missing.reshape(values.shape))
    return filled.reshape(values.shape)


def _differences(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> list[tuple[float, Any]]:
    """The differences whose squares are summed, as sparse matrices on the grid, each with its weight."""
    first = [_first_difference(n, goes_round) for n, goes_round in zip(shape, periodic, strict=True)]
    second = [_second_difference(n, goes_round) for n, goes_round in zip(shape, periodic, strict=True)]
    terms = []
    for i in range(len(shape)):
        terms.append((1.0, _along(shape, {i: second[i]})))
        terms.append((TENSION, _along(shape, {i: first[i]})))
        terms += [(2.0, _along(shape, {i: first[i], j: first[j]})) for j in range(i)]
    return terms


def _first_difference(n: int, periodic: bool) -> Any:
    step = sparse.eye_array(n, k=1) - sparse.eye_array(n)
    return (step + sparse.eye_array(n, k=1 - n)) if periodic else step.tocsr()[:-1]


def _second_difference(n: int, periodic: bool) -> Any:
    step = _first_difference(n, periodic)
    return -(step.T @ step) if periodic else _first_difference(n - 1, False) @ step


def _along(shape: tuple[int, ...], factors: dict[int, Any]) -> Any:
    """The Kronecker product of a matrix for each axis, the identity where none is given."""
    product: Any = sparse.eye_array(1)
    for axis, n in enumerate(shape):
        product = sparse.kron(product, factors.get(axis, sparse.eye_array(n)), format="csr")
    return sparse.csc_array(product)


def _solve(operator: Any, right: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Directly; in three dimensions, where factors fill up, by conjugate gradients."""
    if missing.ndim < 3:
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
