"""Numbers that are not finite, found and put into words."""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from simsnn_ref.backend import Array
from simsnn_ref.optimizers.method import State
from simsnn_ref.optimizers.objective import Objective

__all__ = ["first_nonfinite", "nonfinite_in"]


def nonfinite_in(objective: Objective, state: State) -> str:
    """Name the first tensor of a state with a number that is not finite; empty if there is none."""
    xp = objective.xp
    # One number to fetch from the device; it may overflow where all are finite.
    if math.isfinite(state.value) and math.isfinite(float(sum(xp.sum(value) for value in state.params.values()))):
        return ""
    named = {f"the gradient of {name}": value for name, value in state.gradient.items()}
    named |= {f"parameter {name}": value for name, value in state.params.items()}
    return first_nonfinite(xp, named) or ("" if math.isfinite(state.value) else f"the loss, {state.value}")


def first_nonfinite(xp: ModuleType | Any, named: Mapping[str, Array]) -> str:
    """The first of the arrays with a number that is not finite, and how many are not; empty if there is none."""
    for name, value in named.items():
        nonfinite = ~xp.isfinite(value)
        if bool(xp.any(nonfinite)):
            return f"{name}, {int(xp.sum(xp.astype(nonfinite, xp.int64)))} of {math.prod(value.shape)} numbers"
    return ""
