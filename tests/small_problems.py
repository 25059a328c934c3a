"""Objectives small enough to hold every product against a dense matrix, one for each first layer."""

import numpy as np

from simsnn_ref.network import LinearMap, initialize, make_map
from simsnn_ref.optimizers import LpLoss, Objective
from simsnn_ref.spectrum import Grid

GRID = Grid((8, 10))

CASES = [
    ("si", "fft", False),
    ("si", "separable", True),
    ("si", "dense", True),
    ("msnn", "separable", True),
    ("cos", "dense", True),
    ("rff", "separable", False),
    ("ffm", "dense", True),
    ("none", "linear", False),
]


def field(grid=GRID, decay=0.5, seed=3):
    """Random modes that decay exponentially, RMS 1."""
    noise = np.fft.rfftn(np.random.default_rng(seed).standard_normal(grid.shape))
    m = [np.abs(np.fft.fftfreq(n, 1 / n)) for n in grid.shape[:-1]] + [np.arange(grid.shape[-1] // 2 + 1)]
    u = np.fft.irfftn(noise * np.exp(-decay * sum(np.meshgrid(*m, indexing="ij"))), grid.shape, range(grid.ndim))
    return u / np.sqrt(np.mean(u**2))


def problem(
    backend, first_layer="si", kind="auto", wavenumbers=None, *, grid=GRID, n_features=6, hidden=(5, 4), p=2.0, u=None
):
    """An objective and a start whose biases are not zero."""
    rng = np.random.default_rng(11)
    target = backend.asarray(field(grid) if u is None else u)
    network, params = initialize(
        first_layer,
        target,
        grid,
        n_features=n_features,
        hidden=hidden,
        rng=rng,
        backend=backend,
        train_wavenumbers=None if first_layer in ("none", "rff") else wavenumbers,
    )
    for name in params:
        if name[0] == "c":
            params[name] = backend.asarray(0.1 * rng.standard_normal(params[name].shape))
    if kind == "linear":
        fmap = LinearMap(backend.asarray(grid.scaled_points()), backend)
    else:
        fmap = make_map(grid, backend, kind=kind, indices=network.indices)
    return Objective(network, fmap, backend.xp.reshape(target, (-1,)), LpLoss(p), backend), params
