"""The status of a run from its folder and its log, which another process may be writing at the same time."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import CheckpointError, ModelFileError
from simsnn_ref.io import conform
from simsnn_ref.model import ENDS, RECORD, StageRecord, Step, is_held, log_file, parse_line, state_files
from simsnn_ref.report.tables import printable

__all__ = ["KILLED", "LoggedStep", "RunStatus"]

RECENT = 20
"""Number of the last logged steps over which the speed of a run is measured."""

KILLED = "no final log entry: the process was killed, or the machine went down"

_EVENTS: dict[str, dict[Any, Any]] = {
    "run": {"resumed": bool},
    "stage": {"stage": int, "n_stages": int, "description": str},
    "step": {item.name: item.type for item in fields(Step)},
    "activity": {"text": str},
    "note": {"text": str},
    "stage_end": RECORD,
    "end": {"how": str, "text": str},
}
"""Keys of each event of the log and the types of their values, beside ``time``; see `simsnn_ref.model.run_log`."""


@dataclass(frozen=True)
class LoggedStep:
    """A step of training, and the running time of the run up to it.

    Attributes
    ----------
    seconds : float
    step : Step
    """

    seconds: float
    step: Step


class RunStatus:
    """The status of a run as its log and folder show it; `read` brings it up to date.

    Lines that are cut short, or are not those of a log, are passed over. Of steps and stages that a resumed run has
    repeated, the later ones count.

    Parameters
    ----------
    folder : Path
        Folder that ``simsnn fit --checkpoint`` was given.

    Attributes
    ----------
    records : list of StageRecord
        Stages that have ended, without their arrays.
    stage : tuple of int, int and str, or None
        Number of the stage in progress, of all stages, and its description.
    steps : list of LoggedStep
    activity : str or None
        What the run is doing beside steps of training.
    notes : list of str
        Notes on the data and the fit.
    resumed : int
        Number of times that the run was resumed.
    seconds : float
        Running time, without the time between an interruption and the next start.
    last_line : float or None
        Time of the last log entry, in seconds since the epoch.

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
        """Read the log entries that are new since the last call."""
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
            entry = parse_line(line)
            if entry is not None:
                self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        event = entry["event"]
        try:
            conform(entry, {"time": float, **_EVENTS.get(event, {}), ...: object}, "log")
        except ModelFileError:
            return
        if event == "run":
            if entry["resumed"]:
                self.resumed += 1
            else:
                self._begin()
            self._end, self.stage = None, None
        elif self.last_line is not None:
            self.seconds += max(0.0, entry["time"] - self.last_line)
        self.last_line = entry["time"]
        if event == "stage":
            self.stage = entry["stage"], entry["n_stages"], printable(entry["description"])
            self._forget(entry["stage"])
        elif event == "step":
            step = Step(**{name: entry[name] for name in _EVENTS["step"]})
            self._forget(step.stage, step.step)
            self.steps.append(LoggedStep(self.seconds, step))
            self.activity = None
        elif event == "activity":
            self.activity = printable(entry["text"])
        elif event == "note":
            note = printable(entry["text"])
            if note not in self.notes:
                self.notes.append(note)
        elif event == "stage_end":
            self._forget(entry["index"])
            self.stage, self.activity = None, None
            scalars = {name: entry[name] for name in _EVENTS["stage_end"]}
            self.records.append(StageRecord(**scalars | dict.fromkeys(StageRecord.ARRAYS, np.zeros(0))))
        elif event == "end" and entry["how"] in ENDS:
            self._end = entry["how"], printable(entry["text"])
            self.stage, self.activity = None, None

    def _forget(self, stage: int, step: float = math.inf) -> None:
        """Drop what an earlier attempt logged from there on: the end of the stage, and its steps from `step` on."""
        while self.steps and (self.steps[-1].step.stage, self.steps[-1].step.step) >= (stage, step):
            self.steps.pop()
        self.records = [record for record in self.records if record.index < stage]

    @property
    def state(self) -> str:
        """``running``, or how it ended: ``finished``, ``stopped`` (to be resumed) or ``failed``.

        A run is finished if its log says so, and running if a process holds its folder (on a system without locks: if
        its log has no ``end``).
        """
        how = self._end[0] if self._end is not None else None
        if how == "finished" or not (self._is_held or (self._is_held is None and how is None)):
            return how or "stopped"
        return "running"

    @property
    def reason(self) -> str:
        """Why the run stopped or failed; empty otherwise."""
        if self.state in ("running", "finished"):
            return ""
        return KILLED if self._end is None else self._end[1]

    @property
    def step(self) -> Step | None:
        """The last logged step of the stage in progress."""
        if self.stage is None or not self.steps or self.steps[-1].step.stage != self.stage[0]:
            return None
        return self.steps[-1].step

    @property
    def steps_per_second(self) -> float | None:
        """Speed over the last logged steps of the stage in progress; None where there are too few."""
        step = self.step
        if step is None:
            return None
        recent = [logged for logged in self.steps[-RECENT:] if logged.step.stage == step.stage]
        seconds = recent[-1].seconds - recent[0].seconds
        return (step.step - recent[0].step.step) / seconds if seconds > 0.0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time until the stage in progress has taken all its steps; it may end before."""
        step, speed = self.step, self.steps_per_second
        return None if step is None or not speed else (step.n_steps - step.step + 1) / speed

    @property
    def saved(self) -> tuple[Path, float] | None:
        """File of the last checkpoint, and the time at which it was written, in seconds since the epoch."""
        found = []
        for path in state_files(self.folder):
            try:
                found.append((path, path.stat().st_mtime))
            except FileNotFoundError:  # the run has deleted it in this moment
                continue
        return max(found, default=None, key=lambda pair: pair[0])

    def to_dict(self) -> dict[str, Any]:
        """The status, ready for JSON."""
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
