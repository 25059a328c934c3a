"""What an experiment hands back: tables, every number, which claims of the paper held, and how to draw it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from simsnn_ref.io import package_version, versions
from simsnn_ref.model import Checkpoints, FitConfig, Model, digest
from simsnn_ref.multistage import fit, resume
from simsnn_ref.spectrum import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZES", "Cell", "Claim", "Outcome", "Settings", "Table", "to_dict", "to_markdown"]

SIZES = ("quick", "laptop", "paper")
"""A minute; minutes on two cores; the paper's own sizes and steps, which with Adam are meant for a GPU."""

Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class Settings:
    """How an experiment is run.

    Attributes
    ----------
    size : str
        One of `SIZES`.
    optimizer : str
        Of `simsnn_ref.FitConfig`; empty for the experiment's own choice.
    say : callable
        Told, in a line, what is being done.
    checkpoints : Path or None
        Folder for the states of fits, a folder each.
    """

    size: str = "quick"
    optimizer: str = ""
    say: Callable[[str], None] = field(default=lambda line: None, compare=False)
    checkpoints: Path | None = field(default=None, compare=False)

    def fit(self, u: Any, grid: Grid, **options: Any) -> Model:
        """`simsnn_ref.fit`, taken up where it was left if the same data were fitted with the same options before."""
        if self.checkpoints is None:
            return fit(u, grid, **options)
        values = np.reshape(u(grid.points()), grid.shape) if callable(u) else u
        told = json.dumps([FitConfig.of(**options).to_dict(), package_version(), digest(values)])
        folder = self.checkpoints / hashlib.sha256(told.encode()).hexdigest()[:16]
        with Checkpoints(folder) as checkpoints:
            if checkpoints.data_file.exists():
                return resume(checkpoints, u if callable(u) else None)
            return fit(u, grid, checkpoint=checkpoints, **options)


@dataclass(frozen=True)
class Claim:
    """What the paper says beside what was found.

    Attributes
    ----------
    source : str
        Where in the paper.
    says, found : str
    held : bool or None
        None where this run does not decide it.
    """

    source: str
    says: str
    found: str
    held: bool | None


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words; numbers are rounded when they are printed, not before."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finished experiment.

    Attributes
    ----------
    name, title : str
    settings : Settings
    tables : tuple of Table
    claims : tuple of Claim
    numbers : dict
        Everything measured, ready for JSON.
    seconds : float
    draw : callable
        Returns the figure; needs matplotlib.
    """

    name: str
    title: str
    settings: Settings
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...]
    numbers: dict[str, Any]
    seconds: float
    draw: Callable[[], "Figure"] = field(compare=False)


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """All but the figure, as plain values."""
    return {
        "experiment": outcome.name,
        "title": outcome.title,
        "size": outcome.settings.size,
        "optimizer": outcome.settings.optimizer,
        "seconds": outcome.seconds,
        "versions": versions(),
        "claims": [
            {"source": claim.source, "paper": claim.says, "found": claim.found, "held": claim.held}
            for claim in outcome.claims
        ],
        "tables": [
            {"title": table.title, "columns": list(table.columns), "rows": [list(row) for row in table.rows]}
            for table in outcome.tables
        ],
        "numbers": outcome.numbers,
    }


def to_markdown(outcome: Outcome) -> str:
    """The claims and the tables as Markdown."""
    verdict = {True: "held", False: "did not hold", None: "not decided"}
    claims = Table(
        "The paper and this run",
        ("where", "the paper", "this run", "claim"),
        tuple((claim.source, claim.says, claim.found, verdict[claim.held]) for claim in outcome.claims),
    )
    asked = f", optimizer {outcome.settings.optimizer}" if outcome.settings.optimizer else ""
    lines = [f"# {outcome.title}", "", f"Size {outcome.settings.size}{asked}; {outcome.seconds:.0f} s.", ""]
    for table in (claims, *outcome.tables):
        lines += [f"## {table.title}", "", *_rows(table), ""]
        if table.note:
            lines += [table.note, ""]
    return "\n".join(lines)


def _rows(table: Table) -> list[str]:
    cells = [table.columns, ("---",) * len(table.columns), *([_text(cell) for cell in row] for row in table.rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.2g}" if isinstance(cell, float) else str(cell)
