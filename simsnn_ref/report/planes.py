"""Images of fields in two and three dimensions, in space and in wavenumbers."""

import math
from typing import Any

import numpy as np

from simsnn_ref.report.drawing import NORMAL, SPECTRUM_MAP, draw_image, label, limits_about_zero, write_instead
from simsnn_ref.spectrum import Grid

__all__ = ["draw_field", "draw_modes", "draw_space", "middle_slice", "plane_ratio", "slice_words"]

SPECTRUM_DECADES = 10.0
"""Range of the colours of log10 |u~| below its maximum."""

LONGEST = 4.0
"""Ratio of its sides up to which an image is drawn to scale; a longer strip fills its panel."""


def _plane(grid: Grid) -> tuple[int, int]:
    """The two axes that an image shows: the last two."""
    return grid.ndim - 2, grid.ndim - 1


def _to_scale(ratio: float) -> bool:
    return 1.0 / LONGEST <= ratio <= LONGEST


def plane_ratio(grid: Grid) -> float:
    """Height over width of an image of the field; 1 where it is not drawn to scale."""
    across, up = _plane(grid)
    ratio = grid.box.lengths[up] / grid.box.lengths[across]
    return ratio if _to_scale(ratio) else 1.0


def middle_slice(values: np.ndarray, grid: Grid) -> np.ndarray:
    """What is shown of a field: in three dimensions the middle slice along the first axis."""
    return values[grid.shape[0] // 2] if grid.ndim == 3 else values


def slice_words(grid: Grid) -> str:
    """Which slice is shown, as the end of a title; empty where all of the field is."""
    return f", middle slice $x$ = {grid.axes()[0][grid.shape[0] // 2]:.3g}" if grid.ndim == 3 else ""


def draw_space(axes: Any, values: np.ndarray, grid: Grid, limits: tuple[float, float], cmap: str) -> None:
    """An image in physical coordinates; each sample is the centre of its pixel."""
    extent: list[float] = []
    for axis in _plane(grid):
        lower, half = grid.lower[axis], 0.5 * grid.box.lengths[axis] / grid.intervals[axis]
        extent += [lower - half, lower + (2 * grid.shape[axis] - 1) * half]
    draw_image(axes, middle_slice(values, grid), (extent[0], extent[1], extent[2], extent[3]), limits, cmap)
    across, up = _plane(grid)
    axes.set_aspect("equal" if _to_scale(grid.box.lengths[up] / grid.box.lengths[across]) else "auto")
    label(axes, title="", x=f"${'xyz'[across]}$", y=f"${'xyz'[up]}$")


def draw_field(axes: Any, values: np.ndarray, grid: Grid, cmap: str, title: str = "") -> None:
    """An image with colours symmetric about zero."""
    draw_space(axes, values, grid, limits_about_zero(middle_slice(values, grid)), cmap)
    axes.set_title(title, fontsize=NORMAL)


def draw_modes(axes: Any, residue: np.ndarray, grid: Grid) -> None:
    """log10 |u~| over the last two wavenumbers; in three dimensions root sums of squares over the first one."""
    power = np.abs(np.fft.fftn(residue) / grid.size) ** 2
    power = np.fft.fftshift(np.sum(power, axis=0) if grid.ndim == 3 else power)
    extent: list[float] = []
    for axis in _plane(grid):
        n, unit = grid.shape[axis], 2.0 * grid.wavenumber_units[axis] / grid.box.lengths[axis]
        extent += [(-(n // 2) - 0.5) * unit, (n - n // 2 - 0.5) * unit]
    largest = float(np.max(power))
    if largest > 0.0:
        top = 0.5 * math.log10(largest)
        smallest = 0.5 * math.log10(float(np.min(power[power > 0.0])))
        bottom = max(smallest, top - SPECTRUM_DECADES) if smallest < top else top - 1.0
        shown = 0.5 * np.log10(np.maximum(power, 10.0 ** (2.0 * bottom)))
        draw_image(axes, shown, (extent[0], extent[1], extent[2], extent[3]), (bottom, top), SPECTRUM_MAP)
        axes.set_aspect("equal" if _to_scale((extent[3] - extent[2]) / (extent[1] - extent[0])) else "auto")
    else:
        write_instead(axes, "zero everywhere")
        axes.set_box_aspect(1.0)
    over = ", all $k_x$" if grid.ndim == 3 else ""
    x, y = (f"$k_{'xyz'[axis]}$" for axis in _plane(grid))
    label(axes, title=rf"$\log_{{10}}|\tilde u_k|\,/\,$RMS$(u)${over}", x=x, y=y)
