"""The tables of the exponent study."""

from collections.abc import Callable

from simsnn_ref.experiments.base import Table, spread
from simsnn_ref.experiments.lp.residues import SPIKE, gaussian_maximum
from simsnn_ref.experiments.lp.study import EXPONENTS, PAIRS, Study, Trial

__all__ = ["pair_table", "residue_table"]

FIELD = "problem and number of samples"

ERRORS = "RMS and largest error at the samples after stage 1, relative to the RMS of the field"
ERRORS_2 = "the same after stage 2"
OFF_GRID = "RMS between the samples, relative to the RMS of the field"

COLUMNS: dict[str, tuple[str, Callable[[Trial], float]]] = {
    "RMS": (ERRORS, lambda t: t.first.rms),
    "max": (ERRORS, lambda t: t.first.max),
    "max/RMS": ("how far the largest error stands out", lambda t: t.first.spike_factor),
    "kurtosis": ("excess kurtosis <(e - <e>)^4> / <(e - <e>)^2>^2 - 3 of the residue", lambda t: t.first.kurtosis),
    f"points > {SPIKE:g} RMS": (f"samples at which |e| is above {SPIKE:g} RMS(e)", lambda t: t.first.beyond),
    "RMS off grid": (OFF_GRID, lambda t: t.first.rms_off_grid),
    "RMS (stage 2)": (ERRORS_2, lambda t: t.second.rms),
    "max (stage 2)": (ERRORS_2, lambda t: t.second.max),
    "max/RMS (stage 2)": (ERRORS_2, lambda t: t.second.spike_factor),
    "RMS off grid (stage 2)": (ERRORS_2, lambda t: t.second.rms_off_grid),
}


def residue_table(study: Study) -> Table:
    """The paper's method, q = p."""
    rows: list[tuple[str | float, ...]] = [
        (plan.name, f"{p:g}", *(study.median(plan, p, p, merit) for _, merit in COLUMNS.values()))
        for plan in study.plans
        for p in EXPONENTS
    ]
    noise = ", ".join(f"{gaussian_maximum(plan.size**2):.1f} ({plan.name})" for plan in study.plans)
    sizes = "; ".join(f"{p.widths[0]} and {p.widths[1]}, {p.steps} steps ({p.name})" for p in study.plans)
    return Table(
        "Residues of a first stage and of a second one, by exponent",
        {
            "field": FIELD,
            "p": "exponent of the loss in both stages",
            **{name: meaning for name, (meaning, _) in COLUMNS.items()},
        },
        tuple(rows),
        f"Medians over the starts. Gaussian noise has a max/RMS of about {noise} and an excess kurtosis of 0."
        f" Features of the two stages, and steps of each with Adam: {sizes}.",
    )


def pair_table(study: Study) -> Table:
    """The residues of p = 2 and p = 10, each learnt with q = 2 and q = 10."""
    rows = []
    for plan in study.plans:
        for p, q in PAIRS:
            trials = study.of(plan, p, q)
            gains = spread([t.gain for t in trials], ".3g"), spread([t.gain_of_max for t in trials], ".3g")
            after = study.median(plan, p, q, lambda t: t.second.rms), study.median(plan, p, q, lambda t: t.second.max)
            rows.append((plan.name, f"{p:g}", f"{q:g}", *gains, *after))
    gain = "factor by which stage 2 lowers the error at the samples: median, and in brackets the range over the starts"
    remainder = "median error at the samples after stage 2, relative to the RMS of the field"
    return Table(
        "What a second stage makes of the residue",
        {
            "field": FIELD,
            "p of stage 1": "exponent of the loss in stage 1",
            "q of stage 2": "exponent of the loss in stage 2",
            "RMS lowered by": gain,
            "max lowered by": gain,
            "RMS left": remainder,
            "max left": remainder,
        },
        tuple(rows),
        "The rows of the same q compare the residues, those of the same p the losses of the second stage.",
    )
