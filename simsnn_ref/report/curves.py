"""Figures for which no samples are needed: from the history of a fit, or from the log of a run."""

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.model import History
from simsnn_ref.report.drawing import (
    TARGET_COLOUR,
    draw_legend,
    draw_line,
    draw_spectra,
    label,
    new_figure,
    stage_colour,
    write_instead,
)
from simsnn_ref.report.plotting import MACHINE_EPSILON, draw_history
from simsnn_ref.report.watch import Run
from simsnn_ref.spectrum import EnergySpectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_of_run", "figure_of_spectra", "figure_of_training"]


def figure_of_training(history: History, p: float) -> "Figure":
    """RMS and L^p norm of what is left before each step, over all stages, relative to the RMS of the field.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 4.0, "")
    draw_history(figure.subplots(), history, p)
    return figure


def figure_of_spectra(history: History) -> "Figure":
    """E(k), eq. 13, of the field and of what each stage left, over the square of the field's RMS.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 4.0, "")
    spectra = [(history.spectrum, TARGET_COLOUR, "field")]
    for i, record in enumerate(history.stages):
        left = EnergySpectrum(history.spectrum.wavenumber, record.energy)
        spectra.append((left, stage_colour(i), f"after stage {record.index}"))
    axes = figure.subplots()
    draw_spectra(axes, spectra, floor=MACHINE_EPSILON**2)
    label(axes, title="", x="wavenumber $k$", y=r"$E(k)\,/\,$RMS$(u)^2$")
    return figure


def figure_of_run(run: Run, *, title: str = "") -> "Figure":
    """RMS and loss against steps and against time at work, over all stages, from the log.

    Parameters
    ----------
    run : Run
    title : str, optional

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    figure = new_figure(9.0, 5.6, title)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    stages = sorted({logged.step.stage for logged in run.steps} | {record.index for record in run.records})
    taken = {record.index: record.steps for record in run.records}
    taken |= {logged.step.stage: max(logged.step.step, taken.get(logged.step.stage, 0)) for logged in run.steps}
    before = dict(zip(stages, accumulate((taken[stage] for stage in stages), initial=0), strict=False))
    for stage in stages:
        logged = [one for one in run.steps if one.step.stage == stage]
        steps = np.array([before[stage] + one.step.step for one in logged])
        seconds = np.array([one.seconds for one in logged])
        for row, values in enumerate(([one.step.rms for one in logged], [one.step.loss for one in logged])):
            for panel, x in zip(axes[row], (steps, seconds), strict=True):
                _draw(panel, x, np.array(values), stage)
    drawn = bool(axes[0, 0].lines)
    for (row, column), panel in np.ndenumerate(axes):
        label(
            panel,
            title="",
            x=("step", "seconds at work")[column] if row else "",
            y="" if column else ("RMS $/$ RMS$(u)$", "loss, of the stage's own residue")[row],
        )
        if drawn:
            panel.set_yscale("log")
            panel.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        else:
            write_instead(panel, "no step is logged")
    if drawn:
        draw_legend(axes[0, 0])
    return figure


def _draw(panel: Any, x: np.ndarray, values: np.ndarray, stage: int) -> None:
    there = values > 0.0
    if np.any(there):
        draw_line(panel, x[there], values[there], color=stage_colour(stage - 1), label=f"stage {stage}")
