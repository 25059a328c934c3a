"""PyTorch through array-api-compat: float64 tensors, `torch.fft`, and derivatives by hand as everywhere.

Tensors come from `TorchBackend.asarray` alone, so that none requires a gradient and nothing is recorded for autograd.
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
    """Arrays are `torch.Tensor`.

    On the CPU blocks of points go to threads of their own, each with one of PyTorch's: PyTorch would split every small
    operation, and wait for all threads after each. 512 x 512 points and 10,000 frozen features on two cores take 0.27 s
    a step in place of 0.36, and where the cores have other work too 0.46 in place of 2.0. On a CUDA device blocks are
    queued one after the other.

    Parameters
    ----------
    device : str, optional
        ``cpu``, the default, ``cuda`` or ``cuda:N``.
    workers : int, optional
        Threads of `map` on the CPU; `simsnn_ref.backend.default_threads` by default. Where it is given, here or by
        SIMSNN_NUM_THREADS, PyTorch's own number of threads is set to it as well, for the whole process. The last digits
        of sums depend on it.

    Attributes
    ----------
    block_scale : int
        How many times larger than a processor's the blocks of work are: on a CUDA device by the memory that was free
        when the backend was made (`simsnn_ref.backend.scale_for`). The last digits of sums depend on it.

    Raises
    ------
    BackendError
        For a device that PyTorch does not know, has not found, or on which there is no float64.
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
            # Its allocator is the C library's, which is to keep what is freed (`NumpyBackend`).
            NumpyBackend(workers=self.workers)
            if workers is not None or os.environ.get(THREADS_VARIABLE):
                torch.set_num_threads(self.workers)

    def asarray(self, host: Any) -> torch.Tensor:
        array = np.asarray(host)
        # What PyTorch does not share with NumPy: arrays that are read-only, run backwards, or have swapped bytes.
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
        """Of a CUDA device: what it has, and what PyTorch keeps of it unused."""
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0] + kept)

    def describe(self) -> dict[str, str]:
        """What `simsnn doctor` tells of it."""
        told = {"torch": torch.__version__, "device": str(self.device)}
        if self.device.type == "cpu":
            found = torch.cuda.device_count() if torch.cuda.is_available() else 0
            built = f"CUDA {torch.version.cuda}, {found} devices found" if torch.version.cuda else "not in this build"
            threads = f"{self.workers} of map, {torch.get_num_threads()} of PyTorch outside of it"
            return told | {"threads": threads, "CUDA": built}
        total = torch.cuda.mem_get_info(self.device)[1]
        return told | {
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
    # With its number, as the tensors on it have it.
    return torch.device("cuda", index)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads that stay, each with one thread of PyTorch's. All start here: the number is set where it is one's own."""
    ours, started = torch.get_num_threads(), Barrier(workers)
    pool = ThreadPoolExecutor(workers, WORKER, initializer=_use_one_thread)
    list(pool.map(lambda _: started.wait(), range(workers)))
    # PyTorch also takes the number last set, by any thread, for threads still to come.
    torch.set_num_threads(ours)
    return pool


def _use_one_thread() -> None:
    # Asked first: at the first use in a thread PyTorch sets its number anew.
    torch.get_num_threads()
    torch.set_num_threads(1)


# A child has none of its parent's threads and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
