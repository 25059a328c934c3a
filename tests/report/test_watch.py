"""The status of a run while another process does it, after it was killed and resumed, and from bad logs."""

import fcntl
import json
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import Callback, CheckpointError, Checkpoints, Interrupted, fit, resume
from simsnn_ref.commands.main import main
from simsnn_ref.model import run_log as log
from simsnn_ref.report import RunStatus, figure_of_run, stage_columns, stage_rows
from simsnn_ref.report.run_status import KILLED
from simsnn_ref.report.tables import text_table

COMMAND = [sys.executable, "-m", "simsnn_ref"]
OPTIONS = {"mode": "paper", "optimizer": "adam", "steps": (12,), "stages": 2, "hidden": (5, 4), "n_features": (8,)}


def field(n=12):
    x = np.arange(n) / n * 2 * np.pi
    return np.exp(np.sin(x))[:, None] * np.cos(x + 0.3)


def watch(capsys, *argv):
    status = main(["watch", *map(str, argv)])
    return status, *capsys.readouterr()


def watch_json(capsys, *argv):
    status, out, _ = watch(capsys, *argv, "--json")
    assert status == 0
    return json.loads(out)


class CrashAt(Callback):
    """What a machine that goes down looks like to the folder: nothing more is saved."""

    def __init__(self, at):
        self.at = at

    def on_step(self, step):
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(log, "SECONDS_BETWEEN_STEPS", 0.0)


def crashed_run(folder, crashes):
    """A finished run that went down after so many steps of each start, its log cut short each time."""
    for begun, at in enumerate(crashes):
        make, options = (resume, {}) if begun else (partial(fit, field()), OPTIONS)
        with Checkpoints(folder, every_steps=4, every_minutes=0.0) as checkpoints, pytest.raises(KeyboardInterrupt):
            make(checkpoint=checkpoints, callbacks=[CrashAt(at)], **options)
        path = folder / "log.jsonl"
        path.write_bytes(path.read_bytes()[:-11])
    return resume(folder)


def test_a_run_in_progress(tmp_path, capsys):
    np.save(tmp_path / "u.npy", field())
    options = ["--checkpoint", "run", "--mode", "paper", "--optimizer", "adam", "--steps", "1000000", "--no-figure"]
    run = subprocess.Popen(
        [*COMMAND, "fit", "u.npy", *options, "--quiet", "--checkpoint-steps", "50"], cwd=tmp_path, text=True
    )
    try:
        folder = tmp_path / "run"
        while not (list(folder.glob("state-*")) and (folder / "log.jsonl").read_text().count('"step"') > 3):
            assert run.poll() is None
            time.sleep(0.01)
        follow = [*COMMAND, "watch", "run", "--follow", "--interval", "0.05"]
        followers = [subprocess.Popen(follow, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]

        status = watch_json(capsys, folder)
        assert (status["state"], status["reason"], status["stages"]) == ("running", "", [])
        assert status["stage"]["stage"] == 1
        assert status["step"]["n_steps"] == 1000000
        assert status["steps_per_second"] > 0.0
        assert status["seconds_left"] > 1.0
        assert 0.0 <= time.time() - status["saved"]["time"] < 60.0
        status, out, _ = watch(capsys, folder)
        assert status == 0
        assert "of 1000000 steps, loss" in out
        assert re.search(r"at most .* left", out)
        with pytest.raises(CheckpointError, match="another process writes its checkpoints here"):
            Checkpoints(folder).open()

        for follower in followers:
            assert any(line.startswith("stage 1 of 4: si") for line in follower.stdout)
        followers[0].send_signal(signal.SIGINT)
        followers[0].communicate(timeout=30)
        assert followers[0].returncode == 0
        assert run.poll() is None
    finally:
        run.kill()
        run.wait()
    lines = followers[1].communicate(timeout=30)[0].splitlines()
    assert followers[1].returncode == 0
    assert any(line.startswith("  stage 1: ") for line in lines)
    assert lines[-1] == f"run stopped: {KILLED}"
    status, out, _ = watch(capsys, folder)
    assert status == 0
    assert f"go on with: simsnn resume {folder}" in out


@pytest.mark.usefixtures("every_step")
def test_a_run_that_was_resumed_has_each_step_once(tmp_path, capsys):
    """Logged losses are those of a run that was never interrupted, to the bit, and so is the table."""
    folder = tmp_path / "run"
    model = crashed_run(folder, [7, 3, 11])
    run = RunStatus(folder)
    assert (run.state, run.reason, run.resumed) == ("finished", "", 3)
    whole = fit(field(), **OPTIONS)
    for record in whole.history.stages:
        mine = [one.step for one in run.steps if one.step.stage == record.index]
        assert [step.step for step in mine] == list(range(1, record.steps + 1))
        assert [step.loss for step in mine] == record.loss_history.tolist()
    seconds = [one.seconds for one in run.steps]
    assert seconds == sorted(seconds)
    status, out, _ = watch(capsys, folder)
    assert status == 0
    assert out.startswith("run    finished, resumed 3 times; running time ")
    assert text_table(list(stage_columns()), stage_rows(model.history.stages)) in out


@pytest.mark.usefixtures("every_step")
def test_figure(tmp_path, capsys):
    folder = tmp_path / "run"
    fit(field(), checkpoint=folder, **OPTIONS)
    assert watch(capsys, folder, "--figure", tmp_path / "run.svg")[0] == 0
    assert "<svg" in (tmp_path / "run.svg").read_text()
    run = RunStatus(folder)
    figure = figure_of_run(run, title="a run")
    assert figure.get_suptitle() == "a run"
    rms_of_steps = figure.axes[0].lines
    assert np.concatenate([line.get_xdata() for line in rms_of_steps]).tolist() == list(range(1, 25))
    assert np.concatenate([line.get_ydata() for line in rms_of_steps]).tolist() == [one.step.rms for one in run.steps]
    assert figure.axes[3].lines[1].get_xdata().tolist() == [one.seconds for one in run.steps[12:]]


def test_how_a_run_ended(tmp_path, capsys):
    """Stopped by a signal; failed; and a new run in the folder of one that failed before it had any data."""

    class Signal(Callback):
        def on_step(self, step):
            signal.raise_signal(signal.SIGUSR1)

    class Fail(Callback):
        def on_activity(self, activity):
            raise ValueError("disk on fire\n")

    folder = tmp_path / "run"
    with pytest.raises(ValueError, match="disk on fire"):
        fit(field(), checkpoint=folder, callbacks=[Fail()], **OPTIONS)
    status = watch_json(capsys, folder)
    assert (status["state"], status["reason"], status["activity"]) == ("failed", "disk on fire", None)
    folder.joinpath("data.safetensors").unlink(missing_ok=True)
    with pytest.raises(Interrupted):
        fit(field(), checkpoint=folder, callbacks=[Signal()], **OPTIONS)
    status = watch_json(capsys, folder)
    assert (status["state"], status["resumed"]) == ("stopped", 0)
    assert status["reason"].startswith("stopped by SIGUSR1 after saving its state")


def test_a_look_at_the_lock_does_not_stop_a_run(tmp_path):
    """Whoever looks holds a shared lock for a moment; a run that starts in that moment waits."""
    with Checkpoints(tmp_path):
        pass
    with (tmp_path / "lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(CheckpointError, match="another process"):
            Checkpoints(tmp_path).open()
        timer = threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN))
        timer.start()
        with Checkpoints(tmp_path):
            pass
        timer.join()


def test_terminal(tmp_path, capsys, monkeypatch):
    fit(field(), checkpoint=tmp_path / "run", **OPTIONS)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    status, out, _ = watch(capsys, tmp_path / "run", "--follow")
    assert status == 0
    assert out.startswith("\x1b[H\x1b[Jrun    finished")
    monkeypatch.undo()
    status, out, _ = watch(capsys, tmp_path / "run", "--follow")
    assert out.splitlines()[-1] == "run finished"
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "nowhere: no such folder; simsnn fit --checkpoint DIR makes one"),
        (["."], ".: holds no log; simsnn fit --checkpoint DIR writes one"),
        (["folder"], "log.jsonl: cannot be read: Is a directory"),
        ([".", "--interval", "0"], "--interval 0: needs seconds above 0"),
        ([".", "--interval", "nan"], "--interval nan: needs seconds above 0"),
        ([".", "--figure", "f.xyz"], "figure f.xyz: unknown format"),
    ],
)
def test_bad_input(argv, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder/log.jsonl").mkdir(parents=True)
    status, out, err = watch(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith("simsnn: error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_log_of_unknown_origin(tmp_path, capsys):
    """Lines that are not of a log are passed over, and nothing steers the terminal."""
    step = {"time": 3.0, "event": "step", "stage": 1, "n_stages": 1, "step": 5, "n_steps": 9, "loss": 0.5, "rms": 0.25}
    good = [
        {"time": 1.0, "event": "run", "resumed": False},
        {"time": 2.0, "event": "stage", "stage": 1, "n_stages": 1, "description": "si\x1b[2J\nand more"},
        step,
        {"time": 4.0, "event": "note", "text": "\u202eback\x07"},
        {"time": 4.5, "event": "something of a later version", "what": [1, 2]},
    ]
    bad = [
        *("", "null", "[]", "3", '"step"', "{", "[" * 100_000, '{"event": "step"}', '{"event": 3, "time": 1}'),
        json.dumps({**step, "loss": "0.5"}),
        json.dumps({**step, "step": 10**30}),
        json.dumps({**step, "loss": float("nan")}),
        json.dumps({**step, "time": float("inf")}),
        json.dumps({**step, "stage": True}),
        json.dumps({"time": 4.0, "event": "stage_end", "index": 1}),
        json.dumps({"time": 5.0, "event": "end", "how": "somehow", "text": ""}),
    ]
    lines = [json.dumps(line) for line in good]
    raw = "\n".join([*bad, *lines, *bad]).encode() + b"\n\xff\xfe\n" + json.dumps({**step, "step": 6}).encode()
    (tmp_path / "log.jsonl").write_bytes(raw)
    status = watch_json(capsys, tmp_path)
    assert status["stage"]["description"] == "si\ufffd[2J and more"
    # The last line has no end yet.
    assert status["step"]["step"] == 5
    assert status["notes"] == ["\ufffdback\ufffd"]
    assert status["state"] == "stopped"
    status, out, _ = watch(capsys, tmp_path)
    assert status == 0
    assert all(c.isprintable() for c in out.replace("\n", ""))
