"""The status of a run in words: all of it on a screen, or what is new in lines."""

import time

from simsnn_ref.report.run_status import RunStatus
from simsnn_ref.report.stages import duration_words, stage_columns, stage_end_line, stage_rows, step_words
from simsnn_ref.report.tables import printable, table_with_legend

__all__ = ["event_lines", "status_lines"]


def status_lines(run: RunStatus) -> list[str]:
    """The whole status, and the table of the stages that have finished."""
    now = time.time()
    resumed = f", resumed {run.resumed} time{'' if run.resumed == 1 else 's'}" if run.resumed else ""
    last = "" if run.last_line is None else f"; last log entry {duration_words(now - run.last_line)} ago"
    rows = [("run", f"{run.state}{resumed}; running time {duration_words(run.seconds)}{last}")]
    if run.reason:
        rows.append(("", run.reason))
    if run.state == "stopped":
        rows.append(("", f"go on with: simsnn resume {run.folder}"))
    if run.stage is not None:
        rows.append(("stage", _stage_words(run.stage)))
    if run.step is not None:
        rows.append(("steps", _progress(run)))
    if run.activity is not None:
        rows.append(("now", run.activity))
    if run.saved is not None:
        path, saved_at = run.saved
        rows.append(("saved", f"{path.name}, {duration_words(now - saved_at)} ago"))
    rows += [("note", note) for note in run.notes]
    lines = [f"{name:<7}{text}" for name, text in rows]
    if not run.records:
        return lines
    cells = [[printable(cell) for cell in row] for row in stage_rows(run.records)]
    return [*lines, "", *table_with_legend(stage_columns(), cells).splitlines()]


def event_lines(run: RunStatus) -> list[str]:
    """A line for each note, each stage that has finished, what is going on, and the state."""
    lines = [f"note: {note}" for note in run.notes]
    lines += [printable(stage_end_line(record)) for record in run.records]
    if run.stage is not None:
        lines.append(f"stage {_stage_words(run.stage)}")
        if run.step is not None:
            lines.append(f"  stage {run.stage[0]}: {_progress(run)}")
    if run.activity is not None:
        lines.append(f"  {run.activity} ...")
    return [*lines, f"run {run.state}{': ' if run.reason else ''}{run.reason}"]


def _stage_words(stage: tuple[int, int, str]) -> str:
    index, n_stages, description = stage
    return f"{index} of {n_stages}: {description}"


def _progress(run: RunStatus) -> str:
    """Steps taken, loss, RMS, speed and time left."""
    assert run.step is not None
    speed = "" if run.steps_per_second is None else f", {run.steps_per_second:.3g} steps/s"
    left = "" if run.seconds_left is None else f", at most {duration_words(run.seconds_left)} left"
    return f"{step_words(run.step)}{speed}{left if run.state == 'running' else ''}"
