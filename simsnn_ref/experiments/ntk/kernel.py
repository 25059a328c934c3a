"""The neural tangent kernel K = J J^T / n of a network, and what its eigenvectors carry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simsnn_ref.network import Parameters
from simsnn_ref.optimizers import Jacobian, Objective, kernel

__all__ = [
    "Eigensystem",
    "effective_rank",
    "eigensystem",
    "mean_wavenumbers",
    "neural_tangent_kernel",
    "power_at",
]


@dataclass(frozen=True)
class Eigensystem:
    """K v_i = lambda_i v_i, the largest eigenvalue first.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
    vectors : ndarray of float64, shape (n, n)
        v_i is column i, of norm 1.
    """

    values: np.ndarray
    vectors: np.ndarray


def neural_tangent_kernel(objective: Objective, params: Parameters) -> np.ndarray:
    """K = J J^T / n, shape (n_points, n_points), from products over one layer each; no J is formed.

    This is the data-space kernel J D^2 J^T of Levenberg-Marquardt with D = I.
    """
    K = kernel(Jacobian(objective, params))
    return objective.backend.to_numpy(K) / objective.fmap.n_points


def eigensystem(K: np.ndarray) -> Eigensystem:
    """Eigenvalues and eigenvectors of a symmetric matrix."""
    values, vectors = np.linalg.eigh(K)
    return Eigensystem(values[::-1], vectors[:, ::-1])


def effective_rank(values: np.ndarray) -> float:
    """(sum_i lambda_i)^2 / sum_i lambda_i^2: r for r equal eigenvalues.

    Examples
    --------
    >>> effective_rank(np.asarray([2.0, 2.0, 2.0, 0.0]))
    3.0
    """
    return float(np.sum(values) ** 2 / np.sum(values**2))


def _power(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|m| of each entry of the DFT, shape (n,), and the share of each column's power there, shape (n, columns)."""
    n = vectors.shape[0]
    power = np.abs(np.fft.fft(vectors, axis=0)) ** 2
    return np.abs(np.fft.fftfreq(n, 1.0 / n)), power / np.sum(power, axis=0)


def mean_wavenumbers(vectors: np.ndarray) -> np.ndarray:
    """sum_m |m| |v^(m)|^2 / sum_m |v^(m)|^2 of each column, in cycles over the interval, shape (columns,)."""
    m, power = _power(vectors)
    mean: np.ndarray = m @ power
    return mean


def power_at(vectors: np.ndarray, wavenumbers: Sequence[int]) -> np.ndarray:
    """Share of each column's power at these |m|, in cycles over the interval, shape (columns,)."""
    m, power = _power(vectors)
    share: np.ndarray = np.sum(power[np.isin(m, wavenumbers), :], axis=0)
    return share
