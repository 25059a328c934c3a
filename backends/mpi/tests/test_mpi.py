"""The backend ``mpi``: jobs of 1, 2 and 3 ranks against one process, the command, and ranks that die."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import load_backend, load_model
from simsnn_ref.backend import available_backends
from simsnn_ref.commands.main import main
from simsnn_ref.testing import BackendConformance

plugin = pytest.importorskip("simsnn_ref_mpi", reason="the MPI plug-in is not installed")
jobs = pytest.importorskip("jobs")

EPS = jobs.EPS
JOBS = Path(__file__).with_name("jobs.py")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
SECONDS = 120
"""Time limit of one job, far more than any takes. One that hangs fails."""

needs_mpiexec = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: pip install mpich")
on_several = pytest.mark.parametrize("size", [2, 3])


# As many processes as cores or more: threads of their own would only contend.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "SIMSNN_NUM_THREADS": "1", "MPLBACKEND": "agg"}


def run(size, *arguments):
    return subprocess.run(
        [MPIEXEC, "-n", str(size), sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env=ENVIRONMENT,
    )


def run_job(size, *arguments):
    # As the README says of scripts: mpi4py ends all ranks where an error ends one.
    return run(size, "-m", "mpi4py", str(JOBS), *arguments)


def job(size, *arguments):
    done = run_job(size, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def serial():
    """The fits on NumPy in this process, and those with every sample changed by an eps."""
    return {
        "short_fits": jobs.short_fits("numpy"),
        "nudged": jobs.short_fits("numpy", EPS),
        "accurate_fits": jobs.accurate_fits("numpy"),
    }


@pytest.fixture(scope="module")
def numerics():
    """Results of the job `numerics` by the number of ranks; each is run once."""
    found = {}

    def get(size):
        if MPIEXEC is None:
            pytest.skip("there is no mpiexec: pip install mpich")
        if size not in found:
            found[size] = job(size, "numerics")
        return found[size]

    return get


# One rank


class TestOneRank(BackendConformance):
    make_backend = plugin.MpiBackend


def test_it_is_registered():
    assert "mpi" in available_backends()
    assert type(load_backend("mpi")) is plugin.MpiBackend


def test_one_rank_has_the_bits_of_numpy(serial):
    assert jobs.short_fits(plugin.MpiBackend()) == serial["short_fits"]


def test_doctor_describes_it(capsys):
    assert main(["doctor", "--json"]) == 0
    backend = json.loads(capsys.readouterr().out)["backends"]["mpi"]
    assert backend["loads"]
    assert backend["describes"]["ranks"] == "1, 1 of them on this machine"


def test_no_library_is_one_line(tmp_path):
    package = tmp_path / "mpi4py"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '0'\n")
    (package / "MPI.py").write_text("raise RuntimeError('cannot load MPI library')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "simsnn_ref", "fit", "--example", "ug", "--backend", "mpi"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 2
    reason = "finds no MPI library (cannot load MPI library): pip install mpich, or the system's"
    assert done.stderr == f"simsnn: error: backend 'mpi' {reason}\n"


# Several ranks, even and uneven shards


@on_several
def test_conformance(size):
    if MPIEXEC is None:
        pytest.skip("there is no mpiexec: pip install mpich")
    assert job(size, "conformance") == {"problems": []}


@on_several
def test_a_fit_is_that_of_one_process(size, numerics, serial):
    # Sums are done in another order: some eps of the loss at the start. Conjugate gradients amplify them, as they do an
    # eps in the samples.
    several = numerics(size)["short_fits"]
    assert set(several) == set(serial["short_fits"])
    for name, got in several.items():
        expected, nudged = (np.asarray(serial[kind][name]) for kind in ("short_fits", "nudged"))
        assert np.shape(got) == expected.shape
        start = expected[:, :1]
        off, sensitivity = (np.max(np.abs(values - expected) / start) / EPS for values in (np.asarray(got), nudged))
        allowed = 16.0 * max(1.0, sensitivity) if "gauss_newton" in name else 16.0
        assert off <= allowed, f"{name}: off by {off:.3g} eps; an eps in the samples makes {sensitivity:.3g}"


@on_several
def test_an_accurate_fit_is_that_of_one_process(size, numerics, serial):
    several = numerics(size)["accurate_fits"]
    assert set(several) == set(serial["accurate_fits"])
    for name, got in several.items():
        expected = serial["accurate_fits"][name]
        assert got["agrees"]
        assert "levenberg_marquardt" not in got["optimizers"]
        # An eps of a stage's own values is what it may differ by, and the first has the field's.
        off = np.abs(np.asarray(got["errors"], dtype=float) - np.asarray(expected["errors"], dtype=float))
        assert np.nanmax(off) <= EPS, f"{name}: {got['errors']}, in one process {expected['errors']}"


@on_several
def test_shared_maps(size, numerics):
    # The transpose of the exchange is the exchange; sums over ranks round, nothing else.
    for name, off in numerics(size)["maps"].items():
        assert off <= 16.0, name


@on_several
def test_a_divided_transform_has_the_same_bits(size, numerics):
    assert numerics(size)["transforms"]
    assert [name for name, same in numerics(size)["transforms"].items() if not same] == []


@on_several
def test_bytes_that_are_sent(size, numerics):
    traffic = numerics(size)["traffic"]
    for kind in ("exchanged", "reduced", "transform"):
        assert traffic[kind] == pytest.approx(traffic[f"{kind}, formula"], rel=1e-14), kind
    # Out to the points, back to the units, and the sum.
    assert traffic["messages"] == 3
    # Before the first step, and after each: nothing else.
    assert traffic["messages, three steps"] == 4 * 3


@on_several
def test_the_first_ranks_clock_counts(size, numerics):
    steps = numerics(size)["time_limit"]
    assert steps["most"] == steps["least"] > 1


@on_several
def test_what_is_refused(size, numerics):
    others = ", ".join(map(str, range(1, size)))
    alike = "ranks need the same data, options, libraries and kind of processor"
    assert numerics(size)["refusals"] == {
        "levenberg_marquardt": "ConfigError: optimizer = 'levenberg_marquardt': its matrices are not divided among"
        " processes, as backend 'mpi' divides the points; use 'gauss_newton', 'adam' or 'lbfgs'",
        "few points": f"DataError: 1 points are too few for {size} ranks: each needs one",
        "other data": f"BackendError: the start of a stage: target of rank 0 is not that of rank {others}: {alike}",
        "other parameters": f"BackendError: a stage: b of rank 0 is not that of rank {others}: {alike}",
    }


@on_several
def test_a_backend_leaves_the_interpreters_hooks_alone(size, numerics):
    assert numerics(size)["hooks"] == {"own": True}


# Checkpoints


@needs_mpiexec
@on_several
def test_a_stopped_fit_ends_with_the_same_bits(size, tmp_path):
    found = job(size, "checkpoints", str(tmp_path))
    for name in jobs.CHECKPOINTED:
        # A signal to one stops all, at the same step.
        stopped = f"stopped by SIGTERM after saving its state; go on with: simsnn resume DIR/{name}"
        assert found[name] == {"same": True, "stopped": [stopped]}
    [held], [again] = found["held"], found["again"]
    assert held == f"CheckpointError: {tmp_path}/held: another process writes its checkpoints here"
    assert again.startswith(f"CheckpointError: {tmp_path}/adam: holds the checkpoints of a run")
    assert all(f"opened by each of {size} processes for itself" in text for text in found["each"])


@needs_mpiexec
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_the_command_goes_on_after_a_rank_is_killed(how, tmp_path):
    options = ["--mode", "paper", "--optimizer", "adam", "--n-features", "20", "--steps", "400", "--stages", "2"]
    options += ["--quiet", "--no-figure"]
    assert run(2, *command(tmp_path / "whole.safetensors", *options)).returncode == 0
    folder = tmp_path / "run"
    keep = ["--checkpoint", str(folder), "--checkpoint-steps", "5"]
    arguments = [MPIEXEC, "-n", "2", sys.executable, *command(tmp_path / "u.safetensors", *options, *keep)]
    with subprocess.Popen(
        arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        deadline = time.monotonic() + SECONDS
        while not list(folder.glob("state-*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(_rank(started.pid, 1), how)
        _, said = started.communicate(timeout=SECONDS)
    assert started.returncode != 0
    if how == signal.SIGTERM:
        assert said.count(f"simsnn: stopped by SIGTERM after saving its state; go on with: simsnn resume {folder}") == 1
    assert not (tmp_path / "u.safetensors").exists()
    done = run(2, "-m", "simsnn_ref", "resume", str(folder), "--quiet")
    assert done.returncode == 0, done.stderr
    assert len(re.findall("stage +n_f", done.stdout)) == 1
    whole, resumed = (load_model(tmp_path / f"{name}.safetensors") for name in ("whole", "u"))
    for stage, other in zip(whole.stages, resumed.stages, strict=True):
        assert all(np.array_equal(stage.params[name], other.params[name]) for name in stage.params)


def _rank(mpiexec, rank):
    """The process of a rank, found by what the library sets in its environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (folder / "environ").read_bytes().split(b"\0")
            parents = _parents(int(folder.name))
            if f"PMI_RANK={rank}".encode() in environment and mpiexec in parents:
                return int(folder.name)
    raise AssertionError("no such rank")


def _parents(pid):
    """Parents of a process, nearest first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


# The command


def command(output, *more):
    return ["-m", "simsnn_ref", "fit", "--example", "ug", "--size", "16", "--backend", "mpi", "-o", str(output), *more]


@needs_mpiexec
def test_the_command_prints_and_writes_once(tmp_path):
    done = run(2, *command(tmp_path / "u.safetensors", "--stages", "1"))
    assert done.returncode == 0, done.stderr
    assert len(re.findall("stage +n_f", done.stdout)) == 1
    assert done.stderr.count("stage 1 done") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["u.png", "u.safetensors"]
    arguments = command(tmp_path / "v.safetensors", "--stages", "1", "--json", "--quiet", "--no-figure")
    done = run(2, *arguments)
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["backend"] == "mpi"
    assert main([*arguments[2:], "--backend", "numpy", "--force"]) == 0
    numpy = load_model(tmp_path / "v.safetensors")
    assert abs(report["stages"][0]["rms_on_grid"] - numpy.history.stages[0].rms_on_grid) <= EPS


@needs_mpiexec
def test_bad_input_is_one_line_and_status_2(tmp_path):
    done = run(2, *command(tmp_path / "not there" / "u.safetensors", "--no-figure"))
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("simsnn: error")]
    assert line.startswith("simsnn: error: rank 0 of 2: -o ")
    assert done.stdout == ""


@needs_mpiexec
def test_an_error_on_all_ranks_is_printed_once(tmp_path):
    done = run(3, *command(tmp_path / "u.safetensors", "--quiet", "--optimizer", "levenberg_marquardt"))
    assert done.returncode == 2
    assert done.stderr.count("simsnn: error: rank 0 of 3: optimizer = 'levenberg_marquardt'") == 1
    assert done.stderr.count("simsnn: error") == 1


# Ranks that die. No job may hang: `run` has a time limit.

RANK = "simsnn: error: rank 2 of 3"


@needs_mpiexec
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("kill", 9, "Killed (signal 9)"),
        ("error", 1, f"{RANK}: ValueError: a disk is full"),
        ("exit", 1, f"{RANK}: SystemExit: 3"),
        ("typed", 2, f"{RANK}: no device"),
    ],
)
def test_the_command_ends_where_a_rank_dies(how, status, message, tmp_path):
    options = ("--mode", "paper", "--optimizer", "adam", "--stages", "1", "--steps", "10", "--n-features", "20")
    arguments = command(tmp_path / "u.safetensors", *options, "--quiet", "--no-figure")
    done = run_job(3, "death_in_the_command", how, *arguments[2:])
    assert done.returncode == status
    assert message in done.stdout + done.stderr
    assert done.stderr.count("simsnn: error") == (how != "kill")
    assert list(tmp_path.iterdir()) == []


@needs_mpiexec
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("kill", 9, "Killed (signal 9)"),
        ("error", 1, f"{RANK}: ValueError: a disk is full"),
        ("exit", 1, f"{RANK}: SystemExit: 3"),
        # Which a script may catch; where it does not, mpi4py ends the job.
        ("typed", 1, "BackendError: no device"),
    ],
)
def test_a_script_ends_where_a_rank_dies_in_a_fit(how, status, message):
    done = run_job(3, "death_in_a_fit", how)
    assert done.returncode == status
    assert message in done.stdout + done.stderr


@needs_mpiexec
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [("error", 1, "ValueError: a disk is full"), ("exit", 3, ""), ("typed", 1, "BackendError: no device")],
)
def test_a_script_ends_where_a_rank_dies_beside_a_fit(how, status, message):
    done = run_job(3, "death_beside_a_fit", how)
    assert done.returncode == status
    assert message in done.stderr
