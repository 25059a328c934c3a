"""Options that the data cannot meet are found before the first stage is trained, by their sizes alone."""

from simsnn_ref.backend import Backend
from simsnn_ref.model import FitConfig
from simsnn_ref.network import MODES_OF_THE_TARGET, make_map, require_first_layer, require_map
from simsnn_ref.spectrum import Grid, Scatter, ScatteredModes, count_extension_modes, count_modes, require_modes

__all__ = ["require_possible"]


def require_possible(
    config: FitConfig, grid: Grid | Scatter, backend: Backend, least_squares: ScatteredModes | None = None
) -> None:
    """Raise ConfigError where a stage asks for modes or for a feature map that these data do not have.

    Parameters
    ----------
    grid : Grid or Scatter
        Where the field is trained.
    least_squares : ScatteredModes, optional
        Of scattered points; the number of their modes is not looked at without.
    """
    modes_of = grid if isinstance(grid, Grid) else least_squares
    for stage in range(config.n_stages):
        first_layer = config.for_stage(config.first_layer.kind, stage)
        n_features = config.for_stage(config.first_layer.n_features, stage)
        has_modes = first_layer in MODES_OF_THE_TARGET and not config.trains_wavenumbers(stage)
        if modes_of is not None and (least_squares is not None or config.mode == "paper"):
            require_first_layer(
                first_layer,
                modes_of,
                n_features=n_features,
                hidden=config.network.hidden,
                train_wavenumbers=config.trains_wavenumbers(stage),
            )
        elif isinstance(grid, Grid) and n_features is not None:
            require_modes(grid, n_features, _count(grid))
        if first_layer != "none":
            require_map(config.network.feature_map, is_grid=isinstance(grid, Grid), has_modes=has_modes)
    if config.network.feature_map == "nufft":
        # Only FINUFFT itself knows which tolerance and which sizes it takes.
        where = grid if isinstance(grid, Grid) else backend.asarray(grid.box.to_scaled(grid.points[:1]))
        make_map(where, backend, kind="nufft", tolerance=config.network.nufft_tolerance)


def _count(grid: Grid) -> int:
    return count_modes(grid) if all(grid.periodic) else count_extension_modes(grid)
