"""The command for a machine with a GPU, on one without: what it runs, writes, leaves out and takes up again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(__file__).resolve().parents[1] / "on_gpu.py"
ROOT = COMMAND.parents[2]

DRY = ("--backend", "numpy", "--size", "32")

ABSENT = "raise ModuleNotFoundError(f'No module named {__name__!r}')\n"
BROKEN = "__version__ = 'broken'\n\ndef devices(kind):\n    return [kind]\n"
"""A JAX that loads, and has nothing else."""


@pytest.fixture
def on_gpu(tmp_path):
    return lambda *arguments, **fakes: run(tmp_path, *arguments, **fakes)


def start(folder, *arguments, **fakes):
    """The command with results in ``folder / out``; `fakes` are the sources of modules in the place of real ones."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    for name, source in fakes.items():
        (library / f"{name}.py").write_text(source)
    environment = os.environ | {"PYTHONPATH": str(library)}
    command = [sys.executable, str(COMMAND), *arguments, "--out", str(folder / "out")]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    )


def run(folder, *arguments, **fakes):
    """Exit status, stdout and stderr of the command."""
    process = start(folder, *arguments, **fakes)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def record(folder, name):
    return json.loads((folder / "out" / f"{name}.json").read_text())


def test_a_dry_run_and_another_one(tmp_path, on_gpu):
    """The first has no PyTorch and a JAX that fails; the second repeats nothing that was done."""
    status, out, err = on_gpu(*DRY, "--minutes", "3", torch=ABSENT, jax=BROKEN)
    assert (status, err) == (1, "")
    assert [line.split(": ")[:2] for line in out.splitlines()] == [
        ["conformance", "done"],
        ["verify", "done"],
        ["steps", "missing"],
        ["torch", "missing"],
        ["jax", "failed"],
        ["figure2", "done"],
    ]
    assert record(tmp_path, "conformance")["result"]["tests"].keys() == {"passed"}
    assert record(tmp_path, "verify")["result"]["failed"] == []
    assert record(tmp_path, "steps")["result"]["backends"]["numpy"]["loss"] > 0.0
    assert record(tmp_path, "torch")["words"] == "torch: No module named 'torch'"
    assert "JAX: the process ended with status 1" in record(tmp_path, "jax")["words"]
    fit = record(tmp_path, "figure2")["result"]
    assert [stage["steps"] for stage in fit["stages"]] == [200] * 4
    assert fit["curve"][-1][0] == 4
    machine = json.loads((tmp_path / "out" / "machine.json").read_text())
    assert machine["works"]["numpy"] == machine["doctor"]["versions"]["numpy"]
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "| figure2 | done |" in summary
    assert "| numpy |" in summary
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix in (".json", ".jsonl", ".txt", ".md"):
            assert not any(place in path.read_text() for place in (str(tmp_path), str(ROOT))), path

    times = {name: (tmp_path / "out" / f"{name}.txt").stat().st_mtime_ns for name in ("conformance", "figure2")}
    status, out, err = on_gpu(*DRY, "--minutes", "3", torch=ABSENT, jax=ABSENT)
    assert (status, err) == (0, "")
    assert "conformance: done before: " in out
    assert "figure2: done before: " in out
    assert all((tmp_path / "out" / f"{name}.txt").stat().st_mtime_ns == times[name] for name in times)
    # It failed before, and that is still what is known of it.
    assert record(tmp_path, "jax")["status"] == "failed"


def test_a_fit_that_is_interrupted_goes_on(tmp_path):
    reached = []
    for _ in range(2):
        process = start(tmp_path, *DRY, "--minutes", "5", "--steps", "1000000", "--only", "figure2")
        wait_for_step(tmp_path, 1 + max(reached, default=0), process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, "")
        assert "figure2: cut off: stages ended: 0; step " in out
        found = record(tmp_path, "figure2")
        assert found["status"] == "cut off"
        assert "after saving its state" in found["result"]["reason"]
        reached.append(found["result"]["curve"][-1][1])
    assert reached[1] > reached[0] > 0
    assert found["result"]["resumed"] == 1


def wait_for_step(folder, number, process):
    """Wait until the log of the fit has a step from `number` on."""
    while process.poll() is None:
        for path in (folder / "out").glob("figure2*/log.jsonl"):
            complete = path.read_text().rpartition("\n")[0]
            if any(json.loads(line).get("step", 0) >= number for line in complete.splitlines()):
                return
        time.sleep(0.1)
    pytest.fail(f"the command ended: {process.communicate()}")


def test_a_step_past_its_time_is_ended_and_is_no_failure(tmp_path, on_gpu):
    package = tmp_path / "library" / "pytest"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = 'slow'\n")
    (package / "__main__.py").write_text("import time\nprint('tests::test_it PASSED [ 10%]')\ntime.sleep(600)\n")
    status, out, err = on_gpu(*DRY, "--minutes", "0.3", "--only", "conformance")
    assert (status, err) == (0, "")
    assert out.startswith("conformance: cut off: 1 passed\n")
    found = record(tmp_path, "conformance")
    assert found["status"] == "cut off"
    assert 1.0 < found["limit"] < found["seconds"] < 18.0


def test_without_cupy_the_reason_is_said_and_the_rest_goes_on(tmp_path, on_gpu):
    only = "conformance,steps,jax,figure2"
    status, out, err = on_gpu("--size", "32", "--minutes", "2", "--only", only, cupy=ABSENT, jax=ABSENT, torch=ABSENT)
    assert (status, err) == (0, "")
    for line in out.splitlines():
        assert line.startswith(tuple(f"{name}: missing: " for name in only.split(","))) or "not asked for" in line
    assert "cupy: backend 'cupy' needs CuPy for your CUDA (" in record(tmp_path, "figure2")["words"]
    assert record(tmp_path, "steps")["result"]["backends"].keys() == {"numpy"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--minutes", "0"), "--minutes 0: needs a time above 0"),
        (("--minutes", "nan"), "--minutes nan: needs a time above 0"),
        (("--size", "8"), "--size 8: needs at least 16"),
        (("--only", "all"), "--only all: choose of conformance,verify,steps,torch,jax,torch_compile,figure2"),
        (("--backend", "torch"), "argument --backend: invalid choice: 'torch'"),
        (("--out", str(COMMAND)), f"--out {COMMAND}: File exists"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, arguments, message):
    command = [sys.executable, str(COMMAND), "--out", str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"on_gpu.py: error: {message}")
