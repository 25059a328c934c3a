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

    def learning_rate(self, losses: Sequence[float]) -> float:
        """Step size of step ``len(losses)`` (1-based), the current loss included."""
        ...


@dataclass(frozen=True)
class Constant:
    """lr_t = initial."""

    initial: float

    def learning_rate(self, losses: Sequence[float]) -> float:
        return self.initial


@dataclass(frozen=True)
class Exponential:
    """lr_t = initial (final / initial)^((t - 1) / (steps - 1)), from `initial` at t = 1 to `final` at t = steps."""

    initial: float
    final: float
    steps: int

    def learning_rate(self, losses: Sequence[float]) -> float:
        progress = (len(losses) - 1) / max(1, self.steps - 1)
        return self.initial * math.pow(self.final / self.initial, min(1.0, progress))


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

    def __init__(self, initial: float, window: int = 2500, threshold: float = 0.4) -> None:
        self.initial = initial
        self.window = window
        self.threshold = threshold
        self._halvings = 0
        self._windows_seen = 1

    def learning_rate(self, losses: Sequence[float]) -> float:
        if len(losses) < self._windows_seen * self.window:
            self._halvings, self._windows_seen = 0, 1
        while (self._windows_seen + 1) * self.window <= len(losses):
            end = (self._windows_seen + 1) * self.window
            before = np.asarray(losses[end - 2 * self.window : end - self.window])
            last = np.asarray(losses[end - self.window : end])
            change, spread = abs(last.mean() - before.mean()), last.std()
            if change < self.threshold * spread or change == spread == 0.0:
                self._halvings += 1
            self._windows_seen += 1
        return self.initial * 0.5**self._halvings
