"""The `backend` fixture: NumPy, and a strict array API whose arrays live off the host."""

import signal
import sys

import array_api_strict
import numpy as np
import pytest

from simsnn_ref.backend import SERIAL, NumpyBackend

EPS = float(np.finfo(np.float64).eps)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Of a process that a shell has put into the background; some tests send interrupts to themselves and to others.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class StrictBackend:
    """array-api-strict on a fake device: what the standard leaves out is an error, and so is a hidden host transfer."""

    name = "array-api-strict"
    xp = array_api_strict
    device = array_api_strict.Device("device1")
    real_dtype = np.float64
    block_scale = 1
    processes = SERIAL
    host = array_api_strict.Device("CPU_DEVICE")

    def asarray(self, host):
        return self.xp.asarray(np.asarray(host), device=self.device)

    def to_numpy(self, array):
        return np.asarray(array.to_device(self.host))

    def rfftn(self, x, axes, kept=None):
        spectrum = self.xp.fft.rfftn(x, axes=tuple(axes))
        return spectrum if kept is None else spectrum[..., :kept]

    def irfftn(self, x, shape, axes):
        return self.xp.fft.irfftn(x, s=tuple(shape), axes=tuple(axes), norm="forward")

    def map(self, function, items):
        return [function(item) for item in items]

    def synchronize(self):
        pass


TRAININGS = ("test_200_steps_of_adam", "test_three_stages")
DEFAULT_TRAININGS = ("[strict-2-10-trained-separable]", "[strict-1-2-frozen-fft]")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """array-api-strict checks every operation, so that a training takes it ten times as long: most are slow tests."""
    for item in items:
        is_training = getattr(item, "originalname", "") in TRAININGS and "[strict-" in item.name
        if is_training and not item.name.endswith(DEFAULT_TRAININGS):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=[NumpyBackend, StrictBackend], ids=["numpy", "strict"])
def backend(request):
    return request.param()


def relative_error(value, reference):
    """Error in the 2-norm."""
    return np.linalg.norm(np.ravel(value - reference)) / np.linalg.norm(np.ravel(reference))


def complex_step_gradient(function, params, backend):
    """Gradient of `function` (parameters to a 0-d array), one number at a time: Im f(x + ih) / h, free of cancellation.

    The error is O(h^2), which is below the smallest double; h is a power of two, so that the division is exact.
    """
    h = 2.0**-200
    gradient = {}
    for name, array in params.items():
        host = backend.to_numpy(array).astype(np.complex128)
        slope = np.empty(host.shape)
        for i in np.ndindex(*host.shape):
            stepped = host.copy()
            stepped[i] += 1j * h
            slope[i] = complex(function(params | {name: backend.asarray(stepped)})).imag / h
        gradient[name] = slope
    return gradient


@pytest.fixture
def installed_plugs(tmp_path, monkeypatch):
    """Make a folder on the path that looks like an installed distribution with some plug-ins, and return it."""
    names = []

    def install(modules, entry_points, version):
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"plugs-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugs\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(tmp_path)
        names.extend(modules)
        return tmp_path

    yield install
    for name in names:
        sys.modules.pop(name, None)
