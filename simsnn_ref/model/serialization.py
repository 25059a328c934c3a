"""Parts of a fit as JSON and named arrays, and back: what files of models and checkpoints have in common.

Each function `pack_...` returns JSON and arrays, or arrays alone; `unpack_...` is its inverse.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias, get_origin

import numpy as np

from simsnn_ref.backend import Backend
from simsnn_ref.errors import ModelFileError
from simsnn_ref.io import FieldInfo
from simsnn_ref.model.history import StageRecord
from simsnn_ref.network import Network, Parameters
from simsnn_ref.optimizers import Snapshot
from simsnn_ref.spectrum import Box, Grid, Scatter

__all__ = [
    "Arrays",
    "Stage",
    "check_snapshot",
    "pack_field",
    "pack_grid",
    "pack_records",
    "pack_snapshot",
    "pack_stages",
    "unpack_field",
    "unpack_grid",
    "unpack_records",
    "unpack_snapshot",
    "unpack_stages",
]

Arrays: TypeAlias = dict[str, np.ndarray]

IN_FILES = {
    "rms": "deviations",
    "step_scale": "share",
    "is_overparameterized": "consistent",
    "max_inner_iterations": "reach",
}
"""Fields of a `Snapshot` and of the memories of methods that have another name in the files: files keep theirs."""


@dataclass(frozen=True)
class Stage:
    """A fitted network u_s, of which the model has eps_s u_s(x).

    Attributes
    ----------
    eps : float
    network : Network
    params : dict of Array
    """

    eps: float
    network: Network
    params: Parameters

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.params.items())
        return f"Stage(eps {self.eps:.6g}, {self.network!r}, {shapes})"


def pack_stages(stages: Sequence[Stage], backend: Backend) -> tuple[list[dict[str, Any]], Arrays]:
    """An object for each stage, and arrays ``stage1/W1`` and the like."""
    entries, arrays = [], {}
    for number, stage in enumerate(stages, start=1):
        network = stage.network
        for name, value in stage.params.items():
            arrays[f"stage{number}/{name}"] = backend.to_numpy(value)
        if network.amplitudes is not None:
            arrays[f"stage{number}/A"] = backend.to_numpy(network.amplitudes)
        if network.indices is not None:
            arrays[f"stage{number}/indices"] = network.indices
        entries.append(
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
    return entries, arrays


def unpack_stages(entries: Iterable[dict[str, Any]], arrays: Arrays, backend: Backend) -> tuple[Stage, ...]:
    """Inverse of `pack_stages`."""
    return tuple(_stage(number, entry, arrays, backend) for number, entry in enumerate(entries, start=1))


def _stage(number: int, entry: dict[str, Any], arrays: Arrays, backend: Backend) -> Stage:
    amplitudes = arrays.get(f"stage{number}/A")
    network = Network(
        backend=backend,
        first_layer=entry["first_layer"],
        hidden=tuple(entry["hidden"]),
        amplitudes=None if amplitudes is None else backend.asarray(amplitudes),
        scale=entry["scale"],
        paired=entry["paired"],
        frozen=frozenset(entry["frozen"]),
        indices=arrays.get(f"stage{number}/indices"),
        period=None if entry["period"] is None else tuple(Fraction(p) for p in entry["period"]),
    )
    params = {name: backend.asarray(arrays[f"stage{number}/{name}"]) for name in entry["parameters"]}
    return Stage(entry["eps"], network, params)


def pack_records(records: Sequence[StageRecord]) -> tuple[list[dict[str, Any]], Arrays]:
    """An object for each record, and arrays ``record1/loss_history`` and the like."""
    arrays = {f"record{record.index}/{name}": getattr(record, name) for record in records for name in record.ARRAYS}
    return [record.summary() for record in records], arrays


def unpack_records(entries: Iterable[dict[str, Any]], arrays: Arrays) -> tuple[StageRecord, ...]:
    """Inverse of `pack_records`."""
    records = []
    for summary in entries:
        curves: dict[str, Any] = {name: arrays[f"record{summary['index']}/{name}"] for name in StageRecord.ARRAYS}
        records.append(StageRecord(**summary, **curves))
    return tuple(records)


def pack_grid(grid: Grid | Scatter) -> tuple[dict[str, Any], Arrays]:
    """An object with the box, the periodicity and the shape of a grid; of scattered points the array ``points``."""
    entry = {"lower": list(grid.lower), "upper": list(grid.upper), "periodic": list(grid.periodic)}
    if isinstance(grid, Scatter):
        return entry, {"points": grid.points}
    return {"shape": list(grid.shape), **entry}, {}


def unpack_grid(entry: dict[str, Any], arrays: Arrays) -> Grid | Scatter:
    """Inverse of `pack_grid`."""
    entry = {name: tuple(value) for name, value in entry.items()}
    if "points" in arrays:
        arrays["points"].setflags(write=False)
        return Scatter(arrays["points"], Box(entry["lower"], entry["upper"]), entry["periodic"])
    return Grid(**entry)


def pack_field(field: FieldInfo | None) -> tuple[dict[str, Any] | None, Arrays]:
    """The description of a field or null, and its coordinates as the input had them, ``field/axis0`` and the like."""
    if field is None:
        return None, {}
    return field.to_dict(), {f"field/axis{i}": a.values for i, a in enumerate(field.axes) if a.values is not None}


def unpack_field(entry: Any, arrays: Arrays, ndim: int) -> FieldInfo | None:
    """Inverse of `pack_field`, for a field of `ndim` coordinates."""
    return None if entry is None else FieldInfo.from_dict(entry, [arrays.get(f"field/axis{i}") for i in range(ndim)])


def pack_snapshot(snapshot: Snapshot, backend: Backend) -> Arrays:
    """All of a snapshot but the name of its method as arrays, numbers too: ``now/params/W1`` and the like."""
    return {f"now/{name}": value for name, value in _flatten(snapshot, backend)}


def _flatten(value: Any, backend: Backend) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays in a dataclass of numbers, lists, arrays of the host, dicts of arrays, and such dataclasses."""
    for item in fields(value):
        entry, key = getattr(value, item.name), IN_FILES.get(item.name, item.name)
        if is_dataclass(entry):
            yield from ((f"{key}/{name}", array) for name, array in _flatten(entry, backend))
        elif isinstance(entry, dict):
            yield from ((f"{key}/{name}", backend.to_numpy(array)) for name, array in entry.items())
        elif not isinstance(entry, str):
            whole = isinstance(entry, int)
            yield key, np.asarray(entry, dtype=np.int64 if whole else np.float64)


def unpack_snapshot(arrays: Arrays, method: str, memory: type, backend: Backend) -> Snapshot:
    """Inverse of `pack_snapshot`, for the method and the type of its `Snapshot.memory`.

    Raises
    ------
    ModelFileError
        If an array is missing, or of another shape.
    """
    inside = _below(arrays, "now")
    known = {"method": method, "memory": _unflatten(memory, _below(inside, "memory"), backend, {})}
    whole: Snapshot = _unflatten(Snapshot, inside, backend, known)
    return whole


def check_snapshot(snapshot: Snapshot, params: Parameters, trainable: Sequence[str]) -> None:
    """Raise ModelFileError unless a snapshot is of a network with the parameters `params`, some of them `trainable`."""
    memory = {item.name: getattr(snapshot.memory, item.name) for item in fields(snapshot.memory)}
    everything = list(params)
    tables: dict[str, tuple[Parameters, Sequence[str]]] = {
        "params": (snapshot.params, everything),
        "best": (snapshot.best, everything),
    }
    tables |= {name: (table, trainable) for name, table in memory.items() if isinstance(table, dict)}
    for where, (table, names) in tables.items():
        if set(table) != set(names) and (table or where == "params"):
            raise ModelFileError(f"tensors of {where} in the stage in training are not {', '.join(names)}")
        for name, value in table.items():
            if value.shape != params[name].shape:
                raise ModelFileError(f"tensor {where}/{name} of the stage in training has another shape than the stage")
    n = sum(prod(params[name].shape) for name in trainable)
    vectors = [value for value in memory.values() if isinstance(value, np.ndarray)]
    if (
        any(v.ndim not in (1, 2) or v.shape[-1] != n for v in vectors)
        or len({len(v) for v in vectors if v.ndim == 2}) > 1
    ):
        raise ModelFileError("the memory of the method in training is not of the parameters of its stage")
    if len(snapshot.losses) != len(snapshot.rms) or len(snapshot.works) < len(snapshot.losses):
        raise ModelFileError("losses, deviations and works of the stage in training are not of one run")


def _below(arrays: Arrays, name: str) -> Arrays:
    """The arrays whose names begin with ``name/``, by the rest of their names."""
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def _unflatten(kind: type, arrays: Arrays, backend: Backend, known: dict[str, Any]) -> Any:
    """The dataclass that `_flatten` took apart, with the entries that are known already."""
    values = dict(known)
    for item in fields(kind):
        if item.name in known:
            continue
        key = IN_FILES.get(item.name, item.name)
        if get_origin(item.type) is dict:
            values[item.name] = {name: backend.asarray(array) for name, array in _below(arrays, key).items()}
            continue
        array = arrays.get(key)
        make: Any = item.type
        axes = {list[float]: 1, np.ndarray: None}.get(make, 0)
        if array is None or axes not in (None, array.ndim):
            raise ModelFileError(f"tensor {key} of the stage in training is missing or of another shape")
        values[item.name] = array if axes is None else array.tolist() if axes else make(array[()])
    return kind(**values)
