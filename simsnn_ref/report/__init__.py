"""What a person sees of a fit: tables, curves, figures, progress and the HTML report."""

from simsnn_ref.report.curves import figure_of_run
from simsnn_ref.report.html import Source, html_report
from simsnn_ref.report.plotting import figure_of_fit, figure_of_spectrum, residues, save_figure
from simsnn_ref.report.progress import SimulationLines, make_progress
from simsnn_ref.report.rerun import box_words
from simsnn_ref.report.tables import legend
from simsnn_ref.report.text import BEND, describe_grid, fit_report, off_grid_line, stage_table, text_table, threads_line
from simsnn_ref.report.watch import Run

__all__ = [
    "BEND",
    "Run",
    "SimulationLines",
    "Source",
    "box_words",
    "describe_grid",
    "figure_of_fit",
    "figure_of_run",
    "figure_of_spectrum",
    "fit_report",
    "html_report",
    "legend",
    "make_progress",
    "off_grid_line",
    "residues",
    "save_figure",
    "stage_table",
    "text_table",
    "threads_line",
]
