"""Checks of one network: values, the loss, gradients, products with J and its transpose, scales, derivatives in x."""

from typing import Any

import numpy as np

from simsnn_ref.network import evaluate_network
from simsnn_ref.optimizers import Jacobian, dense_jacobian, kernel, natural_scales
from simsnn_ref.verify.cases import Subject, loss_slope
from simsnn_ref.verify.comparison import Comparison, Tensors, compare
from simsnn_ref.verify.dense import exact_scales
from simsnn_ref.verify.differentiation import STEP

__all__ = ["check_subject"]

STEPS = (2.0**-10, 2.0**-11)
"""Two steps, from whose Taylor remainders the exponent is taken."""

EXPONENT_TOLERANCE = 0.1
"""Allowed distance of the exponent to the integer that it tends to."""


def check_subject(subject: Subject) -> list[Comparison]:
    """Every check of a network and its loss."""
    return [
        *_check_gradients(subject),
        *_check_products(subject),
        *_check_scales(subject),
        *_check_inputs(subject),
        *_check_remainders(subject),
    ]


def _one(subject: Subject, what: str, got: Any, expected: Any) -> Comparison:
    got, expected = {what: np.asarray(got)}, {what: np.asarray(expected)}
    return compare(what, subject.name, got, expected, subject.tolerance)


def _check_gradients(subject: Subject) -> list[Comparison]:
    objective, params = subject.objective, subject.params
    value, e = objective.evaluate(params)
    gradient = subject.pulled_back(objective.loss.vjp(objective.xp, e, objective.shard))
    value_in_one_pass, rms_in_one_pass, in_one_pass = objective.value_and_gradient(params)
    u = objective.backend.to_numpy(objective.network.forward(params, objective.fmap))
    residual = subject.u - objective.backend.to_numpy(objective.target)
    return [
        _one(subject, "u", u, subject.u),
        _one(subject, "loss", value, subject.exact_loss(subject.wide)),
        _one(subject, "loss in one pass", value_in_one_pass, subject.exact_loss(subject.wide)),
        _one(subject, "RMS in one pass", rms_in_one_pass, np.sqrt(np.mean(residual * residual))),
        compare("gradient", subject.name, gradient, subject.gradient, subject.tolerance),
        compare("gradient in one pass", subject.name, subject.host(in_one_pass), subject.gradient, subject.tolerance),
    ]


def _check_products(subject: Subject) -> list[Comparison]:
    """Checks of J v, of J^T w by the backward pass and by kept factors, and of J and J J^T themselves."""
    objective, params, to_numpy = subject.objective, subject.params, subject.objective.backend.to_numpy
    v, w = subject.direction(1), np.random.default_rng(2).standard_normal(objective.fmap.n_points)
    jacobian = Jacobian(objective, params)
    on_device = objective.backend.asarray(w)
    Jv, exact_JTw = to_numpy(jacobian.jvp(subject.device(v))), subject.unflat(subject.jacobian.T @ w)
    pulled = {"backward pass": subject.pulled_back(on_device), "kept factors": subject.host(jacobian.vjp(on_device))}
    checks = [_one(subject, "J v", Jv, subject.jacobian @ subject.flat(v))]
    for way, JTw in pulled.items():
        checks.append(compare(f"J^T w, {way}", subject.name, JTw, exact_JTw, subject.tolerance))
        # The difference over the sum of the terms' magnitudes, since the terms may cancel.
        size = float(np.sum(np.abs(Jv * w)))
        off = (float(Jv @ w) - float(subject.flat(JTw) @ subject.flat(v))) / size
        checks.append(_one(subject, f"<J v, w> = <v, J^T w>, {way}", 1.0 + off, 1.0))
    J = subject.jacobian
    checks.append(_one(subject, "J by its factors", to_numpy(dense_jacobian(jacobian)), J))
    checks.append(_one(subject, "kernel J J^T", to_numpy(kernel(jacobian)), J @ J.T))
    return checks


def _check_scales(subject: Subject) -> list[Comparison]:
    objective, params = subject.objective, subject.params
    jacobian = Jacobian(objective, params)
    scales = natural_scales(jacobian)
    found = {name: value for name, value in subject.host(scales.by_name()).items() if name in subject.names}
    expected = exact_scales(subject, subject.wide, subject.jacobian)
    D = subject.flat(expected)
    K = objective.backend.to_numpy(kernel(jacobian, scales))
    return [
        compare("natural scales", subject.name, found, expected, subject.tolerance),
        _one(subject, "kernel J D^2 J^T", K, (subject.jacobian * D**2) @ subject.jacobian.T),
    ]


def _check_inputs(subject: Subject) -> list[Comparison]:
    """Checks of the derivatives in x, of a shift of the points, and of the part that is linear in the features."""
    objective, params, to_numpy = subject.objective, subject.params, subject.objective.backend.to_numpy
    ndim = subject.points.shape[1]
    _, gradient, hessian = (to_numpy(part) for part in objective.network.derivatives(params, objective.fmap, ndim))
    exact_gradient, exact_hessian = subject.slopes
    checks = [
        _one(subject, "du/dx", gradient, exact_gradient),
        _one(subject, "d^2u/dx^2", hessian, exact_hessian),
    ]
    delta = 0.1 * np.arange(1.0, ndim + 1.0)
    shifted = subject.host(objective.network.shifted(params, objective.backend.asarray(delta)))
    at_shifted = evaluate_network(subject.network, subject.wide, subject.points + delta)
    checks.append(_one(subject, "u of shifted parameters", subject.exact_value(shifted), at_shifted))
    linear = to_numpy(objective.network.linear_part(params, objective.fmap))
    return [*checks, _one(subject, "part linear in the features", linear, subject.linear_part)]


def _check_remainders(subject: Subject) -> list[Comparison]:
    """Checks of the gradient and of the Hessian product by the exponents of the remainders that they leave."""
    objective, params = subject.objective, subject.params
    gradient = subject.flat(subject.host(objective.value_and_gradient(params)[2]))
    v = subject.direction(1)
    size = np.linalg.norm(subject.flat(v))
    v = {name: value / size for name, value in v.items()}
    start, steps = subject.exact_loss(subject.wide), np.array(STEPS)
    slope = float(gradient @ subject.flat(v))
    left = np.array([subject.exact_loss(subject.moved(v, h)) - start - h * slope for h in steps])
    first = _exponent("remainder of first order, exponent", subject, left, 2.0)
    Hv, w = _hessian_product(subject, v), subject.direction(4)
    left = left - 0.5 * steps**2 * float(Hv @ subject.flat(v))
    second = _exponent("remainder of second order, exponent", subject, left, 3.0)
    Hw = _hessian_product(subject, w)
    terms = subject.flat(w) * Hv
    off = float(np.sum(terms) - subject.flat(v) @ Hw) / float(np.sum(np.abs(terms)))
    return [first, second, _one(subject, "<w, H v> = <v, H w>", 1.0 + off, 1.0)]


def _exponent(what: str, subject: Subject, remainders: np.ndarray, expected: float) -> Comparison:
    exponent = np.asarray(np.log2(np.abs(remainders[0] / remainders[1])), dtype=np.float64)
    return compare(what, subject.name, {what: exponent}, {what: np.asarray(expected)}, EXPONENT_TOLERANCE / expected)


def _hessian_product(subject: Subject, v: Tensors) -> np.ndarray:
    """H v by a complex step of the hand-written gradient: Im g(theta + ihv) / h."""
    network, fmap = subject.network, subject.host_map
    stepped = {name: np.asarray(value, dtype=np.complex128) for name, value in subject.moved(v, 1j * STEP).items()}
    slope = loss_slope(network.forward(stepped, fmap) - subject.target, subject.objective.loss.p)
    gradient = network.backward(stepped, fmap, lambda u, block: slope[block])
    return np.imag(subject.flat(gradient)) / STEP
