"""The events of a fit, handed on from the loop to callbacks and checkpoints."""

from collections.abc import Callable, Sequence

from simsnn_ref.model import Callback, Checkpoints, StageRecord, Step
from simsnn_ref.multistage.checkpointing import pack_state
from simsnn_ref.multistage.state import FitState
from simsnn_ref.optimizers import Snapshot

__all__ = ["Events"]


class Events:
    """Hands events on to those that listen, and keeps the notes.

    Parameters
    ----------
    callbacks : sequence of Callback
    checkpoints : Checkpoints, optional
        Where the state is saved when it is due.
    """

    def __init__(self, callbacks: Sequence[Callback] = (), checkpoints: Checkpoints | None = None) -> None:
        self.callbacks, self.checkpoints = callbacks, checkpoints
        self.notes: list[str] = []

    def note(self, *texts: str) -> None:
        """Something the user should know."""
        for text in texts:
            self.notes.append(text)
            for callback in self.callbacks:
                callback.on_note(text)

    def activity(self, activity: str) -> None:
        """Something that may take a while begins."""
        for callback in self.callbacks:
            callback.on_activity(activity)

    def stage_start(self, stage: int, n_stages: int, description: str) -> None:
        """A stage begins."""
        for callback in self.callbacks:
            callback.on_stage_start(stage, n_stages, description)

    def step(self, step: Step) -> None:
        """A step of training is about to be taken."""
        for callback in self.callbacks:
            callback.on_step(step)

    def stage_end(self, record: StageRecord) -> None:
        """A stage has been added to the model."""
        for callback in self.callbacks:
            callback.on_stage_end(record)

    def in_training(self, state: FitState, take: Callable[[], Snapshot]) -> None:
        """Before each step: `take` makes a snapshot of the stage in training, if one is to be saved."""
        if self.checkpoints is not None and self.checkpoints.is_due():
            self.save(state, take())

    def save(self, state: FitState, snapshot: Snapshot | None = None) -> None:
        """Save the state of the fit, and end it if a signal asked for it.

        Raises
        ------
        Interrupted
        """
        if self.checkpoints is None:
            return
        trouble = self.checkpoints.save(*pack_state(state, self.notes, snapshot))
        if trouble is not None:
            self.note(f"checkpoint not saved, the one before is kept: {trouble}")
        self.checkpoints.interrupt(trouble)
