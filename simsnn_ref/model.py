"""The fitted sum u(x) = sum_s eps_s u_s(x): call it anywhere, differentiate it, save and load it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.config import FitConfig, config_from_dict
from simsnn_ref.errors import DataError, ModelFileError, SimsnnError
from simsnn_ref.features import LinearMap, SeparableMap
from simsnn_ref.field import FieldInfo
from simsnn_ref.grid import Box, Grid
from simsnn_ref.history import History, StageRecord
from simsnn_ref.network import Network, Parameters
from simsnn_ref.off_grid import network_map
from simsnn_ref.scatter import Scatter
from simsnn_ref.spectrum import EnergySpectrum
from simsnn_ref.storage import read_file, write_file

__all__ = ["Model", "Stage", "load_model"]

Where: TypeAlias = "np.ndarray | Grid | Sequence[np.ndarray]"
"""Where to evaluate: points (n, d), a `Grid`, or a tuple of d coordinate arrays whose tensor product is meant."""

POINT_BLOCK = 2**14
"""Scattered points evaluated at a time."""


@dataclass(frozen=True)
class Stage:
    """One fitted network: the model's share is eps u_s(x)."""

    eps: float
    network: Network
    params: Parameters


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
        where : ndarray of shape (n, d); Grid; or tuple of d ndarrays
            Physical coordinates. In one dimension points may have shape (n,). A tuple stands for the tensor grid of
            its coordinate arrays.

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
            return network.evaluate(params, fmap)[None, :]

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
        if isinstance(where, Grid | tuple | list):
            shape, places = self._tensor(where)
        else:
            points = self._points(where)
            shape = (points.shape[0],)
            places = [points[i : i + POINT_BLOCK, :] for i in range(0, shape[0], POINT_BLOCK)]
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
        points = np.asarray(where)
        if points.dtype.kind not in "fiu":
            raise DataError(f"points: {points.dtype} values are not real coordinates")
        points = points.astype(np.float64)
        if points.ndim == 1 and self.grid.ndim == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != self.grid.ndim:
            raise DataError(f"points: shape {points.shape}, expected (n, {self.grid.ndim})")
        if not np.all(np.isfinite(points)):
            raise DataError(f"points: not finite at row {int(np.argmin(np.all(np.isfinite(points), axis=1)))}")
        scaled: np.ndarray = self.grid.box.to_scaled(points)
        return scaled

    def _tensor(self, where: Grid | Sequence[np.ndarray]) -> tuple[tuple[int, ...], list[Any]]:
        """Shape and place of a tensor grid: a Grid of the training lattice as it is, any other one as scaled axes."""
        axes = where.axes() if isinstance(where, Grid) else tuple(np.asarray(axis, dtype=np.float64) for axis in where)
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
        """Write the model to `path` (see `simsnn_ref.storage` for the format).

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        arrays: dict[str, np.ndarray] = {
            "spectrum/wavenumber": self.history.spectrum.wavenumber,
            "spectrum/energy": self.history.spectrum.energy,
        }
        if isinstance(self.grid, Scatter):
            arrays["points"] = self.grid.points
        if self.field is not None:
            arrays |= {_coordinate(i): a.values for i, a in enumerate(self.field.axes) if a.values is not None}
        stages = []
        for number, stage in enumerate(self.stages, start=1):
            network = stage.network
            for name, value in stage.params.items():
                arrays[f"stage{number}/{name}"] = self.backend.to_numpy(value)
            if network.amplitudes is not None:
                arrays[f"stage{number}/A"] = self.backend.to_numpy(network.amplitudes)
            if network.indices is not None:
                arrays[f"stage{number}/indices"] = network.indices
            stages.append(
                {
                    "eps": stage.eps,
                    "first_layer": network.first_layer,
                    "hidden": list(network.hidden),
                    "scale": network.scale,
                    "paired": network.paired,
                    "frozen": sorted(network.frozen),
                    "period": None if network.period is None else [str(p) for p in network.period],
                    "parameters": list(stage.params),
                }
            )
        for record in self.history.stages:
            for name in StageRecord.ARRAYS:
                arrays[f"record{record.index}/{name}"] = getattr(record, name)
        content = {
            "grid": {
                **({"shape": list(self.grid.shape)} if isinstance(self.grid, Grid) else {}),
                "lower": list(self.grid.lower),
                "upper": list(self.grid.upper),
                "periodic": list(self.grid.periodic),
            },
            "config": self.config.to_dict(),
            "provenance": self.provenance,
            "field": None if self.field is None else self.field.to_dict(),
            "stages": stages,
            "history": {
                "stages": [record.summary() for record in self.history.stages],
                "off_grid": self.history.off_grid,
                "notes": list(self.history.notes),
                "rms": self.history.rms,
                "max": self.history.max,
                "seconds": self.history.seconds,
                "resolved_level": self.history.resolved_level,
                "certified": self.history.certified,
            },
        }
        write_file(path, content, arrays)


def _coordinate(axis: int) -> str:
    """Name of the array that holds a coordinate of the field as the input had it."""
    return f"field/axis{axis}"


def _size(place: Any) -> int:
    if isinstance(place, Grid):
        return place.size
    return place.shape[0] if isinstance(place, np.ndarray) else int(np.prod([len(axis) for axis in place]))


def load_model(path: str | Path, backend: Backend | None = None) -> Model:
    """Read a model that `Model.save` wrote; same bits, so same values.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign or of an unknown version.
    """
    backend = NumpyBackend() if backend is None else backend
    content, arrays = read_file(path)
    try:
        stages = tuple(
            _load_stage(number, description, arrays, backend)
            for number, description in enumerate(content["stages"], start=1)
        )
        told = content["history"]
        history = History(
            stages=tuple(_load_record(summary, arrays) for summary in told["stages"]),
            off_grid=told["off_grid"],
            notes=tuple(told["notes"]),
            rms=told["rms"],
            max=told["max"],
            spectrum=EnergySpectrum(arrays["spectrum/wavenumber"], arrays["spectrum/energy"]),
            seconds=told["seconds"],
            resolved_level=told["resolved_level"],
            certified=told["certified"],
        )
        grid = _load_grid({name: tuple(value) for name, value in content["grid"].items()}, arrays)
        config = config_from_dict(content["config"])
        field = _load_field(content.get("field"), arrays, grid.ndim)
        return Model(stages, grid, config, history, content["provenance"], backend, field)
    except (KeyError, TypeError, IndexError, AttributeError, SimsnnError) as error:
        raise ModelFileError(f"{path}: not a complete simsnn model ({type(error).__name__}: {error})") from error


def _load_grid(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> Grid | Scatter:
    if "points" in arrays:
        return Scatter(arrays["points"], Box(told["lower"], told["upper"]), told["periodic"])
    return Grid(**told)


def _load_field(told: Any, arrays: dict[str, np.ndarray], ndim: int) -> FieldInfo | None:
    return None if told is None else FieldInfo.from_dict(told, [arrays.get(_coordinate(i)) for i in range(ndim)])


def _load_record(summary: dict[str, Any], arrays: dict[str, np.ndarray]) -> StageRecord:
    curves: dict[str, Any] = {name: arrays[f"record{summary['index']}/{name}"] for name in StageRecord.ARRAYS}
    return StageRecord(**summary, **curves)


def _load_stage(number: int, told: dict[str, Any], arrays: dict[str, np.ndarray], backend: Backend) -> Stage:
    amplitudes = arrays.get(f"stage{number}/A")
    network = Network(
        backend=backend,
        first_layer=told["first_layer"],
        hidden=tuple(told["hidden"]),
        amplitudes=None if amplitudes is None else backend.asarray(amplitudes),
        scale=told["scale"],
        paired=told["paired"],
        frozen=frozenset(told["frozen"]),
        indices=arrays.get(f"stage{number}/indices"),
        period=None if told["period"] is None else tuple(Fraction(p) for p in told["period"]),
    )
    params = {name: backend.asarray(arrays[f"stage{number}/{name}"]) for name in told["parameters"]}
    return Stage(told["eps"], network, params)
