"""What a fit will take, from its sizes alone: memory at its peak, and time per training step.

Memory is counted array by array (8 bytes a number, 16 in extended precision); the small ones are left out, and what the
libraries take is `BASE_BYTES`. Times are those of `simsnn_ref.network.features.cost`, of two x86-64 cores. The forecast
is an upper bound: modes that are counted only once the data are seen count as the most there can be. A fit is refused,
before anything large is allocated, if there is not even the memory to evaluate its stages.
"""

import math
import os
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from simsnn_ref.backend import SERIAL, Processes, default_threads
from simsnn_ref.errors import ConfigError
from simsnn_ref.model import FitConfig
from simsnn_ref.multistage.sampling import training_grid
from simsnn_ref.network import MODES_OF_THE_TARGET, NUFFT_ELEMENTS, MapSizes, has_nufft, step_seconds
from simsnn_ref.network.features.cost import FINE_POINTS, MULTIPLY_ADD, map_costs
from simsnn_ref.network.features.dense import BLOCK_ELEMENTS as DENSE_BLOCK
from simsnn_ref.network.features.fft import BLOCK_ELEMENTS
from simsnn_ref.optimizers import KEPT_ELEMENTS
from simsnn_ref.spectrum import (
    Grid,
    Scatter,
    count_mirrored_modes,
    count_modes,
    count_scattered_modes,
    extension_period,
)

__all__ = ["Forecast", "StageForecast", "available_bytes", "forecast", "require_memory"]

BASE_BYTES = 170 * 2**20
"""Python, NumPy, SciPy, and what their allocator keeps for several threads."""

REAL, EXTENDED = 8, 16
"""Bytes of a number in training, and in the residues (long double, or double-double)."""

ACTIVATION_SETS = {"adam": 0, "lbfgs": 2, "gauss_newton": 2, "levenberg_marquardt": 4, "second_order": 2}
"""Hidden layers kept at once. Adam keeps none; a Jacobian keeps them with their slopes, Gauss-Newton during a step and
L-BFGS for its scales at the start; Levenberg-Marquardt, where the points are few, joins the blocks of both as well."""

ACTIVATION = 3.5e-9
"""Seconds for one hyperbolic tangent and the passes over it, forward and back."""


@dataclass(frozen=True)
class StageForecast:
    """One stage.

    Attributes
    ----------
    n_features, n_parameters : int
        At most, where they follow from the data.
    feature_map : str
    seconds_per_step : float
        Of a gradient; a step of Gauss-Newton is up to `inner_iterations` times as long.
    seconds : float
        Of all steps that the options allow; targets end a stage earlier.
    bytes : int
        In training.
    """

    index: int
    n_features: int
    n_parameters: int
    feature_map: str
    seconds_per_step: float
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Forecast:
    """A whole fit.

    Attributes
    ----------
    points : int
        Of the training grid.
    peak_bytes, least_bytes : int
        The most memory over training and residues; what evaluating the stages takes without training them.
    available_bytes : int or None
    """

    points: int
    stages: tuple[StageForecast, ...]
    peak_bytes: int
    least_bytes: int
    available_bytes: int | None

    @property
    def seconds(self) -> float:
        """Of all steps of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def forecast(
    grid: Grid | Scatter, config: FitConfig, *, is_function: bool = False, processes: Processes = SERIAL
) -> Forecast:
    """Forecast a fit of samples on `grid` or at scattered points, or of a function sampled on a grid.

    Of `processes` each takes its share of everything that has a number for each point and unit, and the fields.
    """
    cost = _forecast(grid, config.resolved(), is_function, processes.size)
    available = None if cost.available_bytes is None else cost.available_bytes // processes.size_here
    return replace(cost, available_bytes=available)


def _forecast(grid: Grid | Scatter, config: FitConfig, is_function: bool, n_processes: int) -> Forecast:
    if isinstance(grid, Scatter):
        return _forecast_scatter(grid, config, n_processes)
    training = training_grid(grid, is_function, config)
    stages = tuple(_stage(index, training, config, n_processes) for index in range(1, config.n_stages + 1))
    h = max((config.network.hidden or (1,))[0], 1)
    lattice = math.prod(_lattice(training))
    # z_1 in extended precision, the blocks of its transform, and the points' tail.
    residue = EXTENDED * (h * training.size // n_processes + 3 * _transformed(-(-h // n_processes), lattice))
    point_sets = 2**grid.ndim - 1 if all(grid.periodic) and not is_function else 2
    fields = EXTENDED * training.size * (6 + 2 * point_sets)
    least = BASE_BYTES + fields + residue
    peak = BASE_BYTES + fields + max(residue, *(stage.bytes for stage in stages))
    return Forecast(training.size, stages, peak, least, available_bytes())


def _forecast_scatter(scatter: Scatter, config: FitConfig, n_processes: int) -> Forecast:
    stages = tuple(_stage(index, scatter, config, n_processes) for index in range(1, config.n_stages + 1))
    n, h = scatter.size, max((config.network.hidden or (1,))[0], 1)
    # z_1 in extended precision and a block of its features.
    least = BASE_BYTES + EXTENDED * ((h // n_processes + 8) * n + DENSE_BLOCK)
    columns = 2 * count_scattered_modes(scatter)
    # The damped matrix, its factors, and LAPACK's copy.
    factors = REAL * 4 * (n + columns) * columns
    return Forecast(n, stages, least + factors + max(stage.bytes for stage in stages), least, available_bytes())


def _lattice(grid: Grid) -> tuple[int, ...]:
    """Points of the period that a transform runs over."""
    return tuple(math.ceil(n * float(period)) for n, period in zip(grid.shape, extension_period(grid), strict=True))


def _transformed(h: int, lattice: int) -> int:
    """Points of the hidden units that are transformed at the same time."""
    return min(h * lattice, default_threads() * max(BLOCK_ELEMENTS, lattice))


def _stage(index: int, grid: Grid | Scatter, config: FitConfig, n_processes: int) -> StageForecast:
    stage = index - 1
    first_layer = config.for_stage(config.first_layer.kind, stage)
    trains = config.trains_wavenumbers(stage)
    has_modes = first_layer in MODES_OF_THE_TARGET and not trains
    is_extended = config.mode == "accurate" and not all(grid.periodic)
    if isinstance(grid, Scatter):
        most = count_scattered_modes(grid)
    else:
        most = count_mirrored_modes(grid) if is_extended else count_modes(grid)
    n_f = config.for_stage(config.first_layer.n_features, stage) or min(config.max_features, most)
    hidden = () if first_layer == "fourier" else config.network.hidden
    widths = [grid.ndim if first_layer == "none" else n_f, *hidden, 1]
    parameters = sum(a * b + b for a, b in pairwise(widths)) + n_f * (1 + trains * grid.ndim)
    sizes = MapSizes(n_f, widths[1], trains)
    is_grid = isinstance(grid, Grid)
    lattice = _lattice(grid) if has_modes and isinstance(grid, Grid) else grid.shape
    costs = map_costs(
        grid.shape,
        grid.ndim,
        sizes,
        is_grid=is_grid,
        lattice=lattice if has_modes and is_grid else None,
        has_nufft=config.run.backend.partition(":")[0] == "numpy" and has_nufft(),
    )
    kind = min(costs, key=lambda name: costs[name])
    if config.network.feature_map not in ("auto", kind):
        kind = config.network.feature_map
        costs[kind] = step_seconds(kind, grid.shape, grid.ndim, sizes)
    if first_layer == "none":
        kind, costs = "linear", {"linear": 0.0}
    seconds = (costs[kind] + _tail_seconds(grid.size, widths[1:])) / n_processes
    gradients = 1 if config.optimizer in ("adam", "lbfgs") else config.training.inner_iterations
    return StageForecast(
        index=index,
        n_features=0 if first_layer == "none" else n_f,
        n_parameters=parameters,
        feature_map=kind,
        seconds_per_step=seconds,
        seconds=seconds * gradients * config.for_stage(config.steps, stage),
        bytes=_training_bytes(grid, widths, parameters, math.prod(lattice), config, n_processes)
        + (_nufft_bytes(grid) if kind == "nufft" else 0),
    )


def _tail_seconds(n_points: int, widths: list[int]) -> float:
    """Hyperbolic tangents, and three products of each layer."""
    products = sum(a * b for a, b in pairwise(widths))
    units = sum(widths[:-1])
    return n_points * (3.0 * products * MULTIPLY_ADD + units * ACTIVATION)


def _training_bytes(
    grid: Grid | Scatter, widths: list[int], parameters: int, lattice: int, config: FitConfig, n_processes: int
) -> int:
    points, units = -(-grid.size // n_processes), -(-widths[1] // n_processes)
    kept = points * sum(widths[1:-1])
    activations = ACTIVATION_SETS[config.optimizer] * (kept if kept <= KEPT_ELEMENTS else points * widths[1])
    # W_1 gamma, its gradient, and the blocks of their transforms; several processes hold both once more, unit by unit.
    first = widths[1] * (2 * points + 2 * parameters // max(widths[1], 1)) + 2 * _transformed(units, lattice)
    first += units * grid.size if n_processes > 1 else 0
    vectors = 20 * (grid.size + parameters)
    return REAL * (activations + first + vectors)


def _nufft_bytes(grid: Grid | Scatter) -> int:
    """Fine grids up to the Nyquist number, three for each thread in a transform, as far as `NUFFT_ELEMENTS` allow."""
    one = int(3 * FINE_POINTS**grid.ndim * grid.size)
    return 2 * REAL * min(default_threads() * one, max(one, NUFFT_ELEMENTS))


def available_bytes() -> int | None:
    """Memory that a process can still have; None where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def require_memory(cost: Forecast) -> None:
    """Refuse a fit that cannot fit.

    Raises
    ------
    ConfigError
        If the forecast exceeds what is available.
    """
    if cost.available_bytes is not None and cost.least_bytes > cost.available_bytes:
        raise ConfigError(
            f"{cost.points} training points need at least {cost.least_bytes / 2**30:.1f} GiB of memory,"
            f" {cost.available_bytes / 2**30:.1f} GiB are available: use fewer samples, refine = 1 or narrower layers"
        )
