"""Checks of the processes that share a fit, and of the shard of the points that each of them has.

Where there are several, all of them are to run the suite together.
"""

import numpy as np

from simsnn_ref.backend import Array, Backend, Processes, Shard, missing_members
from simsnn_ref.errors import BackendError
from simsnn_ref.network import FeatureMap, Features, make_map
from simsnn_ref.spectrum import Grid
from simsnn_ref.testing.expect import expect, expect_close, expect_equal, host

__all__ = ["CHECKS"]

GRID = Grid((6, 7))
INDICES = np.asarray([[1, 2], [0, 1], [-2, 3], [2, 0]])

PRODUCT = 16.0
"""Multiple of eps for z = W gamma with four modes: phases of up to 3 pi per axis, rounded, and four terms."""

TRANSFORM = 64.0
"""Multiple of eps for a transform of 42 points: a few for each halving of either length."""


def _processes(backend: Backend) -> None:
    """`Processes`'s members are there; the processes agree, and what one of them returns or raises reaches all."""
    processes = backend.processes
    missing = missing_members(processes, Processes)
    expect(not missing, f"processes: lacks {', '.join(missing)}: see simsnn_ref.backend.Processes")
    for name in ("size", "size_here"):
        number = getattr(processes, name)
        expect(type(number) is int and number >= 1, f"processes.{name}: {number!r}, expected a whole number above 0")
    expect(
        processes.size_here <= processes.size, f"processes: {processes.size_here} of {processes.size} on this machine"
    )
    expect(isinstance(processes.is_root, bool), f"processes.is_root: {processes.is_root!r}, expected a bool")
    expect(processes.max(float(processes.is_root)) == 1.0, "processes.is_root: there is none that prints and writes")
    expect(processes.at_root(lambda: "it") == "it", "processes.at_root: does not return what the action returns")
    error = BackendError("raised by a check")

    def fail() -> None:
        raise error

    try:
        processes.at_root(fail)
    except BackendError as raised:
        expect(str(raised) == str(error), f"processes.at_root: raises {raised}, expected {error}")
    else:
        raise AssertionError("processes.at_root: raises nothing, where the action raised an exception")
    processes.require_same("a check", {"x": np.arange(3.0)})
    try:
        with processes.guard():
            fail()
    except BackendError:
        return
    raise AssertionError("processes.guard: swallows an exception")


def _values(backend: Backend, fmap: FeatureMap) -> Array:
    """Z = W gamma for one row of weights."""
    phases = backend.asarray(np.asarray([0.1, -0.4, 2.0, 1.0]))
    features = Features(backend.asarray(np.ones(4)), backend.asarray(np.pi * INDICES), phases)
    return fmap.forward(backend.asarray(np.asarray([[1.0, -0.5, 0.25, 2.0]])), features)[0, ...]


def _shards(backend: Backend) -> None:
    """`Shard`'s members are there; parts make up all points, and sums and maxima are those over all of them."""
    xp, n = backend.xp, GRID.size
    numbers = np.arange(float(n))
    for kind in ("dense", "fft"):
        whole = make_map(GRID, backend, kind=kind, indices=INDICES)
        fmap = backend.processes.shard(whole)
        shard: Shard = fmap.shard
        missing = missing_members(shard, Shard)
        expect(not missing, f"shard, {kind}: lacks {', '.join(missing)}: see simsnn_ref.backend.Shard")
        expect(shard.n_total == n, f"shard.n_total, {kind}: {shard.n_total}, expected {n}")
        is_whole = fmap.n_points == n
        expect(shard.is_whole == is_whole, f"shard.is_whole, {kind}: {shard.is_whole}, of {fmap.n_points} points")
        part = shard.part(backend.asarray(numbers))
        expect(
            tuple(part.shape) == (fmap.n_points,),
            f"shard.part, {kind}: of shape {tuple(part.shape)}, expected ({fmap.n_points},)",
        )
        gathered = host(backend, f"shard.gather, {kind}", shard.gather(part))
        expect_equal(f"shard.gather, {kind}", gathered, numbers)
        total, counts = shard.sum(xp.sum(part), xp.ones_like(part[:3]) * float(fmap.n_points))
        # Sums of small integers are exact.
        expect(float(total) == float(np.sum(numbers)), f"shard.sum, {kind}: {float(total)}, expected {np.sum(numbers)}")
        expect_equal(f"shard.sum, {kind}", host(backend, f"shard.sum, {kind}", counts), np.full(3, float(n)))
        largest = shard.max(float(xp.max(part)))
        expect(largest == n - 1.0, f"shard.max, {kind}: {largest}, expected {n - 1.0}")
        expect(shard.broadcast(2.5) == 2.5, f"shard.broadcast, {kind}: {shard.broadcast(2.5)}, expected 2.5")
        values = host(backend, f"shard, {kind}", shard.gather(_values(backend, fmap)))
        expect_close(f"shard, {kind}", values, host(backend, kind, _values(backend, whole)), PRODUCT)


def _divided_transforms(backend: Backend) -> None:
    """The backend that divides transforms among the processes gives the spectra that the backend gives."""
    divided = backend.processes.distributed(backend)
    missing = missing_members(divided, Backend)
    expect(not missing, f"processes.distributed: its backend lacks {', '.join(missing)}")
    x = backend.asarray(np.random.default_rng(14).standard_normal(GRID.shape))
    for kept in (None, 2):
        what = f"rfftn divided among processes, kept = {kept}"
        expected = host(backend, "rfftn", backend.rfftn(x, (0, 1), kept), "complex128")
        expect_close(what, host(backend, what, divided.rfftn(x, (0, 1), kept), "complex128"), expected, TRANSFORM)


CHECKS = {
    "processes": _processes,
    "shards": _shards,
    "divided_transforms": _divided_transforms,
}
