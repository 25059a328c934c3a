"""The stages of a fit as rows of a table and as lines of progress."""

import math
from collections.abc import Sequence

from simsnn_ref.model import History, Model, StageRecord, Step
from simsnn_ref.spectrum import Grid

__all__ = [
    "closing_line",
    "duration_words",
    "off_grid_meaning",
    "stage_columns",
    "stage_end_line",
    "stage_rows",
    "step_words",
]

_OFF_GRID = {
    "interpolation": "between the samples, against their interpolant",
    "random": "at random points, against the function itself",
    "holdout": "at the held-out samples; training saw every second one along each axis",
    "none": "between the samples: not measured",
}


def off_grid_meaning(model: Model) -> str:
    """Where the off-grid error of a model was measured, and against what."""
    if isinstance(model.grid, Grid):
        without = " without their noise" if model.history.noise and model.history.off_grid == "interpolation" else ""
        return _OFF_GRID[model.history.off_grid] + without
    if model.history.off_grid == "none":
        return "between the points: not measured (--off-grid holdout keeps a tenth of them back)"
    return "at the tenth of the points that was held out"


def stage_columns(off_grid: str = "between the samples") -> dict[str, str]:
    """Columns of the table of stages and what they mean; `off_grid` says where the off-grid error was measured."""
    on_grid = "error of the sum of all stages so far at the samples, relative to the RMS of the field"
    return {
        "stage": "number of the stage, and kind of its first layer (si: Algorithm 1 of the paper)",
        "n_f": "number of features, the width of the first layer",
        "parameters": "numbers that the stage trains",
        "steps": "steps of training; 0 where the start was good enough",
        "eps": "RMS of the residue that the stage was given to fit, in the units of the field",
        "nonlinear": "RMS of the part that is not linear in the features over the RMS of all of the stage",
        "RMS on grid": on_grid,
        "max on grid": on_grid,
        "RMS off grid": f"the same {off_grid}",
        "max off grid": f"the same {off_grid}",
        "RMS expected": "error to expect at other points of the field that the samples come from",
        "seconds": "wall-clock time of the stage",
        "stopped because": "why the training of the stage ended",
    }


def stage_rows(records: Sequence[StageRecord], history: History | None = None) -> list[list[str]]:
    """Rows of the table of stages, with the columns of `stage_columns`; `history` is that of the whole fit."""
    return [
        [
            f"{record.index} {record.first_layer}",
            str(record.n_modes),
            str(record.n_parameters),
            str(record.steps),
            _number(record.eps),
            _number(record.nonlinear_share),
            _number(record.rms_on_grid),
            _number(record.max_on_grid),
            _number(record.rms_off_grid),
            _number(record.max_off_grid),
            _number(None if history is None else history.error_between(record)),
            _number(record.seconds, ".1f"),
            record.stopped_because,
        ]
        for record in records
    ]


_KNOWN_BY = {"random": "from the function itself", "holdout": "from samples that were held out"}


def closing_line(model: Model) -> str:
    """What a fit is worth, in a sentence for a person."""
    history = model.history
    if not history.stages:
        return "The model has no stage."
    last = history.stages[-1]
    between = history.error_between(last)
    if between is None:
        return f"RMS error on the samples {last.rms_on_grid:.1e}; between them it was not measured."
    source = _KNOWN_BY.get(history.off_grid)
    if source is None:
        all_repeat = isinstance(model.grid, Grid) and all(model.grid.periodic)
        source = f"estimated from {'the decay of the spectrum' if all_repeat else 'samples left out'}"
        source += f"; nothing below {history.noise_floor:.1e} is known of the field"
    if history.noise:
        return (
            f"RMS distance to the samples {last.rms_on_grid:.1e}, their noise, which the fit does not follow;"
            f" RMS error of the fit about {between:.1e} (estimated from what stands out of the noise)."
        )
    return f"RMS error on the samples {last.rms_on_grid:.1e}; between them about {between:.1e} ({source})."


def _number(value: float | None, form: str = ".2e") -> str:
    return "-" if value is None else format(value, form)


def duration_words(seconds: float) -> str:
    """A duration in its two largest units."""
    if not math.isfinite(seconds) or seconds < 60.0:
        return f"{max(seconds, 0.0):.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def step_words(step: Step) -> str:
    """The loss and the error after the steps of training that have been taken."""
    return f"{step.step - 1} of {step.n_steps} steps, loss {step.loss:.3e}, relative RMS error {step.rms:.3e}"


def stage_end_line(record: StageRecord) -> str:
    """What a finished stage has reached, and why its training ended."""
    off_grid = "not measured" if record.rms_off_grid is None else f"{record.rms_off_grid:.2e}"
    return (
        f"stage {record.index} done in {record.seconds:.1f} s: relative RMS error {record.rms_on_grid:.2e} on the grid,"
        f" {off_grid} off it; {record.stopped_because}"
    )
