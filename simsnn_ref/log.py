"""What happens in a fit, a JSON object a line, as it happens: for `simsnn watch` and for programs.

Every line has ``time`` (seconds since the epoch) and ``event``: ``stage`` (with stage, n_stages, description), ``step``
(the fields of `simsnn_ref.history.Step`), ``activity`` and ``note`` (with text), ``stage_end`` (the record's scalars).
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simsnn_ref.history import Callback, StageRecord, Step

__all__ = ["LogFile", "read_log"]

SECONDS_BETWEEN_STEPS = 0.2


class LogFile(Callback):
    """Appends to a file; of steps that follow each other faster than the eye, not all. A full disk loses lines only.

    Parameters
    ----------
    path : Path
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._last = 0.0

    def _write(self, event: str, **told: Any) -> None:
        line = json.dumps({"time": self.clock(), "event": event, **told})
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError:
            return

    def on_stage_start(self, stage: int, n_stages: int, description: str) -> None:
        self._write("stage", stage=stage, n_stages=n_stages, description=description)

    def on_step(self, step: Step) -> None:
        if step.step == 1 or self.clock() - self._last >= SECONDS_BETWEEN_STEPS:
            self._last = self.clock()
            self._write("step", **asdict(step))

    def on_activity(self, activity: str) -> None:
        self._write("activity", text=activity)

    def on_stage_end(self, record: StageRecord) -> None:
        self._write("stage_end", **record.summary())

    def on_note(self, note: str) -> None:
        self._write("note", text=note)


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a log; lines that a crash cut short are left out."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and "event" in told:
                yield told
