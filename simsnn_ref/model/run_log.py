"""The log of a fit, written as it happens: a JSON object a line, for `simsnn watch` and for programs.

Each line has ``time`` (seconds since the epoch) and ``event``, which is ``run`` (with resumed), ``stage`` (with stage,
n_stages, description), ``step`` (with the attributes of `simsnn_ref.model.Step`), ``activity`` or ``note`` (with text),
``stage_end`` (with `StageRecord.summary`), or ``end`` (with how, one of `ENDS`, and text). A run that was killed has no
``end``.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simsnn_ref.errors import Interrupted, ModelFileError
from simsnn_ref.io import conform, parse_json
from simsnn_ref.model.history import Callback, StageRecord, Step

__all__ = ["ENDS", "LogFile", "parse_line"]

ENDS = ("finished", "stopped", "failed")
"""How a run can end."""

SECONDS_BETWEEN_STEPS = 0.2
"""Time from one line of a step to the next, at least."""


class LogFile(Callback):
    """A callback that appends to the log; steps that follow each other faster than the eye have no line each.

    A full disk costs lines, not the fit.

    Parameters
    ----------
    path : Path
        File of the log.
    clock : callable
        Function that returns seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._last = 0.0

    def _write(self, event: str, **entries: Any) -> None:
        line = json.dumps({"time": self.clock(), "event": event, **entries})
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError:
            return

    @contextlib.contextmanager
    def run(self, *, resumed: bool) -> Iterator[None]:
        """Write the lines ``run`` and ``end`` before and after those of a fit, new or resumed."""
        self._end_line()
        self._write("run", resumed=resumed)
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, Interrupted | KeyboardInterrupt)
            self._write("end", how="stopped" if stopped else "failed", text=str(error) or type(error).__name__)
            raise
        self._write("end", how="finished", text="")

    def _end_line(self) -> None:
        """End the line that a run that was killed may have left, which would spoil the next one."""
        with contextlib.suppress(OSError), self.path.open("r+b") as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")

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


def parse_line(line: str | bytes) -> dict[str, Any] | None:
    """The entries of a line by name; None if a crash cut it short, or it is no line of a log."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    try:
        event: dict[str, Any] = parse_json(text, "log")
        conform(event, {"time": float, "event": str, ...: object}, "log")
    except ModelFileError:
        return None
    return event
