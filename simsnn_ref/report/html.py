"""A finished fit as one HTML file: tables, figures, options, where it came from, how to use it and make it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.model import OPTIONS, FitConfig, Model, shown
from simsnn_ref.report.curves import figure_of_spectra, figure_of_training
from simsnn_ref.report.fit_figure import figure_of_fit
from simsnn_ref.report.markup import Html, element
from simsnn_ref.report.page import page, picture, png, quiet, section, svg, table
from simsnn_ref.report.rerun import changed_options, command_line, python_lines
from simsnn_ref.report.stage_residues import residues
from simsnn_ref.report.stages import closing_line, off_grid_meaning, stage_columns, stage_rows
from simsnn_ref.spectrum import Grid

__all__ = ["TrainingData", "html_report"]

ERRORS = {
    "rms_on_grid": "RMS at the samples",
    "max_on_grid": "largest at the samples",
    "rms_off_grid": "RMS between the samples",
    "max_off_grid": "largest between the samples",
}
"""Names of the errors in the report, by their keys in `StageRecord.summary`."""


@dataclass(frozen=True)
class TrainingData:
    """The samples that a model was fitted to.

    Attributes
    ----------
    samples : ndarray of float64, shape model.grid.shape
        Without those that were held out.
    words : sequence of str
        Words of the command line that name the input.
    """

    samples: np.ndarray
    words: Sequence[str]


def html_report(model: Model, path: str, data: TrainingData | None = None, *, figures: bool = True) -> str:
    """The report of a model as HTML5.

    Parameters
    ----------
    model : Model
    path : str
        Path of the model file, which the report names.
    data : TrainingData, optional
        With it the report shows field, fit and errors, and the errors at the samples computed anew from the model.
    figures : bool
        Whether to draw figures.

    Raises
    ------
    DataError
        If the samples are not on the model's grid.
    ConfigError
        If figures are to be drawn and matplotlib is not installed.
    """
    return page(
        f"Fit of {path if model.field is None else model.field.name}",
        _input(model, path),
        _errors(model, data),
        _stages(model),
        _figures(model, data) if figures else section("Figures", element("p", "None: they need matplotlib.")),
        _notes(model),
        _use(model, path, data),
        _options(model.config),
        _provenance(model),
    )


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2e}"


def _input(model: Model, path: str) -> Html:
    grid, field, history = model.grid, model.field, model.history
    size = " x ".join(map(str, grid.shape))
    where = f"samples on a grid of {size} points" if isinstance(grid, Grid) else f"values at {size} scattered points"
    parts = [
        element(
            "p",
            f"A sum of {len(model.stages)} neural network{'' if len(model.stages) == 1 else 's'}, fitted in stages to"
            f" {where} in {history.seconds:.1f} s. The field's RMS is {history.rms:.6g}, its largest absolute"
            f" value {history.max:.6g}. Model file: ",
            element("code", path),
            ".",
        ),
        _axes(model),
    ]
    if field is not None:
        about = [("field", str(field))]
        about += [(f"{field.name}: {name}", _shown(value)) for name, value in field.attrs.items()]
        about += [(f"{ax.name}: {name}", _shown(value)) for ax in field.axes for name, value in ax.attrs.items()]
        about += [(f"file: {name}", _shown(value)) for name, value in field.dataset_attrs.items()]
        columns = {"what": "the field, or an attribute of it, of an axis or of the file", "value": "as in the input"}
        parts.append(table(columns, about, "What the field is called and measured in"))
    return section("What was fitted", *parts)


def _axes(model: Model) -> Html:
    grid, field = model.grid, model.field
    names = [f"axis {i}" for i in range(grid.ndim)] if field is None else list(field.dims)
    counts = [str(n) for n in grid.shape] if isinstance(grid, Grid) else ["scattered"] * grid.ndim
    rows = [
        [name, count, f"{lo:.10g}", f"{hi:.10g}", "periodic, the end left out" if periodic else "both ends included"]
        for name, count, lo, hi, periodic in zip(names, counts, grid.lower, grid.upper, grid.periodic, strict=True)
    ]
    columns = {
        "axis": "its name in the input, or its number",
        "points": "number of samples along the axis",
        "from": "bounds of the box, in the units of the input",
        "to": "bounds of the box, in the units of the input",
        "ends": "whether the samples are periodic",
    }
    return table(columns, rows, "Where the field was given", (1, 2, 3))


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _errors(model: Model, data: TrainingData | None) -> Html:
    """The errors that training measured, those of an independent evaluation, and with the samples those of now."""
    history = model.history
    last = history.last_errors()
    certified = history.certified or {}
    columns = {
        "error": "at the samples (on the grid) or between them (off the grid)",
        "measured in the fit": f"at all samples, and {off_grid_meaning(model)}",
        "certified": "by independent evaluation, at some of these points",
    }
    found = [last, certified]
    if data is not None:
        columns["computed anew"] = "for this report, from the model file and the samples"
        found.append(_computed(model, data))
    rows = [
        [text, *(_number(errors[name]) if name in errors else "-" for errors in found)] for name, text in ERRORS.items()
    ]
    parts = [table(columns, rows, "Errors relative to the RMS of the field", (1, 2, 3))]
    if history.certified is None:
        parts.append(element("p", "The errors were not certified (certify = false)."))
    elif certified["agrees"]:
        parts.append(
            element(
                "p",
                f"An independent evaluation, each feature by its definition in arithmetic of {certified['digits']}"
                f" digits, confirms the errors at {certified['points']} points: it finds the same within 1 %, or both"
                " are below what that arithmetic resolves.",
            )
        )
    else:
        warning = "The independent evaluation does not confirm the errors."
        parts.append(element("p", element("strong", warning), class_="warning"))
    parts.append(element("p", closing_line(model)))
    return section("Errors", *parts)


def _computed(model: Model, data: TrainingData) -> dict[str, float]:
    *_, residue = residues(model, data.samples) if model.stages else [np.asarray(data.samples)]
    relative = np.asarray(residue / (model.history.rms or 1.0), dtype=np.float64)
    return {"rms_on_grid": rms(np, relative), "max_on_grid": float(np.max(np.abs(relative)))}


def _stages(model: Model) -> Html:
    columns = stage_columns(off_grid_meaning(model))
    numbers = range(1, len(columns) - 1)
    return section(
        "Stages", table(columns, stage_rows(model.history.stages, model.history), "The stages of the fit", numbers)
    )


def _figures(model: Model, data: TrainingData | None) -> Html:
    history = model.history
    steps = sum(record.steps for record in history.stages)
    pictures = [
        picture(
            svg(figure_of_training(history, model.config.p)),
            f"RMS of the error against {steps} steps of training in {len(history.stages)} stages, down to"
            f" {_number(history.last_errors()['rms_on_grid'])} of the field's RMS.",
            "Training: errors before each step, and (dots) after each stage at the samples, relative to the field.",
        ),
        picture(
            svg(figure_of_spectra(history)),
            "Energy spectrum of the field, and below it those of what was left after each stage.",
            "Spectra E(k) of the field and of what each stage left.",
        ),
    ]
    parts = [element("div", *pictures, class_="pair")]
    if data is not None:
        alt = "The field, the fit, their spectra, and in space and wavenumbers the error that each stage left."
        parts.append(picture(png(figure_of_fit(model, data.samples)), alt, alt))
    return section("Figures", *parts)


def _notes(model: Model) -> Html:
    notes = model.history.notes
    return section("Notes", element("ul", *(element("li", note) for note in notes))) if notes else Html()


def _use(model: Model, path: str, data: TrainingData | None) -> Html:
    placeholder = "" if data is not None else " INPUT stands for the samples, which a model file does not hold."
    same_bits = (
        "A stage may have ended by its time limit (max_seconds): the result depends on the speed of the machine."
        if model.config.training.max_seconds
        else "On the same machine, with the same versions and as many threads, the same bits come out."
    )
    return section(
        "Use it, and make it again",
        element("p", "At the command line (versions are below).", placeholder),
        element("pre", element("code", command_line(model, path, None if data is None else data.words))),
        element("p", "In Python:"),
        element("pre", element("code", python_lines(model, path))),
        quiet(same_bits),
    )


def _options(config: FitConfig) -> Html:
    changed = changed_options(config)
    rows = [[name, shown(value), OPTIONS[name].help] for name, value in config.to_flat().items()]
    columns = {"option": "its name in Python and in TOML", "value": "in this fit", "meaning": "what it is for"}
    mine = [row for row in rows if row[0] in changed]
    few = table(columns, mine, "Those that are not the defaults") if mine else element("p", "All are the defaults.")
    all_of_them = element("details", element("summary", "All options"), table(columns, rows, "All options"))
    return section("Options", few, all_of_them)


def _provenance(model: Model) -> Html:
    rows = [[name, "unknown" if value is None else _shown(value)] for name, value in model.provenance.items()]
    rows.append(["seed", str(model.config.run.seed)])
    columns = {"what": "software, machine and settings", "value": "version, name or number at the time of the fit"}
    return section("Where it came from", table(columns, rows, "What made the fit"))
