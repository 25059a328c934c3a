"""Everything that waits for a GPU, in one command: tests, verification, times of a training step, and Figure 2.

    python backends/cupy/on_gpu.py --minutes 12 --out DIR
    python backends/cupy/on_gpu.py --backend numpy --size 32 --minutes 2 --out DIR    # the same steps without a GPU

It runs from a checkout: nothing is installed, and nothing is fetched. Each step is a command of this repository in a
process of its own, which is ended when its share of the time is over. What it found is in DIR at once, as NAME.json,
NAME.txt (what it printed) and a line of summary.md. With the same DIR again, steps that are done are left out and the
fit of Figure 2 goes on from its last checkpoint. The exit status is 1 if a step failed; a step that lacks a library or
was cut off has not failed.
"""

import argparse
import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = (ROOT, ROOT / "backends/cupy", ROOT / "backends/torch")
SOURCES = [str(ROOT), *(str(project / "src") for project in PROJECTS[1:])]
sys.path[:0] = SOURCES

try:
    import scipy

    from simsnn_ref.errors import CheckpointError
    from simsnn_ref.io import git_commit
    from simsnn_ref.io.atomic import write_whole
    from simsnn_ref.report import RunStatus
except ModuleNotFoundError as absent:
    raise SystemExit(f"on_gpu.py: error: {absent}; NumPy and SciPy are needed") from None

GRACE = 20.0
"""Seconds, a tenth of the time at most, from the signal that ends a step to the one that kills it: a fit then saves its
state."""

PROBE_SECONDS = 90.0
"""Time in which a library has to load."""

CURVE_POINTS = 500
"""Most points of the loss curve that are written."""

RECENT = 100
"""Last points of the curve over which the time of a step is measured."""

FULL_SIZE = 256
"""Samples per axis from which on the paper's own numbers of features, Reynolds number and steps are taken."""

LIBRARIES = {
    "numpy": "import numpy; print(numpy.__version__)",
    "cupy": "from simsnn_ref.backend import load_backend; print(load_backend('cupy').describe()['cupy'])",
    "pytest": "import pytest; print(pytest.__version__)",
    "array_api_strict": "import array_api_strict; print(array_api_strict.__version__)",
    "torch": "import torch; torch.zeros(1, device={device!r}); print(torch.__version__)",
    "jax": "import jax; jax.devices({device!r}); print(jax.__version__)",
    "C++ compiler": "import shutil; shutil.which('g++') or shutil.which('clang++') or exit('no g++ or clang++')",
}
"""Code that prints a version and fails, with the reason, unless the library works on the device it is needed on."""

Found = tuple[str, dict[str, Any]]
"""What a step has found: in a few words, and all of it."""


@dataclass(frozen=True)
class Step:
    """A command, arguments of the Python interpreter, and how its result is read from what it printed.

    It runs in `folder` if all that it `needs` of `LIBRARIES` works, for its `share` of the time left at most. A result
    of an earlier run with the same `key`, by default the command itself, is as good.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...]
    share: float
    read: Callable[[str], Found]
    folder: Path = ROOT
    key: str = ""


# What the steps found


def read_tests(text: str) -> Found:
    """Outcomes of pytest with -v, of a run that was cut off too."""
    tests = re.findall(r"^(\S+::.*?) (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b", text, re.MULTILINE)
    count = {outcome.lower(): sum(found == outcome for _, found in tests) for _, outcome in tests}
    failed = [name for name, outcome in tests if outcome in ("FAILED", "ERROR")]
    words = ", ".join(f"{number} {outcome}" for outcome, number in count.items())
    return words, {"tests": count, "failed": failed}


def read_checks(text: str) -> Found:
    """Checks of ``simsnn verify --json``; all of them are in the text."""
    lines = [line for line in text.splitlines() if line.startswith('{"backend"')]
    if not lines:
        return "", {}
    checks = json.loads(lines[-1])["checks"]
    failed = [check for check in checks if not check["passed"]]
    worst = max(checks, key=lambda check: check["relative"] / check["tolerance"])
    words = f"{len(checks) - len(failed)} of {len(checks)} checks passed"
    return words, {"checks": len(checks), "failed": failed, "worst": worst}


def read_json(path: Path, text: str) -> Found:
    """What a benchmark wrote to a file; its table is in the text."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    words = [f"without {name}" for name in found.get("missing", ())] + ["see the table"] * bool(found)
    return "; ".join(words), {"table": [row for row in text.splitlines() if row[:1] == "|"], **found}


def read_fit(folder: Path, _: str) -> Found:
    """Status and loss curve of a fit, from its log."""
    try:
        status = RunStatus(folder)
    except CheckpointError:
        return "before its first step", {}
    steps = status.steps
    curve = [[each.step.stage, each.step.step, each.step.loss, each.step.rms] for each in steps]
    found = status.to_dict() | {"columns": ["stage", "step", "loss", "rms"]}
    # Every so many points, from the last one back.
    found["curve"] = curve[:: -(1 + len(curve) // CURVE_POINTS)][::-1]
    words = [f"stages ended: {len(status.records)}"]
    if status.records:
        words.append(f"RMS error {status.records[-1].rms_on_grid:.2e} after the last one")
    if steps:
        last = steps[-1].step
        if status.state != "finished":
            words.append(f"step {last.step} of {last.n_steps} in stage {last.stage}, RMS error {last.rms:.2e}")
        first = next(each for each in steps[-RECENT:] if each.step.stage == last.stage)
        if last.step > first.step.step:
            found["seconds_per_step"] = (steps[-1].seconds - first.seconds) / (last.step - first.step.step)
            words.append(f"{1e3 * found['seconds_per_step']:.3g} ms a step")
    return "; ".join(words), found


# The steps


def make_steps(arguments: argparse.Namespace, work: Path) -> list[Step]:
    """All steps in their order; what they write for `read` alone goes to `work`."""
    backend, on_gpu = arguments.backend, arguments.backend == "cupy"
    tests = ["backends/cupy/tests", "--require-backend", "cupy", "--ignore", "backends/cupy/tests/test_on_gpu.py"]
    if not on_gpu:
        tests = ["tests/testing/test_testing.py::TestNumpy"]
    # Warnings of the machine's own libraries must not hide what the tests would say.
    pytest = ("-m", "pytest", "-v", "-W", "default", "-p", "no:cacheprovider", *tests)
    verify = ("-m", "simsnn_ref", "verify", "--backend", backend, "--json")
    sizes = ("--size", str(arguments.size), "--features", str(n_features(arguments.size)[-1]))

    def benchmark(name: str, needs: tuple[str, ...], script: str, *options: str) -> Step:
        file = work / f"{name}.json"
        command = (str(ROOT / "asv_bench" / script), *options, *sizes, "--json", str(file))
        return Step(name, command, needs, 0.2, partial(read_json, file))

    # Two sizes of blocks to choose from, not five: each is a process of its own, which loads and compiles anew.
    where = ("--gpu", "--chunks", "1024,8192") if on_gpu else ("--threads", "1", "--repeats", "1")
    compare = ("peers/compare.py", "--frozen", *where, "--peers")
    peers = [
        benchmark("torch", (backend, "torch"), *compare, "torch"),
        benchmark("jax", (backend, "jax"), *compare, "jax"),
        benchmark("torch_compile", (backend, "torch", "C++ compiler"), *compare, "torch_compile"),
    ]
    return [
        Step("conformance", pytest, ("pytest", backend if on_gpu else "array_api_strict"), 0.35, read_tests),
        Step("verify", verify, (backend,), 0.25, read_checks),
        benchmark("steps", (), "backends.py", "--backends", "numpy,cupy,torch:cuda" if on_gpu else "numpy,torch"),
        # A dry run is to be short, and compiling takes half a minute on a processor.
        *(peers if on_gpu else peers[:-1]),
        figure_2(arguments),
    ]


def n_features(size: int) -> tuple[int, int]:
    """n_f of the first stage and of those that follow."""
    return (1359, 10000) if size >= FULL_SIZE else (20, 150)


def figure_2(arguments: argparse.Namespace) -> Step:
    """The fit of Figure 2 by the paper's own method, begun or gone on with; its folder is for these options alone."""
    is_full, trained = arguments.size >= FULL_SIZE, arguments.train_wavenumbers
    steps = arguments.steps or (150_000 if is_full else 200)
    name = f"figure2-{arguments.backend}-{arguments.size}-{steps}{'-trained' * trained}"
    options = {
        "example": "turbulence",
        "size": arguments.size,
        "reynolds": 2000 if is_full else 100,
        "mode": "paper",
        "n-features": ",".join(map(str, n_features(arguments.size))),
        "steps": steps,
        "feature-map": "auto" if trained else "fft",
        "backend": arguments.backend,
        "checkpoint": name,
    }
    begin = ["fit", *(f"--{option}={value}" for option, value in options.items()), "--no-certify"]
    begin.append("--train-wavenumbers" if trained else "--no-train-wavenumbers")
    folder = arguments.out / name
    command = ["resume", name] if (folder / "data.safetensors").exists() else begin
    # Two checkpoints a minute: a machine may be taken away without a signal.
    keep = ("--checkpoint-minutes", "0.5", "-o", f"{name}.safetensors", "--force", "--no-figure", "--quiet", "--json")
    whole = ("-m", "simsnn_ref", *command, *keep)
    return Step("figure2", whole, (arguments.backend,), 1.0, partial(read_fit, folder), arguments.out, name)


# The run


class Run:
    """The steps one after the other, and their files in DIR; `work` is a temporary folder."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self.out, self.work = arguments.out, work
        self.seconds = 60.0 * arguments.minutes
        self.grace = min(GRACE, 0.1 * self.seconds)
        self.ends = time.monotonic() + self.seconds - self.grace
        self.title = f"backend {arguments.backend}, size {arguments.size}"
        self.device = "cuda" if arguments.backend == "cupy" else "cpu"
        self.interrupted = self.failed = False
        self.records: list[dict[str, Any]] = []
        self.machine: dict[str, Any] = {}
        make_plugins(work / "plugins")
        path = [str(work / "plugins"), *SOURCES, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
        # Plug-ins of pytest that happen to be installed have no part in these tests; and JAX would take most of the
        # GPU's memory while other libraries are looked at.
        self.environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

    def describe(self, needs: set[str]) -> None:
        """Write machine.json: GPU, driver and versions, and why libraries do not work here."""
        codes = {name: LIBRARIES[name].format(device=self.device) for name in sorted(needs)}
        guarded = "try: {}\nexcept Exception as error: exit(' '.join(str(error).split()))"
        commands = [
            ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
            (sys.executable, "-m", "simsnn_ref", "doctor", "--json"),
            *((sys.executable, "-c", guarded.format(code)) for code in codes.values()),
        ]
        with ThreadPoolExecutor(len(commands)) as pool:
            (gpus, _), (doctor, _), *probes = pool.map(self.probe, commands)
        self.machine = {
            "gpus": gpus.splitlines() or ["none"],
            "works": {
                name: last_line(version, "")
                for name, (version, reason) in zip(codes, probes, strict=True)
                if not reason
            },
            "missing": {name: reason for name, (_, reason) in zip(codes, probes, strict=True) if reason},
            "array_api_compat": "SciPy's" if find_spec("array_api_compat") is None else "its own",
            "doctor": json.loads(last_line(doctor, "{}")),
        }
        self.write("machine.json", json.dumps(self.machine, indent=1))

    def probe(self, command: Sequence[str]) -> tuple[str, str]:
        """What a command printed on stdout, and, in a line, why it failed; "" if it did not."""
        try:
            found = subprocess.run(
                command, capture_output=True, text=True, timeout=PROBE_SECONDS, env=self.environment, check=True
            )
        except subprocess.CalledProcessError as error:
            return "", last_line(error.stderr, f"it ends with status {error.returncode}")
        except subprocess.TimeoutExpired:
            return "", f"it does not load within {PROBE_SECONDS:g} s"
        except OSError as error:
            return "", str(error)
        return found.stdout.strip(), ""

    def take(self, step: Step, *, asked: bool) -> None:
        """Run a step that is asked for, unless it is done or cannot be; write what it found, and the summary."""
        before = self.read(step.name)
        command = self.clean(" ".join(("python", *step.command)))
        record: dict[str, Any] = {"step": step.name, "key": step.key or command, "command": command}
        missing = [f"{name}: {self.machine['missing'][name]}" for name in step.needs if name in self.machine["missing"]]
        limit = step.share * (self.ends - time.monotonic())
        if not asked:
            record |= {"status": "not run", "words": "not asked for"}
        elif before.get("status") == "done" and before.get("key") == record["key"]:
            record |= {"status": "done before", "words": before["words"]}
        elif missing:
            record |= {"status": "missing", "words": "; ".join(missing)}
        elif limit < 1.0 or self.interrupted:
            record |= {"status": "not run", "words": "no time was left"}
        else:
            record |= {"gpu": self.machine["gpus"][0], "git": git_commit()} | self.execute(step, limit)
        self.failed |= record["status"] == "failed"
        print(self.clean(f"{step.name}: {record['status']}: {record['words']}"), flush=True)
        # What an earlier run found is worth more than why this one found nothing.
        if "result" in before and "result" not in record:
            record = before
        self.records.append(record)
        self.write(f"{step.name}.json", json.dumps(record, indent=1))
        self.write("summary.md", "\n".join(self.summary()) + "\n")

    def execute(self, step: Step, limit: float) -> dict[str, Any]:
        """The step in a process of its own, and what it found."""
        started, log = time.monotonic(), self.work / f"{step.name}.txt"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, *step.command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=step.folder,
                env=self.environment,
                start_new_session=True,
            )
            status = self.wait(process, limit)
        text = log.read_text("utf-8", "replace")
        self.write(f"{step.name}.txt", text)
        try:
            words, found = step.read(text)
        except ValueError as error:
            words, found = f"its result cannot be read: {error}", {}
        if status == "failed":
            words = "; ".join(filter(None, [words, last_line(text, "it printed nothing").strip("= ")]))
        elif status == "done" and found.get("missing"):
            status = "missing"
        seconds = time.monotonic() - started
        return {"status": status, "words": words, "seconds": seconds, "limit": limit, "result": found}

    def wait(self, process: subprocess.Popen[bytes], limit: float) -> str:
        """Wait for a process, up to a limit or an interruption; then end it and all those that it started."""
        try:
            status = "failed" if process.wait(limit) else "done"
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
            status, self.interrupted = "cut off", isinstance(reason, KeyboardInterrupt)
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, kind)
                process.wait(self.grace)
        return status

    def summary(self) -> list[str]:
        """All records as Markdown."""
        works = ", ".join(f"{name} {version}".strip() for name, version in self.machine["works"].items())
        lines = [f"# {self.title}", "", f"GPU: {'; '.join(self.machine['gpus'])}. {works}.", ""]
        lines += ["| step | status | seconds | result |", "| --- | --- | --- | --- |"]
        for record in self.records:
            seconds = f"{record['seconds']:.1f}" if "seconds" in record else "-"
            lines.append(f"| {record['step']} | {record['status']} | {seconds} | {record['words'].replace('|', '/')} |")
        for record in self.records:
            table = record.get("result", {}).get("table")
            lines += ["", f"## {record['step']}", "", *table] if table else []
        return lines

    def read(self, name: str) -> dict[str, Any]:
        """The record of an earlier run; empty if there is none that can be read."""
        try:
            record: dict[str, Any] = json.loads((self.out / f"{name}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return record

    def write(self, name: str, text: str) -> None:
        """Write a file whole, without the paths of this machine."""
        write_whole(self.out / name, lambda new: new.write_text(self.clean(text), "utf-8"))

    def clean(self, text: str) -> str:
        """The text with names in the place of this machine's paths."""
        names = {self.work: "WORK", self.out: "OUT", ROOT: ".", Path(sys.prefix): "PYTHON", Path.home(): "~"}
        # A path may lie in another one; "/" and "/usr" tell nothing.
        for path in sorted(names, key=lambda path: -len(path.parts)):
            if len(path.parts) > 1 and path != Path("/usr"):
                text = text.replace(str(path), names[path])
        return text


def last_line(text: str, default: str) -> str:
    """The last line of what a program printed; libraries print before it as they please."""
    return (text.strip().splitlines() or [default])[-1]


def make_plugins(folder: Path) -> None:
    """What an install would leave for `importlib.metadata`: names, versions and entry points of the projects here."""
    for project in PROJECTS:
        facts = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
        info = folder / f"{facts['name'].replace('-', '_')}-{facts['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n")
        lines = []
        for group, points in facts.get("entry-points", {}).items():
            lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
    if find_spec("array_api_compat") is None:
        for copy in Path(scipy.__file__).parent.rglob("array_api_compat/__init__.py"):
            (folder / "array_api_compat").symlink_to(copy.parent)


class Parser(argparse.ArgumentParser):
    """A parser with one-line errors."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with status 2."""
        self.exit(2, f"on_gpu.py: error: {' '.join(message.split())}\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, checked."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--minutes", type=float, default=12.0, help="time for all steps together (default 12)")
    parser.add_argument("--backend", default="cupy", choices=("cupy", "numpy"), help="numpy: a dry run (default cupy)")
    parser.add_argument("--size", type=int, default=512, help="samples per axis (default 512)")
    parser.add_argument("--steps", type=int, help="of a stage of Figure 2 (default 150000, 200 below size 256)")
    parser.add_argument("--train-wavenumbers", action="store_true", help="Figure 2: B trains (default: it is frozen)")
    parser.add_argument("--only", metavar="NAME,...", help="these steps only: the names in summary.md")
    arguments = parser.parse_args(argv)
    if not 0.0 < arguments.minutes < math.inf:
        parser.error(f"--minutes {arguments.minutes:g}: needs a time above 0")
    if arguments.size < 16:
        parser.error(f"--size {arguments.size}: needs at least 16")
    if arguments.steps is not None and arguments.steps < 1:
        parser.error(f"--steps {arguments.steps}: needs at least 1")
    names = [step.name for step in make_steps(arguments, Path())]
    arguments.only = arguments.only.split(",") if arguments.only else names
    unknown = [name for name in arguments.only if name not in names]
    if unknown:
        parser.error(f"--only {','.join(unknown)}: choose of {','.join(names)}")
    arguments.out = arguments.out.resolve()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {arguments.out}: {error.strerror}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Take all steps and return the exit status."""
    arguments = parse(argv)
    # A machine that is taken back says so by SIGTERM: the step is ended as by Ctrl-C, and what it found is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as work:
        run = Run(arguments, Path(work).resolve())
        steps = make_steps(arguments, run.work)
        try:
            run.describe({name for step in steps for name in step.needs})
            for step in steps:
                run.take(step, asked=step.name in arguments.only)
        except KeyboardInterrupt:
            run.interrupted = True
    return 130 if run.interrupted else int(run.failed)


if __name__ == "__main__":
    sys.exit(main())
