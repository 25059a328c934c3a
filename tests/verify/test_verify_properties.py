"""Hand-written derivatives over shapes, types and scales that nobody would list, by hypothesis; checked by `verify`.

Sums may cancel here, units saturate and weights span 13 decades, so that no fixed share of a tensor's norm bounds its
rounding. Each number has its own bound instead: `Rounding` carries the sum of magnitudes of every quantity and a
first-order bound of its rounding error through the network and back (a running error analysis, Higham, Accuracy and
Stability of Numerical Algorithms, section 3.3). The error is relative to that, and what is asked is 1.
"""

import math
from collections import namedtuple
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import EPS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import VerificationError
from simsnn_ref.network import DenseMap, LinearMap, Network, evaluate_network, make_map
from simsnn_ref.optimizers import Jacobian, LpLoss, Objective, dense_jacobian, kernel
from simsnn_ref.spectrum import Grid
from simsnn_ref.verify import Subject, check_subject, compare, complex_step, complex_step_jacobian, require

HOST = NumpyBackend()

ROUNDING = 4
"""In eps, of a sum of products relative to its magnitudes: over 260 terms at most, in 4 lanes or more, the root of 65
halves of eps (Higham & Mary, SIAM J. Sci. Comput. 41, 2019); and of a cosine, a tanh or a power."""

FARTHEST_SUM = 1e100
"""Of p-th powers scaled by a guess of the loss; one that is farther off is given up for the largest residual."""

POWERS = (2.0, 3.5, 10.0, 20.0)
SIZES = (1e-12, 1e-6, 1e-3, 1.0, 10.0)
SATURATED = 30.0

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).eps == EPS, reason="long double is float64 here: nothing to measure rounding against"
)

FIXED = settings(derandomize=True, deadline=None, database=None)
seeds = st.integers(0, 2**32 - 1)
powers = st.sampled_from(POWERS)


def examples(n):
    return settings(FIXED, max_examples=n)


# The networks


def modes_of(grid, n, rng):
    """`n` Fourier modes of a grid, or as many as there are, none the same as another or as its opposite."""
    shape = np.asarray(grid.shape)
    every = np.stack(np.unravel_index(rng.permutation(grid.size), grid.shape), axis=1)
    chosen, taken = [], set()
    for mode in every:
        if tuple(mode) not in taken and len(chosen) < n:
            taken |= {tuple(mode), tuple(-mode % shape)}
            chosen.append(np.where(2 * mode > shape, mode - shape, mode))
    return np.asarray(chosen, dtype=np.int64)


@st.composite
def grids(draw, longest=4):
    d = draw(st.integers(1, 3))
    shape = draw(st.tuples(*[st.integers(1, longest if d > 1 else 9)] * d))
    return Grid(shape, periodic=tuple(n == 1 or draw(st.booleans()) for n in shape))


@st.composite
def places(draw, kind):
    """A grid for the maps that need one; for the others points, one or many, some of which may coincide."""
    if kind in ("separable", "fft"):
        return draw(grids())
    d, n = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 3, 7, 20, 260)))
    different = n if n == 1 or not draw(st.booleans()) else max(1, n // 2)
    rng = np.random.default_rng(draw(seeds))
    points = rng.uniform(-1.0, 1.0, (different, d))
    return points[rng.integers(0, different, n) if different < n else np.arange(n)]


def map_at(network, where, kind):
    if kind == "linear":
        return LinearMap(where, HOST)
    return make_map(where, HOST, kind=kind, indices=network.indices, period=network.period)


@st.composite
def networks(draw, kind, where, tame=False):
    """A network with parameters of any size; `tame` ones are of the order of 1 and nothing in them is zero."""
    rng = np.random.default_rng(draw(seeds))
    d = where.ndim if isinstance(where, Grid) else where.shape[1]
    hidden = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    amplitudes = indices = period = None
    n_f, scale, paired, frozen, params = d, 1.0, False, set(), {}

    def size():
        return 1.0 if tame else draw(st.sampled_from(SIZES))

    if kind != "linear":
        n_f = draw(st.integers(1, 6))
        if kind == "fft":
            indices, period = modes_of(where, n_f, rng), where.dft_period
            n_f = indices.shape[0]
            B = np.pi * indices / np.array([float(p) for p in period])
            frozen = {"B"}
        else:
            scale, paired = draw(st.sampled_from((1.0, 2.0 * np.pi))), draw(st.booleans())
            B = size() * rng.standard_normal((n_f, d))
            n_f *= 2 if paired else 1
        if not tame:
            frozen |= draw(st.sets(st.sampled_from(("B", "b"))))
        amplitudes = rng.uniform(0.1, 1.0, n_f)
        zero = "none" if tame else draw(st.sampled_from(("none", "some", "all")))
        amplitudes[{"none": slice(0), "some": slice(None, None, 2), "all": slice(None)}[zero]] = 0.0
        params = {"B": B, "b": size() * rng.standard_normal(n_f)}
    widths = (n_f, *hidden, 1)
    for layer, (n, m) in enumerate(pairwise(widths), start=1):
        params[f"W{layer}"] = size() * rng.standard_normal((m, n))
        params[f"c{layer}"] = size() * rng.standard_normal(m)
    if not tame and draw(st.booleans()):
        saturated = params[f"c{draw(st.integers(1, len(hidden)))}"]
        saturated[:: draw(st.sampled_from((1, 2)))] = draw(st.sampled_from((-SATURATED, SATURATED)))
    network = Network(HOST, "si", hidden, amplitudes, scale, paired, frozenset(frozen), indices, period)
    return network, params


KINDS = ("dense", "separable", "fft", "linear")


@st.composite
def subjects(draw, kinds=KINDS, decades=290):
    """A network, its points, and a target of up to `decades` above or below 1 in size."""
    kind, p = draw(st.sampled_from(kinds)), draw(powers)
    where = draw(places(kind))
    network, params = draw(networks(kind, where))
    rng = np.random.default_rng(draw(seeds))
    points = where.scaled_points(np.longdouble) if isinstance(where, Grid) else where.astype(np.longdouble)
    fmap = map_at(network, where, kind)
    target = rng.choice([-1.0, 1.0], fmap.n_points) * rng.uniform(0.3, 3.0, fmap.n_points)
    target *= 10.0 ** draw(st.integers(-decades, decades))
    if draw(st.booleans()):
        # Met exactly at some points, but not at the one with the largest residual.
        u = network.forward(params, fmap)
        met = np.arange(target.size) % 2 == 1
        target = np.where(met & (np.arange(target.size) != np.argmax(np.abs(u - target))), u, target)
    name = f"{kind}, {fmap.n_points} points, {network.hidden}, p = {p:g}"
    return Subject(name, Objective(network, fmap, target, LpLoss(p), HOST), params, points)


def scaled(subject, size):
    """The network and its target `size` times as large."""
    params = subject.params
    params = params | {name: size * params[name] for name in last_layer(subject.objective.network)}
    return replace(subject, params=params, objective=replace(subject.objective, target=size * subject.objective.target))


def last_layer(network):
    return f"W{network.depth + 1}", f"c{network.depth + 1}"


# The bounds

Carried = namedtuple("Carried", "magnitude error")
"""What a number is a sum of, in magnitude, and a bound of its rounding error in eps."""


def product(a, b, multiply=np.matmul):
    """Of two carried arrays, to first order in their errors."""
    magnitude = multiply(a.magnitude, b.magnitude)
    error = multiply(a.error, b.magnitude) + multiply(a.magnitude, b.error) + ROUNDING * magnitude
    return Carried(magnitude, error)


def given_number(x):
    return Carried(np.abs(x), np.zeros(np.shape(x)))


def total(a, b):
    return Carried(a.magnitude + b.magnitude, a.error + b.error + ROUNDING * (a.magnitude + b.magnitude))


def part_of(a, index):
    return Carried(a.magnitude[index], a.error[index])


def reach(subject):
    """Magnitudes of the coordinates, (d, n_points): the separable map's are sums of two that are no larger than 1."""
    x = np.abs(subject.points.astype(np.float64).T)
    return 2.0 * np.ones_like(x) if subject.objective.fmap.name == "separable" else x


class Rounding:
    """u and the rows of J, (n_points,) and (n_points, P): magnitudes, and bounds of their errors in eps."""

    def __init__(self, subject):
        network, params, x = subject.objective.network, subject.params, subject.points.astype(np.float64)
        features = network.features(params)
        if features is None:
            value, carried = x.T, given_number(x.T)
        else:
            A, K, b = features.amplitudes[:, None], features.wavenumbers, features.phases[:, None]
            value = A * np.cos(K @ x.T + b)
            # The maps split cos(k.x + b) into cosines and sines of parts, which are up to 1 whatever it is itself.
            turn = np.abs(K) @ reach(subject) + np.abs(b)
            carried = Carried(np.abs(A) * np.ones_like(turn), ROUNDING * np.abs(A) * (1.0 + turn))
        inputs, slopes = [], []
        for layer in range(1, network.depth + 2):
            W, c = params[f"W{layer}"], params[f"c{layer}"][:, None]
            inputs.append(carried)
            value, z = W @ value + c, total(product(given_number(W), carried), given_number(c))
            if layer <= network.depth:
                # 1 - h^2 is rounded by eps where it vanishes, and bends by 2 |h| (1 - h^2) with z.
                slope, value = np.cosh(value) ** -2.0, np.tanh(value)
                slopes.append(Carried(slope, 2.0 * np.abs(value) * slope * z.error + ROUNDING))
                carried = Carried(np.abs(value), slope * z.error + ROUNDING * np.abs(value))
        self.u = part_of(z, 0)
        self.names, self.rows = subject.names, self._rows(subject, inputs, slopes)
        flat = (np.concatenate([self.rows[name][i].reshape(-1, x.shape[0]) for name in self.names]) for i in (0, 1))
        self.J = Carried(*(part.T for part in flat))

    @staticmethod
    def _rows(subject, inputs, slopes):
        """Of du/dtheta by name, the points last."""
        network, params, x = subject.objective.network, subject.params, reach(subject)
        D, rows = given_number(np.ones((1, x.shape[1]))), {}
        for layer in range(network.depth + 1, 0, -1):
            rows[f"W{layer}"] = product(part_of(D, np.s_[:, None]), part_of(inputs[layer - 1], None), np.multiply)
            rows[f"c{layer}"] = D
            D = product(given_number(params[f"W{layer}"].T), D)
            D = product(D, slopes[layer - 2], np.multiply) if layer > 1 else D
        if network.amplitudes is not None:
            rows["b"] = product(D, inputs[0], np.multiply)
            B = product(part_of(rows["b"], np.s_[:, None]), given_number(network.scale * x), np.multiply)
            n = params["B"].shape[0]
            rows["B"] = total(part_of(B, np.s_[:n]), part_of(B, np.s_[n:])) if network.paired else B
        return rows

    def loss(self, subject):
        """Of L and dL/de, as `LpLoss` forms them of r = e / max|e|."""
        p, target = subject.objective.loss.p, subject.objective.target
        e = np.abs((subject.exact_value(subject.wide) - target).astype(np.float64))
        scale = np.max(e)
        r, r_error = e / scale, self.u.error / scale + ROUNDING * e / scale
        power = np.sum(r**p)
        shift = np.sum(r ** (p - 1.0) * r_error) / power
        value = scale * np.mean(r**p) ** (1.0 / p)
        factor = np.mean(r**p) ** (1.0 / p - 1.0) / e.size
        slope = factor * r ** (p - 1.0)
        # A power magnifies by its exponent; e that rounding alone decides is no larger than that.
        change = factor * (p - 1.0) * (r + EPS * r_error) ** (p - 2.0) * r_error
        error = change + slope * (ROUNDING + p + (p - 1.0) * shift)
        return Carried(value, value * (ROUNDING + shift)), Carried(slope, error)

    def pulled(self, w):
        """J^T w by name."""
        parts = {}
        for name in self.names:
            row = self.rows[name]
            parts[name] = Carried(
                row.magnitude @ w.magnitude,
                row.error @ w.magnitude + row.magnitude @ w.error + ROUNDING * (row.magnitude @ w.magnitude),
            )
        return parts

    def pushed(self, v):
        """J v."""
        flat = given_number(np.concatenate([v[name].ravel() for name in self.names]))
        return product(self.J, flat)


def agree(what, subject, got, expected, bound, eps=EPS):
    """Every number within its bound of rounding, by `compare` of the errors in units of it."""
    ratios = {}
    for name, value in expected.items():
        error = np.asarray(got[name]) - np.asarray(value, dtype=np.longdouble)
        # Products below the smallest normal number are lost whatever their bound.
        ratios[name] = np.max(np.abs(error) / (eps * bound[name].error + np.finfo(np.float64).tiny))
    zero = {name: np.zeros(1) for name in expected}
    require([compare(what, subject.name, {name: np.reshape(r, 1) for name, r in ratios.items()}, zero, tolerance=1.0)])
    assert set(got) == set(expected)


def exact_jacobian(subject):
    return complex_step_jacobian(subject.exact_value, subject.wide, subject.names)


# Values and gradients


def pulled_back(objective, params, w):
    """J^T w by the backward pass."""
    return objective.network.backward(params, objective.fmap, lambda u, block: w[block])


def gradient_of(objective, params, e):
    """dL/dtheta from the slope of the loss at the residual of `params`."""
    return pulled_back(objective, params, objective.loss.vjp(np, e))


def check_gradient(subject, exact_loss, exact_gradient, guesses=(1.0, 5e-324, 1.7e308)):
    """u, L and dL/dtheta, forward and back in two passes and in one, whatever the loss is guessed to be."""
    objective, params = subject.objective, subject.params
    rounding = Rounding(subject)
    loss, slope = rounding.loss(subject)
    bounds = rounding.pulled(slope)
    value, e = objective.evaluate(params)
    u = objective.network.forward(params, objective.fmap)
    assert np.array_equal(e, u - objective.target)
    agree("u", subject, {"u": u}, {"u": subject.exact_value(subject.wide)}, {"u": rounding.u})
    agree("loss", subject, {"loss": value}, {"loss": exact_loss}, {"loss": loss})
    agree("gradient", subject, gradient_of(objective, params, e), exact_gradient, bounds)
    # The root of a sum that far from 1 magnifies the rounding of 1/p.
    p = objective.loss.p
    loss = Carried(loss.magnitude, loss.error + loss.magnitude * math.log(FARTHEST_SUM) / p)
    slope = Carried(slope.magnitude, slope.error + slope.magnitude * math.log(FARTHEST_SUM) / p)
    bounds = rounding.pulled(slope)
    for last in (value, *guesses):
        again, found_rms, in_one_pass = objective.value_and_gradient(params, last)
        # Two sums of n squares, each of up to n roundings, that a root halves.
        assert abs(found_rms - objective.rms(e)) <= (e.size + 4) * EPS * found_rms
        agree("loss in one pass", subject, {"loss": again}, {"loss": exact_loss}, {"loss": loss})
        agree("gradient in one pass", subject, in_one_pass, exact_gradient, bounds)


def has_residual(subject):
    """Whether something beyond rounding is left: a loss has no slope at 0."""
    e = np.abs(subject.exact_value(subject.wide) - subject.objective.target)
    return float(np.max(e)) > 1e3 * EPS * float(np.max(Rounding(subject).u.error))


@examples(600)
@given(subjects())
def test_loss_and_gradient_are_the_definitions_and_its_complex_step(subject):
    assume(has_residual(subject))
    gradient = complex_step(subject.exact_loss, subject.wide, subject.names)
    check_gradient(subject, subject.exact_loss(subject.wide), gradient)


@examples(240)
@given(subjects(decades=3), st.integers(-960, 960))
def test_a_network_and_target_of_any_size_have_the_same_slopes(subject, exponent):
    assume(has_residual(subject))
    objective, size = subject.objective, 2.0**exponent
    # A complex step is only as small as the numbers are large: it is taken where they are of the order of 1.
    gradient = complex_step(subject.exact_loss, subject.wide, subject.names)
    large = scaled(subject, size)
    exact = {
        name: value if name in last_layer(objective.network) else value * np.longdouble(size)
        for name, value in gradient.items()
    }
    # A guess that is off scales dL/de by up to `FARTHEST_SUM`, which leaves the range with the largest weights.
    guesses = () if size * FARTHEST_SUM > 1e290 else (1.0, 5e-324, 1.7e308)
    check_gradient(large, subject.exact_loss(subject.wide) * np.longdouble(size), exact, guesses)
    # L(s e) = s L(e), and a power of two changes no digit of anything.
    value, e = objective.evaluate(subject.params)
    value_large, e_large = large.objective.evaluate(large.params)
    assert (value_large, e_large.tolist()) == (size * value, (size * e).tolist())
    got = gradient_of(large.objective, large.params, e_large)
    for name, slope in gradient_of(objective, subject.params, e).items():
        expected = slope if name in last_layer(objective.network) else size * slope
        # Subnormal numbers have fewer digits.
        assert np.all(np.abs(got[name] - expected) <= np.finfo(np.float64).tiny)


# Products with J and its transpose, and the kernel


def carried_dot(a, b):
    """A bound for <a, b> in eps, a and b by name."""
    return sum(float(np.sum(product(a[name], b[name], np.multiply).error)) for name in a)


@examples(320)
@given(subjects(), seeds)
def test_products_with_J_and_its_transpose(subject, seed):
    objective, params = subject.objective, subject.params
    rng = np.random.default_rng(seed)
    v, w = subject.direction(seed), rng.standard_normal(objective.fmap.n_points)
    jacobian, rounding, J = Jacobian(objective, params), Rounding(subject), exact_jacobian(subject)
    pushed, pulled = rounding.pushed(v), rounding.pulled(given_number(w))
    exact_push = {"J v": J @ objective.flatten(v, params)}
    exact_pull = objective.unflatten(J.T @ w, params)
    Jv, backwards = jacobian.jvp(v), pulled_back(objective, params, w)
    agree("J v", subject, {"J v": Jv}, exact_push, {"J v": pushed})
    for route, JTw in (("backward pass", backwards), ("kept factors", jacobian.vjp(w))):
        agree(f"J^T w, {route}", subject, JTw, exact_pull, pulled)
        pairing = float(Jv @ w) - sum(float(np.sum(JTw[name] * v[name])) for name in subject.names)
        bound = carried_dot({"u": pushed}, {"u": given_number(w)})
        bound += carried_dot(pulled, {name: given_number(v[name]) for name in subject.names})
        agree(f"<J v, w> = <v, J^T w>, {route}", subject, {"": pairing}, {"": 0.0}, {"": Carried(0.0, bound)})
    agree("J", subject, {"J": dense_jacobian(jacobian)}, {"J": J}, {"J": rounding.J})


@examples(240)
@given(subjects(decades=100))
def test_kernel_is_J_times_its_transpose_symmetric_and_positive_semidefinite(subject):
    objective, params = subject.objective, subject.params
    jacobian = Jacobian(objective, params)
    K, J, bound = kernel(jacobian), exact_jacobian(subject), Rounding(subject).J
    bound = product(bound, Carried(bound.magnitude.T, bound.error.T))
    agree("kernel", subject, {"K": K}, {"K": J @ J.T}, {"K": bound})
    assert np.array_equal(K, K.T)
    # An eigenvalue moves by the norm of the perturbation at most (Weyl), and eigvalsh perturbs by n eps of K's.
    allowed = EPS * (np.linalg.norm(bound.error) + K.shape[0] * np.linalg.norm(K))
    assert np.linalg.eigvalsh(K)[0] >= -allowed


@examples(160)
@given(subjects(kinds=("dense", "linear"), decades=3), seeds)
def test_the_order_of_the_points_is_the_order_of_the_values(subject, seed):
    assume(has_residual(subject))
    objective, params = subject.objective, subject.params
    order = np.random.default_rng(seed).permutation(objective.fmap.n_points)
    shuffled = replace(
        objective, fmap=type(objective.fmap)(objective.fmap.points[order], HOST), target=objective.target[order]
    )
    rounding = Rounding(subject)
    loss, slope = rounding.loss(subject)
    value, e = objective.evaluate(params)
    value_shuffled, e_shuffled = shuffled.evaluate(params)
    u_error = Carried(rounding.u.magnitude, rounding.u.error + ROUNDING * np.abs(e))
    agree("order of e", subject, {"e": e_shuffled}, {"e": e[order]}, {"e": Carried(*(part[order] for part in u_error))})
    agree("loss in any order", subject, {"L": value_shuffled}, {"L": value}, {"L": loss})
    agree(
        "gradient in any order",
        subject,
        gradient_of(shuffled, params, e_shuffled),
        gradient_of(objective, params, e),
        rounding.pulled(slope),
    )


@examples(160)
@given(subjects(decades=3))
def test_a_residual_of_exactly_zero_has_the_subgradient_zero(subject):
    objective, params = subject.objective, subject.params
    objective = replace(objective, target=objective.network.forward(params, objective.fmap))
    value, e = objective.evaluate(params)
    assert value == 0.0
    assert not np.any(e)
    in_one_pass = objective.value_and_gradient(params)
    assert in_one_pass[0] == 0.0
    for gradient in (gradient_of(objective, params, e), in_one_pass[2]):
        assert set(gradient) == set(subject.names)
        assert all(value.shape == params[name].shape and not np.any(value) for name, value in gradient.items())


@examples(75)
@given(st.sampled_from(KINDS), powers, st.data())
def test_every_check_of_verify_holds_down_to_one_mode_unit_and_point(kind, p, data):
    where = data.draw(places(kind))
    network, params = data.draw(networks(kind, where, tame=True))
    fmap = map_at(network, where, kind)
    u = network.forward(params, fmap)
    # A residual of one sign, larger than u: only the products with cosines can cancel.
    residual = 10.0 * (1.0 + np.abs(u)) * np.linspace(1.0, 2.0, u.size)
    points = where.scaled_points(np.longdouble) if isinstance(where, Grid) else where.astype(np.longdouble)
    objective = Objective(network, fmap, u - residual, LpLoss(p), HOST)
    checks = check_subject(Subject(f"{kind}, {u.size} points", objective, params, points))
    # What cancels costs three digits or four, where a wrong term leaves none. The terms of third order, which the
    # exponents of the remainders are read off, may vanish.
    require([replace(check, tolerance=2**14 * EPS) for check in checks if "remainder" not in check.what])


# `compare` itself, and numbers of other types

WHOLE = (np.int8, np.int64)
SMALL = (*WHOLE, np.float32)


def eps_of(dtype):
    """What is computed of numbers of a type: integers count as float64."""
    return EPS if np.dtype(dtype).kind in "iu" else float(np.finfo(dtype).eps)


tensors = arrays(np.float64, st.integers(1, 5), elements=st.floats(0.5, 2.0).map(lambda x: x if x < 1.5 else -x))


@examples(240)
@given(tensors, st.integers(-300, 300), st.floats(1e-12, 1.0), st.sampled_from((np.float64, np.longdouble)))
def test_compare_tells_the_relative_error_at_any_size(x, decade, error, dtype):
    expected = x.astype(dtype) * dtype(10.0) ** decade
    check = compare("x", "", {"x": expected * (1.0 + error)}, {"x": expected}, tolerance=0.5 * error)
    # 1 + error and its product are rounded by an eps each.
    assert abs(check.relative - error) <= 4 * EPS
    assert not check.passed
    assert compare("x", "", {"x": expected}, {"x": expected}, tolerance=0.0).passed


@examples(120)
@given(st.sampled_from((np.uint8, *SMALL)), st.integers(1, 100), st.integers(1, 100))
def test_compare_takes_numbers_of_any_type(dtype, got, expected):
    check = compare("x", "", {"x": np.array([got], dtype)}, {"x": np.array([expected], dtype)})
    assert check.relative == pytest.approx(abs(got - expected) / expected, rel=4 * EPS)


def test_compare_refuses_to_compare_nothing():
    with pytest.raises(VerificationError, match="x, y: no tensors to compare"):
        compare("x", "y", {}, {})
    with pytest.raises(VerificationError, match="x, y: a has no entries"):
        compare("x", "y", {"a": np.zeros((0, 2))}, {"a": np.zeros((0, 2))})


@examples(120)
@given(st.sampled_from((*SMALL, np.float64, np.longdouble)), st.integers(-4, 4), st.integers(-4, 4))
def test_complex_step_takes_numbers_of_any_type(dtype, a, b):
    params = {"a": np.array(a, dtype), "b": np.array([[b]], dtype)}
    gradient = complex_step(lambda p: np.sin(p["a"]) * p["b"][0, 0] ** 2, params)
    kind = np.longdouble if dtype is np.longdouble else np.float64
    expected = {"a": np.cos(kind(a)) * b**2, "b": np.array([[2 * np.sin(kind(a)) * b]])}
    for name, value in expected.items():
        assert gradient[name].dtype == kind
        # A sine, a cosine, and products that are exact.
        assert np.max(np.abs(gradient[name] - value)) <= 4 * np.finfo(kind).eps * np.max(np.abs(value))


@st.composite
def single_precision(draw):
    """A network whose parameters, but for Fourier modes, are in single precision, and the same in float64."""
    kind, dtype = draw(st.sampled_from(KINDS)), np.float32
    where = draw(places(kind))
    network, params = draw(networks(kind, where, tame=True))
    keep = {"B"} if kind == "fft" else set()
    params = {name: value if name in keep else np.rint(2.0 * value).astype(dtype) for name, value in params.items()}
    points = where.scaled_points(np.longdouble) if isinstance(where, Grid) else where.astype(np.longdouble)
    target = np.arange(points.shape[0], dtype=np.float64) + 20.0
    objective = Objective(network, map_at(network, where, kind), target, LpLoss(draw(powers)), HOST)
    wide = {name: value.astype(np.float64) for name, value in params.items()}
    subject = Subject(f"{kind} in {np.dtype(dtype)}", objective, wide, points)
    return subject, params, dtype


@examples(240)
@given(single_precision())
def test_parameters_in_single_precision_are_used_as_they_are(case):
    subject, params, dtype = case
    objective, eps, rounding = subject.objective, eps_of(dtype), Rounding(subject)
    loss, slope = rounding.loss(subject)
    exact = complex_step(subject.exact_loss, subject.wide, subject.names)
    value, e = objective.evaluate(params)
    again, _, in_one_pass = objective.value_and_gradient(params, value)
    u = objective.network.forward(params, objective.fmap)
    agree("u", subject, {"u": u}, {"u": subject.exact_value(subject.wide)}, {"u": rounding.u}, eps)
    for L in (value, again):
        agree("loss", subject, {"L": L}, {"L": subject.exact_loss(subject.wide)}, {"L": loss}, eps)
    for gradient in (gradient_of(objective, params, e), in_one_pass):
        agree("gradient", subject, gradient, exact, rounding.pulled(slope), eps)
    jacobian, v, J = Jacobian(objective, params), subject.direction(0), exact_jacobian(subject)
    exact_push, bound = {"J v": J @ objective.flatten(v, params)}, {"J v": rounding.pushed(v)}
    agree("J v", subject, {"J v": jacobian.jvp(v)}, exact_push, bound, eps)
    K = kernel(jacobian)
    bound = product(rounding.J, Carried(rounding.J.magnitude.T, rounding.J.error.T))
    agree("kernel", subject, {"K": K}, {"K": J @ J.T}, {"K": bound}, eps)


@examples(160)
@given(subjects(decades=0), seeds)
def test_J_is_pulled_back_by_numbers_in_single_precision(subject, seed):
    objective, params = subject.objective, subject.params
    w = np.random.default_rng(seed).integers(-1, 2, objective.fmap.n_points).astype(np.float32)
    bound, J = Rounding(subject).pulled(given_number(w.astype(np.float64))), exact_jacobian(subject)
    exact = objective.unflatten(J.T @ w.astype(np.longdouble), params)
    for JTw in (Jacobian(objective, params).vjp(w), pulled_back(objective, params, w)):
        agree("J^T w", subject, JTw, exact, bound, eps_of(np.float32))


@examples(120)
@given(subjects(decades=0))
def test_a_target_in_single_precision_is_the_same_target(subject):
    params, whole = subject.params, np.arange(subject.objective.fmap.n_points) % 100
    results = []
    for target in (whole.astype(np.float64), whole.astype(np.float32)):
        objective = replace(subject.objective, target=target)
        value, e = objective.evaluate(params)
        jacobian = Jacobian(objective, params)
        gradients = (gradient_of(objective, params, e), objective.value_and_gradient(params)[2])
        K = kernel(jacobian)
        tensors = [e, K, jacobian.jvp(subject.direction(0)), *(g[name] for g in gradients for name in subject.names)]
        results.append((value, [tensor.tolist() for tensor in tensors]))
    assert results[0] == results[1]


@examples(120)
@given(st.integers(1, 3), st.sampled_from(SMALL), st.data())
def test_points_of_other_types_are_where_they_say(d, dtype, data):
    points = data.draw(arrays(dtype, (data.draw(st.integers(1, 5)), d), elements=st.integers(-1, 1)))
    where = points.astype(np.float64)
    network, params = data.draw(networks("dense", where, tame=True))
    u = network.forward(params, DenseMap(where, HOST))
    assert np.array_equal(network.forward(params, DenseMap(points, HOST)), u)
    got, expected = (evaluate_network(network, params, x) for x in (points, where))
    assert np.array_equal(got, expected)


@examples(240)
@given(arrays(np.int8, st.integers(1, 20), elements=st.integers(-100, 100)), powers, st.sampled_from(SMALL))
def test_loss_of_numbers_of_any_type(e, p, dtype):
    assume(np.any(e))
    # Their type has no room for the p-th powers.
    loss, given_e, eps = LpLoss(p), e.astype(dtype), eps_of(dtype)
    wide = e.astype(np.float64)
    value, slope = loss.forward(np, wide), loss.vjp(np, wide)
    # The p-th power magnifies the rounding of e / max|e|, and the root takes it back.
    assert abs(loss.forward(np, given_e) - value) <= 2 * ROUNDING * eps * value
    assert np.linalg.norm(loss.vjp(np, given_e) - slope) <= (2 * ROUNDING + p) * eps * np.linalg.norm(slope)


@examples(240)
@given(tensors, powers, st.floats(0.5, 2.0), st.integers(-300, 300))
def test_loss_is_homogeneous_and_its_slope_invariant(e, p, s, decade):
    loss, s = LpLoss(p), s * 10.0**decade
    value, slope = loss.forward(np, e), loss.vjp(np, e)
    assert abs(loss.forward(np, s * e) - s * value) <= 2 * ROUNDING * EPS * s * value
    # s e is rounded by half an eps more, which the (p-1)-th power magnifies.
    assert np.linalg.norm(loss.vjp(np, s * e) - slope) <= (2 * ROUNDING + p) * EPS * np.linalg.norm(slope)
