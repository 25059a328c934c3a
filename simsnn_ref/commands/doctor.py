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
from simsnn_ref.report import text_table

__all__ = ["add"]

EXTRAS = {
    "matplotlib": "figures: pip install 'simsnn-ref[plot]'",
    "tqdm": "progress bars: pip install 'simsnn-ref[progress]'",
    "mpmath": "more than 18 digits: pip install mpmath",
}
"""Distributions that are imported where they are used, and what for."""


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    command(commands, "doctor", _run_doctor, "what is installed and what loads, for a bug report")


def _run_doctor(arguments: argparse.Namespace) -> None:
    told: dict[str, Any] = {
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
        print(json.dumps(told))
        return
    print(text_table(["what", "found"], _rows(told)))


def _rows(told: dict[str, Any]) -> list[list[str]]:
    rows = [[name, str(value)] for name, value in told["versions"].items()]
    rows += [[name, _words(value)] for name, value in told["machine"].items()]
    blas = told["threads"]["blas"]
    rows.append(["threads", f"{told['threads']['host']} here, BLAS {'as it likes' if blas is None else blas}"])
    wide = told["long_double"]
    rows.append(["long double", f"{wide['bits']} bits, eps {wide['eps']:.2g}; residues to {wide['residue_eps']:.2g}"])
    rows.append(["BLAS", _words(told["blas"]["library"])])
    rows.append(["SIMD", _words(told["blas"]["simd"])])
    rows += [[name, found or f"not installed ({EXTRAS[name]})"] for name, found in told["extras"].items()]
    for kind in ("backend", "feature map"):
        for name, found in told[f"{kind.replace(' ', '_')}s"].items():
            if found["loads"]:
                about = [f"{key} {value}" for key, value in found["describes"].items()]
                rows.append([f"{kind} {name}", "; ".join([f"loads ({found['from']})", *about])])
            else:
                rows.append([f"{kind} {name}", f"does not load ({found['from']}): {found['reason']}"])
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
    return _tried(lambda: _described(load_backend(name)), _origin(points[0]) if points else "embedded")


def _described(backend: Any) -> dict[str, str]:
    """What a backend tells of itself: a mapping of str to str, by a method that it need not have."""
    describe: Any = getattr(backend, "describe", dict)
    return {str(key): str(value) for key, value in describe().items()}


def _feature_map(point: EntryPoint) -> dict[str, Any]:
    def load() -> dict[str, str]:
        point.load()
        return {}

    return _tried(load, _origin(point))


def _origin(point: EntryPoint) -> str:
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _tried(describes: Callable[[], dict[str, str]], origin: str) -> dict[str, Any]:
    try:
        return {"from": origin, "loads": True, "describes": describes()}
    except SimsnnError as error:
        reason = str(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    return {"from": origin, "loads": False, "reason": " ".join(reason.split())}
