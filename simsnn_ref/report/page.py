"""A page of HTML that needs nothing but itself: its head and style, and the sections, tables and pictures in it."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simsnn_ref.report.markup import Html, element, join
from simsnn_ref.report.tables import legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["POLICY", "page", "picture", "png", "quiet", "section", "svg", "table"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: nothing but the pictures and the style in the file itself."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --line: #d0d7de; --tint: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --quiet: #9198a1; --paper: #0d1117; --line: #3d444d; --tint: #161b22; }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
thead th { vertical-align: bottom; }
caption { text-align: left; color: var(--quiet); padding-bottom: .25rem; }
.quiet, dl { color: var(--quiet); }
dl { font-size: .875rem; margin: .25rem 0 1rem; }
dt { font-weight: 600; float: left; clear: left; margin-right: .5em; }
dd { margin: 0; }
.warning { border-left: .3rem solid #d1242f; padding-left: .6rem; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; }
figcaption { color: var(--quiet); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1rem; }
pre { background: var(--tint); padding: .6rem; white-space: pre-wrap; }
summary { cursor: pointer; margin: .5rem 0; }
@media print {
  :root { --ink: #000; --quiet: #444; --paper: #fff; --line: #bbb; --tint: #fff; }
  body { max-width: none; font-size: 9pt; }
  .wide { overflow: visible; }
  table { font-size: 7pt; }
  th, td { padding: .15rem .3rem; }
  .pair { grid-template-columns: 1fr 1fr; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""

PNG_DOTS_PER_INCH = 90


def page(title: str, *sections: str) -> str:
    """The whole file, HTML5."""
    head = join(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element("body", element("main", element("h1", title), *sections))
    return f"<!DOCTYPE html>\n{element('html', element('head', head), body, lang='en')}\n"


def section(title: str, *parts: str) -> Html:
    """Parts below a heading."""
    return element("section", element("h2", title), *parts)


def quiet(text: str) -> Html:
    """A paragraph of less weight."""
    return element("p", text, class_="quiet")


def table(columns: Mapping[str, str], rows: Sequence[Sequence[str]], caption: str, numbers: Sequence[int] = ()) -> Html:
    """A table, and below it what its columns mean.

    Parameters
    ----------
    columns : mapping of str to str
        Meaning of each column by its name; the first column names the rows.
    rows : sequence of sequences of str
    caption : str
    numbers : sequence of int
        Columns of numbers, which are aligned to the right.
    """

    def cell(name: str, i: int, text: str, **attributes: str) -> Html:
        return element(name, text, **attributes, **({"class_": "number"} if i in numbers else {}))

    head = [cell("th", i, text, scope="col") for i, text in enumerate(columns)]
    body = [
        element("tr", *(cell("td" if i else "th", i, text, **({} if i else {"scope": "row"})) for i, text in row))
        for row in map(enumerate, rows)
    ]
    parts = (element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body))
    meanings = [join(element("dt", names), element("dd", meaning)) for names, meaning in legend(columns)]
    return join(
        element("div", element("table", *parts), class_="wide", tabindex="0", role="region", aria_label=caption),
        element("dl", *meanings),
    )


def picture(source: str, alt: str, caption: str) -> Html:
    """An image with its description for those who do not see it, and its caption."""
    return element("figure", element("img", src=source, alt=alt), element("figcaption", caption))


def svg(figure: "Figure") -> str:
    """A figure as the address of an SVG image that holds its data."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    drawn = io.StringIO()
    # Without a date and with a fixed salt the same fit has the same report.
    with mpl.rc_context({"svg.hashsalt": "simsnn"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue().encode()).decode()}"


def png(figure: "Figure") -> str:
    """A figure as the address of a PNG image that holds its data."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=PNG_DOTS_PER_INCH, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"
