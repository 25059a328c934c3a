"""The figure of the exponent study: residues, their extremes, and what the second stage makes of them."""

import math
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.experiments.lp.residues import gaussian_maximum
from simsnn_ref.experiments.lp.study import EXPONENTS, LEAST_SQUARES, PAIRS, PAPER, Plan, Study, Trial
from simsnn_ref.report import (
    LINE_HEIGHT,
    PANEL_WIDTH,
    QUIET_COLOUR,
    RESIDUE_MAP,
    SMALL,
    draw_image,
    draw_legend,
    draw_line,
    label,
    new_figure,
    stage_colour,
    tex_number,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

LEVELS = 200
"""Number of points of the curves of `_draw_exceedance`."""


def draw(study: Study) -> "Figure":
    """Residues of the first field above; below, what changes with p, and what the second stage makes of it."""
    figure = new_figure(3.0 * PANEL_WIDTH, 2.2 * LINE_HEIGHT, "The exponent of the $L^p$ loss")
    axes = figure.subplots(2, 3)
    plan = study.plans[0]
    _draw_residue(axes[0, 0], study, LEAST_SQUARES)
    _draw_residue(axes[0, 1], study, PAPER)
    _draw_exceedance(axes[0, 2], study)
    _draw_spike_factors(axes[1, 0], study)
    _draw_errors(axes[1, 1], study, plan)
    _draw_gains(axes[1, 2], study)
    return figure


def _draw_residue(axes: Any, study: Study, p: float) -> None:
    """Both residues on the scale of p = 2, whose spikes set it."""
    limit = max(float(np.max(np.abs(study.residues[q]))) for q in (LEAST_SQUARES, PAPER))
    (x0, y0), (x1, y1) = study.grid.lower, study.grid.upper
    draw_image(axes, study.residues[p], (x0, x1, y0, y1), (-limit, limit), RESIDUE_MAP)
    size = rms(np, study.residues[p])
    label(axes, title=f"residue of stage 1, $p$ = {p:g}: RMS {tex_number(size)}", x="$x$", y="$y$")


def _draw_exceedance(axes: Any, study: Study) -> None:
    """The share of points where |e| / RMS is above a level."""
    for index, (p, residue) in enumerate(study.residues.items()):
        ordered = np.sort(np.abs(residue), axis=None) / rms(np, residue)
        level = np.linspace(0.0, ordered[-1], LEVELS, endpoint=False)
        share = 1.0 - np.searchsorted(ordered, level) / ordered.size
        draw_line(axes, level, share, color=stage_colour(index), label=f"$p$ = {p:g}")
    level = np.linspace(0.0, gaussian_maximum(study.grid.size), LEVELS)
    gaussian = np.array([math.erfc(x / math.sqrt(2.0)) for x in level])
    draw_line(axes, level, gaussian, color=QUIET_COLOUR, linestyle="--", label="Gaussian")
    axes.set_yscale("log")
    draw_legend(axes)
    label(
        axes, title="residues of stage 1: points above a level", x=r"level of $|e|\,/\,$RMS$(e)$", y="share of points"
    )


def _along_p(axes: Any) -> None:
    axes.set_xscale("log")
    axes.set_xticks(EXPONENTS, [f"{p:g}" for p in EXPONENTS])
    axes.minorticks_off()


def _leave_room(axes: Any, lines: float) -> None:
    """Above the data of a logarithmic axis, for a legend of so many lines."""
    bottom, top = np.log10(axes.get_ylim())
    share = 0.08 * lines
    axes.set_ylim(10.0**bottom, 10.0 ** (top + share / (1.0 - share) * (top - bottom)))


def _draw_spike_factors(axes: Any, study: Study) -> None:
    for index, plan in enumerate(study.plans):
        _draw_median(axes, study, plan, lambda t: t.first.spike_factor, color=stage_colour(index), label=plan.name)
    _along_p(axes)
    axes.set_ylim(bottom=1.0)
    draw_legend(axes)
    label(axes, title="spike factor of the residue of stage 1", x="$p$", y="max $/$ RMS")


def _draw_errors(axes: Any, study: Study, plan: Plan) -> None:
    lines: tuple[tuple[str, Callable[[Trial], float], int, str], ...] = (
        ("stage 1, RMS", lambda t: t.first.rms, 0, "-"),
        ("stage 1, max", lambda t: t.first.max, 0, ":"),
        ("stage 2, RMS", lambda t: t.second.rms, 1, "-"),
        ("stage 2, max", lambda t: t.second.max, 1, ":"),
    )
    for name, value, stage, style in lines:
        _draw_median(axes, study, plan, value, color=stage_colour(stage), linestyle=style, label=name)
    _along_p(axes)
    axes.set_yscale("log")
    _leave_room(axes, 3.0)
    draw_legend(axes, loc="upper center", ncols=2)
    label(axes, title=f"errors after the stages, {plan.name}", x="$p$ of both stages", y=r"error $/$ RMS$(u)$")


def _draw_median(axes: Any, study: Study, plan: Plan, value: Callable[[Trial], float], **style: Any) -> None:
    """The median over the seeds as a line and their range as a band."""
    ranges = [[value(t) for t in study.of(plan, p, p)] for p in EXPONENTS]
    draw_line(axes, np.array(EXPONENTS), np.array([median(found) for found in ranges]), **style)
    lowest, highest = [min(found) for found in ranges], [max(found) for found in ranges]
    axes.fill_between(EXPONENTS, lowest, highest, color=style["color"], alpha=0.15, linewidth=0)


def _draw_gains(axes: Any, study: Study) -> None:
    """One mark for each seed; the columns of the same q are side by side."""
    for index, plan in enumerate(study.plans):
        for place, (p, q) in enumerate(PAIRS):
            gains = [t.gain for t in study.of(plan, p, q)]
            name = plan.name if place == 0 else None
            across = np.full(len(gains), place + 0.15 * (index - 0.5 * (len(study.plans) - 1)))
            axes.plot(across, gains, "o", color=stage_colour(index), markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_xlim(-0.5, len(PAIRS) - 0.5)
    axes.set_xticks(range(len(PAIRS)), [f"$p$ = {p:g}\n$q$ = {q:g}" for p, q in PAIRS])
    axes.axvline(0.5 * len(PAIRS) - 0.5, color=QUIET_COLOUR, linewidth=0.6)
    axes.tick_params(which="minor", labelsize=SMALL)
    _leave_room(axes, 1.0 + len(study.plans))
    draw_legend(axes, loc="upper center")
    label(axes, title="factor by which stage 2 lowers the RMS", x="$p$ of stage 1, $q$ of stage 2", y="factor")
