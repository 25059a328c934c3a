"""Plain-text tables that say below what each of their columns holds."""

from collections.abc import Mapping, Sequence

__all__ = ["legend", "printable", "table_with_legend", "text_table", "visible"]


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


def legend(columns: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of columns and what they mean; neighbours of the same meaning are named together.

    Examples
    --------
    >>> legend({"step": "number of the step", "RMS": "error at the samples", "max": "error at the samples"})
    [('step', 'number of the step'), ('RMS, max', 'error at the samples')]
    """
    entries: list[tuple[str, str]] = []
    for name, meaning in columns.items():
        if entries and entries[-1][1] == meaning:
            entries[-1] = f"{entries[-1][0]}, {name}", meaning
        else:
            entries.append((name, meaning))
    return entries


def table_with_legend(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text, and below it a line for each column with its meaning.

    Parameters
    ----------
    columns : mapping of str to str
        Meaning of each column by its name.
    rows : sequence of sequences of str
    """
    entries = legend(columns)
    width = max(len(names) for names, _ in entries)
    lines = [f"{names.ljust(width)}  {meaning}" for names, meaning in entries]
    return "\n".join([text_table(list(columns), rows), "", *lines])


def visible(text: str) -> str:
    """Text without characters that steer a terminal, turn the direction of the text around them, or are not HTML's."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def printable(text: str) -> str:
    """Text of a file as one visible line."""
    return visible(" ".join(text.split()))
