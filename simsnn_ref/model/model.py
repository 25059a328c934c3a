"""The fitted sum u(x) = sum_s eps_s u_s(x): call it anywhere, differentiate it, save and load it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend, host_array
from simsnn_ref.errors import DataError, ModelFileError, SimsnnError
from simsnn_ref.io import FieldInfo, read_file, write_file
from simsnn_ref.model.config import FitConfig, config_from_file
from simsnn_ref.model.history import History
from simsnn_ref.model.serialization import (
    Stage,
    pack_field,
    pack_grid,
    pack_records,
    pack_stages,
    unpack_field,
    unpack_grid,
    unpack_records,
    unpack_stages,
)
from simsnn_ref.model.validation import check_model
from simsnn_ref.network import LinearMap, Network, Parameters, SeparableMap, network_map
from simsnn_ref.spectrum import EnergySpectrum, Grid, Scatter

__all__ = ["Model", "load_model"]

Where: TypeAlias = "np.ndarray | Sequence[Sequence[float]] | Grid | tuple[np.ndarray, ...]"
"""Where to evaluate: points (n, d), a `Grid`, or a tuple of d coordinate arrays whose tensor product is meant."""

SCATTERED_BLOCK = 2**14
"""Scattered points evaluated at a time."""


@dataclass(frozen=True)
class Model:
    """A fitted field in physical coordinates; host arrays in, host arrays out.

    Attributes
    ----------
    stages : tuple of Stage
    grid : Grid or Scatter
        The training grid: box, samples per axis, which axes are periodic; or the training points.
    config : FitConfig
    history : History
    provenance : dict of str to str or None
        Library versions, package version or commit.
    backend : Backend
    field : FieldInfo, optional
        What the field is called and measured in, of data that said so.
    """

    stages: tuple[Stage, ...]
    grid: Grid | Scatter
    config: FitConfig
    history: History
    provenance: dict[str, str | None]
    backend: Backend
    field: FieldInfo | None = None

    def __call__(self, where: Where) -> np.ndarray:
        """Values of the model.

        Parameters
        ----------
        where : array_like of shape (n, d); Grid; or tuple of d ndarrays
            Physical coordinates. In one dimension points may have shape (n,). A tuple, and no list, stands for the
            tensor grid of its coordinate arrays.

        Returns
        -------
        ndarray of float64
            Shape (n,) for points, else the shape of the grid.

        Raises
        ------
        DataError
            If the points have the wrong dimension or are not finite.
        """

        def evaluate(network: Network, params: Parameters, fmap: Any) -> Array:
            return network.forward(params, fmap)[None, :]

        return self._sum(where, evaluate, ())

    def gradient(self, where: Where) -> np.ndarray:
        """First derivatives in physical units, shape (..., d); `where` as in `__call__`."""
        scale = 2.0 / np.asarray(self.grid.box.lengths)
        return self._sum(where, self._derivative(1), (self.grid.ndim,)) * scale

    def hessian(self, where: Where) -> np.ndarray:
        """Second derivatives in physical units, shape (..., d, d); `where` as in `__call__`."""
        scale = 2.0 / np.asarray(self.grid.box.lengths)
        return self._sum(where, self._derivative(2), (self.grid.ndim,) * 2) * np.multiply.outer(scale, scale)

    def _derivative(self, order: int) -> Any:
        def evaluate(network: Network, params: Parameters, fmap: Any) -> Array:
            derivative = network.derivatives(params, fmap, self.grid.ndim)[order]
            return self.backend.xp.reshape(derivative, (-1, fmap.n_points))

        return evaluate

    def _sum(self, where: Where, evaluate: Any, value_shape: tuple[int, ...]) -> np.ndarray:
        """sum_s eps_s evaluate(u_s), smallest share first, which loses least; values of `value_shape` at each point."""
        if isinstance(where, Grid | tuple):
            shape, places = self._tensor(where)
        else:
            points = self._points(where)
            shape = (points.shape[0],)
            places = [points[i : i + SCATTERED_BLOCK, :] for i in range(0, shape[0], SCATTERED_BLOCK)]
        blocks = [np.zeros((int(np.prod(value_shape, dtype=int)), 0))]
        for place in places:
            total: Array = 0.0
            for stage in reversed(self.stages):
                share = evaluate(stage.network, stage.params, self._map(stage.network, place))
                total = total + stage.eps * share
            if not self.stages:
                total = self.backend.asarray(np.zeros((blocks[0].shape[0], _size(place))))
            blocks.append(self.backend.to_numpy(total))
        return np.moveaxis(np.concatenate(blocks, axis=1), 0, -1).reshape(*shape, *value_shape)

    def _points(self, where: Any) -> np.ndarray:
        points = host_array(where, "points")
        if points.dtype.kind not in "fiu":
            raise DataError(f"points: {points.dtype} values are not real coordinates")
        points = np.ma.filled(points.astype(np.float64), np.nan)
        if points.ndim == 1 and self.grid.ndim == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != self.grid.ndim:
            raise DataError(f"points: shape {points.shape}, expected (n, {self.grid.ndim})")
        if not np.all(np.isfinite(points)):
            raise DataError(f"points: not finite at row {int(np.argmin(np.all(np.isfinite(points), axis=1)))}")
        scaled: np.ndarray = self.grid.box.to_scaled(points)
        return scaled

    def _tensor(self, where: Grid | tuple[np.ndarray, ...]) -> tuple[tuple[int, ...], list[Any]]:
        """Shape and place of a tensor grid: a Grid of the training lattice as it is, any other one as scaled axes."""
        if isinstance(where, Grid):
            axes = where.axes()
        else:
            axes = tuple(host_array(axis, "where").astype(np.float64) for axis in where)
        if len(axes) != self.grid.ndim or any(axis.ndim != 1 or not np.all(np.isfinite(axis)) for axis in axes):
            raise DataError(f"where: expected {self.grid.ndim} one-dimensional arrays of finite coordinates")
        shape = tuple(axis.shape[0] for axis in axes)
        if isinstance(where, Grid) and where.box == self.grid.box:
            return shape, [where]
        box = self.grid.box
        scaled = [
            2.0 * ((axis - lo) / (hi - lo)) - 1.0 for axis, lo, hi in zip(axes, box.lower, box.upper, strict=True)
        ]
        return shape, [scaled]

    def _map(self, network: Network, place: Any) -> Any:
        if isinstance(place, Grid):
            return network_map(network, place, self.backend)
        if isinstance(place, np.ndarray):
            return network_map(network, self.backend.asarray(place), self.backend)
        if network.amplitudes is None:
            mesh = np.meshgrid(*place, indexing="ij")
            return LinearMap(self.backend.asarray(np.stack([x.ravel() for x in mesh], axis=-1)), self.backend)
        return SeparableMap.from_axes(place, self.backend)

    def save(self, path: str | Path) -> None:
        """Write the model to `path` (docs/format.md describes the format).

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        grid, points = pack_grid(self.grid)
        stages, parameters = pack_stages(self.stages, self.backend)
        records, curves = pack_records(self.history.stages)
        spectrum = {
            "spectrum/wavenumber": self.history.spectrum.wavenumber,
            "spectrum/energy": self.history.spectrum.energy,
        }
        field, coordinates = pack_field(self.field)
        content = {
            "grid": grid,
            "config": self.config.to_dict(),
            "provenance": self.provenance,
            "field": field,
            "stages": stages,
            "history": {
                "stages": records,
                "off_grid": self.history.off_grid,
                "notes": list(self.history.notes),
                "rms": self.history.rms,
                "max": self.history.max,
                "seconds": self.history.seconds,
                "resolved_level": self.history.noise_floor,
                "certified": self.history.certified,
            },
        }
        write_file(path, content, {**spectrum, **points, **coordinates, **parameters, **curves})


def _size(place: Any) -> int:
    if isinstance(place, Grid):
        return place.size
    return place.shape[0] if isinstance(place, np.ndarray) else int(np.prod([len(axis) for axis in place]))


def load_model(path: str | Path, backend: Backend | None = None) -> Model:
    """Read a model that `Model.save` wrote; same bits, so same values.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, of an unknown version, or what it holds is not a model: tensors
        missing, one too many or misshaped, entries unknown or of the wrong kind. The message names the culprit.
    """
    backend = NumpyBackend() if backend is None else backend
    content, arrays = read_file(path)
    try:
        check_model(content, arrays)
        stages = unpack_stages(content["stages"], arrays, backend)
        entry = content["history"]
        history = History(
            stages=unpack_records(entry["stages"], arrays),
            off_grid=entry["off_grid"],
            notes=tuple(entry["notes"]),
            rms=entry["rms"],
            max=entry["max"],
            spectrum=EnergySpectrum(arrays["spectrum/wavenumber"], arrays["spectrum/energy"]),
            seconds=entry["seconds"],
            noise_floor=entry["resolved_level"],
            certified=entry["certified"],
        )
        grid = unpack_grid(content["grid"], arrays)
        config = config_from_file(content["config"])
        field = unpack_field(content.get("field"), arrays, grid.ndim)
        return Model(stages, grid, config, history, content["provenance"], backend, field)
    except SimsnnError as error:
        raise ModelFileError(f"{path}: not a complete simsnn model: {error}") from error
