"""The embedded backend: NumPy, SciPy's FFT and a pool of threads."""

import functools
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.fft

from simsnn_ref.backend.processes import SERIAL
from simsnn_ref.backend.protocol import Array
from simsnn_ref.errors import BackendError

__all__ = ["THREADS_VARIABLE", "NumpyBackend", "default_threads"]

THREADS_VARIABLE = "SIMSNN_NUM_THREADS"
"""Environment variable for the number of threads; `--threads` sets it."""


def default_threads() -> int:
    """Return the default number of threads: `THREADS_VARIABLE`, or the number of cores that this process may use.

    Raises
    ------
    BackendError
        If the variable is not a whole number above 0.
    """
    value = os.environ.get(THREADS_VARIABLE, "")
    if value:
        if not value.isdecimal() or int(value) == 0:
            raise BackendError(f"{THREADS_VARIABLE} = {value!r}: needs a whole number above 0")
        return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_thread = threading.local()


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Return threads that stay, and with them the memory that they have freed: it is not fetched anew in every step."""
    return ThreadPoolExecutor(workers, "simsnn", initializer=lambda: setattr(_thread, "is_worker", True))


@functools.cache
def _keep_freed_memory() -> None:
    """Free a block of just under 32 MiB, once.

    The C library of Linux (glibc) takes it as a sign that blocks up to that size come and go, and keeps what is freed.
    Else it returns every temporary array of a megabyte to the system, which takes three times as long as the arithmetic
    done on it.
    """
    np.empty(2**25 - 2**16, dtype=np.uint8)


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads and would wait for them for ever.
    os.register_at_fork(after_in_child=_pool.cache_clear)


@dataclass(frozen=True)
class NumpyBackend:
    """The embedded backend: NumPy arrays, SciPy's threaded FFT.

    Parameters
    ----------
    workers : int, optional
        Number of threads of the FFT and of `map`; `default_threads` by default. Results do not depend on it. Those of
        BLAS are the user's to set (OMP_NUM_THREADS); a network's products are too small for them.
    device : str
        The only device there is, "cpu".

    Raises
    ------
    BackendError
        If `device` is another one.
    """

    workers: int = field(default_factory=default_threads)
    name: str = "numpy"
    xp: Any = np
    device: Any = "cpu"
    real_dtype: Any = np.float64
    block_scale: int = 1
    processes: Any = SERIAL

    def __post_init__(self) -> None:
        if self.device != "cpu":
            raise BackendError(f"backend {self.name!r}: there is no device {self.device!r}, only 'cpu'")
        _keep_freed_memory()

    def __getstate__(self) -> dict[str, Any]:
        # A module cannot be pickled; without it the class's own is found.
        return {name: value for name, value in vars(self).items() if name != "xp"}

    def asarray(self, host: Any) -> Array:
        return np.asarray(host)

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.asarray(array)

    def _threads(self) -> int:
        """Number of threads for a transform; one inside `map`, where every core has a task already."""
        return 1 if getattr(_thread, "is_worker", False) else self.workers

    def rfftn(self, x: Array, axes: Sequence[int], kept: int | None = None) -> Array:
        *others, last = axes
        threads = self._threads()
        # Modes that are not kept need not be transformed along the other axes.
        spectrum = scipy.fft.rfft(x, axis=last, workers=threads)[..., :kept]
        return scipy.fft.fftn(spectrum, axes=others, workers=threads) if others else spectrum

    def irfftn(self, x: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
        *others, last = axes
        threads = self._threads()
        if others:
            x = scipy.fft.ifftn(x, axes=others, norm="forward", workers=threads)
        return scipy.fft.irfft(x, shape[-1], axis=last, norm="forward", workers=threads)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        items = list(items)
        if self._threads() == 1 or len(items) < 2:
            return [function(item) for item in items]
        # The threads take np.errstate from here. NumPy and SciPy let other threads run while they compute.
        contexts = [copy_context() for _ in items]
        return list(_pool(self.workers).map(lambda context, item: context.run(function, item), contexts, items))

    def synchronize(self) -> None:
        pass
