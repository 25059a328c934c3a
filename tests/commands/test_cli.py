"""What a user does at the command line, through the installed command where that is the point."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import load_model
from simsnn_ref.commands import forecast
from simsnn_ref.commands.main import main
from simsnn_ref.problems import PROBLEMS

COMMAND = Path(sys.executable).parent / "simsnn"
PAPER = ["--mode", "paper", "--stages", "3", "--learning-rate", "1e-2", "--schedule", "exponential"]
FAST = [*PAPER, "--steps", "30", "--hidden", "8,8", "--no-figure"]

STAGE_KEYS = {
    "index",
    "n_modes",
    "n_parameters",
    "optimizer",
    "steps",
    "eps",
    "loss",
    "rms_on_grid",
    "max_on_grid",
    "rms_off_grid",
    "max_off_grid",
    "seconds",
    "stopped_because",
}


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *argv):
    status = main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return status, out, err


def run_json(capsys, *argv):
    status, out, _ = run(capsys, *argv, "--json")
    assert status == 0
    return json.loads(out)


@pytest.mark.parametrize(
    "problem",
    [
        ["--example", "ug", "--size", "16"],
        ["--example", "logcos", "--size", "40"],
        ["--example", "abc3d", "--size", "8"],
        ["--example", "turbulence", "--size", "16", "--reynolds", "100", "--time", "0.25"],
    ],
)
def test_fit_json(capsys, problem):
    output = run_json(capsys, "fit", *problem, *FAST)
    assert {"problem", "config", "versions", "seconds", "peak_memory_bytes", "stages"} <= set(output)
    assert output["problem"]["name"] == problem[1]
    assert output["problem"]["shape"][0] == int(problem[3])
    assert output["config"]["steps"] == [30]
    assert output["versions"]["numpy"] == np.__version__
    assert output["seconds"] > 0.0
    assert output["peak_memory_bytes"] > 2**20
    stages = output["stages"]
    assert [stage["index"] for stage in stages] == [1, 2, 3]
    assert all(set(stage) >= STAGE_KEYS for stage in stages)
    errors = [1.0] + [stage["rms_on_grid"] for stage in stages]
    assert all(after < before for before, after in pairwise(errors))
    assert all(stage["rms_off_grid"] > 0.0 for stage in stages)
    assert load_model(output["model"]).history.stages[2].rms_on_grid == errors[3]


def test_figures_of_the_json_are_those_of_the_saved_model(capsys):
    output = run_json(capsys, "fit", "--example", "ug", "--size", "12", *FAST)
    problem = PROBLEMS["ug"]
    model, grid = load_model("ug.safetensors"), problem.grid(12)
    u = problem.samples(12)
    e, size = model(grid) - u, np.sqrt(np.mean(u**2))
    assert np.sqrt(np.mean(e**2)) / size == pytest.approx(output["stages"][-1]["rms_on_grid"], rel=1e-9)
    assert np.max(np.abs(e)) / size == pytest.approx(output["stages"][-1]["max_on_grid"], rel=1e-9)


def test_installed_command_and_module_print_one_object():
    arguments = ["fit", "--example", "logcos", "--size", "16", "--json", "--seed", "5", "--force", *FAST]
    outputs = [
        subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        for command in ([COMMAND], [sys.executable, "-m", "simsnn_ref"])
    ]
    first, second = (json.loads(output.stdout) for output in outputs)
    assert first["config"]["seed"] == 5
    assert [stage["loss"] for stage in first["stages"]] == [stage["loss"] for stage in second["stages"]]
    assert "stage 3 done" in outputs[0].stderr


def test_fit_table_figure_and_model(capsys):
    status, out, err = run(capsys, "fit", "--example", "ug", "--size", "12", "-o", "m.bin", "--steps", "20", *PAPER)
    assert status == 0
    for text in ("RMS on grid", "RMS off grid", "1 si", "3 si", "random points", "m.bin", "m.png"):
        assert text in out
    assert "stage 1: 2 of 20 steps" in err
    assert Path("m.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert Path("m.bin").is_file()


def test_quiet(capsys):
    status, _, err = run(capsys, "fit", "--example", "logcos", "--size", "16", "--quiet", *FAST)
    assert (status, err) == (0, "")


@pytest.mark.parametrize("options", [["--steps", "50", *PAPER], []], ids=["steps", "no steps"])
def test_a_bar_on_a_terminal(options):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    command = [COMMAND, "fit", "--example", "logcos", "--size", "16", "--no-figure", *options]
    with subprocess.Popen(command, stderr=slave, stdout=subprocess.DEVNULL) as process:
        os.close(slave)
        chunks = []
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # Linux says so when the other end is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(master)
    shown = b"".join(chunks).decode()
    assert process.returncode == 0
    assert "stage 1/3: 100%" in shown
    assert "RMS" in shown
    assert "loss" in shown


def test_fit_of_a_file(capsys):
    x = np.linspace(0.0, 3.0, 20)
    np.save("u.npy", np.sin(x).astype(np.float32))
    output = run_json(capsys, "fit", "u.npy", "--box", "0", "3", "--periodic", "false", *FAST)
    assert output["problem"]["periodic"] == [False]
    assert output["problem"]["upper"] == [3.0]
    assert output["off_grid"] == "interpolation"
    converted, taken, *of_the_method, between, expected = output["notes"]
    assert taken == "u.npy: axis 0 in [0, 3] is taken as not periodic, as asked"
    assert between.startswith("between the samples the field is interpolated: axis 0 by ")
    assert [note.split(":")[0] for note in of_the_method] == [
        "as in the paper",
        "left open by the paper",
        "as in the paper, but",
    ]
    assert converted == "u.npy is float32: below about 6e-08 of its size nothing is signal; it is computed in float64"
    # 6e-8 of rounding to float32, of which an interpolant takes some from its neighbours.
    assert "(estimated from samples left out)" in expected
    assert 1e-9 < output["resolved_level"] < 1e-6
    assert output["expected_off_grid"] >= output["resolved_level"]
    assert Path("u.safetensors").is_file()
    output = run_json(capsys, "fit", "u.npy", "--periodic", "false", "--off-grid", "holdout", "--force", *FAST)
    assert output["off_grid"] == "holdout"
    assert output["problem"]["shape"] == [10]
    assert output["stages"][0]["rms_off_grid"] > 0.0


def test_fit_of_noisy_samples(capsys):
    """What is left at the samples is their noise, and every output says so; --fit-noise follows it."""
    x = 2.0 * np.pi * np.arange(32) / 32
    field = np.sin(x)[:, None] * np.cos(2.0 * x)
    np.save("u.npy", field + 5e-3 * np.random.default_rng(0).standard_normal(field.shape))
    output = run_json(capsys, "fit", "u.npy", "--no-figure")
    # The field's RMS is 1/2, and 1024 numbers tell the noise.
    assert output["noise"] == pytest.approx(1e-2, rel=0.15)
    assert output["stages"][-1]["rms_on_grid"] == pytest.approx(1e-2, rel=0.15)
    assert output["expected_off_grid"] < 3e-3
    status, shown, _ = run(capsys, "fit", "u.npy", "--no-figure", "--force")
    assert status == 0
    assert "between them to their interpolant without their noise" in shown
    assert "their noise, which the fit does not follow; RMS error of the fit about" in shown
    assert run(capsys, "certify", "u.safetensors", "u.npy")[0] == 0
    output = run_json(capsys, "fit", "u.npy", "--no-figure", "--fit-noise", "--force")
    assert output["noise"] == 0.0
    assert output["stages"][-1]["rms_on_grid"] < 1e-15
    assert output["expected_off_grid"] == pytest.approx(1e-2, rel=0.15)


def test_config_file_and_options(capsys):
    Path("c.toml").write_text(
        'mode = "paper"\n[training]\noptimizer = "adam"\nsteps = [7]\n'
        '[stages]\ncount = 1\n[first_layer]\nkind = "cos"\nn_features = 6\n'
    )
    output = run_json(
        capsys, "fit", "--example", "logcos", "--size", "16", "--config", "c.toml", "--p", "4", "--no-figure"
    )
    assert output["config"]["steps"] == [7]
    assert output["config"]["p"] == 4.0
    assert output["config"]["first_layer"] == ["cos"]
    status, out, _ = run(capsys, "fit", "--config", "c.toml", "--seed", "9", "--print-config")
    assert status == 0
    Path("again.toml").write_text(out)
    assert run(capsys, "fit", "--config", "again.toml", "--print-config")[1] == out
    assert "seed = 9" in out


def test_auto_and_zero_leave_options_to_the_fit(capsys):
    names = ["p", "n-features", "max-features", "refine", "z1-rms", "max-seconds"]
    default = run(capsys, "fit", "--print-config")[1]
    Path("c.toml").write_text(
        "[training]\np = 4\nsteps = 9\nmax_seconds = 5\n[first_layer]\nn_features = 3\nmax_features = 9\n"
        "[network]\nz1_rms = [1, 2]\n[sampling]\nrefine = 3\n"
    )
    for word in ("0", "auto"):
        flags = [part for name in names for part in (f"--{name}", word)]
        given = run(capsys, "fit", "--config", "c.toml", "--steps", "auto", *flags, "--print-config")
        assert given == (0, default, "")
    words = ["--mode", "paper", "--n-features", "auto,7", "--z1-rms", "0,1", "--steps", "0", "--print-config"]
    out = run(capsys, "fit", *words)[1]
    assert 'n_features = ["auto", 7]' in out
    assert 'z1_rms = ["auto", 1.0]' in out
    assert "steps = [0]" in out


def test_a_dry_run_in_mode_paper_says_what_the_paper_says(capsys):
    status, out, err = run(capsys, "fit", "--example", "ug", "--mode", "paper", "--dry-run")
    assert (status, err) == (0, "")
    for words in ("B and b trained and A fixed", "Adam with a step size of 1e-3", "150000 steps a stage", "4 stages"):
        assert words in out.splitlines()[0]
    assert "plateau" in out.splitlines()[1]
    assert "as in the paper, but" not in out
    assert re.search(r"All steps of all stages take about \d+ h \d\d min at most", out)
    assert "With --checkpoint DIR it can be stopped by Ctrl-C at any time and resumed by: simsnn resume DIR" in out
    assert "Quicker, and not the paper's method: --optimizer gauss_newton, --steps N, --no-train-wavenumbers" in out
    quick = ["--optimizer", "gauss_newton", "--no-train-wavenumbers"]
    output = run_json(capsys, "fit", "--example", "ug", "--mode", "paper", "--dry-run", *quick)
    assert "All steps of all stages" in run(capsys, "fit", "--example", "logcos", "--mode", "paper", "--dry-run")[1]
    assert "All steps of all stages" not in run(capsys, "fit", "--example", "logcos", "--dry-run")[1]
    for refused in (["--feature-map", "fft"], ["--n-features", "5000"], ["--backend", "nothing"]):
        assert run(capsys, "fit", "--example", "ug", "--mode", "paper", "--dry-run", *refused)[0] == 2
    assert output["settings"][-1] == "as in the paper, but: B frozen; optimizer gauss_newton; steps 40"
    assert output["config"]["train_wavenumbers"] is False
    assert [stage["feature_map"] for stage in output["stages"]] == ["fft"] * 4


def test_a_long_fit_says_so_before_it_starts(capsys, monkeypatch):
    words = ["fit", "--example", "logcos", "--size", "16", "--force", *FAST]
    assert "at most" not in run(capsys, *words)[2].split("stage 1 of")[0]
    monkeypatch.setattr(forecast, "LONG", 0.0)
    status, _, err = run(capsys, *words, "--checkpoint", "run")
    assert status == 0
    before, after = err.split("stage 1 of 3")
    assert "All steps of all stages take about" in before
    assert "Stop it by Ctrl-C at any time; go on with: simsnn resume run\nQuicker" in before
    assert "Quicker" not in after
    assert run(capsys, *words, "--quiet")[2] == ""


def test_predict_and_info(capsys):
    run_json(capsys, "fit", "--example", "ug", "--size", "12", "-o", "m.safetensors", *FAST)
    model = load_model("m.safetensors")
    points = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    np.save("p.npy", points)
    assert run_json(capsys, "predict", "m.safetensors", "p.npy", "-o", "v.npy")["shape"] == [6]
    assert np.array_equal(np.load("v.npy"), model(points))
    assert run_json(capsys, "predict", "m.safetensors", "p.npy", "--gradient")["shape"] == [6, 2]
    assert np.array_equal(np.load("m.prediction.npy"), model.gradient(points))
    assert run_json(capsys, "predict", "m.safetensors", "--grid", "5", "7", "--hessian", "--force")["shape"] == [
        5,
        7,
        2,
        2,
    ]
    assert run(capsys, "predict", "m.safetensors", "--grid", "9", "--force")[0] == 0
    assert np.load("m.prediction.npy").shape == (9, 9)
    status, out, _ = run(capsys, "info", "m.safetensors")
    assert status == 0
    assert "3 stages" in out
    assert "numpy" in out
    assert len(run_json(capsys, "info", "m.safetensors")["stages"]) == 3
    assert "numpy" in run_json(capsys, "info")["backends"]
    assert "backends" in run(capsys, "info")[1]


def test_examples(capsys):
    assert {"turbulence", "ug", "logcos", "abc3d"} <= {e["name"] for e in run_json(capsys, "examples")["examples"]}
    assert "512 x 512" in run(capsys, "examples")[1]


def test_spectrum(capsys):
    x = 2 * np.pi * np.arange(16) / 16
    np.save("u.npy", 3.0 * np.cos(2 * x)[:, None] * np.ones(8) + 0.5)
    output = run_json(capsys, "spectrum", "u.npy", "--box", "0", str(2 * np.pi), "0", "1", "--modes", "2")
    assert output["dominant_frequency"] == pytest.approx(2.0)
    assert output["modes"][0]["index"] == [2, 0]
    assert output["modes"][0]["amplitude"] == pytest.approx(3.0)
    assert sum(output["energy_spectrum"]["energy"]) == pytest.approx(0.25 + 4.5)
    status, out, _ = run(capsys, "spectrum", "--example", "ug", "--size", "16", "--figure", "e.png")
    assert status == 0
    assert "E(k)" in out
    assert Path("e.png").is_file()


def test_dns(capsys):
    output = run_json(capsys, "dns", "--size", "16", "--time", "0.1", "--reynolds", "50", "-o", "psi.npy")
    assert output["shape"] == [16, 16]
    assert 0.0 < output["energy"] < 0.5
    assert np.load("psi.npy").shape == (16, 16)
    status, out, _ = run(capsys, "dns", "--size", "16", "--time", "0.1")
    assert status == 0
    assert "energy" in out


def test_certify(capsys):
    output = run_json(
        capsys, "fit", "--example", "ug", "--size", "14", "--refine", "4", "--off-grid-points", "50", "--no-figure"
    )
    claimed = output["certified"]
    assert {"rms_on_grid", "max_on_grid", "rms_off_grid", "max_off_grid", "digits", "points"} <= set(claimed)
    assert claimed["agrees"]
    assert claimed["max_off_grid"] == pytest.approx(output["stages"][-1]["max_off_grid"], rel=0.01)
    certified = run_json(capsys, "certify", "ug.safetensors", "--example", "ug", "--size", "14")
    assert certified["certified"] == claimed
    exact = run_json(capsys, "certify", "ug.safetensors", "--example", "ug", "--size", "14", "--digits", "30")
    assert exact["certified"]["digits"] == 30
    assert exact["certified"]["agrees"]
    status, out, _ = run(capsys, "certify", "ug.safetensors", "--example", "ug", "--size", "14")
    assert status == 0
    assert "certified" in out


def test_certify_fails_loudly(capsys):
    output = run_json(capsys, "fit", "--example", "logcos", "--size", "20", *FAST)
    np.save("other.npy", PROBLEMS["logcos"].samples(20) * 1.5)
    status, _, err = run(capsys, "certify", output["model"], "other.npy", "--periodic", "false")
    assert status == 1
    assert "simsnn: error: certification failed" in err
    assert len([line for line in err.splitlines() if not line.startswith("note: ")]) == 1
    check_one_line(["certify", output["model"], "--example", "logcos", "--size", "21"], "the model was fitted on")


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    for option in ("--n-features", "--train-wavenumbers", "--plateau-window", "--off-grid", "--size", "--config"):
        assert option in out


def bad_files():
    good = np.sin(np.arange(40.0)).reshape(5, 8)
    nan, inf = good.copy(), good.copy()
    nan[3, 2], inf[0, 7] = np.nan, np.inf
    return {
        "good": good,
        "nan": nan,
        "inf": inf,
        "complex": good * 1j,
        "objects": np.array([1.0, None, 2.0, 3.0]),
        "big": np.array([1, 2, 3, 2**60]),
        "many": np.zeros((4, 4, 4, 4)),
        "short": np.zeros((3, 8)),
        "strings": np.array(["a", "b", "c", "d"]),
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nan.npy", "--gaps", "error"], "nan.npy: NaN or masked at index [3, 2]"),
        (["inf.npy"], "inf.npy: Inf at index [0, 7]"),
        (["complex.npy"], "complex.npy: complex values"),
        (["objects.npy"], "objects.npy: holds Python objects"),
        (["big.npy"], "big.npy: integer at index [3] is beyond 2^53"),
        (["many.npy"], "many.npy: 4 dimensions"),
        (["short.npy"], "short.npy: axis 0 has 3 points, needs at least 4"),
        (["strings.npy"], "not real numbers"),
        (["missing.npy"], "missing.npy: cannot be read: No such file"),
        (["cut.npy"], "cut.npy: truncated or damaged"),
        (["text.npy"], "text.npy: not a .npy file"),
        (["."], "cannot be read: Is a directory"),
        (["good.npy", "--n-features", "22", "--mode", "paper"], "5 x 8 points has 21 Fourier modes"),
        (["good.npy", "--n-features", "83", "--periodic", "true"], "10 x 16 points has 82 Fourier modes"),
        (["good.npy", "--n-features", "999", "--periodic", "false"], "17 x 29 points has 68 Fourier modes"),
        (["good.npy", "--n-features", "2,30", "--mode", "paper"], "n_features = 30"),
        (["good.npy", "--first-layer", "rff"], "mode 'accurate' has 'si'; use mode 'paper'"),
        (
            ["good.npy", "--config", "bad.toml"],
            "bad.toml: unknown option 'stage' (did you mean 'stages', which",
        ),
        (["good.npy", "--config", "flat.toml"], "flat.toml: optimizer belongs in the table [training]"),
        (["good.npy", "--config", "none.toml"], "none.toml: cannot be read"),
        (["good.npy", "--config", "broken.toml"], "broken.toml: not valid TOML"),
        (["good.npy", "-o", "no/folder/m"], "folder no/folder does not exist"),
        (["good.npy", "-o", "."], "is a folder"),
        (["good.npy", "--figure", "no/f.png"], "folder no does not exist"),
        (["good.npy", "--figure", "f.xyz"], "f.xyz"),
        (["good.npy", "--backend", "cuppy"], "backend 'cuppy' is not known"),
        (["good.npy", "--first-layer", "sj"], "first_layer = 'sj'"),
        (["good.npy", "--stages", "two"], "invalid int value: 'two'"),
        (["good.npy", "--steps", "1,x"], "argument --steps: invalid comma-separated int value: '1,x'"),
        (["good.npy", "--p", "ten"], "argument --p: invalid float value: 'ten'"),
        (["good.npy", "--p", "1"], "p = 1.0: needs a finite value of at least 2"),
        (["good.npy", "--box", "0", "1"], "2 axes need 4 numbers, got 2"),
        (["good.npy", "--box", "1", "0", "0", "1"], "lower < upper"),
        (["good.npy", "--periodic", "maybe"], "give true, false or auto"),
        (["good.npy", "--size", "5"], "--size belongs to --example"),
        (["good.npy", "--nonsense"], "--nonsense"),
        (["--train-wavenumbers", "true"], "--train-wavenumbers takes no value; give --train-wavenumbers or --no-train"),
        (["good.npy", "--certify=no"], "--certify no: --certify takes no value; give --certify or --no-certify"),
        (["--quiet", "True", "good.npy"], "--quiet takes no value; give --quiet, or leave it out"),
        (["good.npy", "--mode", "paper", "--delta", "1e-3"], "delta = 0.001: mode 'paper' has no use for it; use mode"),
        (["good.npy", "--mode", "accurate", "--z1-rms", "0,1"], "z1_rms = auto,1.0: mode 'accurate' has no use for it"),
        ([], "give INPUT.npy or --example NAME"),
        (["good.npy", "--example", "ug"], "INPUT good.npy and --example ug: give one of them"),
        (["--example", "uq"], "did you mean 'ug'"),
        (["--example", "ug", "--size", "3"], "axis 0 has 3 points, needs at least 4"),
        (["--example", "ug", "--reynolds", "10"], "--reynolds: example 'ug' has no such option"),
        (["--example", "turbulence", "--reynolds", "-10"], "reynolds"),
        (["--example", "turbulence", "--size", "3"], "n: expected an integer >= 4, got 3"),
        (["--example", "ug", "--box", "0", "1"], "--box describes INPUT.npy"),
        (["good.npy", "--off-grid", "random"], "needs a function"),
    ],
)
def test_bad_input_is_one_line_and_status_2(argv, message):
    for name, array in bad_files().items():
        np.save(f"{name}.npy", array, allow_pickle=name == "objects")
    Path("cut.npy").write_bytes(Path("good.npy").read_bytes()[:-5])
    Path("text.npy").write_text("1 2 3 4")
    Path("bad.toml").write_text("stage = 2")
    Path("flat.toml").write_text('optimizer = "adam"')
    Path("broken.toml").write_text("stages = [")
    check_one_line(["fit", *argv, "--no-figure" if "--figure" not in argv else "--quiet"], message)
    assert not list(Path().glob("*.safetensors"))


def check_one_line(argv, message):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(argv))
        except SystemExit as stop:
            status = stop.code
    # What was read of the input is said first.
    lines = [line for line in err.getvalue().strip().splitlines() if not line.startswith("note: ")]
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("simsnn: error: ")
    assert message in lines[0]
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["predict", "m"], "give either POINTS.npy or --grid N"),
        (["predict", "m", "--grid", "4"], "m: cannot be read"),
        (["predict", "good.npy", "--grid", "4"], "good.npy: not a simsnn file"),
        (["info", "good.npy"], "good.npy: not a simsnn file"),
        (["dns", "--size", "16", "-o", "no/x.npy"], "folder no does not exist"),
        (["dns", "--size", "3"], "n: expected an integer >= 4"),
        (["spectrum", "good.npy", "--modes", "0"], "need to be at least 1"),
        (["fitt"], "fitt"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_of_the_other_commands(argv, message):
    np.save("good.npy", np.zeros((5, 8)))
    check_one_line(argv, message)


def test_unwritable_folder_is_found_before_training(capsys, monkeypatch):
    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("simsnn_ref.io.atomic.tempfile.mkstemp", refuse)
    status, _, err = run(capsys, "fit", "--example", "turbulence", "-o", "locked", "--no-figure")
    assert status == 2
    assert err.startswith("simsnn: error: -o locked: folder . cannot be written: Permission denied")
    assert len(err.splitlines()) == 1


OUTPUTS = {
    "fit": (["--example", "logcos", "--size", "16"], ["logcos.safetensors", "logcos.png"]),
    "predict": (["m", "--grid", "4"], ["m.prediction.npy"]),
    "report": (["m"], ["m.html"]),
    "dns": (["--size", "16", "--reynolds", "50", "--time", "0.1"], ["turbulence.npy"]),
    "spectrum": (["--example", "logcos", "--figure", "spectrum.png"], ["spectrum.png"]),
    "watch": (["run", "--figure", "run.png"], ["run.png"]),
    "reproduce": (["fig1"], ["reproduction/fig1.md", "reproduction/fig1.pdf"]),
    "reference": (["export", "cases"], ["cases/manifest.json", "cases/ffm-3x3x2-f4-h4-p2-s1e+00.safetensors"]),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_nothing_is_replaced_without_force(capsys, monkeypatch, name):
    pytest.importorskip("matplotlib")
    for module in ("fit.fit", "predict.load_model", "report.load_model", "dns.save_array", "spectrum.save_figure"):
        monkeypatch.setattr(f"simsnn_ref.commands.{module}", lambda *_, **__: pytest.fail("something was computed"))
    words, outputs = OUTPUTS[name]
    for output in outputs:
        Path(output).parent.mkdir(exist_ok=True)
        Path(output).write_text("years of work")
        status, out, err = run(capsys, name, *words)
        assert (status, out) == (2, "")
        assert err.endswith(f"{output}: exists; name another one, or replace it with --force\n")
        assert err.count("\n") == 1
        assert Path(output).read_text() == "years of work"
        Path(output).unlink()


def test_resume_replaces_what_its_fit_may(capsys):
    words = ["fit", "--example", "logcos", "--size", "16", "--no-figure", *FAST]
    for folder, force in (("strict", []), ("forced", ["--force"])):
        output = f"{folder}.safetensors"
        assert run(capsys, *words, "-o", output, "--checkpoint", folder, *force)[0] == 0
        status, _, err = run(capsys, "resume", folder)
        assert (status, "exists" in err) == ((0, False) if force else (2, True))
        assert run(capsys, "resume", folder, "--force")[0] == 0
        Path("kept").write_text("years of work")
        assert run(capsys, "resume", folder, "-o", "kept")[0] == 2


def test_missing_matplotlib_is_said_and_not_needed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, out, err = run(
        capsys, "fit", "--example", "logcos", "--size", "16", "--steps", "5", "--hidden", "4", *PAPER
    )
    assert status == 0
    assert "pip install 'simsnn-ref[plot]'" in err
    assert "figure" not in out
    status, _, err = run(capsys, "fit", "--example", "logcos", "--figure", "f.png", "-o", "m")
    assert status == 2
    assert "pip install 'simsnn-ref[plot]'" in err


def test_threads(capsys, monkeypatch):
    monkeypatch.setenv("SIMSNN_NUM_THREADS", "2")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    example = ["--example", "turbulence", "--size", "16", "--reynolds", "100", "--time", "0.25"]
    results = []
    for threads in (1, 3):
        output = run_json(capsys, "fit", *example, *FAST, "--threads", threads, "-o", f"{threads}.safetensors")
        assert output["threads"] == {"host": threads, "blas": 1}
        results.append([(stage["loss"], stage["rms_on_grid"], stage["rms_off_grid"]) for stage in output["stages"]])
    assert results[0] == results[1]
    assert run_json(capsys, "info")["threads"] == {"host": 3, "blas": 1}
    status, _, err = run(capsys, "info", "--threads", "0")
    assert (status, err) == (2, "simsnn: error: --threads 0: needs a whole number above 0\n")


@pytest.mark.parametrize(("said", "line"), [("Out of memory allocating 8 bytes", None), ("", "out of memory")])
def test_memory_that_runs_out_is_one_line(monkeypatch, tmp_path, capsys, said, line):
    def run_out(*arguments, **options):
        raise MemoryError(said)

    monkeypatch.setattr("simsnn_ref.commands.fit.fit", run_out)
    arguments = [
        "fit",
        "--example",
        "ug",
        "--size",
        "16",
        "--quiet",
        "--no-figure",
        "-o",
        str(tmp_path / "m.safetensors"),
    ]
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"simsnn: error: {line or said}\n"
