"""What experiments share: the methods they compare with, Markdown and JSON, fits that are resumed, the command."""

import json
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from conftest import EPS

from simsnn_ref import Checkpoints, FitConfig, Grid, Interrupted, fit
from simsnn_ref.commands.main import main
from simsnn_ref.experiments import EXPERIMENTS, Claim, Outcome, Settings, Table, to_dict, to_markdown
from simsnn_ref.experiments.base import method_of
from simsnn_ref.experiments.classical import chebyshev, fourier_interpolation, spline

CUBIC = Grid((9, 11), (-1.0, 0.0), (1.0, 3.0), periodic=False)


@pytest.mark.parametrize("degree", [3, 5])
def test_splines_reproduce_polynomials_of_their_degree(degree):
    points = np.random.default_rng(0).uniform(CUBIC.lower, CUBIC.upper, (50, 2))

    def polynomial(p):
        return (p[:, 0] ** degree - p[:, 0]) * (1.0 + p[:, 1] ** degree)

    u = polynomial(CUBIC.points()).reshape(CUBIC.shape)
    exact = polynomial(points)
    # The condition of the collocation matrices, below 100 an axis.
    assert np.max(np.abs(spline(u, CUBIC, points, degree) - exact)) < 1e3 * EPS * np.max(np.abs(u))


@pytest.mark.parametrize(("degree", "order"), [(3, 4), (5, 6)])
def test_splines_of_periodic_samples_converge_at_their_order_everywhere(degree, order):
    def wave(p):
        return np.sin(2.0 * p[:, 0]) * np.cos(p[:, 1] + 0.3)

    points = np.random.default_rng(0).uniform(0.0, 2.0 * np.pi, (500, 2))
    errors = []
    for n in (32, 64):
        grid = Grid((n, n), 0.0, 2.0 * np.pi)
        u = wave(grid.points()).reshape(grid.shape)
        errors.append(np.max(np.abs(spline(u, grid, points, degree) - wave(points))))
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.5


def test_fourier_interpolation_is_exact_for_resolved_waves():
    grid = Grid((12, 10))
    x, y = np.meshgrid(*grid.axes(), indexing="ij")
    dx, dy = 2.0 / 12 / 3, 2.0 / 10 / 2

    def wave(x, y):
        return np.cos(np.pi * (3 * x - 2 * y) + 0.4) + np.sin(np.pi * 4 * y)

    moved = fourier_interpolation(wave(x, y), grid, (Fraction(1, 3), Fraction(1, 2)))
    assert np.max(np.abs(moved - wave(x + dx, y + dy))) < 50 * EPS


def test_chebyshev_interpolation_reproduces_polynomials_and_converges():
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (50, 2))

    def polynomial(p):
        return p[:, 0] ** 6 * p[:, 1] ** 7 - p[:, 1]

    assert np.max(np.abs(chebyshev(polynomial, 8, points) - polynomial(points))) < 50 * EPS

    def smooth(p):
        return np.exp(p[:, 0]) * np.cos(3.0 * p[:, 1])

    assert np.max(np.abs(chebyshev(smooth, 24, points) - smooth(points))) < 50 * EPS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the paper's method"),
        ({"train_wavenumbers": False}, "the paper's method, B frozen"),
        ({"first_layer": ["none", "msnn"]}, "the paper's method"),
        ({"steps": (15000, 150000)}, "Adam in 15000 steps a stage"),
        ({"optimizer": "gauss_newton"}, "another optimizer"),
        ({"optimizer": "gauss_newton", "z1_rms": (None, 1.0)}, "another optimizer and another start"),
        ({"optimizer": "lbfgs", "output_gain": (1.0, 40.0)}, "another optimizer and another start"),
    ],
)
def test_a_verdict_says_by_which_method(options, words):
    by = method_of(FitConfig.of(mode="paper", **options))
    assert by == words
    verdicts = [Claim("", "", "", held, by).verdict for held in (True, False, None)]
    assert verdicts == [f"held by {words}", f"did not hold by {words}", f"not decided: {words} was not run"]


def test_markdown_says_what_held():
    claims = tuple(Claim("section 1", "says", "found", held) for held in (True, False, None))
    table = Table("Errors", {"name": "the name", "RMS": "the error"}, (("a", 1.24e-9), ("b", None)), "A note.")
    outcome = Outcome("x", "Title", Settings("quick"), (table,), claims, {"a": 1.0}, 2.0, draw=lambda: None)
    text = to_markdown(outcome)
    assert "| section 1 | says | found | held |" in text
    assert "| did not hold |" in text
    assert "| not decided |" in text
    assert "| a | 1.2e-09 |\n| b | - |\n\n- *name*: the name\n- *RMS*: the error\n\nA note." in text
    data = json.loads(json.dumps(to_dict(outcome), allow_nan=False))
    assert [claim["held"] for claim in data["claims"]] == [True, False, None]
    assert data["tables"] == [{"title": "Errors", "columns": ["name", "RMS"], "rows": [["a", 1.24e-9], ["b", None]]}]
    assert data["numbers"] == {"a": 1.0}


CLAIMS = {
    "fig1": ["section 4.1, Figure 1c", "section 4.1, Figure 1b"] * 3,
    "fig2": ["section 4.2, Figure 2", "section 5", "section 4.2, Figure 2"],
    "fig3": ["section 4.2, Figure 3 left", "section 4.2, Figure 3 right"] * 2,
    "ntk": ["section 2.3"] * 7,
    "lp": ["section 3.3, eq. 7"] * 7,
    "logcos": ["sections 1.2 and 3.2"] * 8,
}
"""Where in the paper the claims of each experiment are; those of fig1 and fig3 by two or three methods of training."""


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_quick_experiments_write_figure_tables_and_numbers(name, tmp_path, capsys):
    assert main(["reproduce", name, "-o", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)[name]
    written = json.loads((tmp_path / f"{name}.json").read_text("utf-8"))
    assert written == result
    assert [claim["source"] for claim in result["claims"]] == CLAIMS[name]
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    text = (tmp_path / f"{name}.md").read_text("utf-8")
    for claim in result["claims"]:
        assert f"| {claim['source']} | {claim['paper']} | {claim['found']} | {claim['verdict']} |" in text
    for table in result["tables"]:
        below = text.partition(f"## {table['title']}\n")[2].partition("\n## ")[0]
        rows = [line for line in below.splitlines() if line.startswith("|")]
        assert rows[0] == f"| {' | '.join(table['columns'])} |"
        assert len(rows) == 2 + len(table["rows"])
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
        explained = [line.split("*")[1] for line in below.splitlines() if line.startswith("- *")]
        assert ", ".join(explained) == ", ".join(table["columns"])


@pytest.mark.slow
def test_another_optimizer_is_used(tmp_path, capsys):
    assert main(["reproduce", "fig2", "--optimizer", "lbfgs", "-o", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["fig2"]
    assert result["optimizer"] == "lbfgs"
    (stages,) = result["numbers"]["fits"].values()
    assert {stage["optimizer"] for stage in stages} == {"lbfgs"}


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file", "utf-8")
    assert main(["reproduce", "fig1", "-o", str(tmp_path / "taken")]) == 2
    assert "-o" in capsys.readouterr().err


def test_matplotlib_is_asked_for_before_any_work(tmp_path):
    block = "import sys; sys.modules['matplotlib'] = None; from simsnn_ref.commands.main import main; "
    code = block + f"sys.exit(main(['reproduce', 'all', '-o', {str(tmp_path / 'out')!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'simsnn-ref[plot]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_fit_is_resumed_by_the_same_call(tmp_path, monkeypatch):
    """Stopped by a signal, then called again: the model of the fit that was not stopped; other options are another."""
    x = np.arange(16) / 16 * 2 * np.pi
    u, grid = np.exp(np.sin(x))[:, None] * np.cos(x), Grid((16, 16))
    options = {"mode": "paper", "optimizer": "adam", "steps": (30,), "stages": 2, "hidden": (5, 4)}
    whole = fit(u, grid, **options)

    class Stopping(Checkpoints):
        """Stopped before its seventh step."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.steps = 0

        def is_due(self):
            self.steps += 1
            if self.steps == 7:
                self.signal = signal.SIGTERM
            return super().is_due()

    settings = Settings(checkpoints=tmp_path)
    monkeypatch.setattr("simsnn_ref.experiments.base.Checkpoints", Stopping)
    for _ in range(2):
        with pytest.raises(Interrupted):
            settings.fit(u, grid, **options)
    monkeypatch.undo()
    model = settings.fit(u, grid, **options)
    assert model.history.stages[0].steps == 30
    for mine, theirs in zip(model.stages, whole.stages, strict=True):
        assert all(np.array_equal(mine.params[name], theirs.params[name]) for name in theirs.params)
    settings.fit(u, grid, **{**options, "steps": (2,)})
    assert len(list(tmp_path.iterdir())) == 2
