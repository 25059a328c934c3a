"""Cases written to a folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import ConfigError, OutputError
from simsnn_ref.io import write_file
from simsnn_ref.verify.numbers import import_mpmath
from simsnn_ref.verify.reference.cases import SETS, Case
from simsnn_ref.verify.reference.exact import (
    ADAM,
    DAMPING,
    DIGITS,
    LEARNING_RATE,
    TRAINING_STEPS,
    Exact,
    as_numbers,
    given,
    rounded,
)
from simsnn_ref.verify.reference.manifest import KIND, SCHEMA

__all__ = ["export"]

SAMPLES = 3
"""Ways to round; a tensor of one number may be insensitive to some by chance."""

ROUNDED_ONCE = 2.0**-53
"""Half an eps of float64."""


def export(folder: str | Path, which: str = "small", say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Write a set of cases to a folder, which is made; returns their names.

    Raises
    ------
    ConfigError
        If there is no such set, or mpmath is not installed.
    OutputError
        If something cannot be written.
    """
    if which not in SETS:
        raise ConfigError(f"set {which!r}: choose one of {', '.join(SETS)}")
    mpmath = import_mpmath()
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entries = []
        for case in SETS[which]:
            say(case.name)
            with mpmath.workdps(DIGITS):
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
    stored = given(case)
    described = {name: _entry("given", value.shape, 0.0, 0.0) for name, value in stored.items()}
    exact = Exact(case, as_numbers(stored)).parts()
    moved = [as_numbers(stored, seed) for seed in range(SAMPLES)]
    with import_mpmath().workprec(53):
        others = [Exact(case, numbers).parts() for numbers in moved]
    for role, tensors in exact.items():
        for name, value in tensors.items():
            stored[name] = rounded(value)
            sensitivity = max(_relative(other[role][name], value) for other in others)
            described[name] = _entry(role, stored[name].shape, ROUNDED_ONCE, sensitivity)
    meta = {
        "first_layer": case.first_layer,
        "size": case.size,
        "scale": case.scale,
        "paired": case.paired,
        "p": case.p,
        "hidden": list(case.hidden),
        "parameters": list(case.shapes),
        "frozen": list(case.frozen),
    }
    path = folder / f"{case.name}.safetensors"
    write_file(path, {"case": case.name, **meta}, stored, KIND)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": case.name, "file": path.name, "sha256": digest, **meta, "tensors": described}


def _entry(role: str, shape: tuple[int, ...], bound: float, sensitivity: float) -> dict[str, Any]:
    return {"role": role, "shape": list(shape), "bound": bound, "sensitivity": sensitivity}


def _relative(value: Any, reference: Any) -> float:
    """In the 2-norm, to two digits."""
    mpmath = import_mpmath()
    return float(mpmath.nstr(mpmath.sqrt(np.sum((value - reference) ** 2) / np.sum(reference**2)), 2))
