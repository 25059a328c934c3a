"""The object that ``simsnn fit --json`` prints, and what of this process is in it."""

import sys
from pathlib import Path
from typing import Any

from simsnn_ref.backend import default_threads
from simsnn_ref.io import blas_threads
from simsnn_ref.model import Model
from simsnn_ref.spectrum import Grid, Scatter

__all__ = ["describe_grid", "fit_report", "peak_memory_bytes", "threads_words"]


def describe_grid(grid: Grid | Scatter) -> dict[str, Any]:
    """Shape (of scattered points, their number), box and periodicity, ready for JSON."""
    return {
        "shape": list(grid.shape),
        "lower": list(grid.lower),
        "upper": list(grid.upper),
        "periodic": list(grid.periodic),
    }


def fit_report(model: Model, problem: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The object `simsnn fit --json` prints; errors are relative to the RMS of the field."""
    history = model.history
    return {
        "problem": {**problem, **describe_grid(model.grid), "rms": history.rms, "max": history.max},
        "config": model.config.to_dict(),
        "versions": model.provenance,
        "backend": model.backend.name,
        "device": str(model.backend.device),
        "threads": {"host": default_threads(), "blas": blas_threads()},
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(),
        "off_grid": history.off_grid,
        "resolved_level": history.noise_floor,
        "noise": history.noise,
        "expected_off_grid": history.error_between(history.stages[-1]) if history.stages else None,
        "certified": history.certified,
        "notes": list(history.notes),
        "stages": [record.summary() for record in history.stages],
    }


def threads_words(threads: dict[str, Any]) -> str:
    """How many threads this package (``host``) and the BLAS library (``blas``) use."""
    return f"{threads['host']}, BLAS {'as many as it chooses' if threads['blas'] is None else threads['blas']}"


def peak_memory_bytes() -> int | None:
    """Largest resident set of this process so far; None on a system that does not record it."""
    try:
        # Linux: getrusage would also count what the process that started this one had.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
