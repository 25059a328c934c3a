"""A finished fit as one HTML file: tables, figures, options, where it came from, how to use it and make it again.

The file needs nothing but itself: no script, no font, no network, which its content security policy says too.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import rms
from simsnn_ref.model import OPTIONS, FitConfig, Model, shown
from simsnn_ref.report.curves import figure_of_spectra, figure_of_training
from simsnn_ref.report.markup import Html, element, join
from simsnn_ref.report.plotting import figure_of_fit, residues
from simsnn_ref.report.rerun import changed_options, command_line, python_lines
from simsnn_ref.report.text import BEND, off_grid_line, stage_rows
from simsnn_ref.spectrum import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["POLICY", "Source", "html_report"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing but the pictures and the style in the file itself."""

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
.quiet { color: var(--quiet); }
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

_ERRORS = {
    "rms_on_grid": "RMS at the samples",
    "max_on_grid": "largest at the samples",
    "rms_off_grid": "RMS between the samples",
    "max_off_grid": "largest between the samples",
}

MAP_DOTS_PER_INCH = 90


@dataclass(frozen=True)
class Source:
    """What a model was fitted to, for the report to show.

    Attributes
    ----------
    samples : ndarray of shape model.grid.shape
        Those that training saw.
    words : sequence of str
        Of the command line that name them.
    """

    samples: np.ndarray
    words: Sequence[str]


def html_report(model: Model, path: str, source: Source | None = None, *, figures: bool = True) -> str:
    """The report of a model as HTML5.

    Parameters
    ----------
    model : Model
    path : str
        Of the model file, which the report names.
    source : Source, optional
        With it the report shows field, fit and errors, and the errors at the samples computed anew from the model.
    figures : bool
        Whether to draw figures.

    Raises
    ------
    DataError
        If the samples are not on the model's grid.
    ConfigError
        If figures are asked for and matplotlib is not installed.
    """
    title = f"Fit of {path if model.field is None else model.field.name}"
    body = [
        element("h1", title),
        _what(model, path),
        _errors(model, source),
        _stages(model),
        _figures(model, source) if figures else _section("Figures", element("p", "None: they need matplotlib.")),
        _notes(model),
        _use(model, path, source),
        _options(model.config),
        _provenance(model),
    ]
    head = join(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    page = element("html", element("head", head), element("body", element("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _section(title: str, *parts: str) -> Html:
    return element("section", element("h2", title), *parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, numbers: Sequence[int] = ()) -> Html:
    """A table whose first column names the rows; `numbers` are the columns of figures."""

    def cell(name: str, i: int, text: str, **attributes: str) -> Html:
        return element(name, text, **attributes, **({"class_": "number"} if i in numbers else {}))

    head = [cell("th", i, text, scope="col") for i, text in enumerate(header)]
    body = [
        element("tr", *(cell("td" if i else "th", i, text, **({} if i else {"scope": "row"})) for i, text in row))
        for row in map(enumerate, rows)
    ]
    parts = (element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body))
    return element("div", element("table", *parts), class_="wide", tabindex="0", role="region", aria_label=caption)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2e}"


def _what(model: Model, path: str) -> Html:
    grid, field, history = model.grid, model.field, model.history
    names = [f"axis {i}" for i in range(grid.ndim)] if field is None else list(field.dims)
    axes = [
        [
            name,
            str(n) if isinstance(grid, Grid) else "scattered",
            f"{lo:.10g}",
            f"{hi:.10g}",
            "periodic, the end left out" if periodic else "both ends included",
        ]
        for name, n, lo, hi, periodic in zip(
            names,
            grid.shape if isinstance(grid, Grid) else [0] * grid.ndim,
            grid.lower,
            grid.upper,
            grid.periodic,
            strict=True,
        )
    ]
    size = " x ".join(map(str, grid.shape))
    where = f"samples on a grid of {size} points" if isinstance(grid, Grid) else f"values at {size} scattered points"
    parts = [
        element(
            "p",
            f"A sum of {len(model.stages)} neural network{'' if len(model.stages) == 1 else 's'}, fitted in stages to"
            f" {where} in {history.seconds:.1f} s. The field's RMS is {history.rms:.6g}, its largest absolute"
            f" value {history.max:.6g}. Model file: ",
            element("code", path),
            ".",
        ),
        _table(["axis", "points", "from", "to", "ends"], axes, "Where the field was given", (1, 2, 3)),
    ]
    if field is not None:
        about = [("field", str(field))]
        about += [(f"{field.name}: {name}", _shown(value)) for name, value in field.attrs.items()]
        about += [(f"{ax.name}: {name}", _shown(value)) for ax in field.axes for name, value in ax.attrs.items()]
        about += [(f"file: {name}", _shown(value)) for name, value in field.dataset_attrs.items()]
        parts.append(_table(["what", "as the input says"], about, "What the field is called and measured in"))
    return _section("What was fitted", *parts)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _errors(model: Model, source: Source | None) -> Html:
    """Claimed, certified and, with the samples at hand, computed anew."""
    history = model.history
    last = history.stages[-1].summary() if history.stages else dict.fromkeys(_ERRORS, 0.0)
    certified = history.certified
    header = ["error", "at all points", "certified, at a sample of them"]
    columns = [last, certified or {}]
    if source is not None:
        header.append("computed anew for this report")
        columns.append(_computed(model, source))
    rows = [
        [text, *(_number(told[name]) if name in told else "-" for told in columns)] for name, text in _ERRORS.items()
    ]
    parts = [_table(header, rows, "Errors relative to the RMS of the field", (1, 2, 3))]
    if certified is None:
        parts.append(element("p", "The errors were not certified (certify = false)."))
    elif certified["agrees"]:
        parts.append(
            element(
                "p",
                f"A second route, each feature by its definition in arithmetic of {certified['digits']} digits, found"
                f" the same errors at {certified['points']} points, within 1 % or below what"
                " that arithmetic resolves.",
            )
        )
    else:
        parts.append(element("p", element("strong", "The second route does not confirm the errors."), class_="warning"))
    resolution = f"The samples tell of the field between them down to an RMS of {history.noise_floor:.1e}."
    parts.append(element("p", f"{off_grid_line(model)} {resolution}", class_="quiet"))
    return _section("Errors", *parts)


def _computed(model: Model, source: Source) -> dict[str, float]:
    *_, residue = residues(model, source.samples) if model.stages else [np.asarray(source.samples)]
    relative = np.asarray(residue / (model.history.rms or 1.0), dtype=np.float64)
    return {"rms_on_grid": rms(np, relative), "max_on_grid": float(np.max(np.abs(relative)))}


def _stages(model: Model) -> Html:
    header, rows = stage_rows(model.history.stages)
    caption = "Errors relative to the RMS of the field; eps is in its units"
    table = _table(header, rows, caption, range(1, len(header) - 1))
    return _section("Stages", table, element("p", BEND, class_="quiet"))


def _figures(model: Model, source: Source | None) -> Html:
    history = model.history
    steps = sum(record.steps for record in history.stages)
    drawn = [
        _figure(
            _svg(figure_of_training(history, model.config.p)),
            f"RMS of the error against {steps} steps of training in {len(history.stages)} stages, down to"
            f" {_number(history.stages[-1].rms_on_grid if history.stages else 0.0)} of the field's RMS.",
            "Training: before each step, and (dots) after each stage at the samples, relative to the field.",
        ),
        _figure(
            _svg(figure_of_spectra(history)),
            "Energy spectrum of the field, and below it those of what was left after each stage.",
            "Spectra E(k) of the field and of what each stage left.",
        ),
    ]
    parts = [element("div", *drawn, class_="pair")]
    if source is not None:
        alt = "The field, the fit, their spectra, and in space and wavenumbers the error that each stage left."
        parts.append(_figure(_png(figure_of_fit(model, source.samples)), alt, alt))
    return _section("Figures", *parts)


def _figure(source: str, alt: str, caption: str) -> Html:
    return element("figure", element("img", src=source, alt=alt), element("figcaption", caption))


def _svg(figure: "Figure") -> str:
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    drawn = io.StringIO()
    # Without a date and with a fixed salt the same fit has the same report.
    with mpl.rc_context({"svg.hashsalt": "simsnn"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue().encode()).decode()}"


def _png(figure: "Figure") -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=MAP_DOTS_PER_INCH, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def _notes(model: Model) -> Html:
    notes = model.history.notes
    return _section("Notes", element("ul", *(element("li", note) for note in notes))) if notes else Html()


def _use(model: Model, path: str, source: Source | None) -> Html:
    given = "" if source is not None else " INPUT stands for the samples, which a model file does not hold."
    same_bits = (
        "A stage may have ended by its time limit (max_seconds): the result depends on the speed of the machine."
        if model.config.training.max_seconds
        else "On the same machine, with the same versions and as many threads, the same bits come out."
    )
    return _section(
        "Use it, and make it again",
        element("p", "At the command line (versions are below).", given),
        element("pre", element("code", command_line(model, path, None if source is None else source.words))),
        element("p", "In Python:"),
        element("pre", element("code", python_lines(model, path))),
        element("p", same_bits, class_="quiet"),
    )


def _options(config: FitConfig) -> Html:
    changed = changed_options(config)
    rows = [[name, shown(value), OPTIONS[name].help] for name, value in config.to_flat().items()]
    header = ["option", "value", "meaning"]
    mine = [row for row in rows if row[0] in changed]
    few = _table(header, mine, "Those that are not the defaults") if mine else element("p", "All are the defaults.")
    all_of_them = element("details", element("summary", "All options"), _table(header, rows, "All options"))
    return _section("Options", few, all_of_them)


def _provenance(model: Model) -> Html:
    rows = [[name, "unknown" if value is None else _shown(value)] for name, value in model.provenance.items()]
    rows.append(["seed", str(model.config.run.seed)])
    return _section("Where it came from", _table(["what", "version"], rows, "What made the fit"))
