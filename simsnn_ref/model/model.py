"""The fitted sum u(x) = sum_s eps_s u_s(x): call it anywhere, differentiate it, save and load it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import ConfigError, ModelFileError, SimsnnError
from simsnn_ref.io import FieldInfo, read_file, write_file
from simsnn_ref.model.config import FitConfig, config_from_file
from simsnn_ref.model.evaluation_points import EvaluationPoints, Where
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
from simsnn_ref.network import extend, extended_backend
from simsnn_ref.spectrum import EnergySpectrum, Grid, Scatter

__all__ = ["PRECISIONS", "Model", "load_model"]

PRECISIONS = ("double", "extended")


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

    def __repr__(self) -> str:
        name = "" if self.field is None else f"{self.field.name}, "
        return f"Model({name}{self.grid!r}, {self.history.errors()})"

    def __call__(self, where: Where, *, precision: str = "double", outside: str = "extrapolate") -> np.ndarray:
        """Values of the model.

        Parameters
        ----------
        where : array_like of shape (n, d); Grid; or tuple of d ndarrays
            Physical coordinates. In one dimension points may have shape (n,). A tuple, and no list, stands for the
            tensor grid of its coordinate arrays.
        precision : {'double', 'extended'}
            'extended' sums the stages in extended precision, to the errors that the history and the certificate speak
            of, and takes many times as long; in float64 the values are off by a few 1e-16 of the field.
        outside : {'extrapolate', 'nan', 'error'}
            What to do with points outside the box of an axis that is not periodic; there is a warning in any case. No
            error of the fit speaks of extrapolated values. Points outside by rounding are inside.

        Returns
        -------
        ndarray of float64, or of long double for 'extended'
            Shape (n,) for points, else the shape of the grid. Where long double is no wider than float64, 'extended'
            sums in double-double arithmetic and rounds the sum to float64.

        Raises
        ------
        DataError
            If the points have the wrong dimension or are not finite, or are outside where that is an error.
        ConfigError
            If `precision` or `outside` is none of those.

        Warns
        -----
        OutsideBoxWarning
            If there are points outside.

        Examples
        --------
        >>> import numpy as np
        >>> from simsnn_ref import Grid, fit
        >>> model = fit(lambda x: np.exp(x[:, 0]), Grid(40, 0.0, 1.0, periodic=False))
        >>> x = np.array([0.5])
        >>> bool(abs(model(x)[0] - np.exp(0.5)) < 1e-14)
        True
        >>> bool(abs(model(x, precision="extended")[0] - np.exp(np.longdouble(0.5))) < 2.3e-16)
        True
        """
        if precision not in PRECISIONS:
            raise ConfigError(f"precision = {precision!r}: choose one of {', '.join(PRECISIONS)}")
        return self._sum(where, 0, outside, is_extended=precision == "extended")

    def gradient(self, where: Where, *, outside: str = "extrapolate") -> np.ndarray:
        """First derivatives in physical units, shape (..., d); parameters as of `__call__`."""
        scale = 2.0 / np.asarray(self.grid.box.lengths)
        return self._sum(where, 1, outside) * scale

    def hessian(self, where: Where, *, outside: str = "extrapolate") -> np.ndarray:
        """Second derivatives in physical units, shape (..., d, d); parameters as of `__call__`."""
        scale = 2.0 / np.asarray(self.grid.box.lengths)
        return self._sum(where, 2, outside) * np.multiply.outer(scale, scale)

    def _sum(self, where: Where, order: int, outside: str, *, is_extended: bool = False) -> np.ndarray:
        """sum_s eps_s u_s or its derivatives of an order, smallest share first, which loses least; block by block."""
        d, backend = self.grid.ndim, extended_backend() if is_extended else self.backend
        places = EvaluationPoints.of(where, self.grid, backend, outside)
        stages = [self._extended(stage) if is_extended else stage for stage in reversed(self.stages)]
        dtype = np.dtype(np.longdouble if is_extended else np.float64)
        total = np.zeros((*(d,) * order, *places.shape), dtype)
        # u and its derivatives up to the order, for each unit of the widest first layer.
        fields = (1, 1 + d, 1 + d + d * (d + 1) // 2)[order]
        units = max((stage.params["W1"].shape[0] for stage in stages), default=1)
        for block in places.blocks(units * fields * (16 if is_extended else 8)):
            share: Array = 0.0
            for stage in stages:
                fmap = places.feature_map(stage.network, block, backend)
                share = share + stage.eps * _evaluate(stage, fmap, d, order)
            if stages:
                entries: Any = (..., *block)
                here = total[entries]
                here[...] = np.asarray(share if is_extended else backend.to_numpy(share)).reshape(here.shape)
        if places.outside is not None and outside == "nan":
            total[..., places.outside] = np.nan
        return np.moveaxis(total, range(order), range(-order, 0))

    def _extended(self, stage: Stage) -> Stage:
        return Stage(stage.eps, *extend(stage.network, stage.params, self.backend))

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
                "noise": self.history.noise,
                "certified": self.history.certified,
            },
        }
        write_file(path, content, {**spectrum, **points, **coordinates, **parameters, **curves})


def _evaluate(stage: Stage, fmap: Any, ndim: int, order: int) -> Array:
    """u_s or its derivatives of an order at the points of a map."""
    if order == 0:
        return stage.network.forward(stage.params, fmap)
    return stage.network.derivatives(stage.params, fmap, ndim, order)[order]


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
            noise=entry.get("noise", 0.0),
            certified=entry["certified"],
        )
        grid = unpack_grid(content["grid"], arrays)
        config = config_from_file(content["config"])
        field = unpack_field(content.get("field"), arrays, grid.ndim)
        return Model(stages, grid, config, history, content["provenance"], backend, field)
    except SimsnnError as error:
        raise ModelFileError(f"{path}: not a complete simsnn model: {error}") from error
