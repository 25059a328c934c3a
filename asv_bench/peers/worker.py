"""One implementation in a process of its own: `compare.py` starts it and asks for steps, a line for each.

    python worker.py MODULE CLASS PROBLEM.npz OPTIONS [POINTS]

The class takes the problem and the options, a JSON object; its `step()` returns the loss and a dict of gradients, all
finished, and its `description` says how it was set up. With POINTS, timed steps run on that many points only. On stdin:

    values FILE   a step on all points, its loss and gradients written to FILE
    step          steps for `LEAST_SECONDS`, one at least, and their mean

Each is answered on stdout with a JSON object; end of file ends the process.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from problem import Problem

LEAST_SECONDS = 1.0
"""Least time of a turn: training takes one step after the other, and a single step after others' turns is slower."""


def peak_memory() -> int:
    """Return the peak of the resident set in bytes, without the parent's memory at the fork, which getrusage counts."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise SystemExit("/proc/self/status has no VmHWM")


def main(module: str, name: str, path: str, options: str, points: str = "") -> None:
    # Libraries print to stdout as they please: only this file's answers may reach the parent.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer_class = getattr(importlib.import_module(module), name)
    imports = peak_memory()
    problem, kwargs = Problem.load(Path(path)), json.loads(options)
    start = time.perf_counter()
    peer = timed = peer_class(problem, **kwargs)
    seconds = time.perf_counter() - start
    if points:
        timed = peer_class(problem.first(int(points)), **kwargs)
        timed.step()
    print(json.dumps({"description": peer.description, "prepare": seconds, "imports": imports}), file=answers)
    for line in sys.stdin:
        command, *arguments = line.split(maxsplit=1)
        is_timed = command == "step"
        start, steps, seconds = time.perf_counter(), 0, 0.0
        while steps == 0 or (is_timed and seconds < LEAST_SECONDS):
            loss, grads = (timed if is_timed else peer).step()
            steps, seconds = steps + 1, time.perf_counter() - start
        if not is_timed:
            np.savez(arguments[0].strip(), loss=float(loss), **{key: peer.to_host(grad) for key, grad in grads.items()})
        print(json.dumps({"seconds": seconds / steps, "peak": peak_memory()}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
