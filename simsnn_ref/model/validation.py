"""Files of models and checkpoints are checked in full before they are used, so that what loads also works.

The content is JSON of the kinds below. With d axes, the tensors of stage s, all of float64 but the indices, are

    stage{s}/A (n_f,)               not for the first layer ``none``, which has neither B nor b, and n_f = d
    stage{s}/B (n_b, d)             n_b = n_f, half of it if paired
    stage{s}/b (n_f,), stage{s}/W1 (h_1, n_f), stage{s}/c1 (h_1,), ..., stage{s}/W{L+1} (1, h_L), stage{s}/c{L+1} (1,)
    stage{s}/indices (n_f, d)       int64, if there is a period: B = pi m / period

Those of the fit are record{s}/loss_history (n,), record{s}/rms_history (n,), record{s}/energy (bins,),
spectrum/wavenumber (bins,), spectrum/energy (bins,), for scattered points also points (n, d), and for a described field
field/axis{i} (n_i,).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io import conform, shown
from simsnn_ref.model.certificate import Certificate
from simsnn_ref.model.history import StageRecord
from simsnn_ref.model.option_groups import OFF_GRID_METHODS
from simsnn_ref.network import FIRST_LAYERS
from simsnn_ref.spectrum import wavenumber_units

__all__ = ["RECORD", "check_data", "check_model", "check_state"]

SCATTER = {"lower": [float], "upper": [float], "periodic": [bool]}
GRID = {"shape": [int], **SCATTER}
STAGE = {
    "eps": float,
    "first_layer": str,
    "hidden": [int],
    "scale": float,
    "paired": bool,
    "frozen": [str],
    "period": ([str], None),
    "parameters": [str],
}
RECORD = {item.name: item.type for item in fields(StageRecord) if item.name not in StageRecord.ARRAYS}
"""The kinds of what `StageRecord.summary` gives."""

HISTORY = {
    "stages": [RECORD],
    "off_grid": str,
    "notes": [str],
    "rms": float,
    "max": float,
    "seconds": float,
    "resolved_level": float,
    "certified": ({item.name: item.type for item in fields(Certificate) if item.name != "resolution"}, None),
}
CONTENT = {"config": {str: object}, "provenance": {str: str | None}, "stages": [STAGE], "history": HISTORY}
DATA = {"config": {"backend": str, ...: object}, "field": object, "digest": str, "about": {str: object}}
STATE = {
    "stages": [STAGE],
    "records": [RECORD],
    "notes": [str],
    "stride": int,
    "samples_more_finely": bool,
    "seconds": float,
    "stage_seconds": float,
    "method": (str, None),
    "provenance": {str: str | None},
}

_PERIOD = re.compile(r"[0-9]{1,9}(/[0-9]{1,9})?")
_LONGEST_PERIOD = 2
"""Longest period in lengths of the box: that of the Fourier extension, and of the DFT of two points with ends."""

_BLOCK = 2**12
"""Wavenumbers that are compared at a time."""

_Shape = tuple[int | None, ...]
"""Sizes of the axes of a tensor, None for any size."""


@dataclass(frozen=True)
class _Needed:
    shape: _Shape
    dtype: type = np.float64
    finite: bool = True


def check_model(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ModelFileError unless content and arrays make up a model; the message names the entry or the tensor.

    The options are left to `FitConfig`, the box to `Grid` and `Scatter`, the description to `FieldInfo`.
    """
    # Earlier versions wrote neither.
    described: dict[str, Any] = {"field": object} if "field" in content else {}
    history = content.get("history")
    if isinstance(history, dict) and "noise" in history:
        described["history"] = HISTORY | {"noise": float}
    conform(content, CONTENT | described | {"grid": SCATTER if "points" in arrays else GRID}, "content")
    _check_history(content)
    needed = _needed_by_the_grid(content, arrays) | _needed_by_the_fit(content, arrays)
    _check_tensors(content["stages"], needed, arrays, len(content["grid"]["lower"]))


def check_data(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ModelFileError unless content and arrays make up the data of a fit, with which its checkpoints begin.

    The options are left to `FitConfig`, the box to `Grid` and `Scatter`, the description to `FieldInfo`, the values to
    the fit.
    """
    conform(content, DATA | {"grid": SCATTER if "points" in arrays else GRID}, "content")
    needed = _needed_by_the_grid(content, arrays)
    if "values" in arrays:
        values = (None,) if "points" in arrays else (None,) * len(content["grid"]["lower"])
        needed["values"] = _Needed(values, finite=False)
    _check_arrays(needed, arrays)


def check_state(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray], d: int) -> None:
    """Raise ModelFileError unless content and arrays make up the state of a fit in d dimensions.

    What it has of the stage in training, ``now/...``, is left to `check_snapshot`.
    """
    conform(content, STATE, "content")
    if len(content["records"]) != len(content["stages"]):
        raise ModelFileError(f"content has {len(content['stages'])} stages but {len(content['records'])} records")
    needed: dict[str, _Needed] = {}
    for number, record in enumerate(content["records"], start=1):
        if record["index"] != number:
            raise ModelFileError(f"content.records[{number - 1}].index is {record['index']}, not {number}")
        needed |= {f"record{number}/{name}": _Needed((None,), finite=False) for name in StageRecord.ARRAYS}
    finished = {name: array for name, array in arrays.items() if not name.startswith("now/")}
    _check_tensors(content["stages"], needed, finished, d)


def _check_tensors(
    stages: list[dict[str, Any]], needed: dict[str, "_Needed"], arrays: Mapping[str, np.ndarray], d: int
) -> None:
    """Raise ModelFileError unless the arrays are those of the stages and the others that are `needed`."""
    for number, stage in enumerate(stages, start=1):
        needed |= _needed_by_a_stage(number, stage, arrays, d)
    _check_arrays(needed, arrays)
    for number, stage in enumerate(stages, start=1):
        if stage["period"] is not None:
            _check_modes(number, stage, arrays)


def _check_arrays(needed: Mapping[str, "_Needed"], arrays: Mapping[str, np.ndarray]) -> None:
    for name in arrays:
        if name not in needed:
            raise ModelFileError(f"tensor {shown(name)} is none of this model's")
    for name, need in needed.items():
        _check_tensor(name, arrays.get(name), need)


def _check_history(content: Mapping[str, Any]) -> None:
    history = content["history"]
    if history["off_grid"] not in OFF_GRID_METHODS or history["off_grid"] == "auto":
        raise ModelFileError(f"content.history.off_grid is {shown(history['off_grid'])}, which is no way to measure")
    if len(history["stages"]) != len(content["stages"]):
        raise ModelFileError(
            f"content has {len(content['stages'])} stages but {len(history['stages'])} records of them"
        )
    for number, record in enumerate(history["stages"], start=1):
        if record["index"] != number:
            raise ModelFileError(f"content.history.stages[{number - 1}].index is {record['index']}, not {number}")


def _check_axes(grid: Mapping[str, Any], d: int) -> None:
    for name, value in grid.items():
        if not 1 <= len(value) == d <= 3:
            raise ModelFileError(f"content.grid.{name} has {len(value)} entries; all of grid need the same 1, 2 or 3")
    if math.prod(grid.get("shape", [])) >= 2**63:
        raise ModelFileError(f"content.grid.shape {grid['shape']} has more points than can be counted")


def _needed_by_the_grid(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, _Needed]:
    """The points, if they are scattered, and the coordinates of a described field."""
    d = len(content["grid"]["lower"])
    _check_axes(content["grid"], d)
    needed = {"points": _Needed((None, d))} if "points" in arrays else {}
    if content.get("field") is not None:
        needed |= {f"field/axis{i}": _Needed((None,)) for i in range(d) if f"field/axis{i}" in arrays}
    return needed


def _needed_by_the_fit(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, _Needed]:
    bins = (_length(arrays.get("spectrum/wavenumber")),)
    needed = {name: _Needed(bins, finite=False) for name in ("spectrum/wavenumber", "spectrum/energy")}
    for number in range(1, len(content["stages"]) + 1):
        steps = (_length(arrays.get(f"record{number}/loss_history")),)
        shapes: dict[str, _Shape] = {"loss_history": steps, "rms_history": steps, "energy": bins}
        needed |= {f"record{number}/{name}": _Needed(shape, finite=False) for name, shape in shapes.items()}
    return needed


def _needed_by_a_stage(
    number: int, stage: Mapping[str, Any], arrays: Mapping[str, np.ndarray], d: int
) -> dict[str, _Needed]:
    """The tensors of one stage, once its entries are known to agree with each other."""
    where, layer, hidden = f"content.stages[{number - 1}]", stage["first_layer"], stage["hidden"]
    if layer not in FIRST_LAYERS:
        raise ModelFileError(f"{where}.first_layer is {shown(layer)}, none of {', '.join(FIRST_LAYERS)}")
    if any(width < 1 for width in hidden):
        raise ModelFileError(f"{where}.hidden has a width below 1")
    has_cosines = layer != "none"
    n_f = _length(arrays.get(f"stage{number}/A")) if has_cosines else d
    if n_f is None:
        raise ModelFileError(f"tensor stage{number}/A is missing, or not one-dimensional")
    if n_f < 1 or (stage["paired"] and n_f % 2):
        raise ModelFileError(f"tensor stage{number}/A has {n_f} entries: a first layer needs some, and pairs if paired")
    n_b = n_f // 2 if stage["paired"] else n_f
    widths = [n_f, *hidden, 1]
    shapes: dict[str, _Shape] = {"B": (n_b, d), "b": (n_f,)} if has_cosines else {}
    for i in range(1, len(widths)):
        shapes |= {f"W{i}": (widths[i], widths[i - 1]), f"c{i}": (widths[i],)}
    if stage["parameters"] != list(shapes):
        raise ModelFileError(f"{where}.parameters are not {', '.join(shapes)}")
    if not set(stage["frozen"]) <= set(shapes):
        raise ModelFileError(f"{where}.frozen names what is no parameter")
    needed = {f"stage{number}/{name}": _Needed(shape) for name, shape in shapes.items()}
    if has_cosines:
        needed[f"stage{number}/A"] = _Needed((n_f,))
    if stage["period"] is not None:
        if not has_cosines or "B" not in stage["frozen"] or stage["scale"] != 1.0 or stage["paired"]:
            raise ModelFileError(f"{where}.period is there, but the wavenumbers are no frozen Fourier modes")
        _check_period(stage["period"], d, where)
        needed[f"stage{number}/indices"] = _Needed((n_f, d), np.int64)
    return needed


def _check_period(period: list[str], d: int, where: str) -> None:
    if len(period) != d:
        raise ModelFileError(f"{where}.period has {len(period)} entries for {d} axes")
    for text in period:
        # Fraction also reads 1e999999999, and takes its time.
        if not _PERIOD.fullmatch(text) or int(text.partition("/")[2] or 1) == 0:
            raise ModelFileError(f"{where}.period: {shown(text)} is no fraction")
        if not 1 <= Fraction(text) <= _LONGEST_PERIOD:
            raise ModelFileError(f"{where}.period: {text} is not between 1 and {_LONGEST_PERIOD} lengths of the box")


def _length(array: np.ndarray | None) -> int | None:
    return None if array is None or array.ndim != 1 else int(array.shape[0])


def _check_tensor(name: str, array: np.ndarray | None, need: _Needed) -> None:
    if array is None:
        raise ModelFileError(f"tensor {name} is missing")
    if array.dtype != need.dtype:
        raise ModelFileError(f"tensor {name} has the type {array.dtype}, not {np.dtype(need.dtype)}")
    if array.ndim != len(need.shape) or any(
        expected not in (None, n) for n, expected in zip(array.shape, need.shape, strict=True)
    ):
        expected = ", ".join("any" if n is None else str(n) for n in need.shape)
        raise ModelFileError(f"tensor {name} has the shape {array.shape}, not ({expected})")
    # Smallest and largest, since a mask of what is finite would take memory of its own.
    if need.finite and array.size and not (math.isfinite(np.min(array)) and math.isfinite(np.max(array))):
        raise ModelFileError(f"tensor {name} holds numbers that are not finite")


def _check_modes(number: int, stage: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """B = pi m / period, rounded: the transforms take the one, sums of cosines the other."""
    units = np.asarray(wavenumber_units(tuple(map(Fraction, stage["period"]))))
    B, indices = arrays[f"stage{number}/B"], arrays[f"stage{number}/indices"]
    eps = np.finfo(B.dtype).eps
    for start in range(0, len(B), _BLOCK):
        expected = indices[start : start + _BLOCK] * units
        # Pi, the unit and the product are rounded, here and where B was made.
        if np.any(np.abs(B[start : start + _BLOCK] - expected) > 8 * eps * np.abs(expected)):
            raise ModelFileError(f"tensors stage{number}/B and stage{number}/indices are not the same modes")
