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
    """Arrays are `cupy.ndarray`.

    Creating it makes the device the current one of this thread, as CuPy's creation functions have it; so it is to be
    used in that thread, and two of them, of different devices, one after the other.

    Parameters
    ----------
    device : str, optional
        Number of the GPU, counted from 0; CuPy's current one by default.

    Attributes
    ----------
    block_scale : int
        How many times larger than a processor's the blocks of work are, by the memory that was free when the backend
        was made (`simsnn_ref.backend.scale_for`). The last digits of sums depend on it.

    Raises
    ------
    BackendError
        Without a driver, without a GPU, or for a device that is not there.
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
        """One after the other: the device queues them."""
        return [function(item) for item in items]

    def synchronize(self) -> None:
        self.device.synchronize()

    def free_bytes(self) -> int:
        """Device memory that arrays can still have: what the device has free and what CuPy's pool keeps for its own
        next arrays, within the limit that CUPY_GPU_MEMORY_LIMIT sets for the pool.
        """
        free, _ = self.device.mem_info
        pool = cupy.get_default_memory_pool()
        available, limit = free + pool.free_bytes(), pool.get_limit()
        return int(min(available, limit - pool.used_bytes()) if limit else available)

    def describe(self) -> dict[str, str]:
        """What `simsnn doctor` tells of it."""
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
    """CUDA counts 13.2 as 13020."""
    return f"{number // 1000}.{number % 1000 // 10}"
