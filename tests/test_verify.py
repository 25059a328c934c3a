"""`simsnn verify` and its parts: what it says of right and wrong numbers. test_mutants.py breaks the code itself."""

import json

import mpmath
import numpy as np
import pytest
from conftest import EPS, StrictBackend

from simsnn_ref import layers
from simsnn_ref import network as network_module
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.cli import main
from simsnn_ref.errors import VerificationError
from simsnn_ref.verify import Check, check_subject, compare, complex_step, definition, require, subjects, verify


@pytest.mark.parametrize("backend_type", [NumpyBackend, StrictBackend])
def test_everything_passes(backend_type):
    checks = verify(backend_type())
    require(checks)
    assert len(checks) > 700
    gradients = [check for check in checks if check.what == "gradient"]
    assert {check.case.split(",")[0] for check in gradients} == {"si", "msnn", "rff", "ffm", "cos", "none"}
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


def test_definition_is_the_formula():
    subject = next(s for s in subjects(NumpyBackend()) if s.name == "ffm, dense, 2-D, 3 layers, p = 10")
    network, params, x = subject.objective.network, subject.params, subject.points[5].astype(float)
    half = [np.array([np.cos(2 * np.pi * k @ x + b) for k, b in zip(params["B"], part, strict=True)])
            for part in np.split(params["b"], 2)]  # fmt: skip
    z = params["W1"] @ (network.amplitudes * np.concatenate(half)) + params["c1"]
    for layer in (2, 3, 4):
        z = params[f"W{layer}"] @ np.tanh(z) + params[f"c{layer}"]
    assert abs(definition(network, params, x[None, :])[0] - z[0]) <= 20 * EPS * abs(z[0])


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


def test_command(capsys):
    assert main(["verify", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is True
    assert told["backend"] == "numpy"
    assert {"what", "case", "tensor", "index", "expected", "got", "ulp", "relative", "passed"} <= set(told["checks"][0])
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert "kernel J J^T" in out
    assert "checks passed on backend numpy" in out


def test_command_fails_where_a_check_does(monkeypatch, capsys):
    def broken(backend):
        return [Check("gradient", "a case", "W2", (0, 3), 1.0, 1.5, 2.25e15, 0.5, 1e-14)]

    monkeypatch.setattr("simsnn_ref.commands.verify.verify", broken)
    assert main(["verify"]) == 1
    assert "FAILED gradient of a case: W2[0, 3] is 1.5, expected 1" in capsys.readouterr().out
    assert main(["verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_unknown_backend(capsys):
    assert main(["verify", "--backend", "nothing"]) == 2
    assert "backend 'nothing' is not installed" in capsys.readouterr().err


def test_subjects_have_nothing_to_hide():
    for subject in subjects(NumpyBackend()):
        assert all(np.all(value != 0.0) for name, value in subject.params.items() if name != "B")
