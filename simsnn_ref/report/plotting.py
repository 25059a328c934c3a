"""Figures of a fit and of a spectrum. matplotlib is optional: nothing here imports it before a figure is asked for.

Figures are objects of their own (no pyplot, no display, no global state): show them in a notebook, or `save_figure`.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from simsnn_ref.backend import Array, NumpyBackend
from simsnn_ref.io import check_grid
from simsnn_ref.model import History, Model, StageRecord
from simsnn_ref.network import Network, Parameters, extend, extended_backend, network_map
from simsnn_ref.report.drawing import (
    FIELD_MAP,
    LINE_HEIGHT,
    NORMAL,
    PALETTE,
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
    scientific_ticks,
    stage_colour,
    tex_number,
    write_instead,
)
from simsnn_ref.spectrum import EnergySpectrum, Grid, Scatter, energy_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MACHINE_EPSILON",
    "check_figure_path",
    "draw_history",
    "figure_of_fit",
    "figure_of_spectrum",
    "require_matplotlib",
    "residues",
    "save_figure",
]

SPECTRUM_DECADES = 10.0
"""Range of the colours of log10 |u~| below its maximum."""

MACHINE_EPSILON = float(np.finfo(np.float64).eps)


def figure_of_spectrum(spectrum: EnergySpectrum, *, title: str = "") -> "Figure":
    """E(k) of eq. 13 on logarithmic axes; empty bins are left out.

    Parameters
    ----------
    spectrum : EnergySpectrum
    title : str, optional

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 4.2, title)
    axes = figure.subplots()
    draw_spectra(axes, [(spectrum, TARGET_COLOUR, "")])
    label(axes, title="", x="wavenumber $k$", y="$E(k)$")
    return figure


def figure_of_fit(model: Model, samples: np.ndarray, *, title: str = "") -> "Figure":
    """Target, fit, spectra and the history of the training; then what each stage left, in space and in wavenumbers.

    Residues and their spectra are relative to the RMS of the field. In three dimensions the middle slice along the
    first axis is shown, and the spectra are root sums of squares over the first wavenumber.

    Parameters
    ----------
    model : Model
    samples : ndarray of shape model.grid.shape
        What the model was fitted to, on its grid or at its points.
    title : str, optional

    Raises
    ------
    DataError
        If the samples are not on the model's grid.
    ConfigError
        If matplotlib is not installed.
    """
    grid, records = model.grid, model.history.stages
    if not isinstance(grid, Grid):
        return _figure_of_scatter(model, grid, samples, title)
    check_grid(samples, grid)
    figure, axes = _panels(grid, len(records), title)

    unit = model.history.rms or 1.0
    relative = [(residue / unit).astype(np.float64) for residue in residues(model, samples)]
    samples = samples.astype(np.float64)
    before = [samples / unit, *relative]

    _draw_pair(axes[0], axes[1], samples, samples - unit * relative[-1] if relative else np.zeros_like(samples), grid)
    axes[1].set_title(f"fit, {len(records)} stage{'' if len(records) == 1 else 's'}", fontsize=NORMAL)
    names = ["target", *(f"stage {record.index}" for record in records)]
    colours = [TARGET_COLOUR, *map(stage_colour, range(len(records)))]
    spectra = [_spectrum(values, grid) for values in before]
    # Modes smaller than eps times the largest are the transform's own rounding and would only stretch the axis.
    draw_spectra(axes[2], list(zip(spectra, colours, names, strict=True)), floor=MACHINE_EPSILON**2)
    label(axes[2], title="spectra: target, residues after the stages", x="wavenumber $k$", y=r"$E(k)\,/\,$RMS$(u)^2$")
    draw_history(axes[3], model.history, model.config.p)
    for stage, record in enumerate(records):
        space, modes = axes[4 + stage], axes[4 + len(records) + stage]
        _draw_residue(space, relative[stage], grid, stage_colour(stage))
        space.set_title(_errors(record), fontsize=NORMAL)
        _draw_modes(modes, before[stage], relative[stage], grid, stage_colour(stage))
    return figure


def _figure_of_scatter(model: Model, scatter: Scatter, values: np.ndarray, title: str) -> "Figure":
    """Values, spectra and history of the training; then what each stage left at the points."""
    scatter.check_values(values)
    history = model.history
    unit = history.rms or 1.0
    columns = max(3, len(history.stages))
    figure = new_figure(PANEL_WIDTH * columns, 2.0 * LINE_HEIGHT, title)
    axes = figure.subplots(2, columns, squeeze=False)
    for panel in axes.flat:
        panel.set_visible(False)
    limits = float(np.min(values)), float(np.max(values))
    _draw_points(axes[0, 0], values, scatter, limits, FIELD_MAP)
    axes[0, 0].set_title("target $u$", fontsize=NORMAL)
    spectra = [(history.spectrum, TARGET_COLOUR, "target")]
    for stage, record in enumerate(history.stages):
        spectrum = EnergySpectrum(history.spectrum.wavenumber, record.energy)
        spectra.append((spectrum, stage_colour(stage), f"stage {record.index}"))
    axes[0, 1].set_visible(True)
    draw_spectra(axes[0, 1], spectra, floor=MACHINE_EPSILON**2)
    label(axes[0, 1], title="spectra by least squares", x="wavenumber $k$", y=r"$E(k)\,/\,$RMS$(u)^2$")
    axes[0, 2].set_visible(True)
    draw_history(axes[0, 2], history, model.config.p)
    for stage, residue in enumerate(residues(model, values)):
        relative = (residue / unit).astype(np.float64)
        limit = float(np.max(np.abs(relative))) or MACHINE_EPSILON
        _draw_points(axes[1, stage], relative, scatter, (-limit, limit), RESIDUE_MAP)
        axes[1, stage].set_title(_errors(history.stages[stage]), fontsize=NORMAL)
    return figure


def _draw_points(axes: Any, values: np.ndarray, scatter: Scatter, limits: tuple[float, float], cmap: str) -> None:
    """Values over the coordinate, or as colours over the last two."""
    axes.set_visible(True)
    if scatter.ndim == 1:
        axes.plot(scatter.points[:, 0], values, ".", color=TARGET_COLOUR, markersize=2)
        label(axes, title="", x="$x$", y="")
        return
    across, up = scatter.points.T[-2:]
    image = axes.scatter(across, up, c=values, s=4, cmap=cmap, vmin=limits[0], vmax=limits[1], linewidths=0)
    bar = axes.figure.colorbar(image, ax=axes, format=scientific_ticks())
    bar.ax.tick_params(labelsize=SMALL)
    label(axes, title="", x=f"${'xyz'[scatter.ndim - 2]}$", y=f"${'xyz'[scatter.ndim - 1]}$")


def _panels(grid: Grid, n_stages: int, title: str) -> tuple["Figure", list[Any]]:
    """The figure and its 4 + 2 n_stages panels; up to two stages fit into two rows of equal length."""
    n = 4 + 2 * n_stages
    rows = [n // 2, n // 2] if n_stages <= 2 else [4, n_stages, n_stages]
    width = PANEL_WIDTH * max(rows)
    heights = [LINE_HEIGHT] * len(rows)
    if grid.ndim > 1:
        shape = _shape_of_plane(grid)
        # An image takes the width that its colour bar and labels leave, and its height follows.
        heights = [max(LINE_HEIGHT, shape * (width / columns - 1.4) + 1.0) for columns in rows]
        heights = [min(height, 5.0) for height in heights]
    figure = new_figure(width, sum(heights) + (0.4 if title else 0.0), title)
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels: list[Any] = []
    for part, columns in zip(parts, rows, strict=True):
        panels += list(part.subplots(1, columns, squeeze=False)[0])
    return figure, panels


def residues(model: Model, samples: np.ndarray) -> Iterator[np.ndarray]:
    """What is left after each stage, in extended precision, each network evaluated once."""
    residue = extended_backend().asarray(samples)
    for stage in model.stages:
        network, params = extend(stage.network, stage.params, model.backend)
        grid = model.grid
        if isinstance(grid, Grid):
            u_s = _at_samples(network, params, grid)
        else:
            u_s = network.forward(params, network_map(network, grid, extended_backend()))
        residue = residue - stage.eps * u_s
        yield np.asarray(residue)


def _at_samples(network: Network, params: Parameters, grid: Grid) -> Array:
    """u_s at the samples, by way of a finer grid where its modes would alias: only there they have a fast transform."""
    factors = (1, 2, 4) if network.indices is not None else (1,)
    for factor in factors:
        fine = grid.refined(factor)
        fmap = network_map(network, fine, extended_backend())
        if fmap.name != "separable":
            break
    values = network.forward(params, fmap).reshape(fine.shape)
    return values[(slice(None, None, factor),) * grid.ndim]


def _spectrum(values: np.ndarray, grid: Grid) -> EnergySpectrum:
    """E(k) in bins no narrower than the spacing of the wavenumbers, which on a small grid the paper's 200 would be."""
    spacing = [2.0 * unit / length for unit, length in zip(grid.wavenumber_units, grid.box.lengths, strict=True)]
    largest = math.hypot(*(unit * (n // 2) for unit, n in zip(spacing, grid.shape, strict=True)))
    bins = min(200, int(largest / max(spacing) * (1.0 + 1e-12)) + 1)
    return energy_spectrum(values, grid, NumpyBackend(), bins)


def _errors(record: StageRecord) -> str:
    lines = [f"after stage {record.index} ({record.first_layer}), relative to RMS$(u)$"]
    lines.append(f"on grid: RMS {tex_number(record.rms_on_grid)}, max {tex_number(record.max_on_grid)}")
    if record.rms_off_grid is not None and record.max_off_grid is not None:
        lines.append(f"off grid: RMS {tex_number(record.rms_off_grid)}, max {tex_number(record.max_off_grid)}")
    return "\n".join(lines)


def draw_history(axes: Any, history: History, p: float) -> None:
    """One axis of steps over all stages; eps_s turns what stage s minimised into a share of the whole field."""
    unit = history.rms or 1.0
    start, lowest, any_drawn = 0, math.inf, False
    for stage, record in enumerate(history.stages):
        colour, scale = stage_colour(stage), record.eps / unit
        steps = start + np.arange(1, record.steps + 1)
        for values, style in ((record.loss_history, {"alpha": 0.45, "linewidth": 0.9}), (record.rms_history, {})):
            there = values * scale > 0.0
            if np.any(there):
                draw_line(axes, steps[there], values[there] * scale, color=colour, marker="", **style)
                any_drawn = True
        start += max(record.steps, 1)
        if record.rms_on_grid > 0.0:
            axes.plot([start], [record.rms_on_grid], "o", color=colour, markersize=4, clip_on=False, zorder=3)
            lowest, any_drawn = min(lowest, record.rms_on_grid), True
        if stage + 1 < len(history.stages):
            axes.axvline(start, color=QUIET_COLOUR, linewidth=0.8, linestyle=":")
        middle = start - 0.5 * max(record.steps, 1)
        axes.annotate(
            f"{record.index}", (middle, 1.0), (0, -4), ("data", "axes fraction"), "offset points",
            ha="center", va="top", fontsize=SMALL, color=colour,
        )  # fmt: skip
    label(axes, title=rf"training: RMS, and $L^{{{p:g}}}$ (pale), by stage", x="step", y=r"error $/$ RMS$(u)$")
    if not any_drawn:
        write_instead(axes, "nothing was trained")
        return
    axes.set_yscale("log")
    axes.set_xlim(0, start)
    axes.locator_params(axis="x", integer=True, nbins=6)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    if lowest < 100.0 * MACHINE_EPSILON:
        axes.axhline(MACHINE_EPSILON, color=TARGET_COLOUR, linewidth=0.8, linestyle="--")
        axes.annotate(
            "machine epsilon", (0.0, MACHINE_EPSILON), (4, 3), ("axes fraction", "data"), "offset points",
            fontsize=SMALL, color=TARGET_COLOUR,
        )  # fmt: skip


def _plane(grid: Grid) -> tuple[int, int]:
    """The two axes that an image shows: the last two."""
    return grid.ndim - 2, grid.ndim - 1


def _shape_of_plane(grid: Grid) -> float:
    """Height over width of an image; a long strip is drawn as a square."""
    across, up = _plane(grid)
    ratio = grid.box.lengths[up] / grid.box.lengths[across]
    return ratio if 0.25 <= ratio <= 4.0 else 1.0


def _slice(values: np.ndarray, grid: Grid) -> np.ndarray:
    return values[grid.shape[0] // 2] if grid.ndim == 3 else values


def _where(grid: Grid) -> str:
    """Say which slice is shown."""
    return f", middle slice $x$ = {grid.axes()[0][grid.shape[0] // 2]:.3g}" if grid.ndim == 3 else ""


def _draw_space(axes: Any, values: np.ndarray, grid: Grid, limits: tuple[float, float], cmap: str) -> None:
    """An image in physical coordinates; each sample is the centre of its pixel."""
    extent: list[float] = []
    for axis in _plane(grid):
        lower, half = grid.lower[axis], 0.5 * grid.box.lengths[axis] / grid.intervals[axis]
        extent += [lower - half, lower + (2 * grid.shape[axis] - 1) * half]
    draw_image(axes, _slice(values, grid), (extent[0], extent[1], extent[2], extent[3]), limits, cmap)
    across, up = _plane(grid)
    ratio = grid.box.lengths[up] / grid.box.lengths[across]
    axes.set_aspect("equal" if _shape_of_plane(grid) == ratio else "auto")
    label(axes, title="", x=f"${'xyz'[across]}$", y=f"${'xyz'[up]}$")


def _draw_pair(left: Any, right: Any, target: np.ndarray, fit: np.ndarray, grid: Grid) -> None:
    """Target and fit on the same scale."""
    if grid.ndim == 1:
        x = grid.axes()[0]
        draw_line(left, x, target, color=TARGET_COLOUR)
        draw_line(right, x, target, color=QUIET_COLOUR, linewidth=3.0, alpha=0.6, label="target")
        draw_line(right, x, fit, color=PALETTE[0], label="fit")
        draw_legend(right)
        for axes in (left, right):
            label(axes, title="", x="$x$", y="$u$")
            axes.yaxis.set_major_formatter(scientific_ticks())
            axes.yaxis.get_offset_text().set_size(SMALL)
    else:
        shown = _slice(target, grid)
        limits = float(np.min(shown)), float(np.max(shown))
        if limits[0] == limits[1]:
            spread = abs(limits[0]) or 1.0
            limits = limits[0] - spread, limits[1] + spread
        _draw_space(left, target, grid, limits, FIELD_MAP)
        _draw_space(right, fit, grid, limits, FIELD_MAP)
    left.set_title(f"target $u${_where(grid)}", fontsize=NORMAL)


def _draw_residue(axes: Any, residue: np.ndarray, grid: Grid, colour: str) -> None:
    """Colours symmetric about zero, each residue on its own scale."""
    if grid.ndim > 1:
        limit = float(np.max(np.abs(_slice(residue, grid)))) or MACHINE_EPSILON
        _draw_space(axes, residue, grid, (-limit, limit), RESIDUE_MAP)
        return
    axes.axhline(0.0, color=QUIET_COLOUR, linewidth=0.6)
    draw_line(axes, grid.axes()[0], residue, color=colour, linewidth=0.9)
    limit = 1.1 * float(np.max(np.abs(residue))) or MACHINE_EPSILON
    axes.set_ylim(-limit, limit)
    label(axes, title="", x="$x$", y=r"residue $/$ RMS$(u)$")
    axes.yaxis.set_major_formatter(scientific_ticks())
    axes.yaxis.get_offset_text().set_size(SMALL)


def _draw_modes(axes: Any, given: np.ndarray, left: np.ndarray, grid: Grid, colour: str) -> None:
    """|u~| of what a stage left; in one dimension also of what it was given."""
    if grid.ndim > 1:
        _draw_plane_of_modes(axes, left, grid)
        return
    k = np.arange(grid.shape[0] // 2 + 1) * (2.0 * grid.wavenumber_units[0] / grid.box.lengths[0])
    for values, style in (
        (given, {"color": QUIET_COLOUR, "label": "given"}),
        (left, {"color": colour, "label": "left"}),
    ):
        amplitude = np.abs(np.fft.rfft(values)) / grid.size
        there = amplitude > MACHINE_EPSILON * np.max(amplitude)
        if np.any(there):
            draw_line(axes, k[there], amplitude[there], **style)
    label(axes, title="modes given to the stage and left by it", x="wavenumber $k$", y=r"$|\tilde u_k|\,/\,$RMS$(u)$")
    if np.any(given) or np.any(left):
        axes.set_yscale("log")
        draw_legend(axes)
    else:
        write_instead(axes, "zero everywhere")


def _draw_plane_of_modes(axes: Any, residue: np.ndarray, grid: Grid) -> None:
    plane = _plane(grid)
    power = np.abs(np.fft.fftn(residue) / grid.size) ** 2
    power = np.fft.fftshift(np.sum(power, axis=0) if grid.ndim == 3 else power)
    extent: list[float] = []
    for axis in plane:
        n, unit = grid.shape[axis], 2.0 * grid.wavenumber_units[axis] / grid.box.lengths[axis]
        extent += [(-(n // 2) - 0.5) * unit, (n - n // 2 - 0.5) * unit]
    largest = float(np.max(power))
    names = [f"$k_{'xyz'[axis]}$" for axis in plane]
    over = ", all $k_x$" if grid.ndim == 3 else ""
    if largest > 0.0:
        top = 0.5 * math.log10(largest)
        smallest = 0.5 * math.log10(float(np.min(power[power > 0.0])))
        bottom = max(smallest, top - SPECTRUM_DECADES) if smallest < top else top - 1.0
        shown = 0.5 * np.log10(np.maximum(power, 10.0 ** (2.0 * bottom)))
        draw_image(axes, shown, (extent[0], extent[1], extent[2], extent[3]), (bottom, top), SPECTRUM_MAP)
        ratio = (extent[3] - extent[2]) / (extent[1] - extent[0])
        axes.set_aspect("equal" if 0.25 <= ratio <= 4.0 else "auto")
    else:
        write_instead(axes, "zero everywhere")
        axes.set_box_aspect(1.0)
    label(axes, title=rf"$\log_{{10}}|\tilde u_k|\,/\,$RMS$(u)${over}", x=names[0], y=names[1])
