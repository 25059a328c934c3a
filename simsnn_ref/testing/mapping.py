"""Checks of `map`, of what may happen inside it, and for hidden transfers between host and device."""

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from simsnn_ref.backend import Array, Backend
from simsnn_ref.testing.expect import expect, expect_close, expect_equal, host

__all__ = ["CHECKS", "work_in_blocks"]


class _TaskError(Exception):
    """The exception that a mapped function raises."""


def _order(backend: Backend) -> None:
    """Map returns a list of the results in the order of the items, in whatever order they are done."""

    def square(i: int) -> int:
        # The first are the slowest.
        time.sleep(0.002 * (8 - i))
        return i * i

    got: Any = backend.map(square, (i for i in range(8)))
    expect(isinstance(got, list), f"map: returns a {type(got).__name__}, expected a list")
    expect(got == [i * i for i in range(8)], f"map: {got}, expected the squares of 0 to 7 in their order")
    expect(backend.map(square, []) == [], "map of nothing: not []")
    expect(backend.map(square, [7]) == [49], "map of one item: not a list of its result")
    nested = backend.map(lambda i: backend.map(lambda j: 10 * i + j, range(3)), range(3))
    expect(nested == [[10 * i + j for j in range(3)] for i in range(3)], f"map inside map: {nested}")


def _exceptions(backend: Backend) -> None:
    """Map raises what the mapped function raises, and works afterwards."""

    def third(i: int) -> int:
        if i == 3:
            raise _TaskError(str(i))
        return i

    for items in (range(3, 4), range(8)):
        try:
            got = backend.map(third, items)
        except _TaskError:
            continue
        raise AssertionError(f"map: returned {got}, where the function raised an exception")
    expect(backend.map(third, range(3)) == [0, 1, 2], "map: of no use after an exception")


def work_in_blocks(backend: Backend, run: Callable[[Callable[[Any], Any], Any], list[Any]]) -> np.ndarray:
    """Return an array whose blocks are made by a product and two transforms; `run` is ``backend.map`` or a loop."""
    xp, n, shape = backend.xp, 8, (12, 15)
    rng = np.random.default_rng(9)
    fields, matrix = backend.asarray(rng.standard_normal((n, 3, *shape))), backend.asarray(rng.standard_normal((3, 3)))
    out = xp.zeros((3, n * shape[0] * shape[1]), dtype=xp.float64, device=backend.device)

    def block(i: int) -> Array:
        spectrum = backend.rfftn(fields[i, ...], (1, 2), 5)
        field = xp.reshape(backend.irfftn(spectrum, shape, (1, 2)), (3, -1)) / 180.0
        out[:, i * 180 : (i + 1) * 180] = xp.tanh(matrix @ field)
        return xp.sum(field, axis=1)

    total = sum(run(block, range(n)))
    return host(backend, "work in blocks", xp.concat([out, total[:, None]], axis=1))


def _in_blocks(backend: Backend) -> None:
    """Blocks of an array, each written by a task of map, are those that a loop writes, to 64 eps, and always the same.

    The tolerance is for libraries that split a sum otherwise where they are not called from the main thread.
    """
    loop = work_in_blocks(backend, lambda function, items: [function(i) for i in items])
    first = work_in_blocks(backend, backend.map)
    expect_close("blocks by map", first, loop, 64.0)
    for _ in range(3):
        expect_equal("blocks by map, once more", work_in_blocks(backend, backend.map), first)


def _transfers(backend: Backend) -> None:
    """Only asarray and to_numpy transfer between host and device: transforms and map do not."""
    x = backend.asarray(np.random.default_rng(10).standard_normal((2, 6, 8)))

    kind, refused = type(backend), AssertionError("a transfer between host and device that nobody asked for")
    with (
        mock.patch.object(kind, "asarray", side_effect=refused),
        mock.patch.object(kind, "to_numpy", side_effect=refused),
    ):
        spectrum = backend.rfftn(x, (1, 2), 4)
        back = backend.irfftn(spectrum, (6, 8), (1, 2))
        doubled = backend.map(lambda i: 2.0 * x[i, ...], range(2))
        backend.synchronize()
    size = float(np.max(np.abs(host(backend, "irfftn", back))))
    expect(size > 0.0, "irfftn: nothing but zeros")
    expect_equal("map", host(backend, "map", backend.xp.stack(doubled)), 2.0 * host(backend, "x", x))


CHECKS = {
    "map_order": _order,
    "map_exceptions": _exceptions,
    "map_in_blocks": _in_blocks,
    "no_hidden_transfers": _transfers,
}
