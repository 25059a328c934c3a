"""A field to fit and networks for it, which the benchmarks share."""

import math

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import Network, Parameters, has_nufft, initialize
from simsnn_ref.spectrum import Grid, count_modes

BACKEND = NumpyBackend()
EPS = float(np.finfo(np.float64).eps)
HIDDEN = (30, 30, 30)
MAPS = ("dense", "separable", "fft", "nufft")

DENSE_LIMIT = 2e7
"""Points times features above which the dense map takes seconds per product."""


def field(grid: Grid, seed: int = 0) -> np.ndarray:
    """A random field of RMS 1 whose modes fall off like |k|^-3, none of them zero."""
    spectrum = np.fft.fftn(np.random.default_rng(seed).normal(size=grid.shape))
    squared = np.zeros(())
    for n in grid.shape:
        squared = np.add.outer(squared, (n * np.fft.fftfreq(n)) ** 2)
    u = np.fft.ifftn(spectrum / (1.0 + squared) ** 1.5).real
    return u / np.sqrt(np.mean(u**2))


def network(
    grid: Grid, n_features: int, hidden: tuple[int, ...] = HIDDEN, *, train_wavenumbers: bool = False
) -> tuple[Network, Parameters]:
    """Return Algorithm 1's network for `field`, and its parameters."""
    return initialize(
        "si",
        field(grid),
        grid,
        n_features=n_features,
        hidden=hidden,
        rng=np.random.default_rng(1),
        backend=BACKEND,
        train_wavenumbers=train_wavenumbers,
    )


def skip_what_does_not_fit(kind: str, grid: Grid, n_features: int) -> None:
    """Raise NotImplementedError, by which asv leaves a combination out, if a map cannot or should not take the size."""
    if kind == "nufft" and not has_nufft():
        raise NotImplementedError("the FINUFFT plug-in is not installed")
    if n_features > count_modes(grid):
        raise NotImplementedError("the grid has fewer modes")
    if kind == "dense" and grid.size * n_features > DENSE_LIMIT:
        raise NotImplementedError("too slow for the dense map")


def in_eps(error: float) -> float:
    """Return a relative error in units of eps, at least 1; NaN stays NaN."""
    return error / EPS if math.isnan(error) else max(error, EPS) / EPS
