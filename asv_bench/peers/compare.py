"""Time and memory of a training step, loss and gradient of all parameters, beside PyTorch and JAX on a CPU or GPU.

    python asv_bench/peers/compare.py [--size 512] [--features 10000] [--frozen] [--peers torch,jax]

First every implementation's loss and gradients are compared with simsnn_ref's: where one differs by more than 1e-12,
the script ends and names the tensor. Then they take turns, each in a process of its own, on the same cores. The table
is Markdown. The peers sum dense cosines, as Algorithm 1 is written; simsnn_ref takes a fast Fourier transform.

    python asv_bench/peers/compare.py --gpu --frozen    # the backend cupy beside PyTorch and JAX on one GPU
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import numpy as np
from problem import Problem

from simsnn_ref.backend import NumpyBackend, load_backend
from simsnn_ref.errors import SimsnnError
from simsnn_ref.io import git_commit
from simsnn_ref.network import FEATURE_MAPS, initialize
from simsnn_ref.spectrum import Grid

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import field

WORKER = Path(__file__).resolve().with_name("worker.py")

TOLERANCE = 1e-12

CHUNK_ELEMENTS = tuple(2**exponent for exponent in (18, 20, 22, 24, 26))
"""Points times features held at a time, to choose from: a temporary of 2 MiB to 512 MiB, below L2 to far beyond L3."""


@dataclass(frozen=True)
class Implementation:
    """An implementation: its module and class, the distribution it needs, and whether it needs a C++ compiler.

    The distribution has the same name as its import.
    """

    label: str
    module: str
    cls: str
    distribution: str
    compiler: bool = False

    def missing(self) -> str | None:
        """Return what has to be installed; None if nothing has to."""
        if importlib.util.find_spec(self.distribution) is None:
            return f"{self.label}: {self.distribution} is not installed (pip install -e '.[peers]')"
        if self.compiler and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
            return f"{self.label}: no C++ compiler (install g++)"
        return None


OURS = Implementation("simsnn_ref", "simsnn_peer", "Peer", "simsnn_ref")
PEERS = {
    "torch": Implementation("PyTorch", "torch_peer", "Peer", "torch"),
    "torch_compile": Implementation("PyTorch, torch.compile", "torch_peer", "CompiledPeer", "torch", compiler=True),
    "jax": Implementation("JAX", "jax_peer", "Peer", "jax"),
}


class Worker:
    """A child process that runs one implementation."""

    def __init__(
        self,
        implementation: Implementation,
        problem: Path,
        options: dict,
        points: int | None = None,
        *,
        gpu: bool = False,
    ) -> None:
        self.label = implementation.label
        threads = str(len(os.sched_getaffinity(0)))
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        # Compiled code from an earlier run would hide what compiling costs.
        environment |= {
            "TORCHINDUCTOR_CACHE_DIR": str(problem.with_suffix("")),
            "JAX_PLATFORMS": "cuda" if gpu else "cpu",
        }
        # Else the first on the GPU would take most of its memory.
        environment |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        command = [sys.executable, WORKER, implementation.module, implementation.cls, problem]
        self.process = subprocess.Popen(
            [*command, json.dumps(options), *([] if points is None else [str(points)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            # A thread that spins while another process has its partner's core costs PyTorch whole seconds.
            env={"OMP_WAIT_POLICY": "passive"} | os.environ | environment,
        )
        self.ready = self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.label}: the process ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, command: str) -> dict:
        # A process that has ended has no answer either, and that is reported.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(command + "\n")
        return self._answer()

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def start(stack: contextlib.ExitStack, *arguments, gpu: bool) -> Worker:
    """Return a worker that ends with the stack."""
    worker = Worker(*arguments, gpu=gpu)
    stack.callback(worker.close)
    return worker


def make_problem(size: int, n_features: int, hidden: tuple[int, ...], p: float, *, frozen: bool) -> Problem:
    """Return Algorithm 1's network for a random field, with z_1 of RMS 1 and biases: nothing is small or zero."""
    grid, rng = Grid((size, size)), np.random.default_rng(1)
    target = field(grid)
    network, params = initialize(
        "si", target, grid, n_features=n_features, hidden=hidden, rng=rng, backend=NumpyBackend(), z1_rms=1.0
    )
    biases = {name: rng.normal(0.0, 0.1, value.shape) for name, value in params.items() if name.startswith("c")}
    return Problem(
        shape=grid.shape,
        points=grid.scaled_points(),
        target=target.ravel(),
        amplitudes=network.amplitudes,
        indices=network.indices,
        params=params | biases,
        frozen=("B",) if frozen else (),
        p=p,
    )


def chunk_candidates(n_points: int, n_features: int) -> list[int]:
    """Return numbers of points at a time, powers of two; a single one if the smallest holds all points."""
    chunks = (1 << max(0, (elements // n_features).bit_length() - 1) for elements in CHUNK_ELEMENTS)
    return sorted({min(chunk, n_points) for chunk in chunks})


def fastest_chunk(
    implementation: Implementation, problem: Problem, candidates: list[int], options: dict, folder: Path, *, gpu: bool
) -> tuple[int, dict[int, float]]:
    """Return the number of points at a time that is fastest, on as many points as the largest candidate has."""
    if len(candidates) == 1:
        return candidates[0], {}
    path = folder / "part.npz"
    problem.first(candidates[-1]).save(path)
    seconds = {}
    # A process for each: the memory of the larger ones must not count as the peak of the one chosen.
    for chunk in candidates:
        with contextlib.ExitStack() as stack:
            worker = start(stack, implementation, path, {"chunk": chunk} | options, gpu=gpu)
            worker.ask("step")
            seconds[chunk] = min(worker.ask("step")["seconds"] for _ in range(2))
        note(f"{implementation.label}: {chunk} points at a time, {seconds[chunk]:.3g} s for {candidates[-1]} points")
    return min(seconds, key=seconds.__getitem__), seconds


def deviations(file: Path, reference: Path) -> dict[str, float]:
    """Return the relative 2-norm of the difference for each tensor and the loss."""
    with np.load(file) as ours, np.load(reference) as theirs:
        if set(ours) != set(theirs):
            raise SystemExit(f"tensors differ: {sorted(set(ours) ^ set(theirs))}")
        return {
            name: float(np.linalg.norm(ours[name] - theirs[name]) / np.linalg.norm(theirs[name])) for name in theirs
        }


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="points per axis of a periodic grid (default: 512)")
    parser.add_argument("--features", type=int, default=10000, help="n_f (default: 10000)")
    parser.add_argument("--hidden", default="30,30,30", help="widths of the tanh layers (default: 30,30,30)")
    parser.add_argument("--p", type=float, default=10.0, help="of the L^p loss (default: 10)")
    parser.add_argument("--frozen", action="store_true", help="no gradient for the wavenumbers B: the fft map applies")
    parser.add_argument("--map", default="auto", choices=FEATURE_MAPS, help="feature map of simsnn_ref")
    parser.add_argument("--gpu", action="store_true", help="all of them on the GPU, simsnn_ref by the backend cupy")
    parser.add_argument("--backend", help="of simsnn_ref (default: numpy, with --gpu cupy)")
    parser.add_argument("--peers", default="torch,jax", help=f"of {','.join(PEERS)} (default: torch,jax)")
    parser.add_argument("--chunks", help="points at a time of the peers, to choose from (default: five by n_f)")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="cores that every process is held to (default: 2)")
    parser.add_argument(
        "--points-fraction",
        type=Fraction,
        default=Fraction(1),
        help="time the peers on this part of the points, as 1/8, and scale; simsnn_ref and the check take them all",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args(argv)
    arguments.hidden = tuple(int(width) for width in arguments.hidden.split(","))
    arguments.peers = arguments.peers.split(",")
    arguments.chunks = [int(chunk) for chunk in arguments.chunks.split(",")] if arguments.chunks else []
    arguments.backend = arguments.backend or ("cupy" if arguments.gpu else "numpy")
    unknown = [name for name in arguments.peers if name not in PEERS]
    if unknown:
        parser.error(f"--peers {','.join(unknown)}: choose of {','.join(PEERS)}")
    if arguments.repeats < 1:
        parser.error(f"--repeats {arguments.repeats}: at least 1")
    if arguments.map == "fft" and not arguments.frozen:
        parser.error("--map fft: has no gradient for B, add --frozen")
    part = arguments.points_fraction * arguments.size**2
    if part.denominator != 1 or not 0 < part <= arguments.size**2:
        parser.error(f"--points-fraction {arguments.points_fraction}: no whole part of {arguments.size}^2 points")
    return arguments


def hold_to_cores(threads: int) -> None:
    """Hold this process and its children to so many cores, a limit that NumPy, SciPy, PyTorch and XLA all keep to."""
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("the same cores for every implementation, and its memory, need Linux")
    cores = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(cores):
        raise SystemExit(f"--threads {threads}: this process may use 1 to {len(cores)} cores")
    os.sched_setaffinity(0, cores[:threads])


def measure(arguments: argparse.Namespace, folder: Path) -> dict:
    """Check, then measure; return everything that is measured, ready for JSON."""
    # A backend that does not load ends the script here, with its reason, and not one of the processes.
    load_backend(arguments.backend)
    problem = make_problem(arguments.size, arguments.features, arguments.hidden, arguments.p, frozen=arguments.frozen)
    path = folder / "problem.npz"
    problem.save(path)
    asked = sorted({min(chunk, len(problem.target)) for chunk in arguments.chunks})
    candidates = asked or chunk_candidates(len(problem.target), len(problem.amplitudes))
    implementations, tuning = {"simsnn_ref": OURS}, {}
    options = {"simsnn_ref": {"feature_map": arguments.map, "backend": arguments.backend}}
    for name in arguments.peers:
        missing = PEERS[name].missing()
        if missing:
            note(missing)
            continue
        device = {"device": "cuda"} if arguments.gpu and PEERS[name].distribution == "torch" else {}
        chunk, tuning[name] = fastest_chunk(PEERS[name], problem, candidates, device, folder, gpu=arguments.gpu)
        implementations[name], options[name] = PEERS[name], {"chunk": chunk} | device

    part = int(arguments.points_fraction * len(problem.target))
    results = {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, implementation in implementations.items():
            timed_part = None if name == "simsnn_ref" or part == len(problem.target) else part
            workers[name] = start(stack, implementation, path, options[name], timed_part, gpu=arguments.gpu)
            file = folder / f"{name}.npz"
            first = workers[name].ask(f"values {file}")
            note(f"{implementation.label}: {workers[name].ready['description']}, first step {first['seconds']:.3g} s")
            errors = deviations(file, folder / "simsnn_ref.npz")
            for tensor, error in errors.items():
                if not error <= TOLERANCE:
                    raise SystemExit(f"{implementation.label}: {tensor} differs by {error:.1e}, beyond {TOLERANCE:.0e}")
            results[name] = workers[name].ready | {
                "label": implementation.label,
                "version": version(implementation.distribution.replace("_", "-")),
                "deviations": errors,
                "part": 1.0 if timed_part is None else float(arguments.points_fraction),
                "chunks": tuning.get(name, {}),
                "seconds": [],
            }
        for turn in range(arguments.repeats):
            for name, worker in workers.items():
                answer = worker.ask("step")
                results[name]["seconds"].append(answer["seconds"] / results[name]["part"])
                results[name]["peak"] = answer["peak"]
            note(f"turn {turn + 1} of {arguments.repeats}")
    return results


def processor() -> str:
    """Return the name of the processor, from Linux."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


def gpu_name(arguments: argparse.Namespace) -> str:
    """Return the name of the GPU, from the backend, if the run was on one."""
    return f", {load_backend(arguments.backend).describe()['GPU']}" if arguments.gpu else ""


def spread(values: list[float], unit: str = "") -> str:
    """Return median and range as text."""
    return f"{statistics.median(values):.3g}{unit} ({min(values):.3g} - {max(values):.3g})"


def report(arguments: argparse.Namespace, results: dict) -> Iterator[str]:
    """Yield the lines of the table and its notes, in Markdown."""
    trained = "b, W and c (B frozen)" if arguments.frozen else "B, b, W and c"
    yield (
        f"One step (loss and gradient of {trained}) at {arguments.size}^2 points with {arguments.features} features, "
        f"hidden layers {', '.join(map(str, arguments.hidden))}, p = {arguments.p:g}, float64. "
        f"{arguments.threads} of {os.cpu_count()} cores of {processor()}{gpu_name(arguments)}; "
        f"medians of {arguments.repeats} turns each, of a second or a step, ranges in brackets."
    )
    yield ""
    yield (
        "| implementation | set up | seconds a step | times simsnn_ref | memory for it | times simsnn_ref "
        "| before the first step |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    ours = results["simsnn_ref"]
    for result in results.values():
        ratios = [theirs / mine for theirs, mine in zip(result["seconds"], ours["seconds"], strict=True)]
        memory, own = result["peak"] - result["imports"], ours["peak"] - ours["imports"]
        first = result is ours
        mark = "" if result["part"] == 1.0 else " *"
        yield (
            f"| {result['label']} {result['version']} | {result['description']} | {spread(result['seconds'])}{mark} "
            f"| {'1' if first else spread(ratios)} | {memory / 2**20:.0f} MiB of {result['peak'] / 2**20:.0f} "
            f"| {'1' if first else format(memory / own, '.2g')} | {result['prepare']:.2g} s |"
        )
    yield ""
    if any(result["part"] != 1.0 for result in results.values()):
        fraction = arguments.points_fraction
        yield f"\\* Measured on {fraction} of the points and multiplied by {1 / fraction}."
        yield ""
    if arguments.gpu:
        yield "- Memory is that of the host, without the GPU's."
    yield "- Memory: the peak of the resident set less what the imports take, of the peak itself; compiling counts."
    yield "- Before the first step: simsnn_ref builds its feature map, JAX and torch.compile compile."
    yield "- The peers sum dense cosines; simsnn_ref's maps fft and nufft take fast Fourier transforms."
    for result in list(results.values())[1:]:
        tensor = max(result["deviations"], key=result["deviations"].__getitem__)
        yield (
            f"- {result['label']}: the loss and {len(result['deviations']) - 1} gradients agree with simsnn_ref's to "
            f"{TOLERANCE:.0e}; the largest deviation is {result['deviations'][tensor]:.1e}, of {tensor}."
        )


def main() -> None:
    """Measure, print, and write the JSON file."""
    arguments = parse()
    hold_to_cores(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        try:
            results = measure(arguments, Path(folder))
        except SimsnnError as error:
            raise SystemExit(f"simsnn_ref: {error}") from None
    print("\n".join(report(arguments, results)))
    if arguments.json:
        facts = {"processor": processor(), "cores": os.cpu_count(), "git": git_commit()}
        chosen = {name: value for name, value in vars(arguments).items() if name != "json"}
        text = json.dumps({"arguments": chosen, "machine": facts, "results": results}, indent=1, default=str)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
