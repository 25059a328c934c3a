"""Canvas, colours, labels, lines, spectra and images of every figure, and the file it goes to.

matplotlib is optional: nothing here imports it before a figure is asked for. Figures are objects of their own (no
pyplot, no display, no global state).
"""

import importlib
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import EPS
from simsnn_ref.errors import ConfigError, OutputError
from simsnn_ref.io import check_writable
from simsnn_ref.spectrum import EnergySpectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FIELD_MAP",
    "LINE_HEIGHT",
    "NORMAL",
    "PALETTE",
    "PANEL_WIDTH",
    "QUIET_COLOUR",
    "RESIDUE_MAP",
    "SMALL",
    "SPECTRUM_MAP",
    "TARGET_COLOUR",
    "check_figure_path",
    "draw_image",
    "draw_legend",
    "draw_line",
    "draw_spectra",
    "grid_lines",
    "label",
    "limits_about_zero",
    "new_figure",
    "require_matplotlib",
    "save_figure",
    "scientific_axis",
    "scientific_ticks",
    "stage_colour",
    "tex_number",
    "write_instead",
]

FORMATS = (".png", ".pdf", ".svg")
DOTS_PER_INCH = 150

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito's colours, distinct under every colour blindness; one per stage, in every panel."""

TARGET_COLOUR = "#222222"
QUIET_COLOUR = "#9a9a9a"
FIELD_MAP, RESIDUE_MAP, SPECTRUM_MAP = "viridis", "RdBu_r", "magma"

SMALL, NORMAL, LARGE = 8, 9, 13
"""Font sizes: ticks and legends; labels and titles; the figure's own title."""

PANEL_WIDTH, LINE_HEIGHT = 3.6, 2.9
"""Inches."""

MOST_POINTS = 4000
"""Points of a drawn line; longer data are drawn as their envelope."""

FEW_POINTS = 40
"""A line of fewer points shows them; a single one would else be invisible."""

LONGEST_OF_THREE = 10
"""Characters of a name up to which a legend has room for three columns."""


def require_matplotlib() -> None:
    """Raise ConfigError now if a figure could not be drawn later."""
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise ConfigError("figures need matplotlib: pip install 'simsnn-ref[plot]'") from error


def check_figure_path(path: str | Path, force: bool = True) -> None:
    """Find out before a long computation whether `save_figure` can write to `path`; with `force` over what is there.

    Raises
    ------
    OutputError
        If the suffix is not one of .png, .pdf and .svg, the folder cannot be written, or a file is there already.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        raise OutputError(f"figure {path}: unknown format {suffix!r}; name a file that ends in {', '.join(FORMATS)}")
    check_writable(path, "figure", force)


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write `figure` to `path` in the format of its suffix: .png, .pdf or .svg.

    Raises
    ------
    OutputError
        If the file cannot be written or the format is unknown.
    """
    check_figure_path(path)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=Path(path).suffix[1:].lower(), dpi=DOTS_PER_INCH)
    try:
        Path(path).write_bytes(drawn.getvalue())
    except OSError as error:
        raise OutputError(f"figure {path}: cannot be written: {error.strerror}") from error


def new_figure(width: float, height: float, title: str) -> "Figure":
    """An empty figure, width and height in inches."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=LARGE)
    return figure


def stage_colour(stage: int) -> str:
    """The colour of a stage, counted from 0, in every panel."""
    return PALETTE[stage % len(PALETTE)]


def label(axes: Any, *, title: str, x: str, y: str) -> None:
    """Title and axes, in the sizes of all figures."""
    axes.set_title(title, fontsize=NORMAL)
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL)


def write_instead(axes: Any, text: str) -> None:
    """Words in the place of data."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=NORMAL, color=QUIET_COLOUR)


def tex_number(value: float) -> str:
    """Two digits and a power of ten."""
    digits, exponent = f"{value:.1e}".split("e")
    return rf"${digits}\times10^{{{int(exponent)}}}$" if value else "0"


def _envelope(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The extremes of `y` over short intervals: on paper the same line, in a file a small one."""
    width = -(-2 * y.size // MOST_POINTS)
    if y.size <= MOST_POINTS:
        return x, y
    starts = np.arange(0, y.size, width)
    extremes = np.stack([np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)], axis=-1)
    return np.repeat(x[starts], 2), extremes.ravel()


def draw_line(axes: Any, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    """A line, with its points where there are few; of many points the envelope."""
    if y.size < FEW_POINTS:
        style = {"marker": "o", "markersize": 3, **style}
    axes.plot(*_envelope(x, y), **{"linewidth": 1.2, **style})


def draw_spectra(axes: Any, spectra: list[tuple[EnergySpectrum, str, str]], floor: float = 0.0) -> None:
    """Each with its colour and name, without bins that are empty or below `floor` times the largest."""
    drawn = False
    for spectrum, colour, name in spectra:
        there = (spectrum.energy > floor * np.max(spectrum.energy)) & (spectrum.wavenumber > 0.0)
        if np.any(there):
            draw_line(axes, spectrum.wavenumber[there], spectrum.energy[there], color=colour, label=name)
            drawn = True
    if not drawn:
        write_instead(axes, "zero everywhere")
        return
    axes.set_xscale("log")
    axes.set_yscale("log")
    _tick_wavenumbers(axes)
    grid_lines(axes)
    longest = max(len(name) for *_, name in spectra)
    if longest:
        columns = 1 if len(spectra) <= 4 else 3 if longest <= LONGEST_OF_THREE else 2
        draw_legend(axes, loc="lower left", ncols=columns, columnspacing=1.0)
        # Room for the legend below the lines.
        bottom, top = np.log10(axes.get_ylim())
        share = 0.09 * math.ceil(len(spectra) / columns)
        axes.set_ylim(10.0 ** (bottom - share / (1.0 - share) * (top - bottom)), 10.0**top)


def _tick_wavenumbers(axes: Any) -> None:
    """Plain numbers at 1, 2 and 5 where powers of ten would be too few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    lowest, highest = axes.get_xlim()
    if highest < 50.0 * lowest:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw_legend(axes: Any, **place: Any) -> None:
    """A quiet legend."""
    axes.legend(fontsize=SMALL, framealpha=0.85, edgecolor="none", handlelength=1.4, **place)


def grid_lines(axes: Any, axis: str = "both") -> None:
    """Pale lines at the ticks, below the data."""
    axes.grid(axis=axis, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def limits_about_zero(values: np.ndarray) -> tuple[float, float]:
    """Limits of a scale symmetric about zero; of values that are all zero, one of width eps."""
    limit = float(np.max(np.abs(values))) or EPS
    return -limit, limit


def scientific_ticks() -> Any:
    """A formatter with one power of ten for the axis."""
    from matplotlib.ticker import ScalarFormatter  # noqa: PLC0415

    formatter = ScalarFormatter(useMathText=True)
    formatter.set_powerlimits((-2, 3))
    return formatter


def scientific_axis(axes: Any) -> None:
    """One power of ten for the vertical axis."""
    axes.yaxis.set_major_formatter(scientific_ticks())
    axes.yaxis.get_offset_text().set_size(SMALL)


def draw_image(
    axes: Any, values: np.ndarray, extent: tuple[float, float, float, float], limits: tuple[float, float], cmap: str
) -> None:
    """`values` [across, up] over `extent`, with a colour bar exactly as high as the image."""
    image = axes.imshow(values.T, origin="lower", extent=extent, cmap=cmap, vmin=limits[0], vmax=limits[1])
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)), format=scientific_ticks())
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.yaxis.get_offset_text().set(size=SMALL, ha="left")
    bar.outline.set_linewidth(0.6)
