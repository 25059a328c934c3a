"""PyTorch through array-api-compat: float64 tensors and `torch.fft`.

Derivatives are those that the numerics compute. No tensor requires a gradient, and nothing is recorded for autograd.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier, current_thread
from typing import Any

import array_api_compat.torch as array_api
import numpy as np
import torch

from simsnn_ref.backend import SERIAL, THREADS_VARIABLE, NumpyBackend, default_threads, scale_for
from simsnn_ref.errors import BackendError

__all__ = ["TorchBackend"]

WORKER = "simsnn-torch"


class TorchBackend:
    """PyTorch, on the CPU or on a CUDA device; arrays are `torch.Tensor`. See `simsnn_ref.backend.Backend`.

    On the CPU blocks of points go to threads of their own, each with one of PyTorch's: PyTorch would split every small
    operation, and wait for all threads after each. A step at 512 x 512 points with 10,000 frozen features takes 0.27 s
    on two cores instead of 0.36 s, and 0.46 s instead of 2.0 s where the cores have other work too. On a CUDA device
    blocks are queued one after the other.

    Parameters
    ----------
    device : str, optional
        ``cpu``, the default, ``cuda`` or ``cuda:N``.
    workers : int, optional
        Number of threads of `map` on the CPU; `simsnn_ref.backend.default_threads` by default. If it is given, here or
        by SIMSNN_NUM_THREADS, PyTorch's own number of threads is set to it as well, for the whole process. The last
        digits of sums depend on it.

    Attributes
    ----------
    block_scale : int
        Factor by which blocks of work are larger than those for a processor: 1 on the CPU; on a CUDA device it follows
        from the memory that was free when the backend was made (`simsnn_ref.backend.scale_for`). The last digits of
        sums depend on it.

    Raises
    ------
    BackendError
        If PyTorch does not know the device, has not found it, or has no float64 on it.
    """

    name = "torch"
    xp: Any = array_api
    real_dtype: Any = np.float64
    processes = SERIAL

    def __init__(self, device: str | None = None, workers: int | None = None) -> None:
        self.device = _find(device or "cpu")
        self.workers = default_threads() if workers is None else workers
        self.block_scale = 1 if self.device.type == "cpu" else scale_for(self.free_bytes())
        if self.device.type == "cpu":
            # PyTorch's allocator is the C library's, which is to keep freed memory (`NumpyBackend`).
            NumpyBackend(workers=self.workers)
            if workers is not None or os.environ.get(THREADS_VARIABLE):
                torch.set_num_threads(self.workers)

    def asarray(self, host: Any) -> torch.Tensor:
        array = np.asarray(host)
        # PyTorch does not share arrays with NumPy that are read-only, run backwards, or have swapped bytes.
        if not (array.flags.writeable and array.dtype.isnative and all(step >= 0 for step in array.strides)):
            array = array.astype(array.dtype.newbyteorder("="), order="C", copy=True)
        return torch.from_numpy(array).to(self.device)

    def to_numpy(self, array: torch.Tensor) -> np.ndarray:
        host: np.ndarray = array.numpy(force=True)
        return host

    def rfftn(self, x: torch.Tensor, axes: Sequence[int], kept: int | None = None) -> torch.Tensor:
        *others, last = axes
        # Modes that are not kept need not be transformed along the other axes.
        spectrum: torch.Tensor = torch.fft.rfft(x, dim=last)[..., :kept]
        return torch.fft.fftn(spectrum, dim=tuple(others)) if others else spectrum

    def irfftn(self, x: torch.Tensor, shape: Sequence[int], axes: Sequence[int]) -> torch.Tensor:
        *others, last = axes
        if others:
            x = torch.fft.ifftn(x, dim=tuple(others), norm="forward")
        field: torch.Tensor = torch.fft.irfft(x, shape[-1], dim=last, norm="forward")
        return field

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        items = list(items)
        inside = current_thread().name.startswith(WORKER)
        if self.device.type != "cpu" or self.workers == 1 or len(items) < 2 or inside:
            return [function(item) for item in items]
        return list(_pool(self.workers).map(function, items))

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def free_bytes(self) -> int:
        """Return the free memory of a CUDA device, and the unused memory that PyTorch keeps there."""
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0] + kept)

    def describe(self) -> dict[str, str]:
        """Return what `simsnn doctor` says about it."""
        common = {"torch": torch.__version__, "device": str(self.device)}
        if self.device.type == "cpu":
            found = torch.cuda.device_count() if torch.cuda.is_available() else 0
            built = f"CUDA {torch.version.cuda}, {found} devices found" if torch.version.cuda else "not in this build"
            threads = f"{self.workers} of map, {torch.get_num_threads()} of PyTorch outside of it"
            return common | {"threads": threads, "CUDA": built}
        total = torch.cuda.mem_get_info(self.device)[1]
        return common | {
            "GPU": torch.cuda.get_device_name(self.device),
            "memory": f"{self.free_bytes() / 2**30:.1f} of {total / 2**30:.1f} GiB free",
            "blocks": f"{self.block_scale} times a processor's",
            "CUDA": str(torch.version.cuda),
        }


def _find(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise BackendError(f"backend 'torch': there is no device {name!r}; choose cpu, cuda or cuda:N")
    if device.type == "cpu":
        return torch.device("cpu")
    if torch.version.cuda is None and torch.version.hip is None:
        raise BackendError(f"backend 'torch': device {name!r}: PyTorch {torch.__version__} is built without CUDA")
    if not torch.cuda.is_available():
        raise BackendError(f"backend 'torch': device {name!r}: PyTorch finds no CUDA device, or no driver for it")
    index, count = torch.cuda.current_device() if device.index is None else device.index, torch.cuda.device_count()
    if index >= count:
        raise BackendError(f"backend 'torch': device {name!r}: there are {count} CUDA devices, counted from 0")
    # With its number, to be equal to the device of the tensors on it.
    return torch.device("cuda", index)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Return threads that stay, each with one thread of PyTorch's.

    All of them start here, for PyTorch's number of threads is set in the thread that it is for.
    """
    ours, started = torch.get_num_threads(), Barrier(workers)
    pool = ThreadPoolExecutor(workers, WORKER, initializer=_use_one_thread)
    list(pool.map(lambda _: started.wait(), range(workers)))
    # PyTorch also takes the number last set, by any thread, for threads still to come.
    torch.set_num_threads(ours)
    return pool


def _use_one_thread() -> None:
    # At the first use in a thread PyTorch sets its number anew; after that it keeps the one that is set.
    torch.get_num_threads()
    torch.set_num_threads(1)


# A forked process has none of its parent's threads and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
