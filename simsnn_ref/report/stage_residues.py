"""What each stage of a model leaves of the samples, and the title of its picture."""

from collections.abc import Iterator

import numpy as np

from simsnn_ref.backend import Array
from simsnn_ref.model import Model, StageRecord
from simsnn_ref.network import Network, Parameters, extend, extended_backend, network_map
from simsnn_ref.report.drawing import tex_number
from simsnn_ref.spectrum import Grid

__all__ = ["errors_title", "residues"]


def residues(model: Model, samples: np.ndarray) -> Iterator[np.ndarray]:
    """The residue after each stage at the samples, in extended precision, each network evaluated once.

    Parameters
    ----------
    model : Model
    samples : ndarray of float64, shape model.grid.shape
    """
    residue = extended_backend().asarray(samples)
    for stage in model.stages:
        network, params = extend(stage.network, stage.params, model.backend)
        grid = model.grid
        if isinstance(grid, Grid):
            u_s = _at_samples(network, params, grid)
        else:
            u_s = network.forward(params, network_map(network, grid, extended_backend()))
        residue = residue - stage.eps * u_s
        yield np.asarray(residue)


def _at_samples(network: Network, params: Parameters, grid: Grid) -> Array:
    """u_s at the samples, by way of a finer grid where its modes would alias: only there they have a fast transform."""
    factors = (1, 2, 4) if network.indices is not None else (1,)
    for factor in factors:
        fine = grid.refined(factor)
        fmap = network_map(network, fine, extended_backend())
        if fmap.name != "separable":
            break
    values = network.forward(params, fmap).reshape(fine.shape)
    return values[(slice(None, None, factor),) * grid.ndim]


def errors_title(record: StageRecord) -> str:
    """The errors after a stage, as the title of a picture of its residue."""
    lines = [f"after stage {record.index} ({record.first_layer}), relative to RMS$(u)$"]
    lines.append(f"on grid: RMS {tex_number(record.rms_on_grid)}, max {tex_number(record.max_on_grid)}")
    if record.rms_off_grid is not None and record.max_off_grid is not None:
        lines.append(f"off grid: RMS {tex_number(record.rms_off_grid)}, max {tex_number(record.max_off_grid)}")
    return "\n".join(lines)
