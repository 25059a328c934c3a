"""What an experiment is given and what it returns: tables, every number, the paper's claims, and a figure to draw."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from simsnn_ref.io import package_version, versions
from simsnn_ref.model import Checkpoints, FitConfig, Model, digest
from simsnn_ref.multistage import fit, resume
from simsnn_ref.report import legend
from simsnn_ref.spectrum import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "HIGH_ACCURACY",
    "PAPERS",
    "SIZES",
    "Cell",
    "Claim",
    "Outcome",
    "Settings",
    "Table",
    "method_of",
    "spread",
    "to_dict",
    "to_markdown",
]

SIZES = ("quick", "laptop", "hours", "paper")
"""A minute; minutes on two cores; the paper's method and number of steps on grids that two cores can do in hours; its
own sizes, which are meant for a GPU."""

PAPER_STEPS = 150_000
"""Of each stage, section 4.2."""

HIGH_ACCURACY = 1e-15
"""Error relative to the RMS of the field up to which it counts as O(1e-16)."""

PAPERS = "the paper's method"
"""By what a claim of the paper is decided as the paper itself did."""

Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class Settings:
    """How an experiment is run.

    Attributes
    ----------
    size : str
        One of `SIZES`.
    optimizer : str
        Optimizer of `simsnn_ref.FitConfig`; empty for the experiment's own choice.
    say : callable
        Receives a line of text when a part of the work begins.
    checkpoints : Path or None
        Folder in which every fit keeps its checkpoints, in a folder of its own.
    """

    size: str = "quick"
    optimizer: str = ""
    say: Callable[[str], None] = field(default=lambda line: None, compare=False)
    checkpoints: Path | None = field(default=None, compare=False)

    @property
    def shorter(self) -> str:
        """The size of an experiment that needs no hours: laptop in place of hours."""
        return "laptop" if self.size == "hours" else self.size

    def fit(self, u: Any, grid: Grid, **options: Any) -> Model:
        """`simsnn_ref.fit`; a fit of the same data with the same options that was interrupted is resumed."""
        if self.checkpoints is None:
            return fit(u, grid, **options)
        values = np.reshape(u(grid.points()), grid.shape) if callable(u) else u
        key = json.dumps([FitConfig.of(**options).to_dict(), package_version(), digest(values)])
        folder = self.checkpoints / hashlib.sha256(key.encode()).hexdigest()[:16]
        with Checkpoints(folder) as checkpoints:
            if checkpoints.data_file.exists():
                return resume(checkpoints, u if callable(u) else None)
            return fit(u, grid, checkpoint=checkpoints, **options)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper beside the result of this run.

    Attributes
    ----------
    source : str
        Section, figure or equation of the paper.
    says, found : str
        The claim, and the result with the criterion that decides.
    held : bool or None
        None where this run does not decide it.
    by : str
        The method that decided, see `method_of`; empty where the claim is not about one.
    """

    source: str
    says: str
    found: str
    held: bool | None
    by: str = ""

    @property
    def verdict(self) -> str:
        """In words that say by which method."""
        if self.held is None:
            return f"not decided{f': {self.by} was not run' if self.by else ''}"
        return f"{'held' if self.held else 'did not hold'}{f' by {self.by}' if self.by else ''}"


def method_of(config: FitConfig) -> str:
    """By what a fit in mode paper decides a claim: the paper's method, with what of it was changed, or another one."""
    if config.optimizer != "adam":
        changed = any(config.network.z1_rms) or set(config.network.output_gain) != {1.0}
        return f"another optimizer{' and another start' if changed else ''}"
    fewest = min(config.steps)
    if fewest < PAPER_STEPS:
        return f"Adam in {fewest} steps a stage"
    return PAPERS if config.trains_wavenumbers(config.n_stages - 1) else f"{PAPERS}, B frozen"


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words; numbers are rounded when they are printed, not before.

    Attributes
    ----------
    title : str
    columns : mapping of str to str
        Meaning of each column by its name; printed below the table.
    rows : tuple of tuples
        One cell for each column; None where there is no value.
    note : str
        What concerns the table as a whole.
    """

    title: str
    columns: Mapping[str, str]
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
        Wall-clock time.
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
            {
                "source": claim.source,
                "paper": claim.says,
                "found": claim.found,
                "held": claim.held,
                "verdict": claim.verdict,
            }
            for claim in outcome.claims
        ],
        "tables": [
            {"title": table.title, "columns": list(table.columns), "rows": [list(row) for row in table.rows]}
            for table in outcome.tables
        ],
        "numbers": outcome.numbers,
    }


CLAIM_COLUMNS = {
    "where": "section, figure or equation of the paper",
    "the paper": "what the paper says",
    "this run": "what this run found, and the criterion where it needs one",
    "claim": "whether it held in this run, and by which method",
}


def to_markdown(outcome: Outcome) -> str:
    """The claims and the tables as Markdown; below each table the meaning of its columns."""
    claims = Table(
        "The paper and this run",
        CLAIM_COLUMNS,
        tuple((claim.source, claim.says, claim.found, claim.verdict) for claim in outcome.claims),
    )
    chosen = f", optimizer {outcome.settings.optimizer}" if outcome.settings.optimizer else ""
    lines = [f"# {outcome.title}", "", f"Size {outcome.settings.size}{chosen}; {outcome.seconds:.0f} s.", ""]
    for table in (claims, *outcome.tables):
        lines += [f"## {table.title}", "", *_rows(table), ""]
        lines += [*(f"- *{names}*: {meaning}" for names, meaning in legend(table.columns)), ""]
        if table.note:
            lines += [table.note, ""]
    return "\n".join(lines)


def _rows(table: Table) -> list[str]:
    header = [list(table.columns), ["---"] * len(table.columns)]
    return [f"| {' | '.join(row)} |" for row in [*header, *([_text(cell) for cell in row] for row in table.rows)]]


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.2g}" if isinstance(cell, float) else str(cell)


def spread(values: list[float], form: str, range_form: str = "") -> str:
    """Median of the values and, where there are several, their range in brackets."""
    middle = format(median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({format(min(values), range_form or form)} to {format(max(values), range_form or form)})"
