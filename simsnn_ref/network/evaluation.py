"""A network at points: the feature map that serves it there, and its values in extended precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, Processes
from simsnn_ref.network.double_double_maps import DoubleDoubleBackend, double_double_map, double_double_tensor_map
from simsnn_ref.network.extended_precision import ExtendedBackend, extended_backend, is_extended, scaled_axes
from simsnn_ref.network.features.choose import make_map
from simsnn_ref.network.features.cost import MapSizes
from simsnn_ref.network.features.linear import LinearMap
from simsnn_ref.network.features.modes import ModesMap
from simsnn_ref.network.features.separable import SeparableMap
from simsnn_ref.network.network import Network, Parameters
from simsnn_ref.spectrum import Grid, Scatter

__all__ = ["block_map", "evaluate_extended", "network_map", "scaled_points", "tensor_map"]

FINEST = 4
"""The training grid of a stage that begins anew at the samples was up to so many times finer before."""


def network_map(
    network: Network,
    where: Grid | Scatter | Array,
    backend: Backend | DoubleDoubleBackend,
    kind: str = "auto",
    tolerance: float | None = None,
) -> Any:
    """The feature map that serves `network` at `where` (a Grid, scattered points, or points in [-1, 1]^d).

    `kind` and `tolerance` are for training only. Residues take ``auto``, which is accurate to rounding: a later stage
    would fit the error of an approximate map as if it were the field.
    """
    if isinstance(where, Scatter):
        wide = _extended_points(where)
        is_wide = isinstance(backend, ExtendedBackend | DoubleDoubleBackend)
        where = wide if is_wide else backend.asarray(np.asarray(wide, dtype=np.float64))
    if isinstance(backend, DoubleDoubleBackend):
        return double_double_map(network, where, backend)
    if network.amplitudes is None:
        return LinearMap(
            backend.asarray(where.scaled_points(backend.real_dtype)) if isinstance(where, Grid) else where, backend
        )
    return make_map(
        where,
        backend,
        kind=kind,
        indices=network.indices,
        period=network.period,
        tolerance=tolerance,
        sizes=MapSizes(network.n_features, (*network.hidden, 1)[0], "B" not in network.frozen),
    )


def tensor_map(network: Network, axes: Sequence[Array], backend: Any) -> Any:
    """The feature map for `network` on the tensor product of `axes`, host arrays of coordinates with any spacing."""
    if isinstance(backend, DoubleDoubleBackend):
        return double_double_tensor_map(network, axes, backend)
    if network.amplitudes is None:
        mesh = np.meshgrid(*axes, indexing="ij")
        return LinearMap(backend.asarray(np.stack([x.ravel() for x in mesh], axis=-1)), backend)
    return SeparableMap.from_axes(axes, backend)


def block_map(network: Network, grid: Grid, block: tuple[slice, ...], backend: Any) -> Any:
    """The feature map for `network`, forward only, on a block of a grid: `block` has a slice for each axis."""
    if network.indices is not None:
        return ModesMap(grid, network.indices, backend, network.period, block)
    is_extended = isinstance(backend, ExtendedBackend | DoubleDoubleBackend)
    axes = scaled_axes(grid) if is_extended else grid.scaled_axes(backend.real_dtype)
    return tensor_map(network, [axis[cut] for axis, cut in zip(axes, block, strict=True)], backend)


def evaluate_extended(
    network: Network, params: Parameters, where: Grid | Scatter | Array, processes: Processes
) -> Array:
    """u_s, shape (n_points,), in extended precision; each process evaluates its part and all get all of it.

    `network` and `params` are those of `simsnn_ref.network.extend`.
    """
    if isinstance(where, Grid) and (stride := _stride_for_modes(network, where)) > 1:
        fine = where.refined(stride)
        u_s = evaluate_extended(network, params, fine, processes).reshape(fine.shape)
        return u_s[(slice(None, None, stride),) * fine.ndim].reshape(-1)
    fmap = network_map(network, where, extended_backend())
    if is_extended():
        # Double-double numbers are not for sending.
        fmap = processes.shard(fmap)
    return fmap.shard.gather(network.forward(params, fmap))


def _stride_for_modes(network: Network, grid: Grid) -> int:
    """How many times finer a grid has to be for no two modes to coincide there, up to `FINEST`; 1 if that is too few.

    A fast transform of the finer grid takes less time than the definition on the grid itself.
    """
    if network.indices is None or network.period is None:
        return 1
    for stride in range(1, FINEST + 1):
        lattice = grid.refined(stride).lattice(network.period)
        if lattice is None:
            return 1
        if np.all(2 * np.max(np.abs(network.indices), axis=0) <= lattice):
            return stride
    return 1


def _extended_points(scatter: Scatter) -> Array:
    return scatter.box.to_scaled(extended_backend().asarray(scatter.points))


def scaled_points(grid: Grid | Scatter, chosen: np.ndarray) -> Array:
    """Some points of a grid, by number in C order, or of scattered ones, in [-1, 1]^d and extended precision."""
    if isinstance(grid, Scatter):
        return _extended_points(grid)[chosen]
    indices = np.unravel_index(chosen, grid.shape)
    stack = extended_backend().xp.stack
    return stack([x[i] for x, i in zip(scaled_axes(grid), indices, strict=True)], axis=-1)
