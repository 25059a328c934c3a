"""Forecasts against what fits take, and the refusal of what cannot fit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref.errors import ConfigError
from simsnn_ref.model import FitConfig
from simsnn_ref.multistage import available_bytes, fit, forecast
from simsnn_ref.multistage import resources as resources_module
from simsnn_ref.spectrum import Grid

COMMAND = Path(sys.executable).parent / "simsnn"


def run(*argv):
    return subprocess.run([COMMAND, *map(str, argv)], capture_output=True, text=True, timeout=250, check=False)


@pytest.mark.parametrize(
    "options",
    [
        ["--mode", "paper", "--optimizer", "adam", "--steps", "3", "--n-features", "400"],
        pytest.param(
            ["--mode", "paper", "--optimizer", "gauss_newton", "--steps", "2", "--n-features", "400"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["--n-features", "20000"], marks=pytest.mark.slow),
    ],
    ids=["adam", "gauss-newton", "accurate"],
)
def test_memory_stays_below_the_forecast(options, tmp_path):
    problem = ["--example", "turbulence", "--size", "256", "--time", "0.02", "--stages", "1", *options]
    expected = json.loads(run("fit", *problem, "--dry-run", "--json").stdout)
    done = run("fit", *problem, "--no-figure", "--quiet", "--json", "-o", tmp_path / "m.safetensors")
    peak = json.loads(done.stdout)["peak_memory_bytes"]
    # An upper bound, and not one that says nothing.
    assert 0.3 * expected["peak_bytes"] < peak < 1.1 * expected["peak_bytes"]


def test_sizes_of_the_stages():
    config = FitConfig.of(mode="paper", n_features=(30, 50), stages=3, hidden=(8, 6), train_wavenumbers=False)
    expected = forecast(Grid((32, 32)), config)
    assert [(s.index, s.n_features) for s in expected.stages] == [(1, 30), (2, 50), (3, 50)]
    # b, W1 and c1, W2 and c2, W3 and c3.
    assert expected.stages[0].n_parameters == 30 + 30 * 8 + 8 + 8 * 6 + 6 + 6 + 1
    assert expected.points == 32 * 32
    assert forecast(Grid((32, 32)), FitConfig()).points == 64 * 64
    frozen = forecast(Grid((32, 32)), FitConfig.of(mode="paper", n_features=(30,), train_wavenumbers=False)).stages[0]
    trained = forecast(Grid((32, 32)), FitConfig.of(mode="paper", first_layer=("msnn",), n_features=(30,))).stages[0]
    assert trained.feature_map == "separable"
    assert forecast(Grid((128, 128)), FitConfig()).stages[0].feature_map == "fft"
    assert trained.n_parameters == frozen.n_parameters + 30 * 2


def test_time_and_memory_grow_with_the_grid():
    config = FitConfig.of(mode="paper", n_features=(500,), train_wavenumbers=False)
    small, large = (forecast(Grid((n, n)), config) for n in (256, 512))
    assert 3.9 < large.stages[0].seconds_per_step / small.stages[0].seconds_per_step < 4.7
    assert (
        3.0 < (large.peak_bytes - resources_module.BASE_BYTES) / (small.peak_bytes - resources_module.BASE_BYTES) < 4.5
    )


def test_what_cannot_fit_is_refused_at_once(monkeypatch, tmp_path):
    refused = run("fit", "--example", "abc3d", "--size", "600", "--dry-run")
    assert refused.returncode == 2
    assert refused.stderr.startswith("simsnn: error: 1728000000 training points need at least ")
    assert refused.stderr.count("\n") == 1
    assert run("fit", "--example", "turbulence", "--size", "16", "--dry-run").returncode == 0
    monkeypatch.setattr(resources_module, "available_bytes", lambda: 10**6)
    with pytest.raises(
        ConfigError, match=r"1024 training points need at least 0.\d GiB of memory, 0.0 GiB are available"
    ):
        fit(np.random.default_rng(0).standard_normal((16, 16)))
    monkeypatch.setattr(resources_module, "available_bytes", lambda: None)
    assert forecast(Grid((600, 600, 600)), FitConfig()).available_bytes is None


MEMINFO = "MemTotal:       32768000 kB\nMemFree:         1000000 kB\nMemAvailable:   12345678 kB\nBuffers: 5 kB\n"


@pytest.mark.parametrize(
    ("meminfo", "sysconf", "expected"),
    [
        (MEMINFO, {}, 12345678 * 1024),
        (None, {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}, 4096000),
        ("MemTotal: 32768000 kB\n", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}, 4096000),
        (None, {}, None),
    ],
    ids=["Linux", "another Unix", "an old Linux", "a system that does not tell"],
)
def test_available_memory(monkeypatch, meminfo, sysconf, expected):
    def read_text(path, encoding):
        assert path == Path("/proc/meminfo")
        if meminfo is None:
            raise FileNotFoundError(path)
        return meminfo

    def look_up(name):
        if name not in sysconf:
            raise ValueError("unrecognized configuration name")
        return sysconf[name]

    monkeypatch.setattr(resources_module.Path, "read_text", read_text)
    monkeypatch.setattr(resources_module.os, "sysconf", look_up, raising=False)
    assert available_bytes() == expected


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process by itself")
def test_peak_memory_is_not_that_of_the_parent():
    ask = "from simsnn_ref.report.json_report import peak_memory_bytes; print(peak_memory_bytes())"
    parent = (
        "import subprocess, sys, numpy as np; held = np.ones(2**26);"
        f"subprocess.run([sys.executable, '-c', {ask!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 2**20 < int(done.stdout) < 2**28
