"""The backend ``torch``: the conformance suite, the commands end to end, devices, memory and threads."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from simsnn_ref import Box, Callback, Grid, fit, load_backend, load_model
from simsnn_ref.backend import NumpyBackend, available_backends
from simsnn_ref.commands.main import main
from simsnn_ref.errors import BackendError
from simsnn_ref.testing import BackendConformance

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
plugin = pytest.importorskip("simsnn_ref_torch.backend", reason="the PyTorch plug-in is not installed")
TorchBackend = plugin.TorchBackend

needs_cuda = pytest.mark.needs_backend("torch:cuda")
on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])

EPS = float(np.finfo(np.float64).eps)


class TestOnTheHost(BackendConformance):
    make_backend = TorchBackend


@needs_cuda
class TestOnCuda(BackendConformance):
    def make_backend():
        return TorchBackend("cuda")


def field(grid):
    x, y = np.meshgrid(*grid.scaled_axes(), indexing="ij")
    return np.exp(np.sin(np.pi * x + 0.3) * np.cos(np.pi * y - 0.7))


# By its name


def test_it_is_registered():
    assert "torch" in available_backends()
    backend = load_backend("torch")
    assert type(backend).__name__ == "TorchBackend"
    assert backend.device == torch.device("cpu")
    assert load_backend("torch:cpu").device == torch.device("cpu")


@on_every_device
def test_fit_predict_and_verify_by_the_commands(tmp_path, capsys, device):
    named = f"torch:{device}"
    u, model, values = tmp_path / "u.npy", tmp_path / "u.safetensors", tmp_path / "values.npy"
    grid = Grid((16, 18))
    np.save(u, field(grid))
    arguments = [
        "fit",
        str(u),
        "--backend",
        named,
        "--stages",
        "2",
        "-o",
        str(model),
        "--json",
        "--quiet",
        "--no-figure",
    ]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["backend"] == "torch"
    assert report["device"].startswith(device)
    assert report["config"]["backend"] == named
    assert report["certified"]["agrees"]
    # Two stages reach the same on NumPy, which is beyond float64.
    assert report["stages"][-1]["rms_on_grid"] <= EPS
    written = []
    for name in (named, "numpy"):
        where = ["--grid", "16", "18", "-o", str(values), "--force"]
        assert main(["predict", str(model), *where, "--backend", name, "--json"]) == 0
        capsys.readouterr()
        written.append(np.load(values))
    assert np.max(np.abs(written[0] - field(grid))) <= 16 * EPS * np.max(field(grid))
    assert np.max(np.abs(written[0] - written[1])) <= 16 * EPS * np.max(field(grid))
    for option in ("--gradient", "--hessian"):
        assert main(["predict", str(model), *where, "--backend", named, option]) == 0
    assert main(["verify", "--backend", named]) == 0
    assert f"checks passed on backend torch ({device}" in capsys.readouterr().out


class Losses(Callback):
    def __init__(self):
        self.values = []

    def on_step(self, step):
        self.values.append(step.loss)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "gauss_newton", "levenberg_marquardt"])
@pytest.mark.parametrize("first_layer", ["si", "cos", "ffm", "none"])
def test_every_method_and_first_layer(optimizer, first_layer):
    # Noise: no two modes of one size, whose order would be rounding's. Few inner iterations: conjugate gradients on a
    # plain network amplify an eps of the samples to 1e-2 in 300 of them, on NumPy as well.
    u, grid = np.random.default_rng(0).standard_normal((12, 13)), Grid((12, 13))
    options = {"mode": "paper", "steps": 3, "stages": 1, "hidden": (5, 4), "p": 4.0, "inner_iterations": 5}
    options |= {"first_layer": first_layer, "n_features": None if first_layer == "none" else 20, "optimizer": optimizer}
    ours, theirs = Losses(), Losses()
    for backend, losses in (("torch", ours), ("numpy", theirs)):
        fit(u, grid, backend=backend, callbacks=[losses], **options)
    assert len(theirs.values) == 3
    # The condition of the dense systems enters the steps of Levenberg-Marquardt.
    assert np.max(np.abs(np.divide(ours.values, theirs.values) - 1.0)) <= 1e3 * EPS


def test_a_config_file_names_it(tmp_path, capsys):
    (tmp_path / "fit.toml").write_text('[run]\nbackend = "torch:cpu"\n[stages]\ncount = 1\n')
    output = str(tmp_path / "m.safetensors")
    arguments = ["fit", "--example", "ug", "--size", "16", "--config", str(tmp_path / "fit.toml"), "-o", output]
    assert main([*arguments, "--json", "--quiet", "--no-figure"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "cpu"
    assert load_model(output, load_backend("torch")).config.run.backend == "torch:cpu"


def test_functions_and_scattered_points():
    points = np.random.default_rng(1).uniform(-1.0, 1.0, (200, 2))
    stages = [
        fit(points, np.sin(points @ [2.0, 1.0]), stages=1, backend=name).history.stages[0]
        for name in ("torch", "numpy")
    ]
    assert stages[0].rms_on_grid == pytest.approx(stages[1].rms_on_grid, rel=1e-6)
    model = fit(lambda p: np.log(p[:, 0] + 2.0), Box(-1, 1), stages=2, backend="torch")
    assert model.history.stages[-1].rms_off_grid <= 1e-15


# Devices that do not exist


@pytest.mark.parametrize("name", ["meta", "mps", "bogus", "cpu:1", "cuda:"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(BackendError, match=f"backend 'torch': there is no device '{name}'; choose cpu, cuda or cuda:N"):
        load_backend(f"torch:{name}")


def test_cuda_where_pytorch_is_built_without(monkeypatch, capsys):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    assert main(["fit", "--example", "ug", "--backend", "torch:cuda", "--no-figure"]) == 2
    message = f"backend 'torch': device 'cuda': PyTorch {torch.__version__} is built without CUDA"
    assert capsys.readouterr().err == f"simsnn: error: {message}\n"


def test_cuda_without_a_device_or_with_too_few(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="'cuda:0': PyTorch finds no CUDA device, or no driver for it"):
        TorchBackend("cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    with pytest.raises(BackendError, match="'cuda:2': there are 2 CUDA devices, counted from 0"):
        TorchBackend("cuda:2")
    # 8 GiB, of which PyTorch keeps 2 unused.
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2**30)
    backend = TorchBackend("cuda")
    assert backend.device == torch.device("cuda", 1)
    assert backend.block_scale == 32
    assert TorchBackend("cpu").block_scale == 1


# No autograd, no hidden copies


def test_nothing_requires_a_gradient():
    backend = TorchBackend()
    with torch.enable_grad():
        model = fit(field(Grid((16, 18))), stages=1, backend=backend)
        network, params = model.stages[0].network, model.stages[0].params
    assert all(type(value) is torch.Tensor and not value.requires_grad for value in params.values())
    assert all(value.grad_fn is None and value.dtype == torch.float64 for value in params.values())
    assert not network.amplitudes.requires_grad


def test_a_step_copies_nothing_to_the_host(monkeypatch):
    from simsnn_ref.testing import make_objective

    backend = TorchBackend(workers=1)
    objective, params = make_objective(backend, "si", "fft")
    for way in ("numpy", "cpu", "tolist", "__array__"):
        monkeypatch.setattr(torch.Tensor, way, lambda *arguments, way=way: pytest.fail(f"a hidden {way}()"))
    numbers = []
    item = torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda x: numbers.append(x.shape) or item(x))
    value, _, gradient = objective.value_and_gradient(params, 100.0)
    assert value > 0.0
    assert set(gradient) == set(params) - {"B"}
    # The sums behind the loss and the RMS, no more.
    assert numbers == [torch.Size([])] * 2


def test_the_host_is_shared_where_it_can_be():
    backend, host_array = TorchBackend(), np.arange(6.0).reshape(2, 3)
    array = backend.asarray(host_array)
    assert array.data_ptr() == host_array.ctypes.data
    assert backend.to_numpy(array).ctypes.data == host_array.ctypes.data
    swapped = backend.asarray(np.arange(3, dtype=">f8"))
    assert swapped.dtype == torch.float64
    assert swapped.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(TypeError):
        backend.asarray(np.array(["a"]))


# Threads


def test_map_runs_several_tasks_each_on_one_thread():
    before = torch.get_num_threads()
    backend = TorchBackend()
    backend.workers = 3
    assert backend.map(lambda i: torch.get_num_threads(), range(6)) == [1] * 6
    assert torch.get_num_threads() == before
    assert backend.map(lambda i: backend.map(lambda j: i + j, range(3)), range(2)) == [[0, 1, 2], [1, 2, 3]]
    backend.workers = 1
    assert backend.map(lambda i: torch.get_num_threads(), range(2)) == [before] * 2


def test_threads_that_are_asked_for_are_pytorchs_too(monkeypatch):
    before = torch.get_num_threads()
    try:
        TorchBackend(workers=2)
        assert torch.get_num_threads() == 2
        monkeypatch.setenv("SIMSNN_NUM_THREADS", "1")
        assert TorchBackend().workers == 1
        assert torch.get_num_threads() == 1
        monkeypatch.delenv("SIMSNN_NUM_THREADS")
        TorchBackend()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_forked_process_has_threads_of_its_own():
    code = (
        "import os\n"
        "from simsnn_ref_torch import TorchBackend\n"
        "backend = TorchBackend(workers=2)\n"
        "backend.map(abs, range(4))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if backend.map(abs, range(4)) == [0, 1, 2, 3] else 1)\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "0\n", done.stderr


def test_doctor_describes_it(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["backends"]["torch"]
    assert found["loads"]
    assert found["describes"]["torch"] == torch.__version__
    assert found["describes"]["device"] == "cpu"
    assert "CUDA" in found["describes"]


@needs_cuda
def test_describe_a_gpu():
    description = TorchBackend("cuda").describe()
    assert {"GPU", "memory", "blocks", "CUDA"} <= set(description)
    assert "GiB free" in description["memory"]


def test_pytorch_is_imported_only_when_asked_for():
    code = "import sys, simsnn_ref, simsnn_ref.commands.main, simsnn_ref.testing; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "False\n"
    assert isinstance(load_backend(), NumpyBackend)
