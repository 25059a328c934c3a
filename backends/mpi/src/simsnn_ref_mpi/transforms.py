"""Fourier transforms of a field that every rank holds, divided among the ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.fft

from simsnn_ref.backend import Array, NumpyBackend
from simsnn_ref_mpi.communicator import Communicator, shares

__all__ = ["DistributedTransforms"]


@dataclass(frozen=True)
class DistributedTransforms(NumpyBackend):
    """NumPy, of whose forward transforms over all axes of a field each rank does a part; all ranks get the spectrum.

    First the last axis but one is divided, for the transforms of the last axis and of those before; then another axis
    is, for the transform of the last but one. The axes come in the same order as in SciPy, which leaves the same bits.
    """

    name: str = "mpi"
    communicator: Communicator = field(default_factory=Communicator)

    def rfftn(self, x: Array, axes: Sequence[int], kept: int | None = None) -> Array:
        if x.ndim < 2 or list(axes) != list(range(x.ndim)):
            return super().rfftn(x, axes, kept)
        communicator, workers = self.communicator, self.workers
        first, second = x.ndim - 2, 0 if x.ndim > 2 else 1
        here = shares(x.shape[first], communicator.size)
        own = here[communicator.rank]
        spectrum = scipy.fft.rfft(x[..., own, :], axis=-1, workers=workers)[..., :kept]
        if first:
            spectrum = scipy.fft.fftn(spectrum, axes=range(first), workers=workers)
        shape = (*x.shape[:-1], spectrum.shape[-1])
        there = shares(shape[second], communicator.size)
        divided = np.empty(_with(shape, second, there[communicator.rank]), dtype=spectrum.dtype)
        communicator.exchange(
            np.ascontiguousarray(spectrum),
            [_block(spectrum.shape, second, part) for part in there],
            divided,
            [_block(divided.shape, first, part) for part in here],
        )
        divided = np.ascontiguousarray(scipy.fft.fft(divided, axis=first, workers=workers))
        whole = np.empty(shape, dtype=divided.dtype)
        everything = tuple(slice(0, n) for n in divided.shape)
        communicator.exchange(
            divided, [everything] * communicator.size, whole, [_block(shape, second, part) for part in there]
        )
        return whole


def _with(shape: Sequence[int], axis: int, part: slice) -> tuple[int, ...]:
    """The shape with a part of one axis only."""
    return (*shape[:axis], part.stop - part.start, *shape[axis + 1 :])


def _block(shape: Sequence[int], axis: int, part: slice) -> tuple[slice, ...]:
    """The block with a part of one axis and all of the others."""
    return tuple(part if other == axis else slice(0, n) for other, n in enumerate(shape))
