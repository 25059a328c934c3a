"""The figure of the kernel study: eigenvalues, eigenvectors, and the decay of the residue."""

from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import EPS
from simsnn_ref.experiments.ntk.problem import CYCLES, FIRST_LAYERS
from simsnn_ref.experiments.ntk.study import LEADING, SHOWN, Study, TrainedNetwork
from simsnn_ref.report import (
    LINE_HEIGHT,
    PANEL_WIDTH,
    QUIET_COLOUR,
    SMALL,
    draw_legend,
    draw_line,
    label,
    new_figure,
    stage_colour,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(study: Study, title: str) -> "Figure":
    """Six panels; those of single networks show the first seed at the paper's width."""
    figure = new_figure(3 * PANEL_WIDTH, 2.2 * LINE_HEIGHT, title)
    axes = figure.subplots(2, 3)
    firsts = {name: study.of(name, study.narrowest)[0] for name in FIRST_LAYERS}
    _draw_eigenvalues(axes[0, 0], firsts)
    _draw_wavenumbers(axes[0, 1], firsts)
    _draw_last_wave(axes[0, 2], firsts)
    _draw_components(axes[1, 0], firsts["si"])
    _draw_components(axes[1, 1], firsts["rff"])
    _draw_widths(axes[1, 2], study)
    return figure


def _draw_eigenvalues(axes: Any, firsts: dict[str, TrainedNetwork]) -> None:
    for i, (name, network) in enumerate(firsts.items()):
        relative = network.values / network.values[0]
        known = np.flatnonzero(relative > EPS)
        draw_line(axes, known + 1, relative[known], color=stage_colour(i), label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, title="eigenvalues of the kernel", x="number $i$", y=r"$\lambda_i/\lambda_1$")
    draw_legend(axes, loc="lower left")


def _draw_wavenumbers(axes: Any, firsts: dict[str, TrainedNetwork]) -> None:
    for m in CYCLES:
        axes.axhline(m, color=QUIET_COLOUR, linewidth=0.6)
    numbers = np.arange(1, SHOWN + 1)
    for i, (name, network) in enumerate(firsts.items()):
        # An eigenvalue below n eps of the largest is rounding, and its eigenvector anything.
        known = network.values[:SHOWN] > network.values.size * EPS * network.values[0]
        draw_line(axes, numbers[known], network.wavenumbers[:SHOWN][known], color=stage_colour(i), label=name)
    label(axes, title="its eigenvectors (grey: the target's waves)", x="number $i$", y="mean wavenumber")


def _draw_last_wave(axes: Any, firsts: dict[str, TrainedNetwork]) -> None:
    for i, network in enumerate(firsts.values()):
        steps = np.arange(network.waves.shape[0])
        draw_line(axes, steps, network.waves[:, -1], color=stage_colour(i))
        draw_line(axes, steps, network.predicted_waves[:, -1], color=stage_colour(i), linestyle=":")
    axes.set_yscale("log")
    label(axes, title=f"what is left of wave {CYCLES[-1]} (dotted: predicted)", x="step", y="relative to the start")


def _draw_components(axes: Any, network: TrainedNetwork) -> None:
    for i, number in enumerate(network.compared[:LEADING]):
        start = abs(network.measured[0, number])
        steps = np.arange(network.measured.shape[0])
        measured, predicted = (np.abs(one[:, number]) / start for one in (network.measured, network.predicted))
        draw_line(axes, steps, measured, color=stage_colour(i), label=f"{number + 1}")
        draw_line(axes, steps, predicted, color=stage_colour(i), linestyle=":")
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 10.0)
    title = f"{network.first_layer}: components of $e$ (dotted: predicted)"
    label(axes, title=title, x="step", y="relative to the start")
    draw_legend(axes, loc="upper center", ncols=LEADING, columnspacing=1.0, title="eigenvector", title_fontsize=SMALL)


def _draw_widths(axes: Any, study: Study) -> None:
    widths = np.asarray(study.size.widths)
    for i, name in enumerate(FIRST_LAYERS):
        errors = np.asarray([study.residue_error(name, width) for width in study.size.widths])
        draw_line(axes, widths, errors, color=stage_colour(i), label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_xticks(widths, labels=[str(width) for width in widths])
    label(axes, title="error of the prediction", x="width", y=r"largest $|e - e_\mathrm{predicted}|/|e(0)|$")
