"""Reference cases: what they hold, and what `simsnn reference check` says of right, wrong and unusable candidates."""

import json
import re
import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import mpmath
import numpy as np
import pytest
from conftest import EPS

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.commands.main import main
from simsnn_ref.errors import ConfigError, ModelFileError
from simsnn_ref.io import read_tensors
from simsnn_ref.network import evaluate_network, is_extended
from simsnn_ref.verify import complex_step_in_digits, complex_step_jacobian
from simsnn_ref.verify.cases import loss_of
from simsnn_ref.verify.numbers import as_numbers
from simsnn_ref.verify.reference import DAMPING, SETS, check, export
from simsnn_ref.verify.reference.exact import Exact

COMMITTED = Path(__file__).parent / "reference"
DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
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
        committed = read_tensors(COMMITTED / old["file"])
        for name, value in read_tensors(tmp_path / new["file"]).items():
            reference = committed[name]
            if old["tensors"][name]["role"] == "given":
                assert np.array_equal(value, reference), name
                continue
            # Another C library's long double functions may round the last bit of float64 the other way; steps of least
            # squares multiply the difference by a condition of 1e6 or so, in long double.
            assert np.all(np.abs(value - reference) <= 2 * np.spacing(np.abs(reference))), name


def test_the_manifest_and_its_schema_and_the_documentation_agree():
    schema = json.loads((DOCS / "reference-manifest.schema.json").read_text("utf-8"))
    manifest = json.loads((COMMITTED / "manifest.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema, jsonschema.Draft202012Validator)
    for change in ({"schema": "simsnn-reference-1"}, {"cases": []}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(manifest | change, schema, jsonschema.Draft202012Validator)
    page = (DOCS / "reference-cases.md").read_text("utf-8")
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("|") and line.count("|") == 6]
    documented = {
        name.partition(".")[0] if "<" in name else name for row in rows for name in re.findall(r"`(.+?)`", row)
    }
    for entry in manifest["cases"]:
        kinds = {name if name == "train.loss" else name.partition(".")[0] for name in entry["tensors"]}
        layered = {re.sub(r"^([Wcz])[0-9]+$", r"\g<1>1", kind) for kind in kinds}
        assert layered <= documented, entry["name"]


def test_the_committed_cases_are_small_and_cover_what_they_should():
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 1e6
    cases = SETS["small"]
    assert {len(case.hidden) for case in cases} == {0, 1, 2, 3, 4}
    assert {case.points for case in cases} == {"periodic", "ends", "scattered"}
    assert {case.size for case in cases} == {1.0, 1e-12}
    assert {case.first_layer for case in cases} == {"si", "fourier", "msnn", "rff", "ffm", "cos", "none"}
    assert any(case.p % 2 == 1 for case in cases)
    assert any(case.p % 1 for case in cases)
    assert any(case.frozen for case in cases)


@needs_long_double
def test_an_odd_exponent_against_50_digits():
    """|e|^3 is not analytic: gradient and Hessian product, the latter by a difference in 100 digits."""
    case = next(case for case in SETS["small"] if case.p == 3.0)
    exact, names = Exact(case), ["b", "c1", "W2"]
    tensors = read_tensors(COMMITTED / f"{case.name}.safetensors")
    network = replace(exact.network, amplitudes=as_numbers(tensors["amplitudes"]), backend=NumpyBackend())
    points, target = as_numbers(tensors["points"]), as_numbers(tensors["target"])
    theta = {name: tensors[name] for name in exact.theta}

    def loss(values):
        return loss_of(evaluate_network(network, values, points) - target, 3)

    gradient = complex_step_in_digits(loss, theta, 50, names)
    for name in names:
        assert np.all(np.abs(tensors[f"grad.{name}"] - gradient[name]) <= np.spacing(np.abs(tensors[f"grad.{name}"])))

    def slope(shift, name, index):
        """The derivative for one number, at theta + shift v."""
        moved = {key: as_numbers(value) + shift * as_numbers(tensors[f"v.{key}"]) for key, value in theta.items()}
        moved[name][index] = moved[name][index] + mpmath.mpc(0, mpmath.mpf(10) ** -60)
        return loss(moved).imag * mpmath.mpf(10) ** 60

    with mpmath.workdps(120):
        h = mpmath.mpf(10) ** -20
        for name in ("b", "c1"):
            Hv = (slope(h, name, (0,)) - slope(-h, name, (0,))) / (2 * h)
            stored = tensors[f"Hv.{name}"][0]
            assert abs(float(Hv - mpmath.mpf(float(stored)))) <= np.spacing(abs(stored))


@needs_long_double
@pytest.mark.parametrize("case", SETS["small"], ids=lambda case: case.name)
def test_cases_in_float64_by_the_package_itself(case):
    """Routes in float64 that share nothing with the complex steps: the sensitivity they leave is small."""
    exact, rounded = Exact(case).found(), Exact(case, backend=NumpyBackend()).found()
    for name in ("u", "Jv", "grad.W1", "JTw.W1", "adam.W1"):
        difference = np.asarray(rounded[name] - exact[name], dtype=float)
        assert np.linalg.norm(difference) <= 100 * EPS * np.linalg.norm(np.asarray(exact[name], dtype=float)), name


@needs_long_double
def test_the_gauss_newton_step_solves_its_least_squares():
    case = SETS["small"][4]
    tensors = read_tensors(COMMITTED / f"{case.name}.safetensors")
    exact = Exact(case)
    J = complex_step_jacobian(exact.value, exact.theta, exact.names).astype(float)
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


def flip_a_bit(folder):
    path = folder / f"{FIRST}.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(bytes(raw))


def edit(change):
    """Of the manifest's first case."""

    def damage(folder):
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text("utf-8"))
        change(manifest["cases"][0])
        path.write_text(json.dumps(manifest), "utf-8")

    return damage


def write_manifest(text):
    return lambda folder: (folder / "manifest.json").write_text(text, "utf-8")


def rename_tensor(entry):
    entry["tensors"]["grad.B1"] = entry["tensors"].pop("grad.B")


@pytest.mark.parametrize(
    ("damage", "messages"),
    [
        (flip_a_bit, ["damaged: the SHA-256 checksum does not match: tensor train.c3 has changed"]),
        (
            lambda folder: shutil.copy(
                COMMITTED / f"{SETS['small'][1].name}.safetensors", folder / f"{FIRST}.safetensors"
            ),
            ["its SHA-256 differs"],
        ),
        (lambda folder: (folder / f"{FIRST}.safetensors").unlink(), ["cannot be read"]),
        (edit(lambda entry: entry["tensors"].pop("u")), ["u is in the file, not in the manifest"]),
        (
            edit(lambda entry: entry["tensors"].update(extra=entry["tensors"]["u"])),
            ["extra is in the manifest, not in the file"],
        ),
        (
            edit(rename_tensor),
            ["grad.B1 is in the manifest, not in the file", "grad.B is in the file, not in the manifest"],
        ),
        (
            edit(lambda entry: entry["tensors"]["u"].update(shape=[15, 2])),
            ["u has the shape [30], [15, 2] in the manifest"],
        ),
        (edit(lambda entry: entry["tensors"]["u"].pop("role")), ["manifest.cases[0].tensors.u.role is missing"]),
        (edit(lambda entry: entry["tensors"].update(u=3)), ["manifest.cases[0].tensors.u is not an object"]),
        (edit(lambda entry: entry.pop("sha256")), ["manifest.cases[0].sha256 is missing"]),
        (edit(lambda entry: entry.update(p="ten")), ["manifest.cases[0].p is not a number"]),
        (write_manifest("{}"), ["not a manifest of schema simsnn-reference-2"]),
        (write_manifest("{"), ["not JSON"]),
        (write_manifest('{"schema": "simsnn-reference-2", "cases": []}'), ["names no cases"]),
        (lambda folder: (folder / "manifest.json").unlink(), ["cannot be read"]),
    ],
    ids=[
        "bit",
        "other file",
        "no file",
        "missing tensor",
        "extra tensor",
        "misnamed tensor",
        "shape",
        "no role",
        "no object",
        "no checksum",
        "type",
        "schema",
        "json",
        "no cases",
        "no manifest",
    ],
)
def test_damaged_references_have_a_line_each_and_status_2(tmp_path, capsys, damage, messages):
    folder = tmp_path / "r"
    shutil.copytree(COMMITTED, folder)
    damage(folder)
    status = main(["reference", "check", str(folder), str(COMMITTED)])
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line.startswith("simsnn: error: ")
        assert message in line


def test_candidates_that_are_none(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["reference", "check", str(COMMITTED), str(tmp_path / "empty")]) == 2
    assert "holds none of the cases" in capsys.readouterr().err
    (tmp_path / "empty" / f"{FIRST}.npz").write_bytes(b"PK\x03\x04 not an archive")
    assert main(["reference", "check", str(COMMITTED), str(tmp_path / "empty")]) == 2
    assert "damaged, or holds no plain arrays" in capsys.readouterr().err


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
    tensors = read_tensors(tmp_path / f"{names[1]}.safetensors")
    assert np.max(np.abs(tensors["u"])) < 1e-9


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_examples_pass_and_a_planted_mistake_is_named(tmp_path, capsys, library):
    pytest.importorskip(library)
    script = runpy.run_path(str(EXAMPLES / f"candidate_{'pytorch' if library == 'torch' else library}.py"))
    script["main"](COMMITTED, tmp_path / "right")
    checks = check(COMMITTED, tmp_path / "right", 1e-14)
    assert len(checks) == 279
    assert all(entry.passed for entry in checks)
    script["main"](COMMITTED, tmp_path / "wrong", plant=True)
    assert main(["reference", "check", str(COMMITTED), str(tmp_path / "wrong"), "--tolerance", "1e-14"]) == 1
    assert f"The first, from the forward pass down: grad.b of {FIRST}, at [0]: 0, expected" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_example_in_cpp_passes(tmp_path):
    program = tmp_path / "candidate_cpp"
    compile_it = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", EXAMPLES / "candidate.cpp", "-o", program]
    subprocess.run(compile_it, check=True)
    (tmp_path / "candidate").mkdir()
    for entry in json.loads((COMMITTED / "manifest.json").read_text("utf-8"))["cases"]:
        options = [repr(entry["scale"]), str(int(entry["paired"]))]
        subprocess.run(
            [program, COMMITTED / entry["file"], *options, tmp_path / "candidate" / entry["file"]], check=True
        )
    checks = check(COMMITTED, tmp_path / "candidate", 1e-14)
    assert {entry.case for entry in checks} == {case.name for case in SETS["small"]}
    assert {entry.what for entry in checks} == {"features", "z1", "z2", "z3", "z4", "z5", "u"}
    assert all(entry.passed for entry in checks)
