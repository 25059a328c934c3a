"""Plug-ins as a user installs them: in an environment of their own."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import simsnn_ref

SOURCE = Path(simsnn_ref.__file__).parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SOURCE / "backends").is_dir(), reason="simsnn_ref does not run from its source tree"),
]


class Environment:
    """A new virtual environment that has NumPy and SciPy of this one, and a copy of the source tree."""

    def __init__(self, folder):
        self.bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self.source = folder / "source"
        for part in ("simsnn_ref", "backends/torch"):
            ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
            shutil.copytree(SOURCE / part, self.source / part, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(SOURCE / name, self.source)
        shared = folder / "shared"
        shared.mkdir()
        site = Path(find_spec("numpy").origin).parent.parent
        for name in ("numpy", "numpy.libs", "scipy", "scipy.libs"):
            if (site / name).exists():
                (shared / name).symlink_to(site / name)
        self.variables = {**os.environ, "PYTHONPATH": str(shared)}
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)

    def run(self, name, *arguments, status=0):
        done = subprocess.run(
            [self.bin / name, *arguments],
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.source,
        )
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    def backends(self):
        return json.loads(self.run("simsnn", "info", "--json"))["backends"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("packaging"))
    # Without PyTorch itself, which is large: this is a plug-in that is installed and does not load.
    made.run("pip", "install", "-q", "--no-deps", "-e", ".", "-e", "backends/torch")
    return made


def test_a_plugin_appears_and_vanishes(environment):
    assert environment.backends() == ["numpy", "torch"]
    output = json.loads(environment.run("simsnn", "doctor", "--json"))["backends"]["torch"]
    assert output["from"] == "simsnn-ref-torch 0.1.0"
    assert output["loads"] is False
    assert "No module named" in output["reason"]
    refused = environment.run("simsnn", "verify", "--backend", "torch", status=2)
    assert refused.startswith("simsnn: error: backend 'torch' is installed but does not load: No module named")
    assert refused.count("\n") == 1
    environment.run("simsnn", "fit", "--example", "ug", "--size", "16", "--stages", "1", "--quiet", "--no-figure")
    environment.run("pip", "uninstall", "-q", "-y", "simsnn-ref-torch")
    assert environment.backends() == ["numpy"]
    refused = environment.run("simsnn", "verify", "--backend", "torch", status=2)
    assert "backend 'torch' is not installed; available: numpy" in refused
    assert "pip install simsnn-ref-torch" in refused
