"""Training methods, one per file."""

from simsnn_ref.optimizers.adam import Adam, AdamState
from simsnn_ref.optimizers.base import Journal, Limits, Objective, OnStep, Result
from simsnn_ref.optimizers.gauss_newton import GaussNewton
from simsnn_ref.optimizers.jacobian import Jacobian
from simsnn_ref.optimizers.lbfgs import LBFGS
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
    "Journal",
    "LevenbergMarquardt",
    "Limits",
    "NaturalScales",
    "Objective",
    "OnStep",
    "Plateau",
    "Result",
    "Schedule",
    "SpectralWeights",
    "dense_jacobian",
    "is_small",
    "kernel",
    "natural_scales",
]
