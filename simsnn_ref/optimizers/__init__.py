"""Training methods, one per file."""

from simsnn_ref.optimizers.adam import Adam, AdamState
from simsnn_ref.optimizers.base import (
    Limits,
    Method,
    Objective,
    OnStep,
    Result,
    Snapshot,
    State,
    Watch,
    minimize,
)
from simsnn_ref.optimizers.gauss_newton import GaussNewton
from simsnn_ref.optimizers.jacobian import Jacobian
from simsnn_ref.optimizers.lbfgs import LBFGS, Pairs
from simsnn_ref.optimizers.levenberg_marquardt import LevenbergMarquardt, dense_jacobian, is_small, kernel
from simsnn_ref.optimizers.scaling import NaturalScales, SpectralWeights, natural_scales
from simsnn_ref.optimizers.schedules import Constant, Exponential, Plateau, Schedule

__all__ = [
    "LBFGS",
    "Adam",
    "AdamState",
    "Constant",
    "Exponential",
    "GaussNewton",
    "Jacobian",
    "LevenbergMarquardt",
    "Limits",
    "Method",
    "NaturalScales",
    "Objective",
    "OnStep",
    "Pairs",
    "Plateau",
    "Result",
    "Schedule",
    "Snapshot",
    "SpectralWeights",
    "State",
    "Watch",
    "dense_jacobian",
    "is_small",
    "kernel",
    "minimize",
    "natural_scales",
]
