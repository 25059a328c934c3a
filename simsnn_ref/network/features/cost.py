"""What a training step takes with each feature map: a small model whose constants were measured once.

`auto` goes by it. The choice is a function of the sizes alone, neither of a clock nor of the number of threads, so that
a fit can be repeated to the last bit. The constants are those of one x86-64 core, by least squares of the relative
errors over the table of `asv_bench/maps.py`; another machine scales them all, and the order of the maps with them, more
or less. On grids of two and three dimensions threads divide the times of separable and nufft alike.
"""

import math
from dataclasses import dataclass

__all__ = ["FINE_POINTS", "MULTIPLY_ADD", "NUFFT_ELEMENTS", "MapSizes", "map_costs", "step_seconds"]

MULTIPLY_ADD = 6.0e-11
"""Seconds for one multiply-add of a matrix product, and what goes with it."""

COSINE = 1.1e-8
"""dense: seconds for one sine or cosine and the passes over it."""

DENSE_CALLS = 1.9e-5
"""dense: seconds for the calls of a step."""

SEPARABLE_VALUE = 3.5e-9
"""separable: seconds for the passes over the value of one unit at one point."""

SEPARABLE_FEATURE = 2.3e-6
"""separable: seconds for the small products that each feature takes by itself."""

SEPARABLE_CALLS = 8.0e-5
"""separable: seconds for the calls of a step."""

TRANSFORM = 5.1e-11
"""fft: seconds for one point and doubling of a real transform."""

TRANSFORM_VALUE = 2.4e-9
"""fft: seconds for the passes over one point of a transform."""

MODE = 2.3e-8
"""fft: seconds for one unit at one mode."""

FFT_CALLS = 2.4e-5
"""fft: seconds for the calls of a step."""

FINE_POINTS = 1.64
"""nufft: points along an axis of the fine grid for one of the grid."""

BANDWIDTH = 2.0 / 3.0
"""nufft: wavenumbers that occur, as a share of those of the fine grid. It is not known, for they train."""

FINE_TRANSFORM = 4.2e-10
"""nufft: seconds for one point and doubling of a complex transform."""

KERNEL_WIDTH = 16.0
"""nufft: width of a kernel in points of the fine grid."""

SPREAD_WAVENUMBER = 4.6e-8
"""nufft: seconds for one kernel."""

SPREAD = 5.6e-10
"""nufft: seconds for one point of a kernel."""

TRANSFORM_CALLS = 6.2e-5
"""nufft: seconds for the calls of one transform, of several units where they are small."""

NUFFT_CALLS = 1.6e-4
"""nufft: seconds for the other calls of a step."""

NUFFT_BLOCK = 2**18
"""nufft: complex numbers that are transformed by one call, unless two units have more."""

NUFFT_ELEMENTS = 2**28
"""nufft: complex numbers that all threads together hold (4 GiB); one thread may have more."""

SCATTERED_TRANSFORM = 7.0e-10
"""nufft at scattered points: seconds for one point and doubling of a grid twice as fine."""


@dataclass(frozen=True)
class MapSizes:
    """Sizes of a step, one forward product and one vjp, beside the points.

    Attributes
    ----------
    n_features, units : int
        n_f and h.
    trains_wavenumbers : bool
        Whether the vjp is taken with respect to K too.
    """

    n_features: int = 1000
    units: int = 30
    trains_wavenumbers: bool = False


def step_seconds(kind: str, shape: tuple[int, ...], ndim: int, sizes: MapSizes, bandwidth: int | None = None) -> float:
    """Seconds of forward and vjp with the map called `kind`.

    Parameters
    ----------
    shape : tuple of int
        Of the grid (fft: of the modes' period); (n_points,) of scattered points.
    ndim : int
        d.
    bandwidth : int, optional
        fft: number of wavenumbers of the last axis that are transformed; all by default.
    """
    if kind == "dense":
        return _dense(math.prod(shape), sizes)
    if kind == "separable":
        return _separable(shape, sizes)
    if kind == "fft":
        return _fft(shape, shape[-1] // 2 + 1 if bandwidth is None else bandwidth, sizes)
    if len(shape) < ndim:
        return _nufft_at_points(shape[0], ndim, sizes)
    return _nufft_on_grid(shape, sizes)


def map_costs(
    shape: tuple[int, ...],
    ndim: int,
    sizes: MapSizes,
    *,
    is_grid: bool,
    lattice: tuple[int, ...] | None = None,
    bandwidth: int | None = None,
    has_nufft: bool = False,
) -> dict[str, float]:
    """`step_seconds` of every map that is admissible, by name.

    Parameters
    ----------
    is_grid : bool
        Whether the points are a uniform tensor grid.
    lattice : tuple of int, optional
        Of the modes' period, where the fft map can serve them.
    has_nufft : bool
        Whether the plug-in is installed and may be used.
    """
    costs = {"dense": step_seconds("dense", shape, ndim, sizes)}
    if is_grid:
        costs["separable"] = step_seconds("separable", shape, ndim, sizes)
    if lattice is not None:
        costs["fft"] = step_seconds("fft", lattice, ndim, sizes, bandwidth)
    if has_nufft:
        costs["nufft"] = step_seconds("nufft", shape, ndim, sizes)
    return costs


def _dense(n_points: int, sizes: MapSizes) -> float:
    """Gamma's cosines and sines, and three products with them."""
    return n_points * sizes.n_features * (3.0 * COSINE + 3.0 * sizes.units * MULTIPLY_ADD) + DENSE_CALLS


def _separable(shape: tuple[int, ...], sizes: MapSizes) -> float:
    """Products of half the columns twice: forward, back to W, and once more if K trains."""
    n_points = math.prod(shape)
    products = 3.0 if sizes.trains_wavenumbers else 2.0
    return (
        n_points * sizes.units * (products * sizes.n_features * MULTIPLY_ADD + SEPARABLE_VALUE)
        + sizes.n_features * SEPARABLE_FEATURE
        + SEPARABLE_CALLS
    )


def _fft(lattice: tuple[int, ...], bandwidth: int, sizes: MapSizes) -> float:
    """Two transforms per unit: along the last axis, and along the others as far as their bandwidth."""
    *others, last = lattice
    doublings = math.log2(last) + bandwidth / (last // 2 + 1) * sum(math.log2(n) for n in others)
    points = 2.0 * math.prod(lattice) * (doublings * TRANSFORM + TRANSFORM_VALUE)
    return sizes.units * (points + sizes.n_features * MODE) + FFT_CALLS


def _nufft_on_grid(shape: tuple[int, ...], sizes: MapSizes) -> float:
    """Complex transforms of two units axis by axis, from the lattice of what is spread to the points, there and back.

    Back, a sum weighed by each coordinate too if K trains, which joins the others behind its own axis. Small arrays are
    transformed several at a time.
    """
    ndim = len(shape)
    moments = ndim if sizes.trains_wavenumbers else 0
    fine = [max(KERNEL_WIDTH, FINE_POINTS * n) for n in shape]
    lattice = [min(n, BANDWIDTH * n + KERNEL_WIDTH) for n in fine]
    transformed = largest = 0.0
    for axis, n in enumerate(fine):
        elements = math.prod(shape[:axis]) * n * math.prod(lattice[axis + 1 :])
        there_and_back = 2.0 + (ndim - axis if moments else 0.0)
        transformed += there_and_back * elements * math.log2(n)
        largest = max(largest, elements)
    pairs = math.ceil(sizes.units / 2)
    calls = min(pairs, math.ceil(pairs * 3.0 * largest / NUFFT_BLOCK))
    return pairs * transformed * FINE_TRANSFORM + _spreading(ndim, 2.0 + moments, calls, sizes)


def _nufft_at_points(n_points: int, ndim: int, sizes: MapSizes) -> float:
    """Complex transforms of twice the points per axis, two units each: 2, and d more if K trains; and spreading."""
    transforms = 2.0 + (ndim if sizes.trains_wavenumbers else 0.0)
    pairs, fine = math.ceil(sizes.units / 2), 2.0**ndim * n_points
    seconds = transforms * pairs * fine * math.log2(fine) * SCATTERED_TRANSFORM
    return seconds + _spreading(ndim, transforms, pairs, sizes)


def _spreading(ndim: int, transforms: float, calls: int, sizes: MapSizes) -> float:
    """Kernels at the wavenumbers and their opposites for two units at a time, and the calls."""
    kernels = 2.0 * sizes.n_features * (SPREAD_WAVENUMBER + KERNEL_WIDTH**ndim * SPREAD)
    return transforms * (math.ceil(sizes.units / 2) * kernels + calls * TRANSFORM_CALLS) + NUFFT_CALLS
