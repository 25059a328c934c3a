"""Which feature map serves a network: `make_map` builds the named one, or the one that `cost` expects to be fastest.

The map ``nufft`` is a plug-in: a class or function of (where, backend, tolerance) in the entry-point group
``simsnn_ref.feature_maps``, imported when it is asked for::

    [project.entry-points."simsnn_ref.feature_maps"]
    nufft = "simsnn_ref_finufft:NufftMap"
"""

import contextlib
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network.features.base import FeatureMap
from simsnn_ref.network.features.cost import MapSizes, map_costs
from simsnn_ref.network.features.dense import DenseMap
from simsnn_ref.network.features.fft import FFTMap
from simsnn_ref.network.features.separable import SeparableMap
from simsnn_ref.spectrum import Grid, Period

__all__ = ["ENTRY_POINT_GROUP", "FEATURE_MAPS", "has_nufft", "make_map", "require_map"]

FEATURE_MAPS = ("auto", "dense", "separable", "fft", "nufft")

ENTRY_POINT_GROUP = "simsnn_ref.feature_maps"


def make_map(
    where: Grid | Array,
    backend: Backend,
    *,
    kind: str = "auto",
    indices: np.ndarray | None = None,
    period: Period | None = None,
    tolerance: float | None = None,
    sizes: MapSizes | None = None,
) -> Any:
    """The feature map for cosine features at `where`.

    Parameters
    ----------
    where : Grid, or Array of shape (n_points, d)
        A tensor grid, or any points in [-1, 1]^d.
    kind : str
        ``dense``, ``separable``, ``fft``, ``nufft`` or ``auto``: the one of those that are admissible for which
        `simsnn_ref.network.features.cost` expects the fastest step.
    indices : ndarray of int64, shape (n_f, d), optional
        The features' integer wavenumbers if they are frozen Fourier modes, else None.
    period : d fractions, optional
        The modes' period in lengths of the box; that of the grid's DFT by default.
    tolerance : float, optional
        nufft: error allowed, relative to the 2-norm; 1e-13 by default, a tenth of what a stage aims at. Unless it is
        given ``auto`` keeps to the other maps, which are accurate to rounding.
    sizes : MapSizes, optional
        What ``auto`` goes by beside the points.

    Raises
    ------
    ConfigError
        If the named map cannot serve these points and features, or is not installed.
    """
    require_map(kind, is_grid=isinstance(where, Grid), has_modes=indices is not None)
    if kind == "auto":
        return _fastest(where, backend, indices, period, tolerance, sizes or MapSizes())
    if kind == "dense":
        if isinstance(where, Grid):
            return DenseMap(backend.asarray(where.scaled_points(backend.real_dtype)), backend, where.shape)
        return DenseMap(where, backend)
    if kind == "nufft":
        return _nufft_map(where, backend, 1e-13 if tolerance is None else tolerance)
    assert isinstance(where, Grid)
    if kind == "separable":
        return SeparableMap.from_grid(where, backend)
    assert indices is not None
    return FFTMap(where, indices, backend, period)


def require_map(kind: str, *, is_grid: bool, has_modes: bool) -> None:
    """Raise ConfigError where there is no such map, or it cannot serve such points and features.

    Parameters
    ----------
    is_grid : bool
        Whether the points are a tensor grid.
    has_modes : bool
        Whether the wavenumbers are frozen at Fourier modes.
    """
    if kind not in FEATURE_MAPS:
        raise ConfigError(f"feature_map = {kind!r}: choose one of {', '.join(FEATURE_MAPS)}")
    if kind in ("separable", "fft") and not is_grid:
        raise ConfigError(f"feature_map = {kind!r} needs a tensor grid; scattered points take 'dense' or 'nufft'")
    if kind == "fft" and not has_modes:
        raise ConfigError(
            "feature_map = 'fft' needs wavenumbers B frozen at modes of the grid"
            " (first_layer 'si' or 'fourier', train_wavenumbers false); use 'separable' or 'dense'"
        )


def _fastest(
    where: Grid | Array,
    backend: Backend,
    indices: np.ndarray | None,
    period: Period | None,
    tolerance: float | None,
    sizes: MapSizes,
) -> Any:
    """The cheapest of the maps that can be built."""
    shape = where.shape if isinstance(where, Grid) else (where.shape[0],)
    ndim = where.ndim if isinstance(where, Grid) else where.shape[1]
    fft = None
    if isinstance(where, Grid) and indices is not None:
        # Refused: another lattice, or two modes alias onto one of a coarser grid.
        with contextlib.suppress(ConfigError):
            fft = FFTMap(where, indices, backend, period)
    is_host = isinstance(backend, NumpyBackend) and backend.real_dtype is np.float64
    costs = map_costs(
        shape,
        ndim,
        sizes,
        is_grid=isinstance(where, Grid),
        lattice=None if fft is None else fft.lattice,
        bandwidth=None if fft is None else fft.half_shape[-1],
        has_nufft=tolerance is not None and is_host and has_nufft(),
    )
    for kind in sorted(costs, key=lambda kind: costs[kind]):
        if kind == "fft" and fft is not None:
            return fft
        try:
            return make_map(where, backend, kind=kind, tolerance=tolerance)
        except ConfigError:  # FINUFFT refuses the tolerance or the size
            pass
    raise AssertionError("the dense map serves everything")


def has_nufft() -> bool:
    """Whether a distribution registers the map ``nufft``."""
    return bool(entry_points(group=ENTRY_POINT_GROUP, name="nufft"))


def _nufft_map(where: Grid | Array, backend: Backend, tolerance: float) -> FeatureMap:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name="nufft"):
        try:
            factory = entry_point.load()
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(f"feature_map = 'nufft' is installed but does not load: {reason}") from error
        fmap: FeatureMap = factory(where, backend, tolerance)
        return fmap
    raise ConfigError("feature_map = 'nufft' needs the FINUFFT plug-in: pip install simsnn-ref-finufft")
