"""Where a result comes from: versions of this package, its source and the libraries under it, threads, BLAS, CPU."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy
import scipy

from simsnn_ref.backend import default_threads

__all__ = ["blas_and_simd", "blas_threads", "git_commit", "package_version", "provenance", "versions"]


def package_version() -> str:
    """Version of the installed distribution, or "unknown"."""
    try:
        return version("simsnn-ref")
    except PackageNotFoundError:
        return "unknown"


@cache
def git_commit() -> str | None:
    """Commit of the source tree this package runs from, with "-dirty" for local changes; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def versions() -> dict[str, str | None]:
    """Versions of the package and of what is under it, by name."""
    return {
        "simsnn_ref": package_version(),
        "git": git_commit(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
    }


def blas_threads() -> int | None:
    """The number of threads that the environment gives BLAS; None where it says nothing (most then take all cores)."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return None


def blas_and_simd() -> tuple[str | None, str | None]:
    """The BLAS that NumPy was built with, and the CPU's vector instructions that it has found; None where unknown."""
    config: Any = numpy.show_config(mode="dicts") or {}
    blas = config.get("Build Dependencies", {}).get("blas", {})
    simd = config.get("SIMD Extensions", {}).get("found")
    library = " ".join(str(blas[key]) for key in ("name", "version") if blas.get(key)) or None
    return library, " ".join(simd) if simd else None


def provenance() -> dict[str, str | None]:
    """`versions`, and all else that the last bits of a result may depend on."""
    library, simd = blas_and_simd()
    blas = blas_threads()
    return versions() | {
        "threads": str(default_threads()),
        "blas": library,
        "blas_threads": "not set" if blas is None else str(blas),
        "simd": simd,
    }
