"""The protocols, and plug-ins found by entry point: only the one that is asked for is loaded, failures have reasons."""

import doctest
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import EPS, StrictBackend

from simsnn_ref import FitConfig, fit
from simsnn_ref.backend import (
    SERIAL,
    Backend,
    NumpyBackend,
    Processes,
    Shard,
    WholeShard,
    available_backends,
    block_scale,
    double_double,
    load_backend,
    loading,
    missing_members,
    norms,
)
from simsnn_ref.backend.loading import ENTRY_POINT_GROUP, PLUGINS
from simsnn_ref.commands.main import main
from simsnn_ref.errors import BackendError, SimsnnError

MODULES = {
    "plug_good": "from simsnn_ref.backend import NumpyBackend\nclass Good(NumpyBackend):\n    pass\n",
    "plug_broken": "raise ImportError('libplug.so.7: cannot open\\nshared object file')\n",
    "plug_no_device": "class NoDevice:\n    def __init__(self):\n        raise RuntimeError('no device found')\n",
    "plug_partial": (
        "from simsnn_ref.backend import NumpyBackend\n"
        "class Partial:\n"
        "    name = 'partial'\n"
        "    device = None\n"
        "class Alone(NumpyBackend):\n"
        "    def __init__(self):\n"
        "        super().__init__(processes=Partial())\n"
    ),
    "plug_device": (
        "from simsnn_ref.backend import NumpyBackend\n"
        "from simsnn_ref.errors import BackendError\n"
        "class Device(NumpyBackend):\n"
        "    def __init__(self, device='first'):\n"
        "        super().__init__()\n"
        "        if device not in ('first', 'gpu:1'):\n"
        "            raise BackendError(f'no device {device!r}')\n"
        "        object.__setattr__(self, 'device', device)\n"
        "class Fixed(NumpyBackend):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
    ),
}
ENTRY_POINTS = """[simsnn_ref.backends]
good = plug_good:Good
broken = plug_broken:Broken
nodevice = plug_no_device:NoDevice
partial = plug_partial:Partial
alone = plug_partial:Alone
misnamed = plug_good:Bad
device = plug_device:Device
fixed = plug_device:Fixed
"""


def test_threads_by_variable(monkeypatch):
    monkeypatch.setenv("SIMSNN_NUM_THREADS", "3")
    assert NumpyBackend().workers == 3
    assert NumpyBackend(workers=1).workers == 1
    monkeypatch.delenv("SIMSNN_NUM_THREADS")
    assert NumpyBackend().workers >= 1
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("SIMSNN_NUM_THREADS", wrong)
        with pytest.raises(BackendError, match=f"SIMSNN_NUM_THREADS = '{wrong}': needs a whole number above 0"):
            NumpyBackend()


@pytest.mark.parametrize("workers", [1, 3])
def test_map_keeps_the_order_and_passes_errors_on(workers):
    backend = NumpyBackend(workers=workers)
    assert backend.map(lambda i: i * i, range(50)) == [i * i for i in range(50)]
    assert backend.map(str, []) == []
    with pytest.raises(ZeroDivisionError):
        backend.map(lambda i: 1 // i, range(3))


@pytest.fixture
def plugins(installed_plugs):
    return installed_plugs(MODULES, ENTRY_POINTS, "1.0")


def loaded():
    return {name for name in MODULES if name in sys.modules}


def test_backend_satisfies_the_protocol(backend):
    assert isinstance(backend, Backend)
    assert isinstance(backend.name, str)
    backend.synchronize()


@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.int64])
def test_round_trip_keeps_dtype_shape_and_values(backend, dtype):
    host = np.arange(6).reshape(2, 3).astype(dtype)
    array = backend.asarray(host)
    assert array.device == backend.device
    back = backend.to_numpy(array)
    assert back.dtype == dtype
    assert np.array_equal(back, host)


def test_the_strict_fixture_refuses_a_hidden_transfer():
    array = StrictBackend().asarray(np.ones(3))
    with pytest.raises(RuntimeError, match="device1"):
        np.asarray(array)
    with pytest.raises(TypeError):
        array * np.ones(3)


@pytest.mark.parametrize("shape", [(7,), (8,), (4, 5), (5, 6), (3, 4, 5), (2, 3, 4)])
def test_transforms_agree_with_their_definition(backend, shape):
    rng = np.random.default_rng(0)
    fields = rng.standard_normal((2, *shape))
    axes = tuple(range(1, len(shape) + 1))
    phase = np.zeros((*shape, *shape))
    for axis, n in enumerate(shape):
        outer = np.outer(np.arange(n), np.arange(n)) % n / n
        place = [1] * (2 * len(shape))
        place[axis], place[len(shape) + axis] = n, n
        phase = phase + outer.reshape(place)
    kernel = np.exp(-2j * np.pi * phase)[..., : shape[-1] // 2 + 1, *[slice(None)] * len(shape)]
    exact = np.tensordot(fields, kernel, axes=(axes, [len(shape) + i for i in range(len(shape))]))
    spectrum = backend.rfftn(backend.asarray(fields), axes)
    # A few eps of the largest coefficient, from the transform (log2 of at most 60 points) and from the sum itself.
    assert np.max(np.abs(backend.to_numpy(spectrum) - exact)) <= 16 * EPS * np.max(np.abs(exact))
    back = backend.to_numpy(backend.irfftn(spectrum, shape, axes)) / np.prod(shape)
    assert np.max(np.abs(back - fields)) <= 8 * EPS * np.max(np.abs(fields))


def test_threads_do_not_change_the_result():
    field = np.random.default_rng(1).standard_normal((4, 64, 64))
    one, two = NumpyBackend(workers=1), NumpyBackend(workers=2)
    spectrum = one.rfftn(field, (1, 2))
    assert np.array_equal(spectrum, two.rfftn(field, (1, 2)))
    assert np.array_equal(one.irfftn(spectrum, (64, 64), (1, 2)), two.irfftn(spectrum, (64, 64), (1, 2)))


def test_numpy_is_embedded_and_the_default():
    assert isinstance(load_backend(), NumpyBackend)
    assert load_backend("numpy").xp is np
    assert available_backends()[0] == "numpy"


def test_plugins_are_listed_without_being_imported(plugins):
    assert set(available_backends()) >= {"numpy", "good", "broken", "nodevice", "partial", "misnamed"}
    assert loaded() == set()


def test_only_the_plugin_that_is_asked_for_is_imported(plugins):
    assert type(load_backend("good")).__name__ == "Good"
    assert loaded() == {"plug_good"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "libplug.so.7: cannot open shared object file"),
        ("nodevice", "no device found"),
        ("misnamed", "has no attribute 'Bad'"),
    ],
)
def test_a_plugin_that_fails_names_its_reason_in_one_line(plugins, name, reason):
    with pytest.raises(BackendError) as caught:
        load_backend(name)
    message = str(caught.value)
    assert message.startswith(f"backend {name!r} is installed but does not load: ")
    assert reason in message
    assert "\n" not in message
    assert caught.value.__cause__ is not None


def test_a_plugin_that_lacks_a_member_is_refused(plugins):
    lacking = "asarray, block_scale, irfftn, map, processes, real_dtype, rfftn, synchronize, to_numpy, xp"
    with pytest.raises(BackendError, match=f"^backend 'partial' lacks {lacking}: see simsnn_ref.backend.Backend$"):
        load_backend("partial")
    lacking = "at_root, distributed, guard, is_root, max, require_same, shard, size, size_here"
    message = f"^backend 'alone': processes lacks {lacking}: see simsnn_ref.backend.Processes$"
    with pytest.raises(BackendError, match=message):
        load_backend("alone")


def test_one_process_has_all_members():
    assert missing_members(NumpyBackend(), Backend) == []
    assert missing_members(SERIAL, Processes) == []
    assert missing_members(WholeShard(1), Shard) == []


@pytest.mark.parametrize("module", [block_scale, double_double, loading, norms], ids=lambda module: module.__name__)
def test_examples_of_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("name", "device"),
    [("numpy", "cpu"), ("numpy:cpu", "cpu"), ("device", "first"), ("device:first", "first"), ("device:gpu:1", "gpu:1")],
)
def test_a_device_follows_the_first_colon(plugins, name, device):
    assert load_backend(name).device == device


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("numpy:cuda:0", "backend 'numpy': there is no device 'cuda:0', only 'cpu'"),
        ("numpy:", "backend 'numpy:': a device is missing after the colon"),
        ("device:gpu:2", "no device 'gpu:2'"),
        ("fixed:gpu", "backend 'fixed:gpu': 'fixed' has no choice of devices; leave it out"),
        ("broken:gpu", "backend 'broken' is installed but does not load: libplug.so.7: cannot open shared object file"),
        ("goood:gpu", "backend 'goood' is not known"),
    ],
)
def test_an_unknown_device_is_one_clear_line(plugins, capsys, name, message):
    with pytest.raises(BackendError) as caught:
        load_backend(name)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert main(["verify", "--backend", name]) == 2
    assert capsys.readouterr().err == f"simsnn: error: {caught.value}\n"


@pytest.mark.parametrize("named", [{"backend": "device:gpu:1"}, {"config": FitConfig.of(backend="device:gpu:1")}])
def test_the_device_reaches_a_fit(plugins, named):
    model = fit(np.sin(np.linspace(0.0, 6.0, 16)), stages=1, periodic=True, **named)
    assert model.backend.device == "gpu:1"


def test_an_unknown_name_lists_what_there_is(plugins):
    with pytest.raises(BackendError) as caught:
        load_backend("goood")
    message = str(caught.value)
    assert "'goood' is not known; available: numpy, " in message
    assert "good," in message
    assert "pip" not in message  # anyone may register a name that nobody has taken
    assert message.endswith("plug-ins of this project: cupy, mpi, torch")
    assert loaded() == set()
    assert isinstance(caught.value, SimsnnError)
    assert isinstance(caught.value, ImportError)


def test_plugins_of_this_project_are_those_in_its_repository():
    folders = Path(__file__).parents[2].glob("backends/*/pyproject.toml")
    projects = [tomllib.loads(path.read_text())["project"] for path in folders]
    brought = {
        name: project["name"]
        for project in projects
        for name in project.get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
    }
    assert brought == {name: f"simsnn-ref-{name}" for name in PLUGINS}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_of_this_project_that_is_missing_says_how_to_install_it(monkeypatch, name):
    monkeypatch.setattr("simsnn_ref.backend.loading.entry_points", lambda **_: ())
    with pytest.raises(BackendError, match=f"{name!r} is not installed.*pip install simsnn-ref-{name}"):
        load_backend(name)


def test_import_of_the_package_imports_nothing_optional(plugins):
    optional = ["matplotlib", "tqdm", "array_api_strict", "mpmath", "hypothesis", "torch", "jax", "cupy", "finufft"]
    optional += ["array_api_compat", "simsnn_ref_torch", "simsnn_ref_finufft", "pytest", *MODULES]
    code = f"import sys, simsnn_ref; print(*[name for name in {optional!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"PYTHONPATH": str(plugins)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
