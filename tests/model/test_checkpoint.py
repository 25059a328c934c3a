"""Fits that are stopped anywhere and go on: the same bits; folders and signals; faults while saving."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import Box, Callback, Checkpoints, Grid, Scatter, fit, load_model, resume
from simsnn_ref.commands.main import main
from simsnn_ref.errors import CheckpointError, ConfigError, Interrupted, SimsnnError
from simsnn_ref.io import read_file, storage
from simsnn_ref.model.checkpoint import KIND


def fingerprint(model, tmp_path):
    """SHA-256 of everything a model file holds but the times."""
    path = tmp_path / "fingerprint.safetensors"
    model.save(path)
    content, arrays = read_file(path)
    history = content["history"]
    for entry in (history, *history["stages"]):
        del entry["seconds"]
    whole = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        whole.update(name.encode() + arrays[name].tobytes())
    return whole.hexdigest()


class StopAt(Callback):
    """Raises the flag that a signal would before the given steps of the run, counted over all stages."""

    def __init__(self, checkpoints, at):
        self.checkpoints, self.at, self.count = checkpoints, at, 0

    def on_step(self, step):
        self.count += 1
        if self.count == self.at:
            self.checkpoints.signal = signal.SIGTERM


def run_in_pieces(u, grid, folder, stops, **options):
    """The model, from a fit that was stopped and resumed so many times."""
    function = u if callable(u) else None
    stops = list(stops)
    interruptions = 0
    begun = False
    while True:
        with Checkpoints(folder, every_minutes=0.0) as checkpoints:
            callbacks = [StopAt(checkpoints, stops[interruptions])] if interruptions < len(stops) else []
            try:
                if begun:
                    return resume(checkpoints, function, callbacks=callbacks), interruptions
                begun = True
                return fit(u, grid, checkpoint=checkpoints, callbacks=callbacks, **options), interruptions
            except Interrupted:
                interruptions += 1


def periodic(n=16):
    x = np.arange(n) / n * 2 * np.pi
    return np.exp(np.sin(x))[:, None] * np.cos(x + 0.3) + 0.1 * np.cos(5 * x)


def scattered():
    points = np.random.default_rng(3).uniform(-1, 1, (80, 1))
    return points, np.sin(3 * points[:, 0]) + 0.2 * points[:, 0] ** 2


SMALL = {"hidden": (5, 4), "stages": 2}
CASES = {
    "adam": (periodic(), None, {**SMALL, "mode": "paper", "optimizer": "adam", "steps": (12,)}),
    "adam plateau": (
        periodic(),
        None,
        {**SMALL, "mode": "paper", "optimizer": "adam", "steps": (12,), "schedule": "plateau", "plateau_window": 3},
    ),
    "lbfgs": (periodic(), None, {**SMALL, "mode": "paper", "optimizer": "lbfgs", "steps": (12,), "memory": 4}),
    "levenberg_marquardt": (
        periodic(),
        None,
        {**SMALL, "mode": "paper", "optimizer": "levenberg_marquardt", "steps": (5,), "stall_tolerance": 0.0},
    ),
    "gauss_newton": (
        periodic(),
        None,
        {**SMALL, "mode": "paper", "optimizer": "gauss_newton", "steps": (5,), "stall_tolerance": 0.0},
    ),
    "gauss_newton, p = 2, trained wavenumbers": (
        periodic(),
        None,
        {**SMALL, "mode": "paper", "optimizer": "gauss_newton", "steps": (5,), "p": 2.0, "train_wavenumbers": True},
    ),
    "msnn": (
        periodic(),
        None,
        {**SMALL, "mode": "paper", "first_layer": ("msnn",), "n_features": (6,), "learning_rate": 1e-2, "steps": (60,)},
    ),
    "accurate": (
        periodic(),
        None,
        {**SMALL, "optimizer": "levenberg_marquardt", "steps": (4,), "delta": 0.05, "tail_tolerance": 1e-2},
    ),
    "a function": (
        lambda x: np.cos(6.0 * x[:, 0] + 0.3),
        Grid((8,), periodic=False),
        {**SMALL, "optimizer": "adam", "steps": (6,), "delta": 0.05, "n_features": (8,)},
    ),
    "scattered": (
        scattered()[1],
        Scatter(scattered()[0], Box((-1.0,), (1.0,))),
        {**SMALL, "steps": (6,), "delta": 0.1, "optimizer": "adam"},
    ),
    "held out": (periodic(), Grid((16, 16)), {**SMALL, "off_grid": "holdout", "optimizer": "adam", "steps": (9,)}),
}

FINER = (
    lambda x: np.cos(12.0 * x[:, 0] + 0.3),
    Grid((8,), periodic=False),
    {**SMALL, "optimizer": "adam", "steps": (6,), "target": 0.0, "delta": 0.05},
)
"""Sampled at 29, then 449 points; on the way 2945 are tried, which takes its time."""


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_fit_ends_with_the_same_bits(case, tmp_path):
    u, grid, options = CASES[case]
    whole = fit(u, grid, **options)
    steps = sum(record.steps for record in whole.history.stages)
    assert steps >= 3
    rng = np.random.default_rng(len(case))
    # Every stop comes a few steps after the one before.
    stops = rng.integers(1, max(2, steps // 3), 3)
    model, interruptions = run_in_pieces(u, grid, tmp_path / "run", stops, **options)
    assert interruptions >= 1
    assert fingerprint(model, tmp_path) == fingerprint(whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_stopped_at_every_single_step(case, tmp_path):
    u, grid, options = CASES[case]
    whole = fit(u, grid, **options)
    steps = sum(record.steps for record in whole.history.stages)
    for stop in range(1, steps + 1):
        model, interruptions = run_in_pieces(u, grid, tmp_path / f"run{stop}", [stop], **options)
        # After the last step there is nothing left to stop.
        assert interruptions == 1 or stop == steps
        assert fingerprint(model, tmp_path) == fingerprint(whole, tmp_path)
    model, interruptions = run_in_pieces(u, grid, tmp_path / "all", [1] * (3 * steps), **options)
    assert interruptions >= steps - len(whole.stages)
    assert fingerprint(model, tmp_path) == fingerprint(whole, tmp_path)


@pytest.mark.slow
def test_a_function_that_was_sampled_more_finely(tmp_path):
    u, grid, options = FINER
    whole = fit(u, grid, **options)
    assert any("449 points" in note for note in whole.history.notes)
    model, interruptions = run_in_pieces(u, grid, tmp_path / "run", [2, 3], **options)
    assert interruptions == 2
    assert fingerprint(model, tmp_path) == fingerprint(whole, tmp_path)


class Slow(Callback):
    """Makes the first stage take long enough to be seen in the seconds of a later one."""

    def on_step(self, step):
        if step.stage == 1:
            time.sleep(0.02)


@pytest.mark.parametrize("stops", [[], [5, 10, 15]])
def test_each_stage_has_its_own_seconds(stops, tmp_path):
    """Not those of the stages before, however often a state was saved or taken up: together no more than the fit's."""
    u, options = periodic(), {**SMALL, "mode": "paper", "optimizer": "adam", "steps": 10, "certify": False}
    for attempt, stop in enumerate([*stops, 0]):
        with (
            Checkpoints(tmp_path / "run", every_steps=1, every_minutes=0.0) as checkpoints,
            contextlib.suppress(Interrupted),
        ):
            callbacks = [Slow(), StopAt(checkpoints, stop)]
            model = (
                resume(checkpoints, callbacks=callbacks)
                if attempt
                else fit(u, checkpoint=checkpoints, callbacks=callbacks, **options)
            )
    seconds = [stage.seconds for stage in model.history.stages]
    assert len(seconds) == 2
    assert seconds[0] > 10 * 0.02
    assert sum(seconds) < model.history.seconds


def test_python_interface(tmp_path):
    """A path is enough; a finished run can be taken up, to the same model."""
    u, folder = periodic(), tmp_path / "run"
    whole = fit(u, **SMALL, mode="paper", optimizer="adam", steps=9, checkpoint=folder)
    assert fingerprint(resume(folder), tmp_path) == fingerprint(whole, tmp_path)
    with pytest.raises(CheckpointError, match=r"holds the checkpoints of a run; go on with it by: simsnn resume"):
        fit(u, checkpoint=folder)
    with pytest.raises(CheckpointError, match="samples were fitted, which are in the folder; give no function"):
        resume(folder, lambda x: x[:, 0])
    with pytest.raises(CheckpointError, match="holds no checkpoints"):
        resume(tmp_path / "other")


def test_a_function_must_be_the_same(tmp_path):
    folder, options = tmp_path / "run", {**SMALL, "steps": 2, "off_grid_points": 10}
    grid = Grid((16,), periodic=False)
    fit(lambda x: np.cos(x[:, 0]), grid, checkpoint=folder, **options)
    with pytest.raises(CheckpointError, match="a function was fitted; give it to resume"):
        resume(folder)
    with pytest.raises(CheckpointError, match="its values are not those that were fitted"):
        resume(folder, lambda x: np.cos(x[:, 0] + 1e-15))


def test_rules_of_when_to_save(tmp_path):
    with pytest.raises(ConfigError, match="every_steps = -1"):
        Checkpoints(tmp_path / "a", every_steps=-1)
    with pytest.raises(ConfigError, match="every_minutes = nan"):
        Checkpoints(tmp_path / "a", every_minutes=float("nan"))
    saved = []

    class Counting(Checkpoints):
        def save(self, content, arrays):
            saved.append(len(arrays.get("now/losses", [])))
            return super().save(content, arrays)

    with Counting(tmp_path / "run", every_steps=4, every_minutes=0.0) as folder:
        fit(periodic(), **{**SMALL, "stages": 1}, mode="paper", optimizer="adam", steps=10, checkpoint=folder)
    # Before steps 4, 8 and at the end.
    assert saved == [3, 7, 0]
    assert [path.name for path in folder.states()] == ["state-00000002.safetensors", "state-00000003.safetensors"]


def test_one_process_at_a_time(tmp_path):
    with Checkpoints(tmp_path), pytest.raises(CheckpointError, match="another process writes its checkpoints here"):
        Checkpoints(tmp_path).open()
    with Checkpoints(tmp_path):
        pass


class Pair:
    """Of two processes the one that writes; the other has the signal."""

    size, is_root = 2, True

    def __init__(self, other=0.0):
        self.other = other

    def at_root(self, action):
        return action()

    def max(self, value):
        return max(value, self.other)


def test_a_signal_to_any_process_is_every_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path, every_minutes=0.0)
    checkpoints.open(Pair())
    assert not checkpoints.is_due()
    checkpoints.interrupt(None)
    checkpoints.close()
    checkpoints.open(Pair(float(signal.SIGTERM)))
    assert checkpoints.is_due()
    with pytest.raises(Interrupted, match="stopped by SIGTERM after saving its state"):
        checkpoints.interrupt(None)
    checkpoints.close()


def test_a_state_is_due_in_all_processes_by_the_first_ones_rule(tmp_path):
    class Other(Pair):
        is_root = False

        def at_root(self, action):
            return None

    first, other = Checkpoints(tmp_path, 1, 0.0), Checkpoints(tmp_path, 1, 0.0)
    first.open(Pair())
    other.open(Other(0.5))
    assert first.is_due()
    assert other.is_due()
    assert other.signal is None
    other.close()
    other.open(Other(0.0))
    assert not other.is_due()
    first.close()


def test_a_folder_opened_by_each_process_for_itself(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.open()
        with pytest.raises(
            CheckpointError, match="opened by each of 2 processes for itself; let fit or resume open it"
        ):
            checkpoints.open(Pair())


def test_what_a_killed_process_has_left_is_cleared_away(tmp_path):
    half_written = tmp_path / ".state-00000001.safetensors.x8f3k2"
    half_written.mkdir()
    (half_written / "state-00000001.safetensors").write_bytes(b"half")
    with Checkpoints(tmp_path):
        assert not half_written.exists()


# Damage and faults


def stopped_run(folder, stops=(3, 3), **options):
    """A run with two states in its folder."""
    options = {**SMALL, "mode": "paper", "optimizer": "adam", "steps": (12,), **options}
    with Checkpoints(folder) as checkpoints, pytest.raises(Interrupted):
        fit(periodic(), checkpoint=checkpoints, callbacks=[StopAt(checkpoints, stops[0])], **options)
    for at in stops[1:]:
        with Checkpoints(folder) as checkpoints, pytest.raises(Interrupted):
            resume(checkpoints, callbacks=[StopAt(checkpoints, at)])
    return fit(periodic(), **options)


def test_a_damaged_state_is_passed_over(tmp_path):
    whole = stopped_run(tmp_path / "run")
    _, newer = sorted((tmp_path / "run").glob("state-*"))
    raw = bytearray(newer.read_bytes())
    raw[-5] ^= 1
    newer.write_bytes(raw)
    model = resume(tmp_path / "run")
    assert "going back to the state before it" in " ".join(model.history.notes)
    for mine, theirs in zip(model.stages, whole.stages, strict=True):
        assert all(np.array_equal(mine.params[name], theirs.params[name]) for name in theirs.params)


def test_states_that_cannot_be_read(tmp_path):
    stopped_run(tmp_path / "run")
    for path in (tmp_path / "run").glob("state-*"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"no state can be read; the last one: .*state-00000002"):
        resume(tmp_path / "run")


WRONG = (None, True, -1, 0, 1e300, "", "x", [], {}, [[1]], {"a": 1}, 10**18)


def forged(content, arrays, rng):
    """One entry of the content or one array replaced, left out or added."""
    content, arrays = json.loads(json.dumps(content)), dict(arrays)
    kind = rng.integers(5)
    if kind < 2 or not arrays:
        place = content
        while isinstance(place, dict | list) and place:
            key = list(place)[rng.integers(len(place))] if isinstance(place, dict) else int(rng.integers(len(place)))
            if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
                break
            place = place[key]
        if kind == 0 and isinstance(place, dict):
            del place[key]
        else:
            place[key] = WRONG[rng.integers(len(WRONG))]
        return content, arrays
    name = list(arrays)[rng.integers(len(arrays))]
    if kind == 2:
        del arrays[name]
    elif kind == 3:
        arrays[name] = [np.zeros(3), np.zeros((2, 3)), np.asarray(1.0), np.zeros(2, dtype=np.int64)][rng.integers(4)]
    else:
        arrays[f"now/{name}"] = arrays[name]
    return content, arrays


@pytest.mark.parametrize("count", [pytest.param(12, id="few"), pytest.param(200, id="many", marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "gauss_newton"])
def test_forged_states_are_an_error_or_work(optimizer, count, tmp_path):
    """The checksums are right: what is read is what was forged."""
    stopped_run(tmp_path / "run", optimizer=optimizer)
    files = [tmp_path / "run" / "data.safetensors", *(tmp_path / "run").glob("state-*")]
    kept = {path: read_file(path, kind=KIND) for path in files}
    rng = np.random.default_rng(count)
    refused = 0
    for _ in range(count):
        path = files[rng.integers(len(files))]
        for other, whole in kept.items():
            storage.write_file(other, *(forged(*whole, rng) if other == path else whole), kind=KIND)
        try:
            resume(tmp_path / "run")
        except SimsnnError:
            refused += 1
        for state in set((tmp_path / "run").glob("state-*")) - set(files):
            state.unlink()
    assert refused > count // 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, a: c.pop("about"), "content.about is missing"),
        (lambda c, a: c["config"].pop("backend"), "content.config.backend is missing"),
        (lambda c, a: c["config"].update(steps="many"), "config: steps = 'many': expected an integer"),
        (lambda c, a: c["grid"].update(periodic=[1, 0]), r"content.grid.periodic\[0\] is not true or false"),
        (lambda c, a: c.update(field={"name": "u"}), "field.axes is missing"),
        (lambda c, a: a.update(values=a["values"][0]), r"tensor values has the shape \(16,\), not \(any, any\)"),
        (lambda c, a: a.update(more=a["values"]), "tensor more is none of this model's"),
    ],
)
def test_forged_data_name_the_culprit(tmp_path, change, message):
    fit(periodic(), **SMALL, mode="paper", optimizer="adam", steps=1, checkpoint=tmp_path)
    content, arrays = read_file(tmp_path / "data.safetensors", kind=KIND)
    change(content, arrays)
    storage.write_file(tmp_path / "data.safetensors", content, arrays, kind=KIND)
    with pytest.raises(CheckpointError, match=f"not the checkpoints of a fit: {message}"):
        resume(tmp_path)


@pytest.mark.parametrize("fault", ["write", "fsync", "rename", "make a folder"])
def test_a_checkpoint_that_cannot_be_saved_does_not_end_the_fit(fault, tmp_path, monkeypatch):
    """From the second state on: disk full, or a folder that has become read-only."""
    options = {**SMALL, "mode": "paper", "optimizer": "adam", "steps": (12,)}
    whole = fit(periodic(), **options)

    def fail(*args, **kwargs):
        raise OSError(errno.EROFS if fault == "make a folder" else errno.ENOSPC, "No space left on device")

    class Break(Callback):
        def on_step(self, step):
            if step.stage == 1 and step.step == 5:
                owner, name = {
                    "write": (storage, "_write_parts"),
                    "fsync": (os, "fsync"),
                    "rename": (Path, "replace"),
                    "make a folder": (tempfile, "mkdtemp"),
                }[fault]
                monkeypatch.setattr(owner, name, fail)

    with Checkpoints(tmp_path / "run", every_steps=2, every_minutes=0.0) as folder:
        model = fit(periodic(), checkpoint=folder, callbacks=[Break()], **options)
    monkeypatch.undo()
    trouble = [note for note in model.history.notes if "checkpoint not saved, the one before is kept" in note]
    assert trouble
    assert "No space left on device" in trouble[0]
    for mine, theirs in zip(model.stages, whole.stages, strict=True):
        assert all(np.array_equal(mine.params[name], theirs.params[name]) for name in theirs.params)
    # The last good state is there, nothing half written, and the run can be taken up from it.
    assert not list((tmp_path / "run").glob(".*"))
    for path in (tmp_path / "run").glob("state-*"):
        read_file(path, kind=KIND)
    again = resume(tmp_path / "run")
    for mine, theirs in zip(again.stages, whole.stages, strict=True):
        assert all(np.array_equal(mine.params[name], theirs.params[name]) for name in theirs.params)


def test_a_model_that_cannot_be_written_is_saved_elsewhere(tmp_path, monkeypatch, capsys):
    """The folder vanishes while the fit runs."""
    np.save(tmp_path / "u.npy", periodic())
    output = tmp_path / "gone" / "model.safetensors"
    output.parent.mkdir()
    monkeypatch.setattr("simsnn_ref.commands.fit.check_writable", lambda *args: output.parent.rmdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = ["fit", str(tmp_path / "u.npy"), "-o", str(output), "--no-figure", "--quiet", "--stages", "1"]
    assert main(command) == 2
    (saved,) = tmp_path.glob("model-*.safetensors")
    assert f"the model was saved as {saved} instead" in capsys.readouterr().err
    assert len(load_model(saved).stages) == 1


# Signals, through the command

COMMAND = [sys.executable, "-m", "simsnn_ref"]
LONG = ["--mode", "paper", "--optimizer", "adam", "--steps", "100000", "--stages", "2", "--no-figure"]


def started(tmp_path, *options):
    np.save(tmp_path / "u.npy", periodic())
    command = [*COMMAND, "fit", "u.npy", "-o", "model.safetensors", "--checkpoint", "run", *LONG, *options]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    while not (log.exists() and '"step"' in log.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_signals_save_and_end(name, tmp_path):
    process = started(tmp_path)
    number = getattr(signal, name)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert f"simsnn: stopped by {name} after saving its state; go on with: simsnn resume run" in error
    (state,) = (tmp_path / "run").glob("state-*")
    content, arrays = read_file(state, kind=KIND)
    assert content["method"] == "adam"
    # Where nothing is cut off in between, it is as good as the step before the signal.
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["event"] == "step"]
    assert len(arrays["now/losses"]) >= steps[-1]


def test_a_second_interrupt_ends_at_once(tmp_path, monkeypatch):
    with Checkpoints(tmp_path) as checkpoints, checkpoints.listening():
        signal.raise_signal(signal.SIGINT)
        assert checkpoints.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_resume_command(tmp_path, monkeypatch, capsys):
    """A run that was stopped, taken up from another folder: model and report are those of the whole run."""
    monkeypatch.chdir(tmp_path)
    np.save("u.npy", periodic())
    options = ["--mode", "paper", "--optimizer", "adam", "--steps", "12", "--stages", "2", "--no-figure", "--quiet"]
    assert main(["fit", "u.npy", "-o", "whole.safetensors", *options]) == 0
    real = Checkpoints.is_due
    monkeypatch.setattr(Checkpoints, "is_due", lambda self: setattr(self, "signal", signal.SIGTERM) or real(self))
    assert main(["fit", "u.npy", "-o", "part.safetensors", "--checkpoint", "run", *options]) == 128 + signal.SIGTERM
    monkeypatch.undo()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "run"), "--quiet", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == str(tmp_path / "part.safetensors")
    whole, part = (load_model(tmp_path / f"{name}.safetensors") for name in ("whole", "part"))
    assert fingerprint(whole, tmp_path) == fingerprint(part, tmp_path)
    assert [stage["steps"] for stage in report["stages"]] == [12, 12]
    assert main(["resume", str(tmp_path / "nothing")]) == 2
    assert "no such folder; simsnn fit --checkpoint DIR makes one" in capsys.readouterr().err


def test_a_built_in_function_is_resumed_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--size", "12", "--optimizer", "adam", "--steps", "6", "--stages", "1", "--delta", "0.01", "--no-figure"]
    real = Checkpoints.is_due
    monkeypatch.setattr(Checkpoints, "is_due", lambda self: setattr(self, "signal", signal.SIGTERM) or real(self))
    assert main(["fit", "--example", "ug", "--checkpoint", "run", *options, "--n-features", "20"]) == 143
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "run", "--quiet"]) == 0
    assert load_model("ug.safetensors").history.stages[0].steps == 6


# SIGKILL


def child(folder, step, options):
    """A process that goes on with a run and says which step it is at."""

    class Tell(Callback):
        def on_step(self, state):
            step.value = state.step

    checkpoints = Checkpoints(folder, every_steps=5, every_minutes=0.0)
    if checkpoints.states() or checkpoints.data_file.exists():
        resume(checkpoints, callbacks=[Tell()])
    else:
        fit(periodic(), checkpoint=checkpoints, callbacks=[Tell()], **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_two_hundred_times(tmp_path):
    """SIGKILL at random moments: every state can be read, no more than an interval is lost, the end is the same."""
    import multiprocessing

    options = {**SMALL, "stages": 1, "mode": "paper", "optimizer": "adam", "steps": (40000,), "certify": False}
    folder, rng = tmp_path / "run", np.random.default_rng(0)
    context = multiprocessing.get_context("fork")
    lost = []
    for _ in range(200):
        step = context.Value("i", 0, lock=False)  # a lock would die with the child that holds it
        process = context.Process(target=child, args=(folder, step, options))
        process.start()
        while step.value == 0 and process.is_alive():
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.15))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        reached = step.value
        states = sorted(folder.glob("state-*"))
        for path in states:
            _, arrays = read_file(path, kind=KIND)
        lost.append(reached - 1 - len(arrays["now/losses"]) if states else reached)
    assert max(lost) <= 5
    print(f"200 kills, at most {max(lost)} steps lost, {len(arrays['now/losses'])} steps done")
    model = resume(folder)
    assert fingerprint(model, tmp_path) == fingerprint(fit(periodic(), **options), tmp_path)


OLD_STATES = Path(__file__).parent / "old_states"
"""Runs that commit 571139e stopped in their second stage, when fields of states had the names that files still have."""

OLD_OPTIONS = {
    "adam": {"steps": (12,), "schedule": "plateau", "plateau_window": 3},
    "lbfgs": {"steps": (12,), "memory": 4},
    "gauss_newton": {"steps": (5,)},
}


@pytest.mark.parametrize("optimizer", OLD_OPTIONS)
def test_states_of_an_earlier_version_go_on(optimizer, tmp_path):
    folder = shutil.copytree(OLD_STATES / optimizer, tmp_path / "run")
    common = {**SMALL, "mode": "paper", "n_features": (6,), "stall_tolerance": 0.0, "optimizer": optimizer}
    common |= {"train_wavenumbers": False, "learning_rate": 1e-2}
    anew = fit(periodic(), **common, **OLD_OPTIONS[optimizer])
    resumed = resume(folder)
    for one, other in zip(resumed.history.stages, anew.history.stages, strict=True):
        # Another version, and another machine, round differently. Steps of second order amplify that, and Adam divides
        # a gradient that is rounding (of the phase of the mean) by its own size. Measured: 2e-6.
        assert np.max(np.abs(one.loss_history / other.loss_history - 1.0)) <= 1e-4
        assert np.max(np.abs(one.rms_history / other.rms_history - 1.0)) <= 1e-4


@pytest.mark.parametrize("optimizer", OLD_OPTIONS)
def test_names_in_files_stay(optimizer, tmp_path):
    stopped_run(tmp_path / "run", optimizer=optimizer, train_wavenumbers=False)
    _, written = read_file(sorted((tmp_path / "run").glob("state-*"))[-1], kind=KIND)
    (state,) = (OLD_STATES / optimizer).glob("state-*")
    _, arrays = read_file(state, kind=KIND)
    assert {name for name in written if name.startswith("now/")} == {name for name in arrays if name.startswith("now/")}
