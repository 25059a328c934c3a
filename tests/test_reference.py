"""Reference cases: what they hold, and what `simsnn reference check` says of right, wrong and unusable candidates."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import EPS

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.cli import main
from simsnn_ref.errors import ConfigError, ModelFileError
from simsnn_ref.precision import is_extended
from simsnn_ref.reference import DAMPING, SETS, _Exact, check, export
from simsnn_ref.storage import read_file, read_tensors
from simsnn_ref.verify import complex_step_jacobian

COMMITTED = Path(__file__).parent / "reference"
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
needs_long_double = pytest.mark.skipif(not is_extended(), reason="long double is no wider than float64 here")


def candidates(folder, change=lambda name, tensors: tensors):
    """The reference's own answers as .npz files, after `change`."""
    folder.mkdir(exist_ok=True)
    manifest = json.loads((COMMITTED / "manifest.json").read_text("utf-8"))
    for entry in manifest["cases"]:
        tensors = read_tensors(COMMITTED / entry["file"])
        np.savez(folder / f"{entry['name']}.npz", **change(entry["name"], dict(tensors)))
    return folder


FIRST = SETS["small"][0].name


def in_first(change):
    """A change of the first case alone."""
    return lambda name, tensors: change(tensors) if name == FIRST else tensors


@needs_long_double
def test_the_committed_cases_are_what_export_writes(tmp_path):
    names = export(tmp_path, "small")
    assert names == [case.name for case in SETS["small"]]
    written, kept = (json.loads((f / "manifest.json").read_text("utf-8")) for f in (tmp_path, COMMITTED))
    for new, old in zip(written["cases"], kept["cases"], strict=True):
        assert new["tensors"].keys() == old["tensors"].keys()
        for name, value in read_tensors(tmp_path / new["file"]).items():
            # Another C library's long double functions may round the last bit of float64 the other way.
            reference = read_tensors(COMMITTED / old["file"])[name]
            assert np.all(np.abs(value - reference) <= 2 * np.spacing(np.abs(reference))), name


@needs_long_double
@pytest.mark.parametrize("case", SETS["small"], ids=lambda case: case.name)
def test_cases_in_float64_by_the_package_itself(case):
    """Routes in float64 that share nothing with the complex steps: the sensitivity they leave is small."""
    exact, rounded = _Exact(case).found(), _Exact(case, backend=NumpyBackend()).found()
    for name in ("u", "Jv", "grad.W1", "JTw.W1", "adam.W1"):
        difference = np.asarray(rounded[name] - exact[name], dtype=float)
        assert np.linalg.norm(difference) <= 100 * EPS * np.linalg.norm(np.asarray(exact[name], dtype=float)), name


@needs_long_double
def test_the_gauss_newton_step_solves_its_least_squares():
    case = SETS["small"][4]
    tensors = read_tensors(COMMITTED / f"{case.name}.safetensors")
    exact = _Exact(case)
    J = complex_step_jacobian(exact.value, exact.theta).astype(float)
    P = J.shape[1]
    damped = np.vstack([J, np.sqrt(DAMPING * np.trace(J.T @ J) / P) * np.eye(P)])
    e = tensors["u"] - tensors["target"]
    d = np.linalg.lstsq(damped, np.concatenate([-e, np.zeros(P)]))[0]
    got = np.concatenate([tensors[f"gauss_newton.{name}"].ravel() for name in exact.theta])
    # The condition of the damped matrix is below sqrt(1000 P).
    assert np.linalg.norm(got - d) <= 2e3 * EPS * np.linalg.norm(d)


def test_a_right_candidate_passes(tmp_path):
    checks = check(COMMITTED, candidates(tmp_path / "c"))
    assert all(entry.passed and entry.ulp == 0.0 for entry in checks)
    assert [entry.tensor for entry in checks][:4] == ["features", "z1", "z2", "z3"]
    assert {entry.case for entry in checks} == {case.name for case in SETS["small"]}


def test_a_candidate_may_leave_out_cases_and_kinds(tmp_path):
    folder = candidates(tmp_path / "c", lambda name, t: {k: v for k, v in t.items() if k in ("u", "loss")})
    for case in SETS["small"][1:]:
        (folder / f"{case.name}.npz").unlink()
    assert [entry.tensor for entry in check(COMMITTED, folder)] == ["u", "loss"]


def test_a_wrong_gradient_is_named_with_the_first_place(tmp_path, capsys):
    def change(tensors):
        return tensors | {"z2": 1.0005 * tensors["z2"], "grad.W1": -tensors["grad.W1"]}

    folder = candidates(tmp_path / "c", in_first(change))
    assert main(["reference", "check", str(COMMITTED), str(folder)]) == 1
    out = capsys.readouterr().out
    total = len(check(COMMITTED, folder))
    assert f"2 of {total} tensors are wrong. The first, from the forward pass down: z2 of {FIRST}" in out
    assert main(["reference", "check", str(COMMITTED), str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [entry["tensor"] for entry in told["checks"] if not entry["passed"]] == ["z2", "grad.W1"]
    assert main(["reference", "check", str(COMMITTED), str(COMMITTED)]) == 0
    assert f"All {total} tensors are right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "grad.b"}, "grad.b is missing beside the others of its kind"),
        (lambda t: t | {"grad.W9": t["grad.W1"]}, "grad.W9 is none of the tensors of this case"),
        (lambda t: t | {"u": t["u"][:, None]}, r"u has the shape \(30, 1\), expected \(30,\)"),
        (lambda t: t | {"u": t["u"].astype(np.float32)}, "u has the type float32; float64 is needed"),
        (lambda t: t | {"u": t["u"] * np.nan}, "u holds numbers that are not finite"),
    ],
    ids=["missing", "extra", "shape", "type", "nan"],
)
def test_unusable_candidates_have_a_line_each_and_status_2(tmp_path, capsys, change, message):
    folder = candidates(tmp_path / "c", in_first(change))
    with pytest.raises(ModelFileError, match=message):
        check(COMMITTED, folder)
    assert main(["reference", "check", str(COMMITTED), str(folder)]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1
    assert err[0].startswith("simsnn: error: ")


def test_damaged_references_are_refused(tmp_path):
    folder = candidates(tmp_path / "c")
    broken = tmp_path / "r"
    shutil.copytree(COMMITTED, broken)
    path = broken / f"{FIRST}.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(ModelFileError, match="damaged: the SHA-256 checksum does not match"):
        check(broken, folder)
    shutil.copy(COMMITTED / f"{SETS['small'][1].name}.safetensors", path)
    with pytest.raises(ModelFileError, match="not the file that the manifest names"):
        check(broken, folder)
    (broken / "manifest.json").write_text("{}", "utf-8")
    with pytest.raises(ModelFileError, match="not a manifest of schema"):
        check(broken, folder)
    (broken / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(ModelFileError, match="not JSON"):
        check(broken, folder)
    with pytest.raises(ModelFileError, match="cannot be read"):
        check(tmp_path / "nowhere", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match="holds none of the cases"):
        check(COMMITTED, tmp_path / "empty")
    (tmp_path / "empty" / f"{FIRST}.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(ModelFileError, match="damaged, or holds no plain arrays"):
        check(COMMITTED, tmp_path / "empty")


def test_bad_options(tmp_path, capsys):
    with pytest.raises(ConfigError, match="choose one of small, large"):
        export(tmp_path, "huge")
    assert main(["reference", "check", str(COMMITTED), str(COMMITTED), "--tolerance", "2"]) == 2
    assert "--tolerance 2" in capsys.readouterr().err
    (tmp_path / "file").write_text("x", "utf-8")
    assert main(["reference", "export", str(tmp_path / "file")]) == 2


@needs_long_double
@pytest.mark.slow
def test_the_large_set(tmp_path):
    names = export(tmp_path, "large")
    assert len(set(names)) == len(names) == len(SETS["large"])
    assert all(entry.passed for entry in check(tmp_path, tmp_path))
    _, tensors = read_file(tmp_path / f"{names[1]}.safetensors", "simsnn-reference")
    assert np.max(np.abs(tensors["u"])) < 1e-9


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_examples_pass_and_a_planted_mistake_is_named(tmp_path, library):
    pytest.importorskip(library)
    script = runpy.run_path(str(EXAMPLES / f"candidate_{'pytorch' if library == 'torch' else library}.py"))
    script["main"](COMMITTED, tmp_path / "right")
    checks = check(COMMITTED, tmp_path / "right", 1e-14)
    assert len(checks) > 100
    assert all(entry.passed for entry in checks)
    right = script["main"].__globals__["evaluate"]

    def wrong(case, given, theta):
        """Forget the bias of the first layer."""
        gamma, z = right(case, given, {**theta, "c1": 0.0 * theta["c1"]})
        return gamma, z

    script["main"].__globals__["evaluate"] = wrong
    script["main"](COMMITTED, tmp_path / "wrong")
    first = next(entry for entry in check(COMMITTED, tmp_path / "wrong") if not entry.passed)
    assert (first.tensor, first.case) == ("z1", FIRST)
