"""A field that is the same number everywhere: one Fourier mode with k = 0 fits it exactly."""

import numpy as np

from simsnn_ref.model import Stage
from simsnn_ref.multistage.events import Events
from simsnn_ref.multistage.measurements import measure
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.multistage.state import FitState
from simsnn_ref.multistage.training import TrainedStage, describe
from simsnn_ref.network import constant_network
from simsnn_ref.optimizers import Result
from simsnn_ref.spectrum import Grid

__all__ = ["fit_constant"]


def fit_constant(setup: Setup, state: FitState, events: Events) -> None:
    """Add the one stage that fits the constant; of the field 0 its eps is 0, and all errors are 0 too."""
    value = float(state.residue.rounded.flat[0])
    what = f"constant, {value!r}" if value else "zero everywhere"
    events.note(f"the field is {what}: fitted exactly by a single mode k = 0")
    state.clock.start_stage()
    network, params = constant_network(-1.0 if value < 0.0 else 1.0, setup.grid.ndim, setup.backend)
    kind = "fft" if isinstance(setup.grid, Grid) else "dense"
    events.stage_start(1, setup.config.n_stages, describe(network, params, setup.grid.ndim, kind, abs(value)))
    nothing = np.zeros(0)
    result = Result(params, 0, "the field is constant and is fitted exactly", nothing, nothing, "none")
    stage = Stage(abs(value), network, params)
    state.add(stage, state.residue.minus(stage))
    state.records.append(measure(1, TrainedStage(stage, kind, result), state, setup))
    events.stage_end(state.records[-1])
