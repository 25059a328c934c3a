"""Minimisation: the loss, the loop, and the methods, one per file.

`Objective` is what is minimised, `minimize` the loop over the steps of a `Method`, a journal what is written down.
"""

from simsnn_ref.optimizers.adam import Adam, AdamState, adam_step
from simsnn_ref.optimizers.journal import Result, Snapshot
from simsnn_ref.optimizers.limits import Limits
from simsnn_ref.optimizers.loss import LpLoss
from simsnn_ref.optimizers.method import Method
from simsnn_ref.optimizers.minimization import OnStep, Watch, minimize
from simsnn_ref.optimizers.objective import Objective
from simsnn_ref.optimizers.schedules import Constant, Exponential, Plateau, Schedule
from simsnn_ref.optimizers.second_order.gauss_newton import GaussNewton
from simsnn_ref.optimizers.second_order.jacobian import KEPT_ELEMENTS, Jacobian
from simsnn_ref.optimizers.second_order.lbfgs import LBFGS, Pairs
from simsnn_ref.optimizers.second_order.levenberg_marquardt import LevenbergMarquardt, dense_jacobian, is_small, kernel
from simsnn_ref.optimizers.second_order.scaling import SpectralWeights, natural_scales

__all__ = [
    "KEPT_ELEMENTS",
    "LBFGS",
    "Adam",
    "AdamState",
    "Constant",
    "Exponential",
    "GaussNewton",
    "Jacobian",
    "LevenbergMarquardt",
    "Limits",
    "LpLoss",
    "Method",
    "Objective",
    "OnStep",
    "Pairs",
    "Plateau",
    "Result",
    "Schedule",
    "Snapshot",
    "SpectralWeights",
    "Watch",
    "adam_step",
    "dense_jacobian",
    "is_small",
    "kernel",
    "minimize",
    "natural_scales",
]
