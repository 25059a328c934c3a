"""The figure of a fit on a grid: target, fit, spectra, training, and what each stage left."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import EPS, NumpyBackend
from simsnn_ref.io import check_grid
from simsnn_ref.model import Model
from simsnn_ref.report.curves import draw_history, draw_residue_spectra
from simsnn_ref.report.drawing import (
    FIELD_MAP,
    LINE_HEIGHT,
    NORMAL,
    PALETTE,
    PANEL_WIDTH,
    QUIET_COLOUR,
    RESIDUE_MAP,
    TARGET_COLOUR,
    draw_legend,
    draw_line,
    label,
    limits_about_zero,
    new_figure,
    scientific_axis,
    stage_colour,
    write_instead,
)
from simsnn_ref.report.planes import draw_field, draw_modes, draw_space, middle_slice, plane_ratio, slice_words
from simsnn_ref.report.scatter_figure import figure_of_scatter
from simsnn_ref.report.stage_residues import errors_title, residues
from simsnn_ref.spectrum import EnergySpectrum, Grid, energy_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_of_fit"]


def figure_of_fit(model: Model, samples: np.ndarray, *, title: str = "") -> "Figure":
    """Target, fit, spectra and the history of the training; then what each stage left, in space and in wavenumbers.

    Residues and their spectra are relative to the RMS of the field. In three dimensions the middle slice along the
    first axis is shown, and the spectra are root sums of squares over the first wavenumber.

    Parameters
    ----------
    model : Model
    samples : ndarray of shape model.grid.shape
        What the model was fitted to, on its grid or at its points.
    title : str, optional

    Raises
    ------
    DataError
        If the samples are not on the model's grid.
    ConfigError
        If matplotlib is not installed.
    """
    grid, records = model.grid, model.history.stages
    if not isinstance(grid, Grid):
        return figure_of_scatter(model, grid, samples, title)
    check_grid(samples, grid)
    figure, axes = _panels(grid, len(records), title)

    unit = model.history.rms or 1.0
    relative = [(residue / unit).astype(np.float64) for residue in residues(model, samples)]
    samples = samples.astype(np.float64)
    before = [samples / unit, *relative]

    _draw_pair(axes[0], axes[1], samples, samples - unit * relative[-1] if relative else np.zeros_like(samples), grid)
    axes[1].set_title(f"fit, {len(records)} stage{'' if len(records) == 1 else 's'}", fontsize=NORMAL)
    spectra = [_spectrum(values, grid) for values in before]
    draw_residue_spectra(axes[2], spectra, title="spectra: target, residues after the stages")
    draw_history(axes[3], model.history, model.config.p)
    for stage, record in enumerate(records):
        space, modes = axes[4 + stage], axes[4 + len(records) + stage]
        _draw_residue(space, relative[stage], grid, stage_colour(stage))
        space.set_title(errors_title(record), fontsize=NORMAL)
        _draw_stage_modes(modes, before[stage], relative[stage], grid, stage_colour(stage))
    return figure


def _panels(grid: Grid, n_stages: int, title: str) -> tuple["Figure", list[Any]]:
    """The figure and its 4 + 2 n_stages panels; up to two stages fit into two rows of equal length."""
    n = 4 + 2 * n_stages
    rows = [n // 2, n // 2] if n_stages <= 2 else [4, n_stages, n_stages]
    width = PANEL_WIDTH * max(rows)
    heights = [LINE_HEIGHT] * len(rows)
    if grid.ndim > 1:
        shape = plane_ratio(grid)
        # An image takes the width that its colour bar and labels leave, and its height follows.
        heights = [max(LINE_HEIGHT, shape * (width / columns - 1.4) + 1.0) for columns in rows]
        heights = [min(height, 5.0) for height in heights]
    figure = new_figure(width, sum(heights) + (0.4 if title else 0.0), title)
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels: list[Any] = []
    for part, columns in zip(parts, rows, strict=True):
        panels += list(part.subplots(1, columns, squeeze=False)[0])
    return figure, panels


def _spectrum(values: np.ndarray, grid: Grid) -> EnergySpectrum:
    """E(k) in bins no narrower than the spacing of the wavenumbers, which on a small grid the paper's 200 would be."""
    spacing = [2.0 * unit / length for unit, length in zip(grid.wavenumber_units, grid.box.lengths, strict=True)]
    largest = math.hypot(*(unit * (n // 2) for unit, n in zip(spacing, grid.shape, strict=True)))
    bins = min(200, int(largest / max(spacing) * (1.0 + 1e-12)) + 1)
    return energy_spectrum(values, grid, NumpyBackend(), bins)


def _draw_pair(left: Any, right: Any, target: np.ndarray, fit: np.ndarray, grid: Grid) -> None:
    """Target and fit on the same scale."""
    if grid.ndim == 1:
        x = grid.axes()[0]
        draw_line(left, x, target, color=TARGET_COLOUR)
        draw_line(right, x, target, color=QUIET_COLOUR, linewidth=3.0, alpha=0.6, label="target")
        draw_line(right, x, fit, color=PALETTE[0], label="fit")
        draw_legend(right)
        for axes in (left, right):
            label(axes, title="", x="$x$", y="$u$")
            scientific_axis(axes)
    else:
        shown = middle_slice(target, grid)
        limits = float(np.min(shown)), float(np.max(shown))
        if limits[0] == limits[1]:
            spread = abs(limits[0]) or 1.0
            limits = limits[0] - spread, limits[1] + spread
        draw_space(left, target, grid, limits, FIELD_MAP)
        draw_space(right, fit, grid, limits, FIELD_MAP)
    left.set_title(f"target $u${slice_words(grid)}", fontsize=NORMAL)


def _draw_residue(axes: Any, residue: np.ndarray, grid: Grid, colour: str) -> None:
    """Colours symmetric about zero, each residue on its own scale."""
    if grid.ndim > 1:
        draw_field(axes, residue, grid, RESIDUE_MAP)
        return
    axes.axhline(0.0, color=QUIET_COLOUR, linewidth=0.6)
    draw_line(axes, grid.axes()[0], residue, color=colour, linewidth=0.9)
    axes.set_ylim(limits_about_zero(1.1 * residue))
    label(axes, title="", x="$x$", y=r"residue $/$ RMS$(u)$")
    scientific_axis(axes)


def _draw_stage_modes(axes: Any, given: np.ndarray, left: np.ndarray, grid: Grid, colour: str) -> None:
    """|u~| of what a stage left; in one dimension also of what it was given."""
    if grid.ndim > 1:
        draw_modes(axes, left, grid)
        return
    k = np.arange(grid.shape[0] // 2 + 1) * (2.0 * grid.wavenumber_units[0] / grid.box.lengths[0])
    for values, style in (
        (given, {"color": QUIET_COLOUR, "label": "given"}),
        (left, {"color": colour, "label": "left"}),
    ):
        amplitude = np.abs(np.fft.rfft(values)) / grid.size
        there = amplitude > EPS * np.max(amplitude)
        if np.any(there):
            draw_line(axes, k[there], amplitude[there], **style)
    label(axes, title="modes given to the stage and left by it", x="wavenumber $k$", y=r"$|\tilde u_k|\,/\,$RMS$(u)$")
    if np.any(given) or np.any(left):
        axes.set_yscale("log")
        draw_legend(axes)
    else:
        write_instead(axes, "zero everywhere")
