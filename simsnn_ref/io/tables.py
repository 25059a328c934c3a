"""Tables of numbers as text: comma-separated values, with or without the names of the columns."""

import csv
from pathlib import Path

import numpy as np

from simsnn_ref.errors import DataError

__all__ = ["TABLE_SUFFIXES", "read_table"]

TABLE_SUFFIXES = (".csv", ".tsv")

SEPARATORS = (";", "\t", ",")
"""What may stand between columns; the first one that the first line has does."""


def read_table(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table by name, in their order; float64 of shape (n,).

    The first line has the names unless all of it are numbers; columns without names are ``column1`` and so on. A field
    that is empty is NaN. Empty lines and those that begin with # are left out.

    Raises
    ------
    DataError
        If the file cannot be read, a field is no number, or a line has more or fewer fields than the first one.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    if not lines:
        raise DataError(f"{path}: holds no table")
    separator = next((one for one in SEPARATORS if one in lines[0][1]), ",")
    try:
        rows = list(csv.reader((line for _, line in lines), delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error})") from error
    names = [f"column{i + 1}" for i in range(len(rows[0]))]
    if any(_number(field) is None for field in rows[0]):
        names, rows, lines = [field.strip() for field in rows[0]], rows[1:], lines[1:]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: two columns are called {name!r}")
    table = np.empty((len(rows), len(names)))
    for i, (row, (number, _)) in enumerate(zip(rows, lines, strict=True)):
        if len(row) != len(names):
            raise DataError(f"{path}: line {number} has {len(row)} fields, the first one {len(names)}")
        for j, field in enumerate(row):
            value = _number(field)
            if value is None:
                raise DataError(f"{path}: line {number}, {names[j]}: {field!r} is not a number")
            table[i, j] = value
    return {name: table[:, j].copy() for j, name in enumerate(names)}


def _number(field: str) -> float | None:
    """The number in a field, NaN in an empty one; None for any other text."""
    field = field.strip()
    if not field or field.lower() in ("na", "null"):
        return float("nan")
    try:
        return float(field)
    except ValueError:
        return None
