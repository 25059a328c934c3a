"""The folder of checkpoints, from which a fit can be taken up again: its data, its last two states, its log.

    data.safetensors            the samples, or points and values; of a function its digest only
    state-00000007.safetensors  a state, whole or not there at all; the one before it is kept
    log.jsonl                   the log of the run (`simsnn_ref.model.run_log`)
    lock                        held by the process that writes to the folder

A state is what the fit has finished, as a model file has it, and a `Snapshot` of the stage in training. All else is
computed again from these and the data, by the same operations in the same order, so to the same bits.

Processes that share a fit each hold all of its state. The first one alone touches the folder; what it finds there goes
to all of them, and so does a signal to any.
"""

import contextlib
import hashlib
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import IO, Any

import numpy as np

from simsnn_ref.backend import SERIAL, Processes
from simsnn_ref.errors import CheckpointError, ConfigError, Interrupted, ModelFileError, OutputError
from simsnn_ref.io import read_file, write_file
from simsnn_ref.model.serialization import Arrays
from simsnn_ref.model.validation import check_data

__all__ = ["Checkpoints", "digest", "is_held", "log_file", "reading_states", "state_files"]

KIND = "simsnn-checkpoint"

KEPT = 2
"""Number of states: the last one, and one to fall back on."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")

RETRY_SECONDS = 10.0
"""Time from an attempt to save that fails to the next."""

LOOKS, LOOK_SECONDS = 10, 0.02
"""Attempts to lock the folder, and the time between them: `is_held` locks it for a moment too."""


def digest(values: np.ndarray) -> str:
    """The SHA-256 of values, as float64 in C order, and of their shape."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()


def log_file(folder: Path) -> Path:
    """The log of the run in a folder."""
    return folder / "log.jsonl"


def state_files(folder: Path) -> list[Path]:
    """The files of states in a folder, oldest first."""
    return sorted(folder.glob("state-*.safetensors"))


@contextlib.contextmanager
def reading_states(folder: Path) -> Iterator[None]:
    """Raise CheckpointError for what is wrong with a file of right checksums: `simsnn_ref.fit` did not write it."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"{folder}: not the checkpoints of a fit: {error}") from error


class Checkpoints:
    """A folder of checkpoints, to which no other process writes from `open` to `close`.

    `fit` and `resume` open and close it themselves, ``with Checkpoints(folder) as checkpoints`` does for several fits.

    Parameters
    ----------
    folder : str or Path
    every_steps : int
        Number of steps after which a state is saved; 0 for no such rule.
    every_minutes : float
        Time after which a state is saved; 0 for no such rule. One is saved at each stage's end in any case.
    about : dict
        JSON of the caller that is kept with the data.

    Raises
    ------
    ConfigError
        If a rule is below 0.
    """

    def __init__(
        self,
        folder: str | Path,
        every_steps: int = 0,
        every_minutes: float = 2.0,
        about: dict[str, Any] | None = None,
    ) -> None:
        if every_steps < 0 or not 0.0 <= every_minutes < math.inf:
            raise ConfigError(
                f"every_steps = {every_steps}, every_minutes = {every_minutes}: checkpoints need numbers of at least 0"
            )
        self.folder, self.about = Path(folder), about or {}
        self.every_steps, self.every_seconds = every_steps, 60.0 * every_minutes
        self.signal: int | None = None
        self._saved_at, self._steps_since = time.monotonic(), 0
        self._retry_at = 0.0
        self._processes: Processes = SERIAL
        self._lock: IO[str] | None = None
        self.is_open = False

    def open(self, processes: Processes = SERIAL) -> None:
        """Make the folder, if it is not there, and lock it; nothing happens if it is open already.

        Raises
        ------
        CheckpointError
            If the folder cannot be written, another process writes to it, or it was opened by this one alone.
        """
        if self.is_open and processes.size != self._processes.size:
            raise CheckpointError(
                f"{self.folder}: opened by each of {processes.size} processes for itself; let fit or resume open it"
            )
        if not self.is_open:
            self._processes = processes
            processes.at_root(self._take)
            self.is_open, self.signal = True, None

    def _take(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a", encoding="ascii")
        except OSError as error:
            raise CheckpointError(f"{self.folder}: cannot be written: {error.strerror}") from error
        if not _lock(lock):
            lock.close()
            raise CheckpointError(f"{self.folder}: another process writes its checkpoints here")
        self._lock = lock
        for left_over in self.folder.glob(".*.safetensors.*"):
            shutil.rmtree(left_over, ignore_errors=True)

    def __enter__(self) -> "Checkpoints":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlock the folder, so that another process can write to it."""
        if self._lock is not None:
            self._lock.close()
        self._lock, self.is_open = None, False

    @property
    def data_file(self) -> Path:
        return self.folder / "data.safetensors"

    @property
    def log_file(self) -> Path:
        return log_file(self.folder)

    def states(self) -> list[Path]:
        """The files of states, oldest first."""
        return state_files(self.folder)

    def require_new(self) -> None:
        """Raise CheckpointError if the folder holds a run already."""
        self._processes.at_root(self._require_new)

    def _require_new(self) -> None:
        if self.states() or self.data_file.exists():
            raise CheckpointError(
                f"{self.folder}: holds the checkpoints of a run; go on with it by: simsnn resume {self.folder},"
                " or name another folder"
            )

    def begin(self, content: dict[str, Any], arrays: Arrays) -> None:
        """Write the data of a new run.

        Raises
        ------
        CheckpointError
            If the data cannot be written.
        """
        self._processes.at_root(lambda: self._begin(content, arrays))

    def _begin(self, content: dict[str, Any], arrays: Arrays) -> None:
        try:
            write_file(self.data_file, {**content, "about": self.about}, arrays, kind=KIND)
        except OutputError as error:
            raise CheckpointError(str(error)) from error

    @cached_property
    def data(self) -> tuple[dict[str, Any], Arrays]:
        """Content and arrays that `begin` wrote, read by each process; `about` becomes what it was then.

        Raises
        ------
        CheckpointError
            If the folder holds no run, or the file is damaged or not one that `begin` wrote.
        """
        if not self.data_file.exists():
            raise CheckpointError(f"{self.folder}: holds no checkpoints; they are made by: simsnn fit --checkpoint DIR")
        try:
            content, arrays = read_file(self.data_file, kind=KIND)
        except ModelFileError as error:
            raise CheckpointError(f"{self.folder}: the data of the run cannot be read: {error}") from error
        with reading_states(self.folder):
            check_data(content, arrays)
        self.about = content["about"]
        return content, arrays

    def load(self) -> tuple[dict[str, Any] | None, Arrays, list[str]]:
        """Content (None where the run had saved no state) and arrays of the last state that can be read, and notes.

        A note is on a state that cannot be read.

        Raises
        ------
        CheckpointError
            If there are states and none can be read.
        """
        return self._processes.at_root(self._load)

    def _load(self) -> tuple[dict[str, Any] | None, Arrays, list[str]]:
        notes = []
        for path in reversed(self.states()):
            try:
                content, arrays = read_file(path, kind=KIND)
            except ModelFileError as error:
                notes.append(f"{error}; going back to the state before it")
                continue
            return content, arrays, notes
        if notes:
            raise CheckpointError(f"{self.folder}: no state can be read; the last one: {notes[0]}")
        return None, {}, []

    def save(self, content: dict[str, Any], arrays: Arrays) -> str | None:
        """Write a state and delete those before the last two; returns what went wrong, or None.

        A fit does not end because a checkpoint cannot be written: the state before is still there.
        """
        return self._processes.at_root(lambda: self._save(content, arrays))

    def _save(self, content: dict[str, Any], arrays: Arrays) -> str | None:
        states = self.states()
        number = 1 + int(states[-1].stem.partition("-")[2]) if states else 1
        try:
            write_file(self.folder / f"state-{number:08d}.safetensors", content, arrays, kind=KIND)
        except OutputError as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return str(error)
        self._saved_at, self._steps_since, self._retry_at = time.monotonic(), 0, 0.0
        for old in states[: 1 - KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        return None

    def is_due(self) -> bool:
        """Whether a state is to be saved before this step; called once a step, by all processes."""
        self._steps_since += 1
        return self._agreed(self._processes.is_root and self._is_due_by_rule()) > 0.0

    def _is_due_by_rule(self) -> bool:
        now = time.monotonic()
        if now < self._retry_at:
            return False
        by_steps = self.every_steps and self._steps_since >= self.every_steps
        return bool(by_steps or (self.every_seconds and now - self._saved_at >= self.every_seconds))

    def _agreed(self, is_due: bool = False) -> float:
        """The number of the signal that any process has got; without one 0.5 if a state is due in any, else 0.

        It is the same in all processes. A signal that comes while they agree counts the next time.
        """
        return self._processes.max(float(self.signal or 0.5 * is_due))

    def interrupt(self, trouble: str | None) -> None:
        """End the fit, in all processes, if a signal to one of them asked for it.

        Raises
        ------
        Interrupted
        """
        number = int(self._agreed())
        if number == 0:
            return
        name = signal.Signals(number).name
        saved = "after saving its state" if trouble is None else f"without saving its last state ({trouble})"
        raise Interrupted(f"stopped by {name} {saved}; go on with: simsnn resume {self.folder}", number)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Have SIGINT, SIGTERM and SIGUSR1 ask the fit to save and end; a second SIGINT ends it at once.

        Outside the main thread, where Python cannot catch signals, they do what they did before.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kinds = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

        def asked(number: int, _: FrameType | None) -> None:
            if self.signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.signal = number

        try:
            for kind in kinds:
                before[kind] = signal.signal(kind, asked)
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def _lock(stream: IO[str]) -> bool:
    """Lock the file, where there is `fcntl`; returns whether no other process has locked it."""
    for _ in range(LOOKS):
        if _locked(stream, "LOCK_EX") is not False:
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _locked(stream: IO[Any], kind: str) -> bool | None:
    """Try once to lock the file; returns whether that worked, None where there is no `fcntl`."""
    try:
        import fcntl  # noqa: PLC0415 - Unix only
    except ImportError:
        return None
    try:
        fcntl.flock(stream, getattr(fcntl, kind) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(folder: Path) -> bool | None:
    """Whether a process has the folder of checkpoints open; None where the system does not say.

    A shared lock is tried for a moment, which `Checkpoints` waits for.
    """
    try:
        with (folder / "lock").open("rb") as stream:
            is_free = _locked(stream, "LOCK_SH")
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return None if is_free is None else not is_free
