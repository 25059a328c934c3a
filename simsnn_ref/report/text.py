"""What the commands print: tables for people, one JSON object for programs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simsnn_ref.backend import default_threads
from simsnn_ref.io import blas_threads
from simsnn_ref.model import History, Model, StageRecord
from simsnn_ref.spectrum import Grid, Scatter

__all__ = [
    "BEND",
    "describe_grid",
    "fit_report",
    "off_grid_line",
    "peak_memory_bytes",
    "printable",
    "stage_rows",
    "stage_table",
    "text_table",
    "threads_line",
]

BEND = "Bend: the share of a stage that is not linear in its features, what the network adds to a sum of cosines."
"""What the column of that name in `stage_table` means."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of plain text, right-aligned but for the first and the last."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    last = len(header) - 1

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)])


def printable(text: str) -> str:
    """Text of a file in one line, without what would steer a terminal or be no character of HTML."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def _number(value: float | None, form: str = ".2e") -> str:
    return "-" if value is None else format(value, form)


def stage_table(history: History) -> str:
    """One line per stage; errors relative to the RMS of the field."""
    return text_table(*stage_rows(history.stages))


def stage_rows(records: Sequence[StageRecord]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of `stage_table`."""
    header = ["stage", "n_f", "parameters", "steps", "eps", "bend", "RMS on grid", "max on", "RMS off grid", "max off"]
    rows = [
        [
            f"{record.index} {record.first_layer}",
            str(record.n_modes),
            str(record.n_parameters),
            str(record.steps),
            _number(record.eps),
            _number(record.nonlinear_share),
            _number(record.rms_on_grid),
            _number(record.max_on_grid),
            _number(record.rms_off_grid),
            _number(record.max_off_grid),
            _number(record.seconds, ".1f"),
            record.stopped_because,
        ]
        for record in records
    ]
    return [*header, "seconds", "stopped because"], rows


_OFF_GRID = {
    "interpolation": "Off the grid: against trigonometric interpolation, at the points between the samples.",
    "random": "Off the grid: against the function itself at random points.",
    "holdout": "Off the grid: at held-out samples; training saw every second one along each axis.",
    "none": "Off the grid: not measured (samples that are not periodic; --off-grid holdout keeps some of them back).",
}


def off_grid_line(model: Model) -> str:
    """How the errors between the samples were measured, in words."""
    if isinstance(model.grid, Grid):
        return _OFF_GRID[model.history.off_grid]
    if model.history.off_grid == "none":
        return "Off the points: not measured (--off-grid holdout keeps a tenth of them back)."
    return "On the grid: at the points that training saw. Off it: at the tenth of the points that was held out."


def describe_grid(grid: Grid | Scatter) -> dict[str, Any]:
    """Shape (of scattered points, their number), box and periodicity, ready for JSON."""
    return {
        "shape": list(grid.shape),
        "lower": list(grid.lower),
        "upper": list(grid.upper),
        "periodic": list(grid.periodic),
    }


def fit_report(model: Model, problem: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The object `simsnn fit --json` prints; errors are relative to the RMS of the field."""
    history = model.history
    return {
        "problem": {**problem, **describe_grid(model.grid), "rms": history.rms, "max": history.max},
        "config": model.config.to_dict(),
        "versions": model.provenance,
        "backend": model.backend.name,
        "device": str(model.backend.device),
        "threads": {"host": default_threads(), "blas": blas_threads()},
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(),
        "off_grid": history.off_grid,
        "resolved_level": history.noise_floor,
        "certified": history.certified,
        "notes": list(history.notes),
        "stages": [record.summary() for record in history.stages],
    }


def threads_line() -> str:
    """Both kinds of threads in words."""
    blas = blas_threads()
    return f"threads: {default_threads()} here, BLAS {'as it likes' if blas is None else blas}"


def peak_memory_bytes() -> int | None:
    """Largest resident set of this process so far; None where the system does not tell."""
    try:
        # Linux: getrusage would also count what the process that started this one had.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
