"""The figure of a run from its log: error and loss against steps and against running time."""

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.report.drawing import draw_legend, draw_line, grid_lines, label, new_figure, stage_colour, write_instead
from simsnn_ref.report.run_status import RunStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_of_run"]


def figure_of_run(run: RunStatus, *, title: str = "") -> "Figure":
    """RMS and loss against steps and against running time, over all stages, from the log.

    Parameters
    ----------
    run : RunStatus
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
            x=("step", "running time, seconds")[column] if row else "",
            y="" if column else ("RMS $/$ RMS$(u)$", "loss of the stage's normalised residue")[row],
        )
        if drawn:
            panel.set_yscale("log")
            grid_lines(panel, "y")
        else:
            write_instead(panel, "no step is logged")
    if drawn:
        draw_legend(axes[0, 0])
    return figure


def _draw(panel: Any, x: np.ndarray, values: np.ndarray, stage: int) -> None:
    there = values > 0.0
    if np.any(there):
        draw_line(panel, x[there], values[there], color=stage_colour(stage - 1), label=f"stage {stage}")
