"""Curves over steps and over wavenumbers, from the history of a fit alone."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import EPS
from simsnn_ref.model import History
from simsnn_ref.report.drawing import (
    QUIET_COLOUR,
    SMALL,
    TARGET_COLOUR,
    draw_line,
    draw_spectra,
    grid_lines,
    label,
    new_figure,
    stage_colour,
    write_instead,
)
from simsnn_ref.spectrum import EnergySpectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "draw_history",
    "draw_residue_spectra",
    "figure_of_spectra",
    "figure_of_spectrum",
    "figure_of_training",
    "recorded_spectra",
]


def figure_of_spectrum(spectrum: EnergySpectrum, *, title: str = "") -> "Figure":
    """E(k) of eq. 13 on logarithmic axes; empty bins are left out.

    Parameters
    ----------
    spectrum : EnergySpectrum
    title : str, optional

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 4.2, title)
    axes = figure.subplots()
    draw_spectra(axes, [(spectrum, TARGET_COLOUR, "")])
    label(axes, title="", x="wavenumber $k$", y="$E(k)$")
    return figure


def figure_of_training(history: History, p: float) -> "Figure":
    """RMS and L^p norm of the residue before each step, over all stages, relative to the RMS of the field.

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
    draw_residue_spectra(figure.subplots(), recorded_spectra(history), title="")
    return figure


def recorded_spectra(history: History) -> list[EnergySpectrum]:
    """E(k) of the field and of what each stage left, as the fit recorded them."""
    bins = history.spectrum.wavenumber
    return [history.spectrum, *(EnergySpectrum(bins, record.energy) for record in history.stages)]


def draw_residue_spectra(axes: Any, spectra: Sequence[EnergySpectrum], *, title: str) -> None:
    """E(k) of the field, then of what each stage left."""
    names = ["target", *(f"stage {stage}" for stage in range(1, len(spectra)))]
    colours = [TARGET_COLOUR, *map(stage_colour, range(len(spectra) - 1))]
    # Modes smaller than eps times the largest are the transform's own rounding and would only stretch the axis.
    draw_spectra(axes, list(zip(spectra, colours, names, strict=True)), floor=EPS**2)
    label(axes, title=title, x="wavenumber $k$", y=r"$E(k)\,/\,$RMS$(u)^2$")


def draw_history(axes: Any, history: History, p: float) -> None:
    """RMS and L^p norm over the steps of all stages, and the RMS after each at the samples and between them.

    eps_s turns what stage s minimised into a share of the field. A stage that took no step is as wide as one; where no
    stage took any, the errors after them are joined from the field itself on.
    """
    unit = history.rms or 1.0
    start, lowest, any_drawn = 0, math.inf, False
    for stage, record in enumerate(history.stages):
        colour, scale = stage_colour(stage), record.eps / unit
        steps = start + np.arange(1, record.steps + 1)
        for values, style in ((record.loss_history, {"alpha": 0.45, "linewidth": 0.9}), (record.rms_history, {})):
            there = values * scale > 0.0
            if np.any(there):
                draw_line(axes, steps[there], values[there] * scale, color=colour, marker="", **style)
                any_drawn = True
        start += max(record.steps, 1)
        for error, fill in ((record.rms_on_grid, colour), (record.rms_off_grid or 0.0, "none")):
            if error > 0.0:
                marker = {"color": colour, "markerfacecolor": fill, "markersize": 4, "clip_on": False, "zorder": 3}
                axes.plot([start], [error], "o", **marker)
                lowest, any_drawn = min(lowest, error), True
        if stage + 1 < len(history.stages):
            axes.axvline(start, color=QUIET_COLOUR, linewidth=0.8, linestyle=":")
        middle = start - 0.5 * max(record.steps, 1)
        axes.annotate(
            f"{record.index}", (middle, 1.0), (0, -4), ("data", "axes fraction"), "offset points",
            ha="center", va="top", fontsize=SMALL, color=colour,
        )  # fmt: skip
    is_trained = any(record.steps for record in history.stages)
    if any_drawn and not is_trained:
        _join(axes, [record.rms_on_grid for record in history.stages], "-")
        _join(axes, [record.rms_off_grid or 0.0 for record in history.stages], "--")
    title = (
        rf"training: RMS, and $L^{{{p:g}}}$ (pale), by stage"
        if is_trained
        else "no stage needed a step: RMS after each"
    )
    label(axes, title=title, x="step" if is_trained else "stage", y=r"error $/$ RMS$(u)$")
    if not any_drawn:
        write_instead(axes, "nothing was trained")
        return
    axes.set_yscale("log")
    axes.set_xlim(0, start)
    axes.locator_params(axis="x", integer=True, nbins=6)
    grid_lines(axes, "y")
    if lowest < 100.0 * EPS:
        axes.axhline(EPS, color=TARGET_COLOUR, linewidth=0.8, linestyle="--")
        axes.annotate(
            "machine epsilon", (0.0, EPS), (4, 3), ("axes fraction", "data"), "offset points",
            fontsize=SMALL, color=TARGET_COLOUR,
        )  # fmt: skip


def _join(axes: Any, errors: list[float], style: str) -> None:
    """A line from the field, of which nothing is fitted yet, through the errors after the stages."""
    after = np.asarray([1.0, *errors])
    there = np.flatnonzero(after > 0.0)
    draw_line(axes, there, after[there], color=QUIET_COLOUR, linestyle=style, linewidth=1.0, marker="")
