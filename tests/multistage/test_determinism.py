"""The same seed, the same bits: whatever the number of threads, with every feature map and optimiser."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import StrictBackend

from simsnn_ref import ConfigError, fit, load_model
from simsnn_ref.commands.main import main

PROGRAM = """
import hashlib
import numpy as np
from simsnn_ref import Box, Scatter, fit

x = np.arange(96) / 96 * 2 * np.pi
u = np.exp(np.sin(x))[:, None] * np.cos(x + 0.3) + 0.1 * np.cos(5 * x)
points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
values = np.sin(3 * points[:, 0]) * points[:, 1]
small = {"steps": (3,), "hidden": (6, 5)}
fits = {}
for kind in ("fft", "separable", "dense"):
    for optimizer in ("adam", "gauss_newton", "lbfgs"):
        options = {"mode": "paper", "optimizer": optimizer, "feature_map": kind, "n_features": (20,)}
        options["train_wavenumbers"] = kind != "fft"
        fits[kind, optimizer] = fit(u, stages=1, **options, **small)
fits["levenberg_marquardt"] = fit(u[::6, ::6], mode="paper", optimizer="levenberg_marquardt", **small)
fits["accurate"] = fit(u, stages=2, tail_tolerance=1e-3, delta=1e-2, **small)
fits["scattered"] = fit(values, Scatter(points), stages=1, optimizer="adam", delta=1e-2, **small)
for name, model in fits.items():
    whole = hashlib.sha256(repr([(r.rms_on_grid, r.rms_off_grid) for r in model.history.stages]).encode())
    for stage in model.stages:
        for value in stage.params.values():
            whole.update(np.ascontiguousarray(value).tobytes())
    print(name, whole.hexdigest())
"""


def hashes(threads):
    environment = os.environ | {"SIMSNN_NUM_THREADS": str(threads), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def test_bits_do_not_depend_on_the_threads():
    assert hashes(1) == hashes(3)


def field():
    x = np.arange(12) / 12 * 2 * np.pi
    return np.sin(x)[:, None] * np.cos(x)


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({}, {}, "set OMP_NUM_THREADS=1 before Python starts"),
        ({"OMP_NUM_THREADS": "2"}, {}, "set OMP_NUM_THREADS=1 before Python starts"),
        ({"OMP_NUM_THREADS": "1"}, {"max_seconds": 1.0}, "max_seconds ends a stage by the clock"),
    ],
)
def test_deterministic_refuses_what_it_cannot_promise(environment, options, message, monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        fit(field(), deterministic=True, stages=1, **options)


def test_deterministic_wants_numpy(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(ConfigError, match="does not promise it; use numpy"):
        fit(field(), deterministic=True, backend=StrictBackend())


def test_a_result_says_where_it_came_from(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("SIMSNN_NUM_THREADS", "2")
    fit(field(), deterministic=True, stages=1, seed=5).save(tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors")
    provenance = model.provenance
    assert {
        "simsnn_ref",
        "git",
        "python",
        "numpy",
        "scipy",
        "platform",
        "threads",
        "blas",
        "blas_threads",
        "simd",
    } == set(provenance)
    assert (provenance["threads"], provenance["blas_threads"], provenance["numpy"]) == ("2", "1", np.__version__)
    assert main(["info", str(tmp_path / "m.safetensors"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["versions"] == provenance
    assert (shown["config"]["seed"], shown["config"]["deterministic"]) == (5, True)
