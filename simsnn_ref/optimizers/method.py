"""What a training method is: functions that lead from one state to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.objective import Objective

__all__ = ["Method", "State"]


@dataclass(frozen=True)
class State:
    """Where a minimisation stands before a step.

    It is remade from its parameters and its memory, which are all of it that a checkpoint keeps.

    Attributes
    ----------
    params : dict of Array
    value, rms : float
        Loss and RMS of the residual.
    memory : dataclass
        What the method has learnt on the way: numbers, arrays and dicts of arrays.
    cache : object
        What follows from the parameters and the next step takes: a gradient, or a residual.
    gradient : dict of Array
        The gradient that the step to this state followed; a number in it that is not finite made one of `params` so.
        Empty where there was no step, or the method has looked at it itself.
    work : float
        What the step to this state cost, in evaluations and products.
    stop_reason : str
        Why the method goes no further; empty if it does.
    nonfinite : str
        What is not finite, beside parameters and loss, that the method met on the way here, by `first_nonfinite`.
    """

    params: Parameters
    value: float
    rms: float
    memory: Any
    cache: Any = field(default=None, repr=False)
    gradient: Parameters = field(default_factory=dict, repr=False)
    work: float = 1.0
    stop_reason: str = ""
    nonfinite: str = ""


class Method(Protocol):
    """A way to minimise; `simsnn_ref.optimizers.minimize` is the loop around it.

    Attributes
    ----------
    name : str
    memory : type
        Type of `State.memory`.
    """

    @property
    def name(self) -> str: ...

    @property
    def memory(self) -> type: ...

    def init(self, objective: Objective, params: Parameters, memory: Any = None, last: float = 1.0) -> State:
        """The state at `params`: the first one, or with its memory and the loss before it that which a run was in."""
        ...

    def step(self, objective: Objective, state: State, losses: Sequence[float]) -> State:
        """The state one step on; `losses` are all up to that of `state`, which is left as it is."""
        ...

    def restart(self, memory: Any) -> Any:
        """The memory to begin again with after a divergence: half the step, nothing else of what was learnt."""
        ...
