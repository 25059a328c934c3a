"""Checks of the transforms against SciPy's in long double."""

import math
from collections.abc import Iterator

import numpy as np
import scipy.fft

from simsnn_ref.backend import Array, Backend
from simsnn_ref.testing.expect import expect_close, expect_equal, host

__all__ = ["CHECKS"]

SHAPES = ((1,), (2,), (7,), (30,), (31,), (64,), (4, 5), (5, 6), (1, 8), (16, 15), (3, 4, 5), (2, 3, 4), (8, 6, 10))
BATCH = 2


def _allowed(shape: tuple[int, ...]) -> float:
    """Multiple of eps in the 2-norm: a few for each halving, also of lengths that are no powers of two."""
    return 8.0 * (1.0 + math.log2(math.prod(shape)))


def _fields() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], np.ndarray, np.ndarray]]:
    """Yield a shape, axes, two fields of that shape, and their spectra."""
    rng = np.random.default_rng(7)
    for shape in SHAPES:
        axes, fields = tuple(range(1, len(shape) + 1)), rng.standard_normal((BATCH, *shape))
        yield shape, axes, fields, scipy.fft.rfftn(fields.astype(np.longdouble), axes=axes)


def _forward(backend: Backend) -> None:
    """The forward transform is the unscaled one with exp(-2 pi i m.n / N): 1 to 3 dimensions, even and odd lengths."""
    for shape, axes, fields, exact in _fields():
        what = f"rfftn over {shape}"
        got = host(backend, what, backend.rfftn(backend.asarray(fields), axes), "complex128")
        expect_close(what, got, exact, _allowed(shape))
        single = host(backend, what, backend.rfftn(backend.asarray(fields[0]), range(len(shape))), "complex128")
        expect_close(f"{what}, no batch", single, exact[0], _allowed(shape))


def _kept(backend: Backend) -> None:
    """With `kept`, the forward transform gives the first modes of the last axis and no others."""
    for shape, axes, fields, exact in _fields():
        for kept in {1, (exact.shape[-1] + 1) // 2, exact.shape[-1]}:
            what = f"rfftn over {shape}, {kept} kept"
            got = host(backend, what, backend.rfftn(backend.asarray(fields), axes, kept), "complex128")
            expect_close(what, got, exact[..., :kept], _allowed(shape))


def _inverse(backend: Backend) -> None:
    """The inverse transform of a spectrum is N times the field, of the length that is asked for, even or odd."""
    for shape, axes, fields, exact in _fields():
        what = f"irfftn to {shape}"
        spectrum = backend.asarray(exact.astype(np.complex128))
        got = host(backend, what, backend.irfftn(spectrum, shape, axes))
        expect_close(what, got, fields * math.prod(shape), _allowed(shape))


def _pruned(backend: Backend) -> None:
    """The inverse transform takes the first modes of the last axis alone; the others count as 0."""
    for shape, axes, _, exact in _fields():
        for kept in {1, (exact.shape[-1] + 1) // 2}:
            what = f"irfftn to {shape} from {kept} modes"
            part = exact[..., :kept].astype(np.complex128)
            expected = scipy.fft.irfftn(part.astype(np.clongdouble), shape, axes=axes, norm="forward")
            got = host(backend, what, backend.irfftn(backend.asarray(part), shape, axes))
            expect_close(what, got, expected, _allowed(shape))


def _layouts(backend: Backend) -> None:
    """Input of any layout gives the same transform, and is not written to."""
    xp, shape, axes = backend.xp, (6, 10), (1, 2)
    x = np.random.default_rng(8).standard_normal((3, *shape))
    exact = scipy.fft.rfftn(x.astype(np.longdouble), axes=axes)

    def views(host_array: np.ndarray) -> dict[str, Array]:
        return {
            "contiguous": backend.asarray(host_array.copy()),
            "every second column": backend.asarray(np.repeat(host_array, 2, axis=-1))[..., ::2],
            "permuted": xp.permute_dims(backend.asarray(host_array.transpose(2, 0, 1).copy()), (1, 2, 0)),
            "flipped": xp.flip(backend.asarray(host_array[:, ::-1].copy()), axis=1),
        }

    for kind, view in views(x).items():
        spectrum = host(backend, f"rfftn, {kind}", backend.rfftn(view, axes), "complex128")
        expect_close(f"rfftn, {kind}", spectrum, exact, _allowed(shape))
        expect_equal(f"input of rfftn, {kind}", host(backend, kind, view), x)
    narrow = exact.astype(np.complex128)
    for kind, view in views(narrow).items():
        field = host(backend, f"irfftn, {kind}", backend.irfftn(view, shape, axes))
        expect_close(f"irfftn, {kind}", field, 60.0 * x, _allowed(shape))
        expect_equal(f"input of irfftn, {kind}", host(backend, kind, view, "complex128"), narrow)


CHECKS = {
    "forward_transform": _forward,
    "kept_modes": _kept,
    "inverse_transform": _inverse,
    "pruned_input": _pruned,
    "layouts_of_transforms": _layouts,
}
