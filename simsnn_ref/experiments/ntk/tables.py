"""The tables of the kernel study."""

from collections.abc import Callable

import numpy as np

from simsnn_ref.experiments.base import Table
from simsnn_ref.experiments.ntk.kernel import effective_rank
from simsnn_ref.experiments.ntk.problem import CYCLES, DEPTH, FIRST_LAYERS
from simsnn_ref.experiments.ntk.study import LEADING, PACE, Study, TrainedNetwork

__all__ = ["decay_table", "kernel_table", "wave_table"]

FIRST_LAYER = "kind of the first layer; si has the target's wavenumbers, none passes x on"

_Merits = dict[str, tuple[str, Callable[[TrainedNetwork], float | None]]]
"""Meaning and value of a column by its name."""

KERNEL: _Merits = {
    "lambda_1": ("largest eigenvalue of the kernel", lambda one: float(one.values[0])),
    "lambda_10 / lambda_1": (
        "decay of the eigenvalues; a ratio below 2.2e-16 is rounding and is shown as that",
        lambda one: one.relative_eigenvalue(10),
    ),
    "lambda_100 / lambda_1": (
        "decay of the eigenvalues; a ratio below 2.2e-16 is rounding and is shown as that",
        lambda one: one.relative_eigenvalue(100),
    ),
    "effective rank": (
        "(sum lambda)^2 / sum lambda^2, the number of eigenvalues if all were equal",
        lambda one: effective_rank(one.values),
    ),
    "wavenumber of the features": (
        "mean over the features, in cycles over the interval",
        lambda one: one.feature_wavenumber,
    ),
    "wavenumber of the eigenvectors": (
        f"mean over the {LEADING} leading eigenvectors, in cycles; those of none jump at the ends, which raises it",
        lambda one: float(np.mean(one.wavenumbers[:LEADING])),
    ),
    "power on the target": (
        f"share of these eigenvectors' power at the target's {', '.join(map(str, CYCLES))} cycles and at 0 (a bias)",
        lambda one: float(np.mean(one.power_on_target[:LEADING])),
    ),
    "target within reach": (
        "share of the target's energy on eigenvectors with 1 % of lambda_1 or more",
        lambda one: one.target_within_reach,
    ),
}


def kernel_table(study: Study) -> Table:
    """What the kernel of each first layer says before any training."""
    rows = []
    for first_layer in FIRST_LAYERS:
        first = study.of(first_layer, study.narrowest)[0]
        cells = [study.median(first_layer, study.narrowest, merit) for _, merit in KERNEL.values()]
        rows.append((first_layer, first.n_features, first.n_parameters, *cells))
    return Table(
        f"The kernel at the start, {DEPTH} x {study.narrowest} units",
        {
            "first layer": FIRST_LAYER,
            "n_f": "number of features",
            "parameters": "numbers that train",
            **{name: meaning for name, (meaning, _) in KERNEL.items()},
        },
        tuple(rows),
        f"Medians over {study.size.seeds} seeds; {study.size.points} points.",
    )


def wave_table(study: Study) -> Table:
    """What training leaves of each wave, measured and predicted."""

    def row(first_layer: str) -> tuple[str | float, ...]:
        networks = study.of(first_layer, study.narrowest)
        ends = [np.stack([one.waves[-1, :], one.predicted_waves[-1, :]], axis=1) for one in networks]
        return (first_layer, *np.median(ends, axis=0).ravel().tolist())

    remainder = (
        f"amplitude left of the wave of {', '.join(map(str, CYCLES))} cycles, relative to its start; predicted by"
        " (1 - eta lambda_i)^t with the kernel of the start"
    )
    return Table(
        f"What is left of each wave after {study.size.steps} steps of {PACE:g} / lambda_1",
        {
            "first layer": FIRST_LAYER,
            **{f"wave {m} ({kind})": remainder for m in CYCLES for kind in ("measured", "predicted")},
        },
        tuple(row(first_layer) for first_layer in FIRST_LAYERS),
        f"Medians over {study.size.seeds} seeds; {DEPTH} x {study.narrowest} units.",
    )


DECAY: _Merits = {
    "lambda_1": ("largest eigenvalue of the kernel at the start", lambda one: float(one.values[0])),
    "kernel change": ("|K(end) - K(start)| / |K(start)|", lambda one: one.kernel_change),
    "residue error": (
        "largest |measured - predicted| on the way, relative to the residue at the start",
        lambda one: one.residue_error,
    ),
    "worst component error": (
        "the same for the worst single component of the residue that is compared, relative to its start",
        lambda one: one.component_error,
    ),
    "components compared": (
        "components that start with a tenth of the residue's norm and are predicted to halve",
        lambda one: float(one.compared.size),
    ),
}


def decay_table(study: Study) -> Table:
    """How far the prediction is off, by width."""
    return Table(
        "Decay, measured against predicted",
        {
            "first layer": FIRST_LAYER,
            "width": "units of each hidden layer",
            **{name: meaning for name, (meaning, _) in DECAY.items()},
        },
        tuple(
            (first_layer, width, *(study.median(first_layer, width, merit) for _, merit in DECAY.values()))
            for first_layer in FIRST_LAYERS
            for width in study.size.widths
        ),
        f"Medians over {study.size.seeds} seeds. The kernel changes while the network trains, so none of the errors is"
        " zero. The first layers rff, ffm and msnn widen with the hidden layers, n_f = 2 width; si has one feature a"
        " wave and none a single input. By Xavier's rule the weights behind them have variance 2 / (n_f + width), and"
        " their lambda_1 hardly grows with it: not the limit in which the kernel stands still.",
    )
