"""How far a fit has come."""

import time
from dataclasses import dataclass, field

from simsnn_ref.model import Stage, StageRecord
from simsnn_ref.multistage.off_grid_error import OffGridError
from simsnn_ref.multistage.residue import Residue
from simsnn_ref.multistage.setup import Setup
from simsnn_ref.optimizers import Snapshot

__all__ = ["Clock", "FitState"]


class Clock:
    """Seconds of a fit and of the stage at hand, with those before it was resumed.

    Parameters
    ----------
    seconds, stage_seconds : float
        Before.
    """

    def __init__(self, seconds: float = 0.0, stage_seconds: float = 0.0) -> None:
        now = time.perf_counter()
        self._started, self._before, self._stage_started = now - seconds, stage_seconds, now

    def start_stage(self) -> None:
        """A stage begins, or the rest of one that was resumed."""
        self._stage_started, self._before = time.perf_counter() - self._before, 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    @property
    def stage_seconds(self) -> float:
        return time.perf_counter() - self._stage_started


@dataclass
class FitState:
    """The stages fitted so far, and what they leave of the field.

    Attributes
    ----------
    residue : Residue
        At the training points.
    off_grid : OffGridError
        Between them.
    may_refine : bool
        Whether the next stage may sample a function more finely.
    stages, records : list
        The stages, and a record of each.
    snapshot : Snapshot or None
        Of the stage in training that a resumed fit goes on with.
    clock : Clock
    """

    residue: Residue
    off_grid: OffGridError
    may_refine: bool
    stages: list[Stage] = field(default_factory=list)
    records: list[StageRecord] = field(default_factory=list)
    snapshot: Snapshot | None = None
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def of(cls, setup: Setup) -> "FitState":
        """The state before the first stage: e_1 = u."""
        return cls(Residue.of(setup.training, setup.backend), setup.off_grid, setup.may_refine)

    def add(self, stage: Stage, residue: Residue) -> None:
        """Take up one stage more, with the residue that it leaves."""
        self.stages.append(stage)
        self.residue, self.off_grid = residue, self.off_grid.minus(stage)
