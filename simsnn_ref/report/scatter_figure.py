"""The figure of a fit to scattered points: values, spectra, training, and what each stage left at the points."""

from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.model import Model
from simsnn_ref.report.curves import draw_history, draw_residue_spectra, recorded_spectra
from simsnn_ref.report.drawing import (
    FIELD_MAP,
    LINE_HEIGHT,
    NORMAL,
    PANEL_WIDTH,
    RESIDUE_MAP,
    SMALL,
    TARGET_COLOUR,
    label,
    limits_about_zero,
    new_figure,
    scientific_ticks,
)
from simsnn_ref.report.stage_residues import errors_title, residues
from simsnn_ref.spectrum import Scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_of_scatter"]


def figure_of_scatter(model: Model, scatter: Scatter, values: np.ndarray, title: str) -> "Figure":
    """Values, spectra and history of the training; then what each stage left at the points."""
    scatter.check_values(values)
    history = model.history
    unit = history.rms or 1.0
    columns = max(3, len(history.stages))
    figure = new_figure(PANEL_WIDTH * columns, 2.0 * LINE_HEIGHT, title)
    axes = figure.subplots(2, columns, squeeze=False)
    for panel in axes.flat:
        panel.set_visible(False)
    limits = float(np.min(values)), float(np.max(values))
    _draw_points(axes[0, 0], values, scatter, limits, FIELD_MAP)
    axes[0, 0].set_title("target $u$", fontsize=NORMAL)
    axes[0, 1].set_visible(True)
    draw_residue_spectra(axes[0, 1], recorded_spectra(history), title="spectra by least squares")
    axes[0, 2].set_visible(True)
    draw_history(axes[0, 2], history, model.config.p)
    for stage, residue in enumerate(residues(model, values)):
        relative = (residue / unit).astype(np.float64)
        _draw_points(axes[1, stage], relative, scatter, limits_about_zero(relative), RESIDUE_MAP)
        axes[1, stage].set_title(errors_title(history.stages[stage]), fontsize=NORMAL)
    return figure


def _draw_points(axes: Any, values: np.ndarray, scatter: Scatter, limits: tuple[float, float], cmap: str) -> None:
    """Values over the coordinate, or as colours over the last two."""
    axes.set_visible(True)
    if scatter.ndim == 1:
        axes.plot(scatter.points[:, 0], values, ".", color=TARGET_COLOUR, markersize=2)
        label(axes, title="", x="$x$", y="")
        return
    across, up = scatter.points.T[-2:]
    image = axes.scatter(across, up, c=values, s=4, cmap=cmap, vmin=limits[0], vmax=limits[1], linewidths=0)
    bar = axes.figure.colorbar(image, ax=axes, format=scientific_ticks())
    bar.ax.tick_params(labelsize=SMALL)
    label(axes, title="", x=f"${'xyz'[scatter.ndim - 2]}$", y=f"${'xyz'[scatter.ndim - 1]}$")
