"""``simsnn spectrum``: the largest Fourier modes and E(k) of samples."""

import argparse
import json
import math
from typing import Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.commands.base import command
from simsnn_ref.commands.input import add_input, read_input
from simsnn_ref.errors import ConfigError
from simsnn_ref.io import check_grid, check_samples
from simsnn_ref.report import describe_grid, text_table
from simsnn_ref.spectrum import Grid, count_modes, dominant_frequency, energy_spectrum, fourier_modes

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    parser = command(commands, "spectrum", _run_spectrum, "largest Fourier modes and E(k) of samples")
    add_input(parser)
    parser.add_argument("--modes", type=int, default=10, metavar="N", help="how many modes to list (default 10)")
    parser.add_argument("--bins", type=int, default=200, metavar="N", help="bins of E(k) (default 200)")
    parser.add_argument("--figure", metavar="PATH", help="draw E(k), .png, .pdf or .svg")


def _run_spectrum(arguments: argparse.Namespace) -> None:
    if arguments.modes < 1 or arguments.bins < 1:
        raise ConfigError("--modes and --bins need to be at least 1")
    if arguments.figure is not None:
        from simsnn_ref.report.drawing import check_figure_path  # noqa: PLC0415 - an extra

        check_figure_path(arguments.figure)
    u, grid, problem = read_input(arguments)
    problem.pop("field", None)
    assert isinstance(grid, Grid)
    samples, _ = check_samples(u(grid.points()).reshape(grid.shape) if callable(u) else u)
    check_grid(samples, grid)
    backend = NumpyBackend()
    spectrum = energy_spectrum(samples, grid, backend, arguments.bins)
    modes = fourier_modes(samples, grid, backend, min(arguments.modes, count_modes(grid)))
    if arguments.figure is not None:
        from simsnn_ref.report import figure_of_spectrum, save_figure  # noqa: PLC0415 - an extra

        save_figure(figure_of_spectrum(spectrum, title=problem["name"]), arguments.figure)
    told = {
        "problem": {**problem, **describe_grid(grid)},
        "n_modes": count_modes(grid),
        "dominant_frequency": dominant_frequency(samples, grid, backend),
        "modes": [
            {"index": m.tolist(), "wavenumber": k.tolist(), "amplitude": float(a), "phase": float(phase)}
            for m, k, a, phase in zip(modes.indices, modes.wavenumbers, modes.amplitudes, modes.phases, strict=True)
        ],
        "energy_spectrum": {"wavenumber": spectrum.wavenumber.tolist(), "energy": spectrum.energy.tolist()},
    }
    if arguments.json:
        print(json.dumps(told, allow_nan=False))
        return
    print(f"{told['n_modes']} real modes; dominant frequency {told['dominant_frequency']:.6g} cycles over the box\n")
    rows = [
        [", ".join(map(str, m.tolist())), f"{a:.6e}", f"{math.remainder(phase, 2.0 * math.pi):+.6f}"]
        for m, a, phase in zip(modes.indices, modes.amplitudes, modes.phases, strict=True)
    ]
    print(text_table(["mode", "amplitude", "phase"], rows))
    filled = np.flatnonzero(spectrum.energy)
    shown = filled[np.unique(np.geomspace(1, max(1, filled.size), min(20, max(1, filled.size))).astype(int) - 1)]
    rows = [[f"{spectrum.wavenumber[i]:.4g}", f"{spectrum.energy[i]:.6e}"] for i in shown] if filled.size else []
    print()
    print(text_table(["k", "E(k)"], rows))
    if len(shown) < filled.size:
        print(f"{len(shown)} of {filled.size} bins that are not empty; --json prints all")
