"""Training methods, one per file."""

from simsnn_ref.optimizers.adam import Adam, AdamState
from simsnn_ref.optimizers.schedules import Constant, Exponential, Plateau, Schedule

__all__ = ["Adam", "AdamState", "Constant", "Exponential", "Plateau", "Schedule"]
