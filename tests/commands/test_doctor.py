"""`simsnn doctor`: everything named, and a broken plug-in with its reason, exit status 0 whatever is broken."""

import json

import numpy as np
import pytest

from simsnn_ref.commands import doctor
from simsnn_ref.commands.main import main

MODULES = {
    "plug_works": (
        "from simsnn_ref.backend import NumpyBackend\n"
        "class Works(NumpyBackend):\n"
        "    def describe(self):\n"
        "        return {'GPU': 'a big one', 'memory': '3 GiB'}\n"
        "class Silent(NumpyBackend):\n"
        "    pass\n"
        "class Confused(NumpyBackend):\n"
        "    def describe(self):\n"
        "        raise OSError('driver\\ngone')\n"
    ),
    "plug_breaks": "raise ImportError('libplug.so.7: cannot open\\nshared object file')\n",
}
ENTRY_POINTS = """[simsnn_ref.backends]
works = plug_works:Works
silent = plug_works:Silent
confused = plug_works:Confused
breaks = plug_breaks:Breaks
[simsnn_ref.feature_maps]
breaks = plug_breaks:Breaks
"""


@pytest.fixture
def plugins(installed_plugs):
    return installed_plugs(MODULES, ENTRY_POINTS, "1.5")


def output(capsys):
    assert main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_what_is_told(capsys):
    found = output(capsys)
    assert found["versions"]["numpy"] == np.__version__
    assert found["long_double"]["eps"] == float(np.finfo(np.longdouble).eps)
    assert found["long_double"]["bits"] == 1 - round(np.log2(float(np.finfo(np.longdouble).eps)))
    assert found["backends"]["numpy"] == {"from": "embedded", "loads": True, "describes": {}}
    assert found["threads"]["host"] >= 1
    assert set(found["extras"]) == {"matplotlib", "tqdm", "mpmath"}
    assert set(found["blas"]) == {"library", "simd"}


def test_backends_that_load_and_that_do_not(plugins, capsys):
    found = output(capsys)
    backends = found["backends"]
    assert backends["works"] == {
        "from": "plugs 1.5",
        "loads": True,
        "describes": {"GPU": "a big one", "memory": "3 GiB"},
    }
    assert backends["silent"]["loads"]
    assert not backends["confused"]["loads"]
    assert backends["confused"]["reason"] == "OSError: driver gone"
    assert backends["breaks"]["reason"] == (
        "backend 'breaks' is installed but does not load: libplug.so.7: cannot open shared object file"
    )
    assert found["feature_maps"]["breaks"]["reason"] == "ImportError: libplug.so.7: cannot open shared object file"
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "loads (plugs 1.5); GPU a big one; memory 3 GiB" in out
    assert "does not load (plugs 1.5): OSError: driver gone" in out
    table, legend = out.split("\n\n")
    assert len({line.split("  ")[0] for line in table.splitlines()}) == len(table.splitlines())
    assert [line.split("  ")[0] for line in legend.splitlines()] == ["what", "found"]


def test_extras_that_are_missing_are_named(monkeypatch, capsys):
    monkeypatch.setitem(doctor.EXTRAS, "no-such-distribution", "nothing: pip install nothing")
    assert output(capsys)["extras"]["no-such-distribution"] is None
    assert main(["doctor"]) == 0
    assert "not installed (nothing: pip install nothing)" in capsys.readouterr().out


def test_threads_that_make_no_sense(monkeypatch, capsys):
    monkeypatch.setenv("SIMSNN_NUM_THREADS", "many")
    found = output(capsys)
    assert "needs a whole number above 0" in found["threads"]["host"]
    assert "needs a whole number above 0" in found["backends"]["numpy"]["reason"]


def test_a_numpy_that_tells_nothing(monkeypatch, capsys):
    monkeypatch.setattr(doctor.np, "show_config", lambda mode: {})
    assert output(capsys)["blas"] == {"library": None, "simd": None}
    assert main(["doctor"]) == 0
    assert "unknown" in capsys.readouterr().out
