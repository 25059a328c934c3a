"""Where a result came from: versions of this package, its source and the libraries under it."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy
import scipy

__all__ = ["git_commit", "package_version", "versions"]


def package_version() -> str:
    """Version of the installed distribution, or "unknown"."""
    try:
        return version("simsnn-ref")
    except PackageNotFoundError:
        return "unknown"


@cache
def git_commit() -> str | None:
    """Commit of the source tree this package runs from, with "-dirty" for local changes; None outside one."""
    root = Path(__file__).resolve().parent.parent
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
    """Versions by name, ready for JSON."""
    return {
        "simsnn_ref": package_version(),
        "git": git_commit(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
    }
