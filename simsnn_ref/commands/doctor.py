"""``simsnn doctor``: what is installed, what loads and what does not, for a bug report."""

import argparse
import json
import os
import platform
from collections.abc import Callable
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any

import numpy as np

from simsnn_ref.backend import ENTRY_POINT_GROUP, available_backends, default_threads, load_backend
from simsnn_ref.commands.base import command
from simsnn_ref.errors import BackendError, SimsnnError
from simsnn_ref.io import blas_and_simd, blas_threads, versions
from simsnn_ref.multistage import available_bytes
from simsnn_ref.network import ENTRY_POINT_GROUP as MAP_GROUP
from simsnn_ref.network import extended_eps, is_extended
from simsnn_ref.report import table_with_legend, threads_words

__all__ = ["add"]

EXTRAS = {
    "matplotlib": "figures: pip install 'simsnn-ref[plot]'",
    "tqdm": "progress bars: pip install 'simsnn-ref[progress]'",
    "mpmath": "more than 18 digits: pip install mpmath",
}
"""Distributions that are needed for some features only, and how to install them."""


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    command(commands, "doctor", _run_doctor, "list what is installed and what loads, for a bug report")


def _run_doctor(arguments: argparse.Namespace) -> None:
    found: dict[str, Any] = {
        "versions": versions(),
        "machine": _machine(),
        "threads": _threads(),
        "long_double": _long_double(),
        "blas": _blas(),
        "extras": {name: _version(name) for name in EXTRAS},
        "backends": {name: _backend(name) for name in dict.fromkeys(available_backends())},
        "feature_maps": {point.name: _feature_map(point) for point in entry_points(group=MAP_GROUP)},
    }
    if arguments.json:
        print(json.dumps(found))
        return
    print(table_with_legend(COLUMNS, _rows(found)))


COLUMNS = {
    "what": "software, machine, or a plug-in of this package",
    "found": "version, name or number; of a plug-in, whether it loads and where it comes from",
}


def _rows(found: dict[str, Any]) -> list[list[str]]:
    rows = [[name, _words(value)] for name, value in (found["versions"] | found["machine"]).items()]
    rows.append(["threads", threads_words(found["threads"])])
    wide = found["long_double"]
    precision = f"{wide['bits']} bits, eps {wide['eps']:.2g}; eps of residues {wide['residue_eps']:.2g}"
    rows.append(["long double", precision])
    rows.append(["BLAS", _words(found["blas"]["library"])])
    rows.append(["SIMD", _words(found["blas"]["simd"])])
    rows += [[name, version or f"not installed ({EXTRAS[name]})"] for name, version in found["extras"].items()]
    for kind in ("backend", "feature map"):
        for name, plugin in found[f"{kind.replace(' ', '_')}s"].items():
            if plugin["loads"]:
                about = [f"{key} {value}" for key, value in plugin["describes"].items()]
                rows.append([f"{kind} {name}", "; ".join([f"loads ({plugin['from']})", *about])])
            else:
                rows.append([f"{kind} {name}", f"does not load ({plugin['from']}): {plugin['reason']}"])
    return rows


def _words(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _machine() -> dict[str, Any]:
    available = available_bytes()
    return {
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "memory available": None if available is None else f"{available / 2**30:.1f} GiB",
    }


def _threads() -> dict[str, Any]:
    try:
        host: Any = default_threads()
    except BackendError as error:
        host = str(error)
    return {"host": host, "blas": blas_threads()}


def _long_double() -> dict[str, Any]:
    found = np.finfo(np.longdouble)
    return {
        "bits": int(found.nmant) + 1,
        "eps": float(found.eps),
        "is_extended": is_extended(),
        "residue_eps": extended_eps(),
    }


def _blas() -> dict[str, Any]:
    library, simd = blas_and_simd()
    return {"library": library, "simd": simd}


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _backend(name: str) -> dict[str, Any]:
    points = list(entry_points(group=ENTRY_POINT_GROUP, name=name))
    return _attempt(lambda: _described(load_backend(name)), _origin(points[0]) if points else "embedded")


def _described(backend: Any) -> dict[str, str]:
    """Facts that a backend gives about itself by `describe`, a method that it need not have, as str to str."""
    describe: Any = getattr(backend, "describe", dict)
    return {str(key): str(value) for key, value in describe().items()}


def _feature_map(point: EntryPoint) -> dict[str, Any]:
    def load() -> dict[str, str]:
        point.load()
        return {}

    return _attempt(load, _origin(point))


def _origin(point: EntryPoint) -> str:
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _attempt(describes: Callable[[], dict[str, str]], origin: str) -> dict[str, Any]:
    try:
        return {"from": origin, "loads": True, "describes": describes()}
    except SimsnnError as error:
        reason = str(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    return {"from": origin, "loads": False, "reason": " ".join(reason.split())}
