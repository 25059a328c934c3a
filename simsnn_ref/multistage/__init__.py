"""The staged algorithm of section 3.2: `fit` and `resume`.

`algorithm` is the loop; what it starts from, trains on, measures and forecasts stands beside it.
"""

from simsnn_ref.multistage.estimator import SIMSNNRegressor
from simsnn_ref.multistage.fitting import certify_model, fit, resume
from simsnn_ref.multistage.off_grid_error import choose_off_grid
from simsnn_ref.multistage.requirements import require_possible
from simsnn_ref.multistage.resources import Forecast, available_bytes, forecast, require_memory
from simsnn_ref.multistage.sampling import training_grid, training_set
from simsnn_ref.multistage.training import train

__all__ = [
    "Forecast",
    "SIMSNNRegressor",
    "available_bytes",
    "certify_model",
    "choose_off_grid",
    "fit",
    "forecast",
    "require_memory",
    "require_possible",
    "resume",
    "train",
    "training_grid",
    "training_set",
]
