"""Checks of arrays: members, creation, transfers, dtypes and devices, and arithmetic against NumPy's."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from simsnn_ref.backend import EPS, Backend, missing_members
from simsnn_ref.testing.expect import expect, expect_close, expect_equal, expect_on_device, expect_ulp, host

__all__ = ["CHECKS"]

NAMES = [
    "abs", "all", "any", "argsort", "asarray", "astype", "atan2", "clip", "concat", "conj", "cos", "empty", "exp",
    "eye", "flip", "imag", "isdtype", "isfinite", "linalg", "matrix_transpose", "max", "mean", "ones_like",
    "permute_dims", "real", "reshape", "result_type", "sign", "sin", "sqrt", "stack", "sum", "take", "tanh",
    "where", "zeros", "zeros_like", "bool", "complex128", "float32", "float64", "int64",
]  # fmt: skip
"""Names of the namespace that the numerics use, or the messages of this suite."""

DTYPES = ("float64", "complex128", "int64", "bool")

ELEMENTWISE_ULP = 4.0
"""Error in ulp that vector libraries promise: NumPy's at most 4, those of CUDA 2."""


def _members(backend: Backend) -> None:
    """`Backend`'s members are there and of the right kind, and the namespace has what the numerics call."""
    missing = missing_members(backend, Backend)
    expect(not missing, f"lacks {', '.join(missing)}: see simsnn_ref.backend.Backend")
    expect(isinstance(backend.name, str) and backend.name != "", f"name: {backend.name!r} is no name")
    expect(":" not in backend.name, f"name: {backend.name!r} has a colon, which begins a device")
    expect(backend.real_dtype is np.float64, f"real_dtype: {backend.real_dtype!r}, expected numpy.float64")
    missing = [name for name in NAMES if not hasattr(backend.xp, name)]
    expect(not missing, f"xp: lacks {', '.join(missing)}")
    scale: Any = backend.block_scale
    expect(type(scale) is int and scale >= 1, f"block_scale: {scale!r}, expected a whole number above 0")
    backend.synchronize()


def _creation(backend: Backend) -> None:
    """New arrays have the dtype and the device that are asked for, or those of another array."""
    xp, device = backend.xp, backend.device
    for name in DTYPES:
        dtype = getattr(xp, name)
        zeros = xp.zeros((2, 3), dtype=dtype, device=device)
        expect_equal(f"zeros of {name}", host(backend, f"zeros of {name}", zeros, name), np.zeros((2, 3), name))
        expect_on_device(backend, f"empty of {name}", xp.empty((2, 0), dtype=dtype, device=device), name)
        ones = host(backend, f"ones_like of {name}", xp.ones_like(zeros), name)
        expect_equal(f"ones_like of {name}", ones, np.ones((2, 3), name))
        expect_on_device(backend, f"zeros_like of {name}", xp.zeros_like(zeros), name)
    eye = host(backend, "eye", xp.eye(3, dtype=xp.float64, device=device))
    expect_equal("eye", eye, np.eye(3))


def _host_arrays(name: str) -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 6)) * 10.0 ** rng.uniform(-300, 300, (4, 6))
    block: np.ndarray = rng.integers(-9, 9, (4, 6)) if name == "int64" else values
    block = block > 0 if name == "bool" else block.astype(name)
    if name == "complex128":
        block = block + 1j * values[::-1]
    if name == "int64":
        block[0, :2] = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    read_only = block.copy()
    read_only.flags.writeable = False
    yield "contiguous", block
    yield "transposed", block.T
    yield "every second column", block[:, ::2]
    yield "backwards", block[::-1, ::-1]
    yield "in Fortran's order", np.asfortranarray(block)
    yield "broadcast", np.broadcast_to(block[0, 0], (3, 2))
    yield "read-only", read_only
    yield "without entries", block[:0]
    yield "0-d", block[1, 1, ...]
    yield "a NumPy scalar", block[1, 1]
    if name == "float64":
        yield "special", np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e308])


def _transfers(backend: Backend) -> None:
    """Transfers to the device and back keep bits, dtype and shape, and leave the host array as it was."""
    for name in DTYPES:
        for kind, given in _host_arrays(name):
            what = f"asarray of {name}, {kind}"
            before = np.array(given)
            array = backend.asarray(given)
            back = host(backend, what, array, name)
            expect(
                tuple(array.shape) == before.shape, f"{what}: of shape {tuple(array.shape)}, expected {before.shape}"
            )
            expect_equal(what, back, before)
            expect_equal(f"{what}: what was given", np.asarray(given), before)
    zero = host(backend, "-0.0", backend.asarray(np.array([-0.0])))
    expect(bool(np.signbit(zero[0])), "asarray of -0.0: lost its sign")


def _views(backend: Backend) -> None:
    """Views come to the host as they are: transposed, sliced, flipped, conjugated, a real or imaginary part."""
    xp = backend.xp
    z = np.arange(12.0).reshape(3, 4) + 1j * np.arange(12.0)[::-1].reshape(3, 4)
    array = backend.asarray(z)
    for what, view, expected, dtype in (
        ("transposed", array.T, z.T, "complex128"),
        ("sliced", array[1:, ::2], z[1:, ::2], "complex128"),
        ("one row", array[1, :], z[1], "complex128"),
        ("flipped", xp.flip(array, axis=1), z[:, ::-1], "complex128"),
        ("conjugated", xp.conj(array), z.conj(), "complex128"),
        ("real part", xp.real(array), z.real, "float64"),
        ("imaginary part", xp.imag(array), z.imag, "float64"),
        ("imaginary part of the conjugate", xp.imag(xp.conj(array)), z.conj().imag, "float64"),
    ):
        expect_equal(what, host(backend, what, view, dtype), expected)


def _dtypes(backend: Backend) -> None:
    """Python's scalars leave an array's dtype as it is; results stay on the device; a 0-d array converts to a float."""
    xp = backend.xp
    x, z, n = (
        backend.asarray(np.arange(1, 7).reshape(2, 3).astype(name)) for name in ("float64", "complex128", "int64")
    )
    results = {
        "float64": (2 * x, x / 3, 0.5 + x, 1.0 - x, x**2, x**0.5, -x, xp.sum(x), xp.sum(x, axis=0), xp.mean(x),
                    xp.max(x), xp.real(z), xp.imag(z), xp.abs(z), xp.cos(x), xp.where(x > 2.0, x, -1.0),
                    xp.clip(x, min=2.0), x @ x.T, x * 1.0, xp.astype(n, xp.float64)),
        "complex128": (1j * x, x + 1j * x, x * z, 2.0 * z, xp.conj(z), z @ z.T, xp.astype(x, xp.complex128)),
        "int64": (n + 1, xp.sum(n), xp.argsort(x[0, :], stable=True), xp.take(n, n[0, :1] * 0, axis=1)),
        "bool": (x > 2.0, ~(x > 2.0), xp.any(x > 2.0), xp.isfinite(x), xp.all(x > 0.0)),
    }  # fmt: skip
    for dtype, arrays in results.items():
        for number, array in enumerate(arrays, start=1):
            expect_on_device(backend, f"result {number} that is to be {dtype}", array, dtype)
    kind = xp.result_type(x, x, xp.float32)
    expect(kind == xp.float64, f"result_type(float64, float32): {kind}, expected float64")
    expect(bool(xp.isdtype(z.dtype, "complex floating")), "isdtype: complex128 is not 'complex floating'")
    expect(float(xp.sum(x)) == 21.0, f"float(sum): {float(xp.sum(x))}, expected 21")
    expect(tuple(xp.sum(x).shape) == (), "sum over all axes: not 0-d")


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.longdouble)


def _elementwise(backend: Backend) -> None:
    """cos, sin, tanh, sqrt, exp, abs, sign, atan2 and powers against long double, within 4 ulp (`ELEMENTWISE_ULP`)."""
    xp = backend.xp
    rng = np.random.default_rng(1)
    size = rng.choice([-1.0, 1.0], 2000) * 10.0 ** rng.uniform(-8.0, 1.0, 2000)
    turns, positive = size * 1e3, np.abs(size)
    for name, values in (
        ("cos", turns),
        ("sin", turns),
        ("tanh", size),
        ("exp", size),
        ("sqrt", positive),
        ("abs", size),
    ):
        got = host(backend, name, getattr(xp, name)(backend.asarray(values)))
        expect_ulp(name, got, getattr(np, name)(_wide(values)), ELEMENTWISE_ULP)
    angle = host(backend, "atan2", xp.atan2(backend.asarray(size), backend.asarray(size[::-1])))
    expect_ulp("atan2", angle, np.arctan2(_wide(size), _wide(size[::-1])), ELEMENTWISE_ULP)
    for exponent in (0.1, -0.9, 1.75):
        power = host(backend, f"x ** {exponent}", backend.asarray(positive) ** exponent)
        expect_ulp(f"x ** {exponent}", power, _wide(positive) ** np.longdouble(exponent), ELEMENTWISE_ULP)
    large = host(backend, "tanh of large numbers", xp.tanh(backend.asarray(np.array([-1e3, 25.0, 0.0]))))
    expect_equal("tanh of large numbers", large, np.array([-1.0, 1.0, 0.0]))
    expect_equal("sign", host(backend, "sign", xp.sign(backend.asarray(size))), np.sign(size))


def _arithmetic(backend: Backend) -> None:
    """+, -, * and / of real numbers are those of IEEE 754, to the last bit; complex ones within 4 eps."""
    xp = backend.xp
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 500)) * 10.0 ** rng.uniform(-20.0, 20.0, (2, 500))
    a, b = backend.asarray(x), backend.asarray(y)
    for what, got, expected in (
        ("x + y", a + b, x + y),
        ("x - y", a - b, x - y),
        ("x * y", a * b, x * y),
        ("x / y", a / b, x / y),
        ("0.1 * x", 0.1 * a, 0.1 * x),
    ):
        expect_equal(what, host(backend, what, got), expected)
    z, w = rng.standard_normal((2, 500, 2)).view(np.complex128)[..., 0]
    a, b = backend.asarray(z), backend.asarray(w)
    for what, got, exact in (("z w", a * b, z * w), ("z + i x", a + 1j * xp.real(b), z + 1j * w.real)):
        expect_close(what, host(backend, what, got, "complex128"), exact, 4.0)
    expect_ulp("|z|", host(backend, "|z|", xp.abs(a)), np.abs(z.astype(np.clongdouble)), ELEMENTWISE_ULP)


def _sums(backend: Backend) -> None:
    """Sums over one axis, several or all within n eps of the sum of the absolute values, whatever their order."""
    xp = backend.xp
    x = np.random.default_rng(3).standard_normal((5, 40, 30))
    for axis in (None, 0, 1, 2, (0, 2), (1, 2), (0, 1, 2)):
        got = host(backend, f"sum over {axis}", xp.sum(backend.asarray(x), axis=axis))
        exact, size = np.sum(_wide(x), axis=axis), np.sum(np.abs(x), axis=axis)
        expect(got.shape == exact.shape, f"sum over {axis}: of shape {got.shape}, expected {exact.shape}")
        terms = x.size // max(exact.size, 1)
        off = float(np.max(np.abs(got - exact) / size)) / EPS
        expect(off <= terms, f"sum over {axis}: off by {off:.3g} eps of the sum of |x|, allowed {terms}")
    whole = host(backend, "mean", xp.mean(backend.asarray(x)))
    expect_ulp(
        "mean of equal numbers", host(backend, "mean", xp.mean(backend.asarray(0.0 * x + 0.1))), np.array(0.1), 16.0
    )
    expect(abs(float(whole - np.mean(_wide(x)))) <= x.size * EPS * float(np.mean(np.abs(x))), "mean: off")


def _products(backend: Backend) -> None:
    """Matrix products, batched, broadcast and of transposed matrices: each number within n eps of |A| |B|."""
    xp = backend.xp
    rng = np.random.default_rng(4)
    A, B = rng.standard_normal((7, 50)), rng.standard_normal((50, 9))
    tiles, more = rng.standard_normal((6, 50, 9)), rng.standard_normal((6, 9, 4))
    v = rng.standard_normal(50)
    a, b, t, m, u = (backend.asarray(value) for value in (A, B, tiles, more, v))
    for what, got, left, right in (
        ("A B", a @ b, A, B),
        ("A v", a @ u, A, v),
        ("batched", t @ m, tiles, more),
        ("one matrix by many", a @ t, A, tiles),
        ("transposed", b.T @ a.T, B.T, A.T),
        ("batches transposed", xp.matrix_transpose(m) @ xp.matrix_transpose(t), more.mT, tiles.mT),
        ("of every second column", a[:, ::2] @ b[::2, :], A[:, ::2], B[::2]),
        ("a single row", a[:1, :] @ b, A[:1], B),
    ):
        value = host(backend, what, got)
        exact, size = _wide(left) @ _wide(right), np.abs(left) @ np.abs(right)
        expect(value.shape == exact.shape, f"{what}: of shape {value.shape}, expected {exact.shape}")
        off, terms = float(np.max(np.abs(value - exact) / size)) / EPS, left.shape[-1]
        expect(off <= terms, f"matrix product, {what}: off by {off:.3g} eps of |A| |B|, allowed {terms}")


def _rearranged(backend: Backend) -> None:
    """Functions that only move or pick numbers are exact, and sorting is stable."""
    xp = backend.xp
    x = np.random.default_rng(5).permutation(24).astype(np.float64).reshape(4, 6)
    cube, ties = x.reshape(2, 3, 4), np.array([1.0, 0.0, 1.0, 0.0, 2.0, 1.0, 0.0] * 9)
    a, c, index = backend.asarray(x), backend.asarray(cube), np.array([3, 0, 3])
    for what, got, expected in (
        ("reshape", xp.reshape(a.T, (3, -1)), x.T.reshape(3, -1)),
        ("permute_dims", xp.permute_dims(c, (1, 0, 2)), cube.transpose(1, 0, 2)),
        ("matrix_transpose", xp.matrix_transpose(c), cube.mT),
        ("concat", xp.concat([a, a[:, :2]], axis=1), np.concatenate([x, x[:, :2]], axis=1)),
        ("concat with nothing", xp.concat([a[:, :0], a], axis=1), x),
        ("stack", xp.stack([a, 2.0 * a], axis=1), np.stack([x, 2.0 * x], axis=1)),
        ("flip", xp.flip(a, axis=1), x[:, ::-1]),
        ("take", xp.take(a, backend.asarray(index), axis=1), x[:, index]),
        ("take nothing", xp.take(a, backend.asarray(index[:0]), axis=1), x[:, :0]),
        ("where", xp.where(a > 9.0, a, -1.0), np.where(x > 9.0, x, -1.0)),
        ("clip", xp.clip(a, -3.0, 9.0), np.clip(x, -3.0, 9.0)),
        ("clip from below", xp.clip(a, min=9.0), np.clip(x, 9.0, None)),
        ("max", xp.max(a), np.max(x)),
        ("diagonal", xp.linalg.diagonal(a[:, :4]), np.diagonal(x[:, :4])),
        ("a new axis", a[:, None, :] * a[None, :1, :], x[:, None, :] * x[None, :1, :]),
    ):
        expect_equal(what, host(backend, what, got), expected)
    order = host(backend, "argsort", xp.argsort(backend.asarray(-ties), stable=True), "int64")
    expect_equal("stable argsort", order, np.argsort(-ties, stable=True))


def _assignment(backend: Backend) -> None:
    """Blocks of an array can be assigned and added to in place, which changes no other array."""
    xp, x = backend.xp, np.arange(12.0).reshape(2, 6)
    given, block = backend.asarray(x.copy()), slice(2, 4)
    array = xp.zeros((2, 6), dtype=xp.float64, device=backend.device)
    array[:, block] = given[:, :2]
    array[:1, 4:] = given[1:, 4:]
    array[:, block] = 2.0 * array[:, block]
    expected = np.zeros((2, 6))
    expected[:, 2:4], expected[:1, 4:] = 2.0 * x[:, :2], x[1:, 4:]
    expect_equal("assignment to a block", host(backend, "assignment to a block", array), expected)
    cube = xp.zeros((2, 3, 4), dtype=xp.float64, device=backend.device)
    cube[:, 1:, :] = xp.reshape(given[:, :4], (2, 1, 4)) + 0.0 * cube[:, 1:, :]
    wanted = np.zeros((2, 3, 4))
    wanted[:, 1:, :] = x[:, None, :4]
    expect_equal("assignment to rows", host(backend, "assignment to rows", cube), wanted)
    total = 1.0 - given
    total *= 1.0 + given
    total += given
    expect_equal("*= and +=", host(backend, "*= and +=", total), (1.0 - x) * (1.0 + x) + x)
    expect_equal("what the blocks were taken from", host(backend, "what the blocks were taken from", given), x)


def _linear_algebra(backend: Backend) -> None:
    """Solutions of systems and QR factors leave residuals within n^2 eps of the matrix."""
    xp, n = backend.xp, 12
    rng = np.random.default_rng(6)
    A, b = rng.standard_normal((n, n)) + n * np.eye(n), rng.standard_normal((n, 1))
    x = host(backend, "linalg.solve", xp.linalg.solve(backend.asarray(A), backend.asarray(b)))
    expect_close("linalg.solve: A x", A @ x, b, float(n**2))
    tall = np.concatenate([A, np.eye(n)])
    Q, R = (host(backend, "linalg.qr", part) for part in xp.linalg.qr(backend.asarray(tall)))
    expect_close("linalg.qr: Q R", Q @ R, tall, float(n**2))
    expect_close("linalg.qr: Q^T Q", Q.T @ Q, np.eye(n), float(n**2))
    expect_equal("linalg.qr: R below its diagonal", np.tril(R, -1), np.zeros((n, n)))


CHECKS = {
    "members": _members,
    "creation": _creation,
    "transfers": _transfers,
    "views": _views,
    "dtypes": _dtypes,
    "elementwise": _elementwise,
    "arithmetic": _arithmetic,
    "sums": _sums,
    "products": _products,
    "rearranged": _rearranged,
    "assignment": _assignment,
    "linear_algebra": _linear_algebra,
}
