"""What is written down about a minimisation: its history, the best parameters met, and what makes it go on."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsnn_ref.network import Parameters
from simsnn_ref.optimizers.method import State

__all__ = ["Journal", "Result", "Snapshot"]


@dataclass(frozen=True)
class Result:
    """The parameters with the lowest loss met, and how they were come by.

    Attributes
    ----------
    params : dict of Array
    steps : int
    stopped_because : str
    loss_history, rms_history : ndarray of float64, shape (steps,)
        Loss and RMS of the residual before each step.
    optimizer : str
        The method's name.
    restarts : int
        Divergences that were got over.
    """

    params: Parameters
    steps: int
    stopped_because: str
    loss_history: np.ndarray
    rms_history: np.ndarray
    optimizer: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class Snapshot:
    """All that a minimisation needs to go on as if it had not been stopped.

    Attributes
    ----------
    method : str
        Name of the method.
    params, memory, work
        Those of the `State`.
    best : dict of Array
        The parameters with the lowest loss so far.
    lowest : float
        That loss.
    losses, rms, works : list of float
        Those of the journal.
    restarts : int
        Divergences that were got over.
    seconds : float
    """

    method: str
    params: Parameters
    memory: Any
    work: float
    best: Parameters
    lowest: float
    losses: list[float]
    rms: list[float]
    works: list[float]
    restarts: int
    seconds: float


class Journal:
    """The history of one minimisation and the best parameters met.

    Parameters
    ----------
    snapshot : Snapshot, optional
        What it goes on from.

    Attributes
    ----------
    losses, rms : list of float
        Loss and RMS of the residual before each step.
    work : list of float
        Sums of `State.work` up to each state met.
    best : dict of Array
        The parameters with the lowest loss; empty before the first state.
    restarts : int
        Divergences that were got over.
    """

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.losses: list[float] = []
        self.rms: list[float] = []
        self.work: list[float] = []
        self.best: Parameters = {}
        self.restarts = 0
        self._lowest = math.inf
        self._started = time.perf_counter()
        if snapshot is not None:
            self.losses, self.rms, self.work = list(snapshot.losses), list(snapshot.rms), list(snapshot.works)
            self.best, self._lowest, self.restarts = snapshot.best, snapshot.lowest, snapshot.restarts
            self._started -= snapshot.seconds

    @property
    def seconds(self) -> float:
        """Time since the start, that before the snapshot included."""
        return time.perf_counter() - self._started

    def snapshot(self, method: str, state: State) -> Snapshot:
        """What remakes `state`, which this journal has not met yet, and the journal."""
        return Snapshot(
            method=method,
            params=state.params,
            memory=state.memory,
            work=state.work,
            best=self.best,
            lowest=self._lowest,
            losses=list(self.losses),
            rms=list(self.rms),
            works=list(self.work),
            restarts=self.restarts,
            seconds=self.seconds,
        )

    def meet(self, state: State) -> None:
        """Add up the work, and keep the parameters if they are the best."""
        self.work.append((self.work[-1] if self.work else 0.0) + state.work)
        if not self.best or state.value < self._lowest:
            self.best, self._lowest = state.params, state.value

    def record(self, state: State) -> None:
        """Add the state that a step is taken from to the history."""
        self.losses.append(state.value)
        self.rms.append(state.rms)

    def result(self, optimizer: str, stopped_because: str) -> Result:
        """What has been reached, by the method of this name."""
        return Result(
            params=self.best,
            steps=len(self.losses),
            stopped_because=stopped_because,
            loss_history=np.asarray(self.losses, dtype=np.float64),
            rms_history=np.asarray(self.rms, dtype=np.float64),
            optimizer=optimizer,
            restarts=self.restarts,
        )
