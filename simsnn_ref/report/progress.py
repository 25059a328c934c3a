"""The progress of a fit on stderr: a bar for each stage on a terminal, plain lines otherwise."""

import importlib.util
import math
import shutil
import sys
import time
from typing import Any, TextIO

from simsnn_ref.model import Callback, StageRecord, Step
from simsnn_ref.report.stages import duration_words, stage_end_line, step_words

__all__ = ["LogLines", "ProgressBar", "SimulationLines", "make_progress"]

SECONDS_BETWEEN_LINES = 10.0


def make_progress(stream: TextIO | None = None) -> Callback:
    """A `ProgressBar` if `stream` is a terminal and tqdm is installed, else `LogLines`."""
    stream = sys.stderr if stream is None else stream
    if stream.isatty() and importlib.util.find_spec("tqdm") is not None:
        return ProgressBar(stream)
    return LogLines(stream)


class LogLines(Callback):
    """Lines: one when a stage starts and ends, at every tenth of its steps, and at least every 10 seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._stage_started = self._last = time.monotonic()

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def on_stage_start(self, stage: int, n_stages: int, description: str) -> None:
        self._print(f"stage {stage} of {n_stages}: {description}")
        self._stage_started = self._last = time.monotonic()

    def on_step(self, step: Step) -> None:
        now = time.monotonic()
        done = step.step - 1
        tenth = max(1, step.n_steps // 10)
        if done and (done % tenth == 0 or now - self._last >= SECONDS_BETWEEN_LINES):
            left = (now - self._stage_started) / done * (step.n_steps - done)
            self._print(f"  stage {step.stage}: {step_words(step)}, {duration_words(left)} left at this pace")
            self._last = now

    def on_activity(self, activity: str) -> None:
        self._print(f"  {activity} ...")

    def on_stage_end(self, record: StageRecord) -> None:
        self._print(stage_end_line(record))

    def on_note(self, note: str) -> None:
        self._print(f"note: {note}")


class ProgressBar(Callback):
    """A tqdm bar for each stage: step, loss, RMS, time left."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._bar: Any = None
        self._stage, self._stepped = "", False

    def _write(self, text: str) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - an extra

        tqdm.write(text, file=self.stream)

    def on_stage_start(self, stage: int, n_stages: int, description: str) -> None:
        self._write(f"stage {stage} of {n_stages}: {description}")
        self._stage, self._stepped = f"{stage}/{n_stages}", False

    def _open(self, total: int, unit: str) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - an extra

        columns, lines = shutil.get_terminal_size()
        self._bar = tqdm(
            total=total, desc=f"stage {self._stage}", unit=unit, file=self.stream, ncols=columns, nrows=lines
        )

    def on_step(self, step: Step) -> None:
        if self._bar is None:
            self._open(step.n_steps, "step")
            self._stepped = True
        self._bar.set_postfix_str(f"loss {step.loss:.2e}, RMS {step.rms:.2e}", refresh=False)
        self._bar.update()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_activity(self, activity: str) -> None:
        self._close()
        self._write(f"  {activity} ...")

    def on_stage_end(self, record: StageRecord) -> None:
        if not self._stepped:
            # The start was good enough: a stage without a step has a bar all the same.
            self._open(1, "start")
            self._bar.set_postfix_str(f"loss {record.loss:.2e}, RMS {record.rms_on_grid:.2e}", refresh=False)
            self._bar.update()
        self._close()
        self._write(stage_end_line(record))

    def on_note(self, note: str) -> None:
        self._close()
        self._write(f"note: {note}")


class SimulationLines:
    """Callback of the simulation of turbulence: a line at the first step and then every 10 seconds."""

    def __init__(self, what: str, end_time: float, stream: TextIO | None = None) -> None:
        self.what, self.end_time = what, end_time
        self.stream = sys.stderr if stream is None else stream
        self._last = -math.inf

    def __call__(self, time_reached: float, omega: Any) -> None:
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            print(f"simulating {self.what}: t = {time_reached:.3f} of {self.end_time:g}", file=self.stream, flush=True)
            self._last = now
