"""Cases written to a folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError, OutputError
from simsnn_ref.io import write_file
from simsnn_ref.network import is_extended
from simsnn_ref.verify.reference.cases import SETS, Case
from simsnn_ref.verify.reference.exact import ADAM, DAMPING, LEARNING_RATE, TRAINING_STEPS, Exact
from simsnn_ref.verify.reference.manifest import KIND, SCHEMA

__all__ = ["export"]

SAMPLES = 3
"""Ways to round the given numbers; a tensor of one number may be insensitive to some by chance."""

ROUNDED_ONCE = 1.2e-16
"""Half an ulp of float64, and the long double that was rounded."""

LEAST_SQUARES = 1e-14
"""Of gauss_newton: the rounding of J in long double, 1e-19, times the condition of J^T J + mu, up to P / `DAMPING`."""


def export(folder: str | Path, which: str = "small", say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Write a set of cases to a folder, which is made; returns their names.

    Raises
    ------
    ConfigError
        If there is no such set, or long double is no wider than float64.
    OutputError
        If something cannot be written.
    """
    if which not in SETS:
        raise ConfigError(f"set {which!r}: choose one of {', '.join(SETS)}")
    if not is_extended():
        raise ConfigError(
            "reference cases need a long double wider than float64 to be computed; they can be checked here"
        )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entries = []
        for case in SETS[which]:
            say(case.name)
            entries.append(_write(folder, case))
        manifest = {
            "schema": SCHEMA,
            "adam": {"learning_rate": LEARNING_RATE, "beta1": ADAM.beta1, "beta2": ADAM.beta2, "epsilon": ADAM.epsilon},
            "gauss_newton": {"damping": DAMPING},
            "training_steps": TRAINING_STEPS,
            "cases": entries,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return [case.name for case in SETS[which]]


def _write(folder: Path, case: Case) -> dict[str, Any]:
    """A case's file, and its entry in the manifest."""
    exact = Exact(case)
    parts = {
        "given": {**exact.given, **exact.params},
        "forward": exact.forward(),
        "backward": exact.backward(),
        "update": exact.updates(),
    }
    others = [Exact(case, 0.5, seed).found() for seed in range(SAMPLES)]
    others.append(Exact(case, backend=NumpyBackend()).found())
    tensors = {name: np.asarray(value, dtype=np.float64) for part in parts.values() for name, value in part.items()}
    path = folder / f"{case.name}.safetensors"
    write_file(path, {"case": case.name, **exact.meta}, tensors, KIND)
    described = {
        name: {
            "role": role,
            "shape": list(np.shape(value)),
            "bound": 0.0 if role == "given" else _bound(name),
            "sensitivity": 0.0 if role == "given" else max(_relative(other[name], value) for other in others),
        }
        for role, part in parts.items()
        for name, value in part.items()
    }
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": case.name, "file": path.name, "sha256": digest, **exact.meta, "tensors": described}


def _bound(name: str) -> float:
    return LEAST_SQUARES if name.startswith("gauss_newton.") else ROUNDED_ONCE


def _relative(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.sum((value - reference) ** 2) / np.sum(reference**2)))
