"""`simsnn verify` and its parts: what it says of right and wrong numbers. test_mutants.py breaks the code itself."""

import json
import sys

import mpmath
import numpy as np
import pytest
from conftest import EPS, StrictBackend

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.commands.main import main
from simsnn_ref.errors import ConfigError, VerificationError
from simsnn_ref.network import evaluate_network, layers
from simsnn_ref.network import network as network_module
from simsnn_ref.verify import (
    Comparison,
    check_gradient,
    check_subject,
    compare,
    complex_step,
    complex_step_in_digits,
    require,
    subjects,
    verify,
)


@pytest.mark.parametrize("backend_type", [NumpyBackend, pytest.param(StrictBackend, marks=pytest.mark.slow)])
def test_everything_passes(backend_type):
    checks = verify(backend_type())
    require(checks)
    assert len(checks) > 1500
    gradients = [check for check in checks if check.what == "gradient"]
    assert {check.case.split(",")[0] for check in gradients} == {"si", "fourier", "msnn", "rff", "ffm", "cos", "none"}
    assert {"linear", "dense", "separable", "fft"} <= {check.case.split(", ")[1] for check in gradients}
    for what in (
        "natural scales",
        "d^2u/dx^2",
        "Gauss-Newton, steps",
        "Levenberg-Marquardt, steps",
        "L-BFGS, first direction",
    ):
        assert any(check.what == what for check in checks), what
    assert any(check.what == "gradient by mpmath" for check in checks)


def test_complex_step_of_known_functions():
    params = {"a": np.array([0.3, -1.2]), "b": np.array([[2.0]])}
    gradient = complex_step(lambda p: np.sum(np.sin(p["a"])) * np.exp(p["b"][0, 0]), params)
    exact = {"a": np.cos(params["a"]) * np.exp(2.0), "b": np.array([[np.sum(np.sin(params["a"])) * np.exp(2.0)]])}
    for name, value in exact.items():
        assert np.max(np.abs(gradient[name] - value)) <= 4 * EPS * np.max(np.abs(value))
    assert set(complex_step(lambda p: p["a"][0], params, ["a"])) == {"a"}
    wide = complex_step(lambda p: np.sin(p["a"][0]), {"a": np.array([0.3], dtype=np.longdouble)})
    with mpmath.workdps(30):
        exact_cosine = mpmath.cos(mpmath.mpf(0.3))
    assert abs(float(wide["a"][0] - np.longdouble(mpmath.nstr(exact_cosine, 25)))) <= 2 * np.finfo(np.longdouble).eps


def test_evaluate_network_is_the_formula():
    subject = next(s for s in subjects(NumpyBackend()) if s.name == "ffm, dense, 2-D, 3 layers, p = 10")
    network, params, x = subject.objective.network, subject.params, subject.points[5].astype(float)
    half = [np.array([np.cos(2 * np.pi * k @ x + b) for k, b in zip(params["B"], part, strict=True)])
            for part in np.split(params["b"], 2)]  # fmt: skip
    z = params["W1"] @ (network.amplitudes * np.concatenate(half)) + params["c1"]
    for layer in (2, 3, 4):
        z = params[f"W{layer}"] @ np.tanh(z) + params[f"c{layer}"]
    assert abs(evaluate_network(network, params, x[None, :])[0] - z[0]) <= 20 * EPS * abs(z[0])


def test_the_worst_number_is_named():
    expected = {"W1": np.arange(1.0, 7.0).reshape(2, 3), "b": np.array([1e-3, 2.0])}
    got = {name: value.copy() for name, value in expected.items()}
    got["W1"][1, 2] *= 1.0 + 1e-12
    check = compare("gradient", "a case", got, expected)
    assert (check.tensor, check.index, check.expected) == ("W1", (1, 2), 6.0)
    assert not check.passed
    assert check.ulp == pytest.approx(6e-12 / np.spacing(6.0), rel=1e-3)
    assert check.relative == pytest.approx(6e-12 / np.sqrt(91.0), rel=1e-3)
    with pytest.raises(AssertionError, match=r"gradient of a case: W1\[1, 2\] is 6.000000000006"):
        require([check])
    assert compare("gradient", "a case", expected, expected).ulp == 0.0
    got["b"][0] = np.nan
    check = compare("gradient", "a case", got, expected)
    assert (check.tensor, check.index, check.passed) == ("b", (0,), False)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_number_that_is_not_one_is_worse_than_anything(name):
    expected = {key: np.asarray([1.0, 2.0]) for key in "abc"}
    got = {key: 1.5 * value for key, value in expected.items()}
    got[name][1] = np.nan
    worst = compare("u", "a network", got, expected)
    assert (worst.tensor, worst.index, worst.passed) == (name, (1,), False)
    with pytest.raises(AssertionError):
        require(worst)


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ({"a": np.zeros(2)}, "expected the tensors a, b; got a"),
        ({"a": np.zeros(2), "b": np.zeros(3), "c": np.zeros(1)}, "expected the tensors a, b; got a, b, c"),
        ({"a": np.zeros(2), "b": np.zeros((3, 1))}, r"b has the shape \(3, 1\), expected \(3,\)"),
    ],
)
def test_tensors_that_cannot_be_compared(got, message):
    with pytest.raises(VerificationError, match=message):
        compare("x", "y", got, {"a": np.zeros(2), "b": np.zeros(3)})


def test_a_gradient_wrong_by_5e_4_is_found_and_placed(monkeypatch):
    right = layers.tanh_vjp
    monkeypatch.setattr(network_module, "tanh_vjp", lambda h, dh: 1.0005 * right(h, dh))
    subject = next(iter(subjects(NumpyBackend())))
    failed = [check for check in check_subject(subject) if not check.passed]
    assert {"gradient", "gradient in one pass"} <= {check.what for check in failed}
    gradient = next(check for check in failed if check.what == "gradient")
    # Behind the last tanh layer nothing is wrong.
    assert gradient.tensor not in (f"W{len(subject.objective.network.hidden) + 1}",)
    assert gradient.relative >= 4e-4


def energy(values):
    """A user's loss, with a long sum, a quotient and a logarithm in it."""
    z = np.tanh(values["W"] @ np.linspace(0.1, 1.0, 3) + values["c"])
    return np.log(1.0 + np.sum(z**2)) / np.exp(np.mean(values["c"]))


def energy_gradient(values):
    """By hand."""
    x = np.linspace(0.1, 1.0, 3)
    z = np.tanh(values["W"] @ x + values["c"])
    scale = np.exp(-np.mean(values["c"]))
    dz = scale * 2.0 * z / (1.0 + np.sum(z**2)) * (1.0 - z**2)
    return {"W": np.outer(dz, x), "c": dz - np.log(1.0 + np.sum(z**2)) * scale / z.size}


@pytest.fixture
def own():
    rng = np.random.default_rng(8)
    params = {"W": rng.standard_normal((2, 3)), "c": rng.standard_normal(2)}
    return params, energy_gradient(params)


@pytest.mark.parametrize("digits", [0, 40])
def test_a_gradient_of_ones_own_is_checked(own, digits):
    params, gradient = own
    require(check_gradient(energy, params, gradient, digits=digits, tolerance=8 * EPS))
    require(check_gradient(energy, params, {"c": gradient["c"]}, digits=digits, tolerance=8 * EPS))
    gradient["W"][1, 2] *= 1.0005
    check = check_gradient(energy, params, gradient, digits=digits)
    assert (check.what, check.case, check.tensor, check.index) == ("gradient", "energy", "W", (1, 2))
    with pytest.raises(AssertionError, match=r"gradient of energy: W\[1, 2\] is .*, expected .* ulp"):
        require(check)


def test_the_two_routes_of_check_gradient_agree_to_long_double(own):
    params, _ = own
    exact = complex_step(energy, {name: value.astype(np.longdouble) for name, value in params.items()})
    digits = complex_step_in_digits(energy, params, 40)
    for name, value in exact.items():
        assert np.max(np.abs(value - digits[name])) <= 64 * np.finfo(np.longdouble).eps * np.max(np.abs(value))


FUNCTIONS = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log1p", "sqrt")
INVERSES = ("arcsin", "arccos", "arctan", "arcsinh", "arctanh")


@pytest.mark.parametrize("name", [*FUNCTIONS, *INVERSES])
def test_numpys_functions_in_digits(name):
    function = getattr(np, name)
    params = {"x": np.array([0.3, 0.7])}
    exact = complex_step(lambda p: np.sum(function(p["x"])), {"x": params["x"].astype(np.longdouble)})
    found = complex_step_in_digits(lambda p: np.sum(function(p["x"])), params, 30)
    assert np.max(np.abs(found["x"] - exact["x"])) <= 32 * np.finfo(np.longdouble).eps * np.max(np.abs(exact["x"]))


def test_arithmetic_in_digits():
    def function(p):
        x = p["x"]
        return np.max(2.0 - x) ** x[0] / (1.0 / x[1] - 3.0) + 2.0 ** x[1] - np.sign(np.real(-x[0])) * np.min(x)

    params = {"x": np.array([0.3, 0.7])}
    exact = complex_step(function, {"x": params["x"].astype(np.longdouble)})
    found = complex_step_in_digits(function, params, 30)
    assert np.max(np.abs(found["x"] - exact["x"])) <= 32 * np.finfo(np.longdouble).eps * np.max(np.abs(exact["x"]))


@pytest.mark.parametrize(
    ("function", "gradient", "message"),
    [
        (lambda p: np.sum(np.abs(p["a"])), {"a": np.ones(2)}, "returned .* for complex parameters"),
        (lambda p: p["a"], {"a": np.ones(2)}, r"returned complex\w* of shape \(2,\)"),
        (lambda p: 1.0, {"a": np.ones(2)}, "returned float64"),
        (lambda p: p["a"][0], {"a": np.ones(3)}, r"a has the shape \(3,\), expected \(2,\)"),
        (lambda p: p["a"][0], {"b": np.ones(3)}, "b is none of the parameters a"),
    ],
    ids=["abs", "vector", "constant", "shape", "name"],
)
def test_functions_and_gradients_that_cannot_be_checked(function, gradient, message):
    with pytest.raises(VerificationError, match=message):
        check_gradient(function, {"a": np.array([1.0, 2.0])}, gradient)


def test_what_has_no_digits_is_refused(monkeypatch):
    with pytest.raises(VerificationError, match="which does not depend on its parameters"):
        check_gradient(lambda p: 1.0, {"a": np.ones(1)}, {"a": np.ones(1)}, digits=30)
    with pytest.raises(TypeError, match="abs is not analytic"):
        check_gradient(lambda p: np.sum(np.abs(p["a"])), {"a": np.ones(1)}, {"a": np.ones(1)}, digits=30)
    monkeypatch.setitem(sys.modules, "mpmath", None)
    with pytest.raises(ConfigError, match="pip install mpmath"):
        check_gradient(lambda p: p["a"][0], {"a": np.ones(1)}, {"a": np.ones(1)}, digits=30)


def test_command(monkeypatch, capsys):
    assert main(["verify", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert report["backend"] == "numpy"
    assert {"what", "case", "tensor", "index", "expected", "got", "ulp", "relative", "passed"} <= set(
        report["checks"][0]
    )
    checks = [Comparison(**{k: v for k, v in check.items() if k != "passed"}) for check in report["checks"]]
    monkeypatch.setattr("simsnn_ref.commands.verify.verify", lambda backend: checks)
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    for what in ("kernel J J^T", "Gauss-Newton, steps", "d^2u/dx^2"):
        assert what in out
    assert "checks passed on backend numpy" in out


def test_command_fails_where_a_check_does(monkeypatch, capsys):
    def broken(backend):
        return [Comparison("gradient", "a case", "W2", (0, 3), 1.0, 1.5, 2.25e15, 0.5, 1e-14)]

    monkeypatch.setattr("simsnn_ref.commands.verify.verify", broken)
    assert main(["verify"]) == 1
    assert "FAILED gradient of a case: W2[0, 3] is 1.5, expected 1" in capsys.readouterr().out
    assert main(["verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_unknown_backend(capsys):
    assert main(["verify", "--backend", "nothing"]) == 2
    assert "backend 'nothing' is not known" in capsys.readouterr().err


def test_subjects_have_nothing_to_hide():
    for subject in subjects(NumpyBackend()):
        assert all(np.all(value != 0.0) for name, value in subject.params.items() if name != "B")
