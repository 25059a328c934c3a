"""The problem of the study: a sum of three waves, and the networks that are to learn it, as they start."""

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.network import LinearMap, Parameters, initialize, make_map
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import Grid

__all__ = ["CYCLES", "DEPTH", "FIRST_LAYERS", "WAVES", "amplitudes", "starting_point"]

FIRST_LAYERS = ("none", "rff", "ffm", "msnn", "si")

WAVES = ((1, 1.0, 0.3), (4, 0.8, 1.1), (16, 0.6, 2.0))
"""Cycles over [-1, 1], amplitude and phase of each wave of the target. Amplitudes differ: waves of one amplitude share
an eigenvalue of si's kernel, and its eigenvectors would be any mixture of them."""

CYCLES = tuple(m for m, *_ in WAVES)

DEPTH = 3

SIGMA = 4.0
"""Standard deviation of B for rff and ffm, in cycles per unit: the highest wave, 8 per unit, is two of them out."""

FEATURES_PER_UNIT = 2
"""n_f of a random first layer for each unit of a hidden one, so that all layers widen together; si has one feature for
each wave of the target."""


def _target(grid: Grid) -> np.ndarray:
    """The sum of `WAVES`, of RMS 1."""
    (x,) = grid.scaled_axes()
    t = np.sum([amplitude * np.cos(np.pi * m * x + phase) for m, amplitude, phase in WAVES], axis=0)
    target: np.ndarray = t / np.sqrt(np.mean(t**2))
    return target


def amplitudes(residues: np.ndarray) -> np.ndarray:
    """Amplitudes of the target's waves in each row, shape (rows, waves)."""
    spectrum = np.fft.fft(residues, axis=1)[:, CYCLES]
    found: np.ndarray = 2.0 / residues.shape[1] * np.abs(spectrum)
    return found


def starting_point(first_layer: str, width: int, seed: int, points: int) -> tuple[Objective, Parameters]:
    """The squared loss of a network, and the parameters from which mode ``paper`` starts it."""
    backend, grid = NumpyBackend(), Grid((points,))
    target = _target(grid)
    network, params = initialize(
        first_layer,
        target,
        grid,
        n_features=len(WAVES) if first_layer == "si" else FEATURES_PER_UNIT * width,
        hidden=(width,) * DEPTH,
        rng=np.random.default_rng(seed),
        backend=backend,
        sigma=SIGMA,
    )
    if first_layer == "none":
        fmap = LinearMap(backend.asarray(grid.scaled_points()), backend)
    else:
        fmap = make_map(grid, backend, indices=network.indices)
    return Objective(network, fmap, target, LpLoss(2.0), backend), params
