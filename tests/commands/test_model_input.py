"""`certify` and `report` know from the model where its samples are, and whether they repeat."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import Grid, Scatter, fit, load_model
from simsnn_ref.commands.main import main
from simsnn_ref.multistage import certify_model

FAST = ["--stages", "1", "--no-figure", "--quiet", "-o", "m.safetensors"]


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Figures take their time.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def field(grid):
    x = grid.points()
    return (np.exp(np.sin(x[:, 0])) * np.cos(x[:, -1])).reshape(grid.shape)


GRIDS = [
    (Grid((12, 10), (0.0, 1.0), (2.0, 4.5), False), []),
    (Grid((16, 9), (0.0, -1.0), (2 * np.pi, 0.5), (True, False)), []),
    # Every second of an even number of samples ends before the box does.
    (Grid((17, 16), (0.1, 0.3), (0.7, 1.3), False), ["--off-grid", "holdout"]),
]


def box_words(grid):
    return ["--box", *(str(bound) for pair in zip(grid.lower, grid.upper, strict=True) for bound in pair)]


@pytest.mark.parametrize(("grid", "options"), GRIDS)
def test_the_box_of_samples_is_the_models(grid, options, capsys):
    u = field(grid)
    np.save("u.npy", u)
    periodic = ["--periodic", ",".join(str(p).lower() for p in grid.periodic)]
    assert main(["fit", "u.npy", *box_words(grid), *periodic, *options, *FAST]) == 0
    capsys.readouterr()
    assert main(["certify", "m.safetensors", "u.npy", "--json"]) == 0
    certified = json.loads(capsys.readouterr().out)["certified"]
    assert certified == load_model("m.safetensors").history.certified
    assert main(["report", "m.safetensors", "u.npy", "-o", "r.html"]) == 0
    # The commands that repeat the fit have the box that was not given now.
    assert f"--box {grid.lower[0]:g}" in Path("r.html").read_text("utf-8")
    model = load_model("m.safetensors")
    assert certify_model(model, u).to_dict() == certified


def test_another_box_is_refused(capsys):
    grid = GRIDS[0][0]
    np.save("u.npy", field(grid))
    assert main(["fit", "u.npy", *box_words(grid), "--periodic", "false", *FAST]) == 0
    capsys.readouterr()
    for command in ("certify", "report"):
        assert main([command, "m.safetensors", "u.npy", "--box", "0", "2", "1", "4.6"]) == 2
        assert "but the model was fitted on" in capsys.readouterr().err
        assert main([command, "m.safetensors", "u.npy", "--periodic", "true"]) == 2
        assert "but the model was fitted on" in capsys.readouterr().err


def test_other_samples_do_not_agree():
    """However large the errors of the fit are, in which those of other samples may hide."""
    grid = GRIDS[0][0]
    model = fit(field(grid), grid, stages=1, n_features=2)
    assert model.history.stages[-1].rms_on_grid > 0.1
    assert certify_model(model, field(grid)).agrees
    assert not certify_model(model, 1.1 * field(grid)).agrees


def test_coordinates_go_before_the_models(capsys):
    """Samples from elsewhere do not pass for those that were fitted."""
    pytest.importorskip("xarray")
    from simsnn_ref import write_field

    grid = GRIDS[0][0]
    elsewhere = Grid(grid.shape, (5.0, 1.0), (7.0, 4.5), False)
    write_field("here.npz", field(grid), grid)
    write_field("there.npz", field(grid), elsewhere)
    assert main(["fit", "here.npz", "--periodic", "false", *FAST]) == 0
    capsys.readouterr()
    assert main(["certify", "m.safetensors", "here.npz"]) == 0
    capsys.readouterr()
    assert main(["certify", "m.safetensors", "there.npz"]) == 2
    assert "but the model was fitted on" in capsys.readouterr().err


def test_points_of_a_periodic_box(capsys):
    points = np.random.default_rng(0).uniform(0.0, 2 * np.pi, (60, 1))
    np.save("x.npy", points)
    np.save("u.npy", np.exp(np.sin(points[:, 0])))
    given = ["x.npy", "--values", "u.npy"]
    assert main(["fit", *given, "--box", "0", str(2 * np.pi), "--periodic", "true", *FAST]) == 0
    capsys.readouterr()
    assert main(["certify", "m.safetensors", *given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["certified"]["agrees"]
    assert main(["report", "m.safetensors", *given]) == 0


def test_python_needs_no_grid():
    grid = GRIDS[0][0]
    model = fit(field(grid), grid, stages=1)
    assert certify_model(model, field(grid)).to_dict() == model.history.certified
    function = fit(lambda x: np.exp(x[:, 0]), Grid(12, 0.0, 3.0, periodic=False), stages=1)
    assert certify_model(function, lambda x: np.exp(x[:, 0])).to_dict() == function.history.certified
    points = np.random.default_rng(0).uniform(0.0, 1.0, (30, 1))
    scattered = fit(np.exp(points[:, 0]), Scatter(points), stages=1, off_grid="none")
    assert certify_model(scattered, np.exp(points[:, 0])).agrees


def test_a_model_without_a_stage_claims_the_field_as_its_error(capsys):
    grid = GRIDS[0][0]
    model = fit(field(grid), grid, stages=1)
    empty = replace(model, stages=(), history=replace(model.history, stages=()))
    empty.save("m.safetensors")
    np.save("u.npy", field(grid))
    assert main(["certify", "m.safetensors", "u.npy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["claimed"]["rms_on_grid"] == 1.0
    assert found["certified"]["max_on_grid"] == pytest.approx(found["claimed"]["max_on_grid"], rel=1e-12)
    for command in (["info"], ["report"], ["predict", "--grid", "3"]):
        assert main([command[0], "m.safetensors", *command[1:]]) == 0
    assert not np.any(np.load("m.prediction.npy"))


def test_a_field_of_zeros(capsys):
    """Through every command that a user meets it with."""
    np.save("u.npy", np.zeros((6, 8)))
    assert main(["fit", "u.npy", *FAST]) == 0
    assert main(["info", "m.safetensors"]) == 0
    assert "1 fourier" in capsys.readouterr().out
    assert main(["certify", "m.safetensors", "u.npy"]) == 0
    assert main(["report", "m.safetensors", "u.npy"]) == 0
    assert main(["predict", "m.safetensors", "--grid", "3", "--precision", "extended"]) == 0
    assert np.array_equal(np.load("m.prediction.npy"), np.zeros((3, 3)))
    capsys.readouterr()
    assert main(["spectrum", "u.npy"]) == 0
    assert "E(k) is 0: so is the field." in capsys.readouterr().out
