"""CuPy through array-api-compat: float64 arrays on a GPU, `cupyx.scipy.fft`, and the fused kernels of this package."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from simsnn_ref.backend import SERIAL, scale_for
from simsnn_ref.errors import BackendError

try:
    import array_api_compat.cupy as array_api
    import cupy
    from cupyx.scipy import fft
except ModuleNotFoundError as error:
    raise BackendError(
        f"backend 'cupy' needs CuPy for your CUDA ({error}): pip install 'simsnn-ref-cupy[cuda13]', or [cuda12]"
    ) from error

from simsnn_ref_cupy.kernels import register

__all__ = ["CupyBackend"]

register()


class CupyBackend:
    """CuPy on one GPU; arrays are `cupy.ndarray`. See `simsnn_ref.backend.Backend`. It has not run on a GPU yet.

    Making a backend makes its GPU the current one of this thread, on which CuPy's creation functions work. Use the
    backend in that thread, and two backends of different GPUs one after the other.

    Parameters
    ----------
    device : str, optional
        Number of the GPU, counted from 0; CuPy's current GPU by default.

    Attributes
    ----------
    block_scale : int
        Factor by which blocks of work are larger than those for a processor. It follows from the memory that was free
        when the backend was made (`simsnn_ref.backend.scale_for`). The last digits of sums depend on it.

    Raises
    ------
    BackendError
        If there is no driver, no GPU, or no GPU with this number.
    """

    name = "cupy"
    xp: Any = array_api
    real_dtype: Any = np.float64
    processes = SERIAL

    def __init__(self, device: str | None = None) -> None:
        self.device = _find(device)
        self.device.use()
        self.block_scale = scale_for(self.free_bytes())

    def asarray(self, host: Any) -> Any:
        array = np.asarray(host)
        return cupy.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))

    def to_numpy(self, array: Any) -> np.ndarray:
        host: np.ndarray = cupy.asnumpy(array)
        return host

    def rfftn(self, x: Any, axes: Sequence[int], kept: int | None = None) -> Any:
        *others, last = axes
        # Modes that are not kept need not be transformed along the other axes.
        spectrum = fft.rfft(x, axis=last)[..., :kept]
        return fft.fftn(spectrum, axes=tuple(others)) if others else spectrum

    def irfftn(self, x: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
        *others, last = axes
        if others:
            x = fft.ifftn(x, axes=tuple(others), norm="forward")
        return fft.irfft(x, shape[-1], axis=last, norm="forward")

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Call the function for one item after the other; the device queues the work."""
        return [function(item) for item in items]

    def synchronize(self) -> None:
        self.device.synchronize()

    def free_bytes(self) -> int:
        """Return the device memory that is left for arrays, within CUPY_GPU_MEMORY_LIMIT where that is set.

        It is what the device has free, and what CuPy's pool keeps for further arrays.
        """
        free, _ = self.device.mem_info
        pool = cupy.get_default_memory_pool()
        available, limit = free + pool.free_bytes(), pool.get_limit()
        return int(min(available, limit - pool.used_bytes()) if limit else available)

    def describe(self) -> dict[str, str]:
        """Return what `simsnn doctor` says about it."""
        properties = cupy.cuda.runtime.getDeviceProperties(self.device.id)
        _, total = self.device.mem_info
        return {
            "cupy": cupy.__version__,
            "device": str(self.device.id),
            "GPU": f"{properties['name'].decode()}, compute capability {properties['major']}.{properties['minor']}",
            "memory": f"{self.free_bytes() / 2**30:.1f} of {total / 2**30:.1f} GiB free",
            "blocks": f"{self.block_scale} times a processor's",
            "CUDA": f"{_version(cupy.cuda.runtime.runtimeGetVersion())}, driver for"
            f" {_version(cupy.cuda.runtime.driverGetVersion())}",
        }


def _find(name: str | None) -> Any:
    if name is not None and not (name.isascii() and name.isdecimal()):
        raise BackendError(f"backend 'cupy': there is no device {name!r}; give the number of a GPU, as in cupy:0")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        reason = str(error).partition(":")[0]
        raise BackendError(
            f"backend 'cupy': CuPy {cupy.__version__} finds no GPU that it can use ({reason}):"
            " it needs an NVIDIA GPU and a driver for its version of CUDA, which nvidia-smi shows"
        ) from error
    device = cupy.cuda.Device(None if name is None else int(name))
    if device.id >= count:
        raise BackendError(f"backend 'cupy': there is no device {name!r}; there are {count} GPUs, counted from 0")
    return device


def _version(number: int) -> str:
    """Return a version of CUDA as text, from the number that CUDA has for it: 13020 for 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
