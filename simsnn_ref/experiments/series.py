"""What a network adds to its modes: beside it the truncated series of eq. 10, which trains nothing."""

from collections.abc import Mapping
from typing import Any

from simsnn_ref.experiments.base import Cell, Table
from simsnn_ref.model import Model
from simsnn_ref.multistage import fit
from simsnn_ref.spectrum import Grid, count_modes

__all__ = ["fit_series", "series_table"]


def series_table(target: Any, grid: Grid, networks: Mapping[str, Model], off_grid: str) -> Table:
    """RMS of each network, of the series of as many modes, and of the series of as many numbers.

    Parameters
    ----------
    target : ndarray or callable
        What the networks were fitted to, as `simsnn_ref.fit` takes it.
    networks : mapping of str to Model
        By the name to be printed; those without a stage are left out.
    off_grid : str
        Where the error between the samples is measured, in words.
    """
    rows: list[tuple[Cell, ...]] = []
    for name, model in networks.items():
        records = model.history.stages
        if not records:
            continue
        modes = sum(record.n_modes for record in records)
        numbers = sum(record.n_parameters for record in records)
        rows.append((name, modes, numbers, records[-1].rms_on_grid, records[-1].rms_off_grid))
        for words, asked in (("the series of as many modes", modes), ("the series of as many numbers", numbers // 2)):
            n = max(1, min(asked, count_modes(grid)))
            series = fit_series(target, grid, n).history.stages
            # Where the series leaves all of the field, there is no stage.
            errors = (series[0].rms_on_grid, series[0].rms_off_grid) if series else (1.0, None)
            rows.append((f"{name}: {words}", n, 2 * n, *errors))
    relative = "relative to the RMS of the field"
    return Table(
        "What the network adds",
        {
            "what": "a network, and beside it the truncated Fourier series of the samples (eq. 10), with all modes if"
            " there are fewer",
            "modes": "features of all stages, or modes of the series",
            "numbers": "parameters of all stages; an amplitude and a phase for each mode of the series",
            "RMS on grid": f"error at the samples, {relative}",
            "RMS off grid": f"error {off_grid}, {relative}",
        },
        tuple(rows),
    )


def fit_series(target: Any, grid: Grid, n: int) -> Model:
    """The truncated series (eq. 10) of the n largest modes as a model, of which nothing trains."""
    options: dict[str, Any] = {"mode": "paper", "first_layer": "fourier", "n_features": n, "stages": 1, "steps": 0}
    return fit(target, grid, certify=False, **options)
