"""Step-size schedules: `learning_rate(losses)` gives the size of the next step from the losses seen so far.

A schedule is a function of the history alone, so that a run can be resumed from it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Constant", "Exponential", "Plateau", "Schedule"]


class Schedule(Protocol):
    """Anything with `learning_rate`."""

    def learning_rate(self, losses: Sequence[float], previous: float | None = None) -> float:
        """Step size of step t = ``len(losses)``, counted from 1; the last loss is the current one.

        Parameters
        ----------
        previous : float, optional
            Step size of the step before. It follows from the losses too, but a schedule need not look at all of them
            where it is given.
        """
        ...


@dataclass(frozen=True)
class Constant:
    """lr_t = initial."""

    initial: float

    def learning_rate(self, losses: Sequence[float], previous: float | None = None) -> float:
        return self.initial


@dataclass(frozen=True)
class Exponential:
    """lr_t = initial (final / initial)^((t - 1) / (steps - 1)), from `initial` at t = 1 to `final` at t = steps."""

    initial: float
    final: float
    steps: int

    def learning_rate(self, losses: Sequence[float], previous: float | None = None) -> float:
        progress = (len(losses) - 1) / max(1, self.steps - 1)
        return self.initial * math.pow(self.final / self.initial, min(1.0, progress))


@dataclass(frozen=True)
class Plateau:
    """Halve lr when the loss stands still: the rule of the authors' earlier multistage code (Wang & Lai 2024).

    At the end of each window of w steps, halve if |mean(last window) - mean(window before)| < threshold * std(last
    window). The paper at hand says only "learning rate annealing".

    Parameters
    ----------
    initial : float
    window : int
        w, 2500 there.
    threshold : float
        0.4 there.
    """

    initial: float
    window: int = 2500
    threshold: float = 0.4

    def learning_rate(self, losses: Sequence[float], previous: float | None = None) -> float:
        n_windows, steps_since = divmod(len(losses), self.window)
        if previous is None:
            halvings = sum(self._stands_still(losses, last) for last in range(2, n_windows + 1))
            return self.initial * 0.5**halvings
        return 0.5 * previous if steps_since == 0 and self._stands_still(losses, n_windows) else previous

    def _stands_still(self, losses: Sequence[float], n_windows: int) -> bool:
        """Whether the loss did not change from the last but one of so many windows to the last."""
        if n_windows < 2:
            return False
        end = n_windows * self.window
        before, last = np.reshape(losses[end - 2 * self.window : end], (2, self.window))
        change, spread = abs(last.mean() - before.mean()), last.std()
        return bool(change < self.threshold * spread or change == spread == 0.0)
