"""What a person sees of a fit: tables, curves, figures, progress and the HTML report."""

from simsnn_ref.report.curves import figure_of_spectrum
from simsnn_ref.report.drawing import (
    FIELD_MAP,
    LINE_HEIGHT,
    PANEL_WIDTH,
    QUIET_COLOUR,
    RESIDUE_MAP,
    SMALL,
    SPECTRUM_MAP,
    TARGET_COLOUR,
    check_figure_path,
    draw_image,
    draw_legend,
    draw_line,
    draw_spectra,
    label,
    new_figure,
    require_matplotlib,
    save_figure,
    stage_colour,
    tex_number,
)
from simsnn_ref.report.fit_figure import figure_of_fit
from simsnn_ref.report.html import TrainingData, html_report
from simsnn_ref.report.json_report import describe_grid, fit_report, threads_words
from simsnn_ref.report.planes import draw_field
from simsnn_ref.report.progress import SimulationLines, make_progress
from simsnn_ref.report.rerun import box_words
from simsnn_ref.report.run_figure import figure_of_run
from simsnn_ref.report.run_status import RunStatus
from simsnn_ref.report.stage_residues import residues
from simsnn_ref.report.stages import closing_line, duration_words, off_grid_meaning, stage_columns, stage_rows
from simsnn_ref.report.status_text import event_lines, status_lines
from simsnn_ref.report.tables import legend, table_with_legend

__all__ = [
    "FIELD_MAP",
    "LINE_HEIGHT",
    "PANEL_WIDTH",
    "QUIET_COLOUR",
    "RESIDUE_MAP",
    "SMALL",
    "SPECTRUM_MAP",
    "TARGET_COLOUR",
    "RunStatus",
    "SimulationLines",
    "TrainingData",
    "box_words",
    "check_figure_path",
    "closing_line",
    "describe_grid",
    "draw_field",
    "draw_image",
    "draw_legend",
    "draw_line",
    "draw_spectra",
    "duration_words",
    "event_lines",
    "figure_of_fit",
    "figure_of_run",
    "figure_of_spectrum",
    "fit_report",
    "html_report",
    "label",
    "legend",
    "make_progress",
    "new_figure",
    "off_grid_meaning",
    "require_matplotlib",
    "residues",
    "save_figure",
    "stage_colour",
    "stage_columns",
    "stage_rows",
    "status_lines",
    "table_with_legend",
    "tex_number",
    "threads_words",
]
