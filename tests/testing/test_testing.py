"""The conformance suite: our own backends pass it, and each planted defect fails the check that is there for it."""

import contextlib
import copy
import doctest
import re
import subprocess
import sys

import array_api_strict
import numpy as np
import pytest
import scipy.fft
from conftest import EPS, StrictBackend

from simsnn_ref.backend import SERIAL, NumpyBackend, WholeShard
from simsnn_ref.testing import CHECKS, BackendConformance, CheckResult, check_backend, check_threads, suite

HOST = array_api_strict.Device("CPU_DEVICE")


class TestNumpy(BackendConformance):
    make_backend = NumpyBackend

    # tests/verify/test_verify.py has it among the default tests.
    @pytest.mark.slow
    def test_verify(self):
        super().test_verify()


class TestStrict(BackendConformance):
    make_backend = StrictBackend

    @pytest.mark.slow
    def test_verify(self):
        super().test_verify()


def test_threads_of_numpy():
    check_threads(NumpyBackend(workers=1), NumpyBackend(workers=2))
    with pytest.raises(AssertionError, match="one thread and two: other values"):
        check_threads(NumpyBackend(), scaled_inverse())


class Namespace:
    """A namespace with some functions replaced, or taken away."""

    def __init__(self, xp, missing="", **replaced):
        self._xp, self._missing = xp, missing
        self.__dict__.update(replaced)

    def __getattr__(self, name):
        if name == self._missing:
            raise AttributeError(name)
        return getattr(self._xp, name)


def variant(base, **members):
    return type("Broken", (base,), members)()


def with_options(**options):
    return lambda: variant(NumpyBackend, __init__=lambda self: NumpyBackend.__init__(self, 1, **options))


def with_xp(missing="", **replaced):
    return with_options(xp=Namespace(np, missing, **replaced))


def with_processes(missing="", **replaced):
    return with_options(processes=Namespace(SERIAL, missing, **replaced))


def with_shard(missing="", **replaced):
    """Processes whose shard lacks a member, or has others."""

    def shard(fmap):
        here = copy.copy(fmap)
        here.shard = Namespace(WholeShard(fmap.n_points), missing, **replaced)
        return here

    return with_processes(shard=shard)


def swallow(action):
    with contextlib.suppress(Exception):
        return action()


def conjugated(x, axes, kept):
    return right(x, axes, kept).conj()


def narrow(function):
    return lambda *arrays, **options: function(*(a.astype(np.float32) for a in arrays), **options).astype(np.float64)


def imprecise(**operators):
    """NumPy arrays with other operators, which results inherit."""
    kind = type("Imprecise", (np.ndarray,), operators)
    return lambda: variant(
        NumpyBackend, asarray=lambda self, host: np.asarray(host).view(kind), to_numpy=lambda self, a: np.array(a)
    )


def scaled_inverse():
    return variant(NumpyBackend, irfftn=lambda self, x, shape, axes: scipy.fft.irfftn(x, shape, axes=axes))


def asarray(convert):
    return lambda: variant(NumpyBackend, asarray=lambda self, host: convert(np.asarray(host)))


def single(host):
    with np.errstate(over="ignore"):
        return host.astype(np.float32) if host.dtype.kind == "f" else host


def refuse_read_only(host):
    if not host.flags.writeable:
        raise ValueError("buffer source array is read-only")
    return host


def rfftn(function):
    def transform(self, x, axes, kept=None):
        return function(x, axes, kept)

    return lambda: variant(NumpyBackend, rfftn=transform)


def right(x, axes, kept):
    return scipy.fft.rfftn(x, axes=axes)[..., :kept]


def overwriting(x, axes, kept):
    spectrum = right(x, axes, kept)
    x[...] = 0.0
    return spectrum


def blind_to_strides(x, axes, kept):
    return right(x.ravel(order="K").reshape(x.shape), axes, kept)


def irfftn(function):
    return lambda: variant(NumpyBackend, irfftn=lambda self, x, shape, axes: function(x, shape, axes))


def even_only(x, shape, axes):
    return scipy.fft.irfftn(x, (*shape[:-1], 2 * (shape[-1] // 2)), axes=axes, norm="forward")


def by_what_is_there(x, shape, axes):
    length = 2 * x.shape[-1] - 2 + shape[-1] % 2
    return scipy.fft.irfftn(x, (*shape[:-1], max(length, 1)), axes=axes, norm="forward")


class Unrepeatable(NumpyBackend):
    def __init__(self):
        super().__init__(1)
        type(self).calls = 0

    def irfftn(self, x, shape, axes):
        type(self).calls += 1
        return super().irfftn(x, shape, axes) * (1.0 + 4.0 * EPS * (self.calls > 20))


def map_with(function):
    return lambda: variant(NumpyBackend, map=lambda self, f, items: function(f, items))


def swallowing(f, items):
    def quiet(item):
        try:
            return f(item)
        except Exception:
            return None

    return [quiet(item) for item in items]


def on_strict(**members):
    return lambda: variant(StrictBackend, **members)


def over_the_host(self, x, axes, kept=None):
    return self.asarray(right(self.to_numpy(x), axes, kept))


def unstable(x, stable=True):
    return (x.shape[0] - 1 - np.argsort(x[::-1], stable=True)).astype(np.int64)


def by_exponentials(x):
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(2.0 * x)
        return (e - 1.0) / (e + 1.0)


def read_only_zeros(shape, dtype, device):
    zeros = np.zeros(shape, dtype)
    zeros.flags.writeable = False
    return zeros


def reciprocal(x, y):
    return (np.asarray(x) * (1.0 / np.asarray(y))).view(type(x))


DEFECTS = {
    "a member is missing": (object, "members", "lacks asarray"),
    "blocks of no size": (lambda: NumpyBackend(block_scale=0), "members", "block_scale"),
    "float32 for the host": (with_options(real_dtype=np.float32), "members", "real_dtype"),
    "a function is missing": (with_xp("permute_dims"), "members", "xp: lacks permute_dims"),
    "zeros of float32": (
        with_xp(zeros=lambda shape, dtype, device: np.zeros(shape, np.float32)),
        "creation",
        "zeros of float64: of dtype float32",
    ),
    "zeros on another device": (
        on_strict(
            xp=Namespace(
                array_api_strict, zeros=lambda shape, dtype, device: array_api_strict.zeros(shape, dtype=dtype)
            )
        ),
        "creation",
        "zeros of float64: on device .*CPU_DEVICE",
    ),
    "float32 arrays": (asarray(single), "transfers", "asarray of float64, contiguous: of dtype float32"),
    "int32 arrays": (
        asarray(lambda host: host.astype(np.int32) if host.dtype.kind == "i" else host),
        "transfers",
        "asarray of int64, contiguous: of dtype int32",
    ),
    "0-d becomes 1-d": (asarray(np.atleast_1d), "transfers", r"0-d: of shape \(1,\), expected \(\)"),
    "strides are ignored": (
        asarray(lambda host: host.ravel(order="K").reshape(host.shape)),
        "transfers",
        "transposed: other values",
    ),
    "read-only arrays fail": (asarray(refuse_read_only), "transfers", "ValueError: buffer source array is read-only"),
    "arrays on another device": (
        on_strict(asarray=lambda self, host: array_api_strict.asarray(np.asarray(host), device=HOST)),
        "transfers",
        "on device .*CPU_DEVICE.*, expected .*device1",
    ),
    "to_numpy leaves them there": (
        lambda: variant(NumpyBackend, to_numpy=lambda self, a: a.tolist()),
        "transfers",
        "to_numpy returns a list",
    ),
    "conjugates are not": (with_xp(conj=lambda z: z), "views", "conjugated: other values"),
    "where narrows": (with_xp(where=narrow(np.where)), "dtypes", "dtype|TypeError|AttributeError"),
    "real parts narrow": (
        with_xp(real=lambda z: np.real(z).astype(np.float32)),
        "dtypes",
        "to be float64: of dtype float32",
    ),
    "cosines of float32": (with_xp(cos=narrow(np.cos)), "elementwise", "^cos: .* ulp, allowed 4"),
    "tanh overflows": (with_xp(tanh=by_exponentials), "elementwise", "^tanh"),
    "quotients by reciprocals": (imprecise(__truediv__=reciprocal), "arithmetic", "x / y: other values"),
    "sums of float32": (with_xp(sum=narrow(np.sum)), "sums", "sum over None: .*eps of the sum"),
    "products of float32": (
        imprecise(
            __matmul__=lambda a, b: (np.asarray(a, np.float32) @ np.asarray(b, np.float32)).astype(float).view(type(a))
        ),
        "products",
        "matrix product, A B: off by",
    ),
    "sorting is not stable": (with_xp(argsort=unstable), "rearranged", "stable argsort: other values"),
    "arrays cannot be assigned to": (
        with_xp(zeros=read_only_zeros),
        "assignment",
        "ValueError: assignment destination is read-only",
    ),
    "solutions of float32": (
        with_xp(linalg=Namespace(np.linalg, solve=narrow(np.linalg.solve))),
        "linear_algebra",
        "linalg.solve: A x: off by",
    ),
    "scaled by 1 / N": (
        rfftn(lambda x, axes, kept: scipy.fft.rfftn(x, axes=axes, norm="forward")[..., :kept]),
        "forward_transform",
        "rfftn over .*off by",
    ),
    "conjugated": (rfftn(conjugated), "forward_transform", "rfftn over .*off by"),
    "transformed on the host": (
        on_strict(rfftn=lambda self, x, axes, kept=None: right(self.to_numpy(x), axes, kept)),
        "forward_transform",
        "a ndarray, expected a Array",
    ),
    "transform on another device": (
        on_strict(rfftn=lambda self, x, axes, kept=None: StrictBackend.rfftn(self, x, axes, kept).to_device(HOST)),
        "forward_transform",
        "on device .*CPU_DEVICE",
    ),
    "kept is ignored": (rfftn(lambda x, axes, kept: scipy.fft.rfftn(x, axes=axes)), "kept_modes", r"1 kept: of shape"),
    "the inverse is scaled": (scaled_inverse, "inverse_transform", "irfftn to .*off by"),
    "even lengths only": (irfftn(even_only), "inverse_transform", "irfftn to|ValueError"),
    "spectra must be whole": (irfftn(by_what_is_there), "pruned_input", "irfftn to .* from .* modes: of shape"),
    "the input is overwritten": (rfftn(overwriting), "layouts_of_transforms", "input of rfftn, .*: other values"),
    "strides of the input are ignored": (rfftn(blind_to_strides), "layouts_of_transforms", "rfftn, .*: off by"),
    "out of order": (
        map_with(lambda f, items: [f(i) for i in items][::-1]),
        "map_order",
        "expected the squares of 0 to 7 in their order",
    ),
    "a lazy map": (map_with(map), "map_order", "returns a map, expected a list"),
    "exceptions are swallowed": (map_with(swallowing), "map_exceptions", "where the function raised an exception"),
    "not the same twice": (Unrepeatable, "map_in_blocks", "once more: other values"),
    "a detour over the host": (
        on_strict(rfftn=over_the_host),
        "no_hidden_transfers",
        "a transfer between host and device",
    ),
    "no processes": (
        with_options(processes=None),
        "processes",
        "processes: lacks at_root, distributed, guard, is_root",
    ),
    "processes without a guard": (with_processes("guard"), "processes", "processes: lacks guard: see"),
    "a size that is no number": (with_processes(size="1"), "processes", "processes.size: '1', expected a whole number"),
    "more processes here than there are": (with_processes(size_here=2), "processes", "2 of 1 on this machine"),
    "no process that writes": (with_processes(is_root=False), "processes", "there is none that prints and writes"),
    "results of the root are lost": (
        with_processes(at_root=lambda action: None),
        "processes",
        "at_root: does not return",
    ),
    "errors of the root are swallowed": (with_processes(at_root=swallow), "processes", "at_root: raises nothing"),
    "a guard that swallows errors": (
        with_processes(guard=lambda: contextlib.suppress(Exception)),
        "processes",
        "guard: swallows an exception",
    ),
    "a shard without broadcast": (with_shard("broadcast"), "shards", "shard, dense: lacks broadcast: see"),
    "a shard of other points": (with_shard(n_total=7), "shards", "shard.n_total, dense: 7, expected 42"),
    "a part that says it is all": (with_shard(is_whole=False), "shards", "shard.is_whole, dense: False, of 42 points"),
    "parts of the wrong length": (with_shard(part=lambda x: x[1:]), "shards", r"of shape \(41,\), expected \(42,\)"),
    "parts in another order": (with_shard(gather=lambda x: x[::-1]), "shards", "shard.gather, dense: other values"),
    "sums of one number only": (
        with_shard(sum=lambda *sums: [sums[0], *(0.0 * x for x in sums[1:])]),
        "shards",
        "shard.sum, dense: other values",
    ),
    "sums over the parts counted twice": (
        with_shard(sum=lambda *sums: [2.0 * x for x in sums]),
        "shards",
        "shard.sum, dense: 1722.0, expected 861.0",
    ),
    "a smaller maximum": (with_shard(max=lambda value: value - 1.0), "shards", "shard.max, dense: 40.0, expected 41.0"),
    "no value from the first process": (with_shard(broadcast=lambda value: None), "shards", "shard.broadcast, dense"),
    "divided transforms are conjugated": (
        with_processes(distributed=lambda backend: rfftn(conjugated)()),
        "divided_transforms",
        "rfftn divided among processes, kept = None: off by",
    ),
    "tanh off by 1e-12": (with_xp(tanh=lambda x: np.tanh(x) * (1.0 + 1e-12)), "network", "si, fft: .*off by"),
    "roots of float32": (with_xp(sqrt=narrow(np.sqrt)), "adam", "Adam: .*off by"),
    "steps of float32": (
        with_xp(linalg=Namespace(np.linalg, solve=narrow(np.linalg.solve))),
        "second_order",
        "levenberg_marquardt: .*off by",
    ),
    "cosines off by 1e-12": (with_xp(cos=lambda x: np.cos(x) * (1.0 + 1e-12)), "fit", "a model's values: off by"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_caught_and_named(defect):
    make, name, problem = DEFECTS[defect]
    (result,) = check_backend(make(), [name])
    assert isinstance(result, CheckResult)
    assert result.name == name
    assert not result.passed
    assert re.search(problem, result.problem), result.problem
    assert "\n" not in str(result)


def test_each_check_but_verify_has_a_defect_to_catch():
    assert {name for _, name, _ in DEFECTS.values()} == set(CHECKS) - {"verify"}


def test_verify_is_one_of_the_checks(monkeypatch):
    from simsnn_ref.testing import training
    from simsnn_ref.verify import Comparison

    wrong = Comparison("gradient", "a case", "W2", (0, 3), 1.0, 1.5, 2.25e15, 0.5, 1e-14)
    monkeypatch.setattr(training, "verify", lambda backend: [wrong])
    (result,) = check_backend(NumpyBackend(), ["verify"])
    assert "gradient of a case: W2[0, 3] is 1.5, expected 1.0" in result.problem


def test_all_checks_run_whatever_fails():
    names = [name for name in CHECKS if name not in ("network", "adam", "second_order", "fit", "verify")]
    results = check_backend(scaled_inverse(), names)
    assert [result.name for result in results] == names
    failed = [result.name for result in results if not result.passed]
    assert failed == ["inverse_transform", "pruned_input", "layouts_of_transforms"]
    assert str(results[0]) == "members: ok"


def test_example_of_the_docstring():
    failed, attempted = doctest.testmod(suite)
    assert (failed, attempted > 0) == (0, True)


def test_pytest_finds_a_test_for_each_check_without_being_imported():
    assert {name for name in dir(BackendConformance) if name.startswith("test_")} == {f"test_{n}" for n in CHECKS}
    assert all(getattr(BackendConformance, f"test_{name}").__doc__ for name in CHECKS)
    code = "import sys, simsnn_ref.testing; print('pytest' in sys.modules, 'mpmath' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
