"""What a fit will take, before it starts: its method, memory and time, and how to stop and resume a long one."""

import json
import sys

from simsnn_ref.backend import load_backend
from simsnn_ref.model import Callback, FitConfig, compare_with_paper
from simsnn_ref.multistage import Forecast, forecast, require_memory, require_possible, training_grid
from simsnn_ref.report import duration_words, table_with_legend
from simsnn_ref.spectrum import Grid, Scatter

__all__ = ["LongFitLines", "print_forecast"]

LONG = 1800.0
"""Seconds from which a fit is one that the user may want to stop and resume."""

COLUMNS = {
    "stage": "number of the stage",
    "n_f": "number of features, at most",
    "parameters": "numbers that the stage trains, at most",
    "map": "how products with the features are evaluated",
    "steps": "steps of training, at most",
    "seconds": "time of one gradient; a step of Gauss-Newton takes up to inner_iterations of them",
    "memory": "memory in training",
}


def print_forecast(
    grid: Grid | Scatter, config: FitConfig, *, is_function: bool, checkpoint: str | None, as_json: bool
) -> None:
    """Print what a fit of data at `grid` will take.

    Raises
    ------
    BackendError, ConfigError
        If the fit would be refused for its options, or the memory does not suffice.
    """
    where = training_grid(grid, is_function, config) if isinstance(grid, Grid) else grid
    require_possible(config, where, load_backend(config.run.backend))
    expected = forecast(grid, config, is_function=is_function)
    settings = []
    if config.mode == "paper":
        settings = list(compare_with_paper(config, scattered=isinstance(grid, Scatter)).sentences())
    if as_json:
        print(json.dumps(expected.to_dict() | {"settings": settings, "config": config.resolved().to_dict()}))
    else:
        print("".join(f"{sentence}\n" for sentence in settings))
        print(table_with_legend(COLUMNS, _rows(expected, config)))
        available = "unknown" if expected.available_bytes is None else f"{expected.available_bytes / 2**20:.0f} MiB"
        peak = f"{expected.peak_bytes / 2**20:.0f} MiB"
        print(f"\n{expected.points} training points. Peak memory at most {peak}, available {available}.")
        if not _seldom_steps(config):
            print(_total(expected))
        for line in _words_of_a_long_fit(expected, config, checkpoint):
            print(line)
    require_memory(expected)


def _rows(expected: Forecast, config: FitConfig) -> list[list[str]]:
    return [
        [
            str(stage.index),
            str(stage.n_features),
            str(stage.n_parameters),
            stage.feature_map,
            str(config.for_stage(config.steps, stage.index - 1)),
            f"{stage.seconds_per_step:.2g}",
            f"{stage.bytes / 2**20:.0f} MiB",
        ]
        for stage in expected.stages
    ]


class LongFitLines(Callback):
    """Lines on stderr before the first stage of a long fit."""

    def __init__(self, expected: Forecast, config: FitConfig, checkpoint: str | None) -> None:
        words = _words_of_a_long_fit(expected, config, checkpoint)
        self.lines = [_total(expected), *words] if words else []

    def on_stage_start(self, stage: int, n_stages: int, description: str) -> None:
        for line in self.lines:
            print(line, file=sys.stderr)
        self.lines = []


def _total(expected: Forecast) -> str:
    """The time of all steps."""
    return (
        f"All steps of all stages take about {duration_words(expected.seconds)} at most; stages of fewer features, and"
        " those that reach their target, take less."
    )


def _seldom_steps(config: FitConfig) -> bool:
    """Whether the start is often good enough, so that the time of as many steps as the options allow says nothing."""
    return config.mode == "accurate" and config.optimizer == "second_order"


def _words_of_a_long_fit(expected: Forecast, config: FitConfig, checkpoint: str | None) -> list[str]:
    """How it is stopped and resumed, and what is quicker; nothing where it is not long."""
    if expected.seconds < LONG or _seldom_steps(config):
        return []
    if checkpoint is None:
        stopping = "With --checkpoint DIR it can be stopped by Ctrl-C at any time and resumed by: simsnn resume DIR"
    else:
        stopping = f"Stop it by Ctrl-C at any time; go on with: simsnn resume {checkpoint}"
    lines = [stopping]
    if config.mode == "paper" and config.optimizer == "adam":
        lines.append("Quicker, and not the paper's method: --optimizer gauss_newton, --steps N, --no-train-wavenumbers")
    return lines
