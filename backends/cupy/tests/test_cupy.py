"""The backend ``cupy``: the conformance suite on a GPU, and without a GPU the plug-in's own code on NumPy's arrays."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.fft

from simsnn_ref import Grid, load_backend
from simsnn_ref.backend import available_backends
from simsnn_ref.commands.main import main
from simsnn_ref.errors import BackendError
from simsnn_ref.testing import BackendConformance

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (pip install 'simsnn-ref-cupy[cuda13]')")
plugin = pytest.importorskip("simsnn_ref_cupy.backend", reason="the CuPy plug-in is not installed")
kernels = pytest.importorskip("simsnn_ref_cupy.kernels")
CupyBackend = plugin.CupyBackend

on_gpu = pytest.mark.needs_backend("cupy")
EPS = float(np.finfo(np.float64).eps)
GIB = 2**30


# On a GPU


@on_gpu
class TestOnGpu(BackendConformance):
    make_backend = CupyBackend


@on_gpu
def test_fit_and_predict_by_the_commands(tmp_path, capsys):
    u, model, values = tmp_path / "u.npy", tmp_path / "u.safetensors", tmp_path / "values.npy"
    x, y = np.meshgrid(*Grid((16, 18)).scaled_axes(), indexing="ij")
    field = np.exp(np.sin(np.pi * x + 0.3) * np.cos(np.pi * y - 0.7))
    np.save(u, field)
    arguments = ["fit", str(u), "--backend", "cupy:0", "--stages", "2", "-o", str(model), "--json", "--quiet"]
    assert main([*arguments, "--no-figure"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["backend"] == "cupy"
    assert report["certified"]["agrees"]
    assert report["stages"][-1]["rms_on_grid"] <= EPS
    assert main(["predict", str(model), "--grid", "16", "18", "--backend", "cupy", "-o", str(values)]) == 0
    assert np.max(np.abs(np.load(values) - field)) <= 16 * EPS * np.max(field)


@on_gpu
@pytest.mark.parametrize("complex_too", [False, True])
def test_kernels_give_the_core_s_results(complex_too):
    from simsnn_ref.network import tanh_vjp
    from simsnn_ref.optimizers import adam_step

    backend = CupyBackend()
    theta, g, m, v = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3, 50))
    if complex_too:
        g = g + 1j
    on = [backend.asarray(x) for x in (theta, g, m, v)]
    assert np.array_equal(backend.to_numpy(tanh_vjp(on[0], on[1])), tanh_vjp(theta, g)) or complex_too
    options = (7, 1e-3, 0.9, 0.999, 1e-8)
    for got, expected in zip(
        adam_step(*on, backend.xp, *options), adam_step(theta, g, m, v, np, *options), strict=True
    ):
        assert np.max(np.abs(backend.to_numpy(got) - expected)) <= (4 * EPS if complex_too else 0.0)


@on_gpu
def test_describe_a_gpu():
    assert {"GPU", "memory", "CUDA", "blocks"} <= set(CupyBackend().describe())


# Without a GPU: the plug-in's code on NumPy's arrays


class Device(str):
    """A GPU that equals NumPy's device."""

    __slots__ = ()
    number = 0
    memory = (60 * GIB, 80 * GIB)
    id = property(lambda self: type(self).number)
    mem_info = property(lambda self: type(self).memory)

    def __new__(cls, number=None):
        cls.number = number or 0
        return super().__new__(cls, "cpu")

    def use(self):
        pass

    def synchronize(self):
        pass


class Pool:
    kept, used, limit = 2 * GIB, 6 * GIB, 0

    def free_bytes(self):
        return self.kept

    def used_bytes(self):
        return self.used

    def get_limit(self):
        return self.limit


@pytest.fixture
def gpu(monkeypatch):
    """Two GPUs, whose arrays are NumPy's."""
    import array_api_compat.numpy

    monkeypatch.setattr(plugin.cupy, "asarray", np.asarray)
    monkeypatch.setattr(plugin.cupy, "asnumpy", np.asarray)
    monkeypatch.setattr(plugin.cupy, "get_default_memory_pool", Pool)
    monkeypatch.setattr(plugin.cupy.cuda, "Device", Device)
    runtime = plugin.cupy.cuda.runtime
    monkeypatch.setattr(runtime, "getDeviceCount", lambda: 2)
    monkeypatch.setattr(runtime, "getDeviceProperties", lambda number: {"name": b"Fake", "major": 9, "minor": 0})
    monkeypatch.setattr(runtime, "runtimeGetVersion", lambda: 13020)
    monkeypatch.setattr(runtime, "driverGetVersion", lambda: 13000)
    monkeypatch.setattr(plugin, "fft", scipy.fft)
    monkeypatch.setattr(CupyBackend, "xp", array_api_compat.numpy)
    return CupyBackend


class TestItsCodeOnNumpy(BackendConformance):
    """The plug-in's own transforms, transfers and blocks, with NumPy in the place of CuPy."""

    make_backend = CupyBackend

    @pytest.fixture(autouse=True)
    def _on_numpy(self, gpu):
        pass

    test_verify = pytest.mark.slow(BackendConformance.test_verify)


@pytest.mark.parametrize(
    ("free", "limit", "scale"),
    [
        (60 * GIB, 0, 64),
        (6 * GIB, 0, 32),
        (0.4 * GIB, 0, 8),
        # 8 GiB at the most, of which 6 are taken.
        (60 * GIB, 8 * GIB, 8),
        (60 * GIB, 6 * GIB, 1),
    ],
)
def test_blocks_follow_the_memory_that_is_free(gpu, monkeypatch, free, limit, scale):
    monkeypatch.setattr(Device, "memory", (int(free), 80 * GIB))
    monkeypatch.setattr(Pool, "limit", limit)
    assert gpu().block_scale == scale


def test_the_device_follows_the_colon(gpu):
    assert load_backend("cupy").device.id == 0
    assert load_backend("cupy:1").device.id == 1
    with pytest.raises(BackendError, match="there is no device '2'; there are 2 GPUs, counted from 0"):
        load_backend("cupy:2")


def test_describe(gpu, capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["backends"]["cupy"]
    assert found["loads"], found
    assert found["describes"] == {
        "cupy": cupy.__version__,
        "device": "0",
        "GPU": "Fake, compute capability 9.0",
        "memory": "62.0 of 80.0 GiB free",
        "blocks": "64 times a processor's",
        "CUDA": "13.2, driver for 13.0",
    }


def test_kernels_serve_float64_alone_and_leave_the_namespace_out():
    from simsnn_ref.optimizers import adam_step

    calls = []
    kernel = kernels._with_fallback(lambda *arguments: calls.append(arguments), kernels.ADAM_STEP, adam_step)
    reals, options = [np.full(2, 0.5)] * 4, (7, 1e-3, 0.9, 0.999, 1e-8)
    kernel(*reals, np, *options)
    assert calls == [kernels.ADAM_STEP.arguments(*reals, np, *options)]
    complex_too = [reals[0], reals[1] + 1j, *reals[2:]]
    got = kernel(*complex_too, np, *options)
    assert len(calls) == 1
    assert np.array_equal(got, adam_step(*complex_too, np, *options))


def test_kernels_are_registered_for_cupy_s_arrays():
    from simsnn_ref.network import cos_and_sin, tanh_jvp, tanh_vjp
    from simsnn_ref.optimizers import adam_step

    for formula in (tanh_vjp, tanh_jvp, adam_step, cos_and_sin):
        assert formula.dispatch(cupy.ndarray) is not formula.dispatch(object)
        assert formula.dispatch(np.ndarray) is formula.dispatch(object)


# Without a driver


def refuse():
    raise cupy.cuda.runtime.CUDARuntimeError(35)


def test_no_driver_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(plugin.cupy.cuda.runtime, "getDeviceCount", refuse)
    line = (
        f"backend 'cupy': CuPy {cupy.__version__} finds no GPU that it can use (cudaErrorInsufficientDriver):"
        " it needs an NVIDIA GPU and a driver for its version of CUDA, which nvidia-smi shows"
    )
    assert main(["fit", "--example", "ug", "--backend", "cupy", "--no-figure"]) == 2
    assert capsys.readouterr().err == f"simsnn: error: {line}\n"
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["backends"]["cupy"]
    assert (found["loads"], found["reason"]) == (False, line)


@pytest.mark.parametrize("name", ["gpu", "-1", "0:1", "²"])
def test_devices_are_numbers(name):
    with pytest.raises(BackendError, match=f"there is no device '{name}'; give the number of a GPU, as in cupy:0"):
        load_backend(f"cupy:{name}")


def in_a_process(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=300, env=os.environ
    )


def test_without_cupy_the_extras_are_named():
    code = (
        "import sys\n"
        "sys.modules['cupy'] = None\n"
        "from simsnn_ref.commands.main import main\n"
        "sys.exit(main(['verify', '--backend', 'cupy']))\n"
    )
    done = in_a_process("-c", code)
    assert done.returncode == 2
    assert done.stderr.startswith("simsnn: error: backend 'cupy' needs CuPy for your CUDA (")
    assert done.stderr.endswith("pip install 'simsnn-ref-cupy[cuda13]', or [cuda12]\n")
    assert done.stderr.count("\n") == 1


def test_it_is_registered_and_imported_only_when_asked_for():
    assert "cupy" in available_backends()
    done = in_a_process("-c", "import sys, simsnn_ref.commands.main, simsnn_ref.testing; print('cupy' in sys.modules)")
    assert done.stdout == "False\n"


def test_a_backend_that_is_required_fails_and_is_not_skipped(request, tmp_path):
    """A run of pytest of its own, with a backend that nothing can provide."""
    test = tmp_path / "test_it.py"
    test.write_text("import pytest\n@pytest.mark.needs_backend('cupy:none')\ndef test_it(): pass\n")
    conftest = request.config.pluginmanager.get_plugin(str(request.path.parents[2] / "conftest.py"))
    shutil.copy(conftest.__file__, tmp_path)
    run = ("-m", "pytest", "-rsf", "-p", "no:cacheprovider", "-c", os.devnull, str(test))
    skipped, failed = in_a_process(*run), in_a_process(*run, "--require-backend", "cupy:none")
    reason = "there is no device 'none'; give the number of a GPU"
    assert (skipped.returncode, failed.returncode) == (0, 1)
    assert "1 skipped" in skipped.stdout
    assert "1 error" in failed.stdout
    assert reason in skipped.stdout
    assert reason in failed.stdout
