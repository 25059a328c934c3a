"""What the checkpoints of a fit hold: its data and options once, and its state again and again.

The residues are not among it. They are made again from the stages by the same operations, hence to the same bits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simsnn_ref.errors import CheckpointError, ModelFileError
from simsnn_ref.io import provenance
from simsnn_ref.model import (
    METHODS,
    Arrays,
    Checkpoints,
    FitConfig,
    check_state,
    config_from_file,
    digest,
    pack_field,
    pack_grid,
    pack_records,
    pack_snapshot,
    pack_stages,
    reading_states,
    unpack_field,
    unpack_grid,
    unpack_records,
    unpack_snapshot,
    unpack_stages,
)
from simsnn_ref.multistage.intake import FieldData, take_in
from simsnn_ref.multistage.methods import make_method
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.sampling import TrainingSet, at_samples_only, finer
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.multistage.state import Clock, FitState
from simsnn_ref.optimizers import Snapshot
from simsnn_ref.spectrum import Grid

__all__ = ["elsewhere", "pack_data", "pack_state", "unpack_data", "unpack_state"]


def pack_data(data: FieldData, config: FitConfig) -> tuple[dict[str, Any], Arrays]:
    """Samples (of a function their digest), where they are, and the options."""
    grid, places = pack_grid(data.grid)
    info, coordinates = pack_field(data.info)
    values = {} if data.function is not None else {"values": data.samples}
    content = {"config": config.to_dict(), "grid": grid, "field": info, "digest": digest(data.samples)}
    return content, {**places, **values, **coordinates}


def unpack_data(
    checkpoints: Checkpoints, function: Callable[[np.ndarray], Any] | None
) -> tuple[Callable[[], FieldData], FitConfig]:
    """Inverse of `pack_data`: what makes the data again, and the options.

    Raises
    ------
    CheckpointError
        If the folder holds no run, or `function` is missing, too much or, once the data are made, another one.
    """
    content, arrays = checkpoints.data
    with reading_states(checkpoints.folder):
        config, grid = config_from_file(content["config"]), unpack_grid(content["grid"], arrays)
        info = unpack_field(content["field"], arrays, grid.ndim)
        values, stated = arrays.get("values"), str(content["digest"])
    if values is None and function is None:
        raise CheckpointError(f"{checkpoints.folder}: a function was fitted; give it to resume")
    if values is not None and function is not None:
        raise CheckpointError(f"{checkpoints.folder}: samples were fitted, which are in the folder; give no function")

    def make() -> FieldData:
        data = take_in(function if values is None else values, grid, info=info)
        if digest(data.samples) != stated:
            raise CheckpointError("function: its values are not those that were fitted; resume with the same function")
        return data

    return make, config


def pack_state(state: FitState, notes: Sequence[str], snapshot: Snapshot | None) -> tuple[dict[str, Any], Arrays]:
    """The stages so far, and of a stage in training its snapshot."""
    backend = state.residue.backend
    stages, arrays = pack_stages(state.stages, backend)
    records, curves = pack_records(state.records)
    content = {
        "stages": stages,
        "records": records,
        "notes": list(notes),
        "stride": state.residue.training.stride,
        "samples_more_finely": state.may_refine,
        "seconds": state.clock.seconds,
        "stage_seconds": 0.0 if snapshot is None else state.clock.stage_seconds,
        "method": None if snapshot is None else snapshot.method,
        "provenance": provenance(),
    }
    current = {} if snapshot is None else pack_snapshot(snapshot, backend)
    return content, {**arrays, **curves, **current}


def unpack_state(content: dict[str, Any], arrays: Arrays, setup: Setup) -> FitState:
    """Inverse of `pack_state`, but for the notes.

    Raises
    ------
    ModelFileError
        If the content is not the state of such a fit.
    """
    check_state(content, arrays, setup.grid.ndim)
    stages = list(unpack_stages(content["stages"], arrays, setup.backend))
    residue = Residue.of(_training(setup, content["stride"]), setup.backend, stages)
    off_grid = setup.off_grid
    for stage in stages:
        off_grid = off_grid.minus(stage)
    return FitState(
        residue,
        off_grid,
        setup.may_refine and content["samples_more_finely"],
        stages,
        list(unpack_records(content["records"], arrays)),
        _snapshot(content["method"], arrays, setup),
        Clock(content["seconds"], content["stage_seconds"]),
    )


def _training(setup: Setup, stride: int) -> TrainingSet:
    """The training grid that a function had come to be sampled on."""
    if stride == 1 and setup.interpolant is not None:
        return at_samples_only(setup.interpolant.samples, setup.interpolant.grid)
    training: TrainingSet | None = setup.training
    while training is not None and training.stride != stride:
        can_refine = setup.may_refine and setup.function is not None and isinstance(setup.grid, Grid)
        training = finer(training, setup.grid, setup.function) if can_refine else None  # type: ignore[arg-type]
    if training is None:
        raise ModelFileError(f"content.stride is {stride}, which no training grid has")
    return training


def _snapshot(method: str | None, arrays: Arrays, setup: Setup) -> Snapshot | None:
    if method is None:
        return None
    if method not in METHODS:
        raise ModelFileError(f"content.method is {method!r}, which is no method")
    made = make_method(setup.config, method, 0)
    return unpack_snapshot(arrays, made.name, made.memory, setup.backend)


def elsewhere(content: dict[str, Any]) -> list[str]:
    """A note where a fit goes on with other libraries, or on another machine, than those that saved `content`."""
    now = provenance()
    changed = [
        f"{name} {value}, now {now.get(name)}"
        for name, value in content["provenance"].items()
        if name != "git" and now.get(name) != value
    ]
    return [f"resumed elsewhere, the last bits may differ: {'; '.join(changed)}"] if changed else []
