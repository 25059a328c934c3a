"""The start of a stage in mode paper: Algorithm 1, or another first layer by name, and Xavier's weights behind it."""

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.multistage.start import Start, generator
from simsnn_ref.network import Network, Parameters, initialize
from simsnn_ref.spectrum import Grid, fourier_modes

__all__ = ["RANDOM_FEATURES", "paper_network", "paper_start"]

RANDOM_FEATURES = 256
"""n_f of a first layer that is not read off the spectrum, where the options leave it open."""


def paper_start(number: int, residue: Residue, setup: Setup) -> Start:
    """Stage `number` (1-based) before training."""
    target = residue.normalised()
    return Start(residue, target, *paper_network(number, target, setup))


def paper_network(number: int, target: Array, setup: Setup) -> tuple[Network, Parameters]:
    """Its network and parameters, for a target of RMS 1 on the training grid."""
    config, stage = setup.config, number - 1
    first_layer = config.for_stage(config.first_layer.kind, stage)
    return initialize(
        first_layer,
        target,
        setup.least_squares or _grid(setup),
        n_features=_n_features(first_layer, stage, target, setup),
        hidden=config.network.hidden,
        rng=generator(config, number),
        backend=setup.backend,
        sigma=config.first_layer.sigma,
        train_wavenumbers=config.trains_wavenumbers(stage),
        z1_rms=config.for_stage(config.network.z1_rms, stage) or 0.0,
        output_gain=config.for_stage(config.network.output_gain, stage),
    )


def _grid(setup: Setup) -> Grid:
    assert isinstance(setup.training.grid, Grid)
    return setup.training.grid


def _n_features(first_layer: str, stage: int, target: Array, setup: Setup) -> int:
    """n_f as asked, or the number of primary modes: those above a share of the largest amplitude."""
    config, backend = setup.config, setup.backend
    asked = config.for_stage(config.first_layer.n_features, stage) or 0
    if asked or first_layer == "none":
        return asked
    if first_layer not in ("si", "fourier"):
        return RANDOM_FEATURES
    if setup.least_squares is not None:
        modes = setup.least_squares.fit(backend.to_numpy(target), backend).modes
    else:
        modes = fourier_modes(target, _grid(setup), backend.processes.distributed(backend))
    amplitudes = backend.to_numpy(modes.amplitudes)
    primary = int(np.count_nonzero(amplitudes >= config.first_layer.mode_threshold * np.max(amplitudes)))
    return min(primary, config.max_features)
