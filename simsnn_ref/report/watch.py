"""A run seen from outside: its folder and its log are read while another process may write them."""

import math
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import CheckpointError, ModelFileError
from simsnn_ref.io import conform
from simsnn_ref.model import ENDS, RECORD, StageRecord, Step, is_held, log_file, parse_line, state_files
from simsnn_ref.report.text import printable, stage_rows, text_table

__all__ = ["LoggedStep", "Run"]

RECENT = 20
"""Logged steps that say how fast a run is."""

KILLED = "without a last word: killed, or the machine went down"

_KINDS: dict[str, dict[Any, Any]] = {
    "run": {"resumed": bool},
    "stage": {"stage": int, "n_stages": int, "description": str},
    "step": {item.name: item.type for item in fields(Step)},
    "activity": {"text": str},
    "note": {"text": str},
    "stage_end": RECORD,
    "end": {"how": str, "text": str},
}


@dataclass(frozen=True)
class LoggedStep:
    """A step, and how long the run had been at work then."""

    seconds: float
    step: Step


class Run:
    """What the log and the folder of a run tell so far; `read` brings it up to date.

    Lines that are cut short, or no lines of a log, are passed over. Of steps and stages that a resumed run repeats the
    later ones count.

    Parameters
    ----------
    folder : Path
        Given to ``simsnn fit --checkpoint``.

    Attributes
    ----------
    records : list of StageRecord
        Stages that have ended, without their arrays.
    stage : tuple of int, int and str, or None
        Number of the stage in progress, of all stages, and its description.
    steps : list of LoggedStep
    activity : str or None
        What the run does beside steps of training.
    notes : list of str
    resumed : int
        How often.
    seconds : float
        At work, without the time between an interruption and the next start.
    last_line : float or None
        When, in seconds since the epoch.

    Raises
    ------
    CheckpointError
        If there is no such folder, or no log in it that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise CheckpointError(f"{folder}: no such folder; simsnn fit --checkpoint DIR makes one")
        self._read_up_to = 0
        self._begin()
        self.read()

    def _begin(self) -> None:
        self.records: list[StageRecord] = []
        self.stage: tuple[int, int, str] | None = None
        self.steps: list[LoggedStep] = []
        self.activity: str | None = None
        self.notes: list[str] = []
        self.resumed = 0
        self.seconds = 0.0
        self.last_line: float | None = None
        self._end: tuple[str, str] | None = None

    def read(self) -> None:
        """Take what is new since the last time."""
        # Before the log: whoever has let go of the folder by now has written the last line.
        self._is_held = is_held(self.folder)
        path = log_file(self.folder)
        try:
            with path.open("rb") as stream:
                stream.seek(self._read_up_to)
                complete, newline, _ = stream.read().rpartition(b"\n")
        except FileNotFoundError:
            raise CheckpointError(f"{self.folder}: holds no log; simsnn fit --checkpoint DIR writes one") from None
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
        self._read_up_to += len(complete) + len(newline)
        for line in complete.splitlines():
            told = parse_line(line)
            if told is not None:
                self._take(told)

    def _take(self, told: dict[str, Any]) -> None:
        event = told["event"]
        try:
            conform(told, {"time": float, **_KINDS.get(event, {}), ...: object}, "log")
        except ModelFileError:
            return
        if event == "run":
            if told["resumed"]:
                self.resumed += 1
            else:
                self._begin()
            self._end, self.stage = None, None
        elif self.last_line is not None:
            self.seconds += max(0.0, told["time"] - self.last_line)
        self.last_line = told["time"]
        if event == "stage":
            self.stage = told["stage"], told["n_stages"], printable(told["description"])
            self._forget(told["stage"])
        elif event == "step":
            step = Step(**{name: told[name] for name in _KINDS["step"]})
            self._forget(step.stage, step.step)
            self.steps.append(LoggedStep(self.seconds, step))
            self.activity = None
        elif event == "activity":
            self.activity = printable(told["text"])
        elif event == "note":
            note = printable(told["text"])
            if note not in self.notes:
                self.notes.append(note)
        elif event == "stage_end":
            self._forget(told["index"])
            self.stage, self.activity = None, None
            scalars = {name: told[name] for name in _KINDS["stage_end"]}
            self.records.append(StageRecord(**scalars | dict.fromkeys(StageRecord.ARRAYS, np.zeros(0))))
        elif event == "end" and told["how"] in ENDS:
            self._end = told["how"], printable(told["text"])
            self.stage, self.activity = None, None

    def _forget(self, stage: int, step: float = math.inf) -> None:
        """Drop what an earlier attempt had from there on: the end of the stage, and the steps from `step` on."""
        while self.steps and (self.steps[-1].step.stage, self.steps[-1].step.step) >= (stage, step):
            self.steps.pop()
        self.records = [record for record in self.records if record.index < stage]

    @property
    def state(self) -> str:
        """``running``, or how it ended: ``finished``, ``stopped`` (to be resumed) or ``failed``.

        Finished is what the log says so of, running what a process holds the folder of (where the system tells: else
        what has no last line).
        """
        how = self._end[0] if self._end is not None else None
        if how == "finished" or not (self._is_held or (self._is_held is None and how is None)):
            return how or "stopped"
        return "running"

    @property
    def reason(self) -> str:
        """Why it stopped or failed."""
        if self.state in ("running", "finished"):
            return ""
        return KILLED if self._end is None else self._end[1]

    @property
    def step(self) -> Step | None:
        """The last one of the stage in progress."""
        if self.stage is None or not self.steps or self.steps[-1].step.stage != self.stage[0]:
            return None
        return self.steps[-1].step

    @property
    def steps_per_second(self) -> float | None:
        """Of the last steps of the stage in progress; None where too few are known."""
        step = self.step
        if step is None:
            return None
        recent = [logged for logged in self.steps[-RECENT:] if logged.step.stage == step.stage]
        seconds = recent[-1].seconds - recent[0].seconds
        return (step.step - recent[0].step.step) / seconds if seconds > 0.0 else None

    @property
    def seconds_left(self) -> float | None:
        """Until the stage in progress has taken all its steps, which it need not."""
        step, speed = self.step, self.steps_per_second
        return None if step is None or not speed else (step.n_steps - step.step + 1) / speed

    @property
    def saved(self) -> tuple[Path, float] | None:
        """The file of the last state, and when it was written in seconds since the epoch."""
        found = []
        for path in state_files(self.folder):
            try:
                found.append((path, path.stat().st_mtime))
            except FileNotFoundError:  # dropped by the run in this moment
                continue
        return max(found, default=None, key=lambda pair: pair[0])

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        stage, saved = self.stage, self.saved
        return {
            "folder": str(self.folder),
            "state": self.state,
            "reason": self.reason,
            "resumed": self.resumed,
            "seconds": self.seconds,
            "last_line": self.last_line,
            "stage": None if stage is None else dict(zip(("stage", "n_stages", "description"), stage, strict=True)),
            "step": None if self.step is None else asdict(self.step),
            "steps_per_second": self.steps_per_second,
            "seconds_left": self.seconds_left,
            "activity": self.activity,
            "saved": None if saved is None else {"file": str(saved[0]), "time": saved[1]},
            "notes": self.notes,
            "stages": [record.summary() for record in self.records],
        }

    def step_line(self) -> str:
        """Step, loss, RMS, speed and time left; empty before the first step."""
        step = self.step
        if step is None:
            return ""
        speed = "" if self.steps_per_second is None else f", {self.steps_per_second:.3g} steps/s"
        left = "" if self.seconds_left is None else f", {_duration(self.seconds_left)} left at most"
        return (
            f"{step.step} of {step.n_steps}, loss {step.loss:.3e}, RMS {step.rms:.3e} of the field's"
            f"{speed}{left if self.state == 'running' else ''}"
        )

    def lines(self) -> list[str]:
        """All of it in words, and the table of the stages that have ended."""
        now = time.time()
        ago = "" if self.last_line is None else f"; last line {_duration(now - self.last_line)} ago"
        resumed = f", resumed {self.resumed} time{'' if self.resumed == 1 else 's'}" if self.resumed else ""
        rows = [("run", f"{self.state}, {_duration(self.seconds)} at work{resumed}{ago}")]
        if self.reason:
            rows.append(("", self.reason))
        if self.state == "stopped":
            rows.append(("", f"go on with: simsnn resume {self.folder}"))
        if self.stage is not None:
            index, n_stages, description = self.stage
            rows.append(("stage", f"{index} of {n_stages}: {description}"))
        rows += [("step", line) for line in [self.step_line()] if line]
        if self.activity is not None:
            rows.append(("doing", self.activity))
        if self.saved is not None:
            path, saved_at = self.saved
            rows.append(("saved", f"{path.name}, {_duration(now - saved_at)} ago"))
        rows += [("note", note) for note in self.notes]
        told = [f"{name:<7}{text}" for name, text in rows]
        if not self.records:
            return told
        header, cells = stage_rows(self.records)
        return [*told, "", *text_table(header, [[printable(cell) for cell in row] for row in cells]).splitlines()]


def _duration(seconds: float) -> str:
    """In the two largest units."""
    if not math.isfinite(seconds) or seconds < 60.0:
        return f"{max(seconds, 0.0):.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
