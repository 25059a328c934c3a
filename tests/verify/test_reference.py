"""Reference cases: what they hold, and what `simsnn reference check` says of right, wrong and unusable candidates."""

import json
import re
import runpy
import shutil
import subprocess
import sys
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
from simsnn_ref.network import DenseMap, LinearMap, Network, evaluate_network, pre_activations
from simsnn_ref.optimizers import Adam, AdamState, Jacobian, LpLoss, Objective
from simsnn_ref.verify import complex_step_in_digits, require
from simsnn_ref.verify.cases import loss_of, loss_slope
from simsnn_ref.verify.differentiation import STEP
from simsnn_ref.verify.numbers import as_numbers
from simsnn_ref.verify.reference import DAMPING, SETS, check, exact, export
from simsnn_ref.verify.reference.exact import LEARNING_RATE, TRAINING_STEPS

COMMITTED = Path(__file__).parent / "reference"
DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"


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


def exported(folder, monkeypatch, cases):
    """What `export` writes of some cases, and the entries of its manifest."""
    monkeypatch.setitem(SETS, "some", tuple(cases))
    assert export(folder, "some") == [case.name for case in cases]
    return json.loads((folder / "manifest.json").read_text("utf-8"))["cases"]


def test_two_cases_are_the_bytes_committed(tmp_path, monkeypatch):
    """A series and a network in three dimensions, of sizes 1 and 1e-12."""
    cases = [SETS["small"][5], SETS["small"][9]]
    entries = exported(tmp_path, monkeypatch, cases)
    committed = json.loads((COMMITTED / "manifest.json").read_text("utf-8"))["cases"]
    assert entries == [committed[5], committed[9]]
    for case in cases:
        name = f"{case.name}.safetensors"
        assert (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes()


@pytest.mark.slow
def test_all_cases_are_the_bytes_committed(tmp_path):
    export(tmp_path, "small")
    written, committed = ({path.name: path.read_bytes() for path in f.iterdir()} for f in (tmp_path, COMMITTED))
    assert written == committed


def test_more_digits_round_to_the_same_numbers(monkeypatch):
    case = SETS["small"][1]
    tensors = read_tensors(COMMITTED / f"{case.name}.safetensors")
    monkeypatch.setattr(exact, "DIGITS", 80)
    with mpmath.workdps(80):
        assert np.array_equal(exact.given(case)["target"], tensors["target"])
        for part in exact.Exact(case, exact.as_numbers(tensors)).parts().values():
            for name, value in part.items():
                assert np.array_equal(np.asarray(value, dtype=np.float64), tensors[name]), name


def test_a_rounding_that_is_not_sure_is_refused():
    with mpmath.workdps(50):
        halfway = mpmath.mpf(1) + mpmath.mpf(2) ** -53
        assert exact.rounded(halfway + mpmath.mpf(10) ** -20) == 1.0 + EPS
        with pytest.raises(AssertionError, match="leave a rounding open"):
            exact.rounded(halfway + mpmath.mpf(10) ** -40)


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


@pytest.mark.parametrize("index", [3, 5, 7, 9], ids=lambda index: SETS["small"][index].name)
def test_derivatives_against_the_definition_in_digits(index):
    """Complex steps of the loss; for H v, differences of these. |e|^p of an odd p is not analytic where e is 0."""
    case = SETS["small"][index]
    tensors = read_tensors(COMMITTED / f"{case.name}.safetensors")
    amplitudes = as_numbers(tensors["amplitudes"]) if case.n_features else None
    network = Network(NumpyBackend(), case.first_layer, case.hidden, amplitudes, case.scale, case.paired)
    points, target = as_numbers(tensors["points"]), as_numbers(tensors["target"])
    theta = {name: tensors[name] for name in case.shapes}

    def loss(values):
        return loss_of(evaluate_network(network, values, points) - target, mpmath.mpf(case.p))

    gradient = complex_step_in_digits(loss, theta, 50)
    for name, slope in gradient.items():
        stored = tensors[f"grad.{name}"]
        assert np.all(np.abs(stored - slope) <= np.spacing(np.abs(stored))), name

    def first_slope(shift, name):
        """The derivative for the first number of a tensor, at theta + shift v."""
        moved = {key: as_numbers(value) + shift * as_numbers(tensors[f"v.{key}"]) for key, value in theta.items()}
        first = (0,) * moved[name].ndim
        moved[name][first] = moved[name][first] + mpmath.mpc(0, mpmath.mpf(10) ** -60)
        return loss(moved).imag * mpmath.mpf(10) ** 60

    with mpmath.workdps(150):
        h = mpmath.mpf(10) ** -35
        for name in theta:
            Hv = (first_slope(h, name) - first_slope(-h, name)) / (2 * h)
            assert float(Hv) == tensors[f"Hv.{name}"].flat[0], name


def answers_in_float64(case, given):
    """Everything about a case by the package as it trains, least squares by LAPACK."""
    backend = NumpyBackend()
    network = Network(
        backend,
        case.first_layer,
        case.hidden,
        given.get("amplitudes"),
        case.scale,
        case.paired,
        frozenset(case.frozen),
    )
    fmap = (DenseMap if case.n_features else LinearMap)(given["points"], backend)
    theta, target = {name: given[name] for name in case.shapes}, given["target"]
    loss, adam, state = LpLoss(case.p), Adam(), None
    v = {name: given[f"v.{name}"] for name in case.trained}

    def pulled(theta, du):
        return network.backward(theta, fmap, lambda u, block: du[block])

    def gradient(theta):
        return pulled(theta, loss_slope(network.forward(theta, fmap) - target, case.p))

    gamma, z = pre_activations(network, theta, given["points"])
    u = network.forward(theta, fmap)
    stepped = {name: value + 1j * STEP * v[name] if name in v else value for name, value in theta.items()}
    found = {f"z{layer}": value for layer, value in enumerate(z, start=1)} | {
        "u": u,
        "loss": loss.forward(np, u - target),
    }
    if case.n_features:
        found["features"] = gamma
    found["Jv"] = Jacobian(Objective(network, fmap, target, loss, backend), theta).jvp(v)
    kinds = {
        "grad": pulled(theta, loss.vjp(np, u - target)),
        "JTw": pulled(theta, given["w"]),
        "Hv": {name: np.imag(value) / STEP for name, value in gradient(stepped).items()},
    }

    columns = [pulled(theta, unit) for unit in np.eye(len(u))]
    J = np.stack([np.concatenate([row[name].ravel() for name in case.trained]) for row in columns])
    P = J.shape[1]
    d = np.linalg.solve(J.T @ J + DAMPING * np.sum(J**2) / P * np.eye(P), J.T @ (target - u))
    parts = np.split(d, np.cumsum([theta[name].size for name in case.trained])[:-1])
    kinds["gauss_newton"] = {n: part.reshape(theta[n].shape) for n, part in zip(case.trained, parts, strict=True)}

    losses, state = [], AdamState.zero(np, v)
    for step in range(TRAINING_STEPS):
        losses.append(loss.forward(np, network.forward(theta, fmap) - target))
        theta, state = adam.update(np, theta, gradient(theta), state, LEARNING_RATE)
        if step == 0:
            kinds["adam"] = theta
    kinds["train"] = theta
    found |= {f"{kind}.{name}": values[name] for kind, values in kinds.items() for name in case.trained}
    return found | {"train.loss": np.asarray(losses)}


def test_the_package_itself_passes_in_float64(tmp_path):
    for case in SETS["small"]:
        given = read_tensors(COMMITTED / f"{case.name}.safetensors")
        np.savez(tmp_path / f"{case.name}.npz", **answers_in_float64(case, given))
    checks = check(COMMITTED, tmp_path)
    manifest = json.loads((COMMITTED / "manifest.json").read_text("utf-8"))
    computed = [t for entry in manifest["cases"] for t in entry["tensors"].values() if t["role"] != "given"]
    assert len(checks) == len(computed)
    require(checks)


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
    output = json.loads(capsys.readouterr().out)
    assert [entry["tensor"] for entry in output["checks"] if not entry["passed"]] == ["z2", "grad.W1"]
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


def test_without_mpmath(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    assert main(["reference", "export", str(tmp_path / "none")]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1
    assert "pip install mpmath" in err[0]
    assert main(["reference", "check", str(COMMITTED), str(COMMITTED)]) == 0


@pytest.mark.slow
def test_the_large_set(tmp_path, monkeypatch):
    """One in 23 of it, which meets every first layer, shape, depth, exponent and size."""
    assert len({case.name for case in SETS["large"]}) == 324
    cases = SETS["large"][::23]
    for kind in ("first_layer", "shape", "hidden", "p", "size"):
        assert {getattr(case, kind) for case in cases} == {getattr(case, kind) for case in SETS["large"]}
    exported(tmp_path, monkeypatch, cases)
    assert all(entry.passed for entry in check(tmp_path, tmp_path))
    for case in cases:
        u = read_tensors(tmp_path / f"{case.name}.safetensors")["u"]
        assert 0.01 * case.size < np.max(np.abs(u)) < 100.0 * case.size


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
    assert f"The first, from the forward pass down: grad.b of {FIRST}, at [3]: 0, expected" in capsys.readouterr().out


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
