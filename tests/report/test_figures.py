"""Figures are drawn, labelled and written for every kind of fit; warnings are errors (pyproject.toml)."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from simsnn_ref import ConfigError, DataError, Grid, OutputError, SimsnnError, fit
from simsnn_ref.report import (
    check_figure_path,
    drawing,
    figure_of_fit,
    figure_of_spectrum,
    require_matplotlib,
    save_figure,
)
from simsnn_ref.spectrum import EnergySpectrum

OPTIONS = {
    "mode": "paper",
    "optimizer": "adam",
    "steps": 40,
    "n_features": 8,
    "hidden": (12, 12),
    "learning_rate": 0.02,
    "target": 0.0,
}


def waves(grid):
    return sum(np.sin((axis + 1) * x) for axis, x in enumerate(np.meshgrid(*grid.axes(), indexing="ij"))) + 0.1


def fitted(shape, stages=2, **options):
    grid = Grid(shape, 0.0, 2.0 * np.pi)
    samples = waves(grid)
    model = fit(samples, grid, stages=stages, **OPTIONS | options)
    assert len(model.stages) == stages
    return model, samples


def panels(figure):
    return [axes for part in figure.subfigs for axes in part.axes if axes.get_title()]


@pytest.mark.parametrize("shape", [(32,), (10, 12), (6, 7, 8)], ids=["1d", "2d", "3d"])
def test_figure_of_fit_has_all_panels_labelled(shape):
    model, samples = fitted(shape)
    figure = figure_of_fit(model, samples, title="waves")
    figure.draw_without_rendering()
    axes = panels(figure)
    assert figure.get_suptitle() == "waves"
    assert len(axes) == 4 + 2 * 2
    assert all(panel.get_xlabel() and panel.get_ylabel() for panel in axes)
    titles = [panel.get_title() for panel in axes]
    assert titles[0].startswith("target")
    assert ("middle slice $x$ = 3.14" in titles[0]) == (len(shape) == 3)
    assert titles[1] == "fit, 2 stages"
    assert (axes[2].get_xscale(), axes[2].get_yscale(), axes[3].get_yscale()) == ("log", "log", "log")
    legend = [text.get_text() for text in axes[2].get_legend().get_texts()]
    assert legend == ["target", "stage 1", "stage 2"]


def test_title_of_a_residue_has_the_errors_of_the_record():
    model, samples = fitted((16,), stages=1)
    first = dataclasses.replace(
        model.history.stages[0], rms_on_grid=2.04e-5, max_on_grid=3e-4, rms_off_grid=0.5, max_off_grid=0.0
    )
    history = dataclasses.replace(model.history, stages=(first,))
    title = panels(figure_of_fit(dataclasses.replace(model, history=history), samples))[4].get_title()
    assert title.split("\n") == [
        "after stage 1 (si), relative to RMS$(u)$",
        r"on grid: RMS $2.0\times10^{-5}$, max $3.0\times10^{-4}$",
        r"off grid: RMS $5.0\times10^{-1}$, max 0",
    ]


def test_title_leaves_out_errors_that_were_not_measured():
    model, samples = fitted((16,), stages=1, off_grid="none")
    assert "off grid" not in panels(figure_of_fit(model, samples))[4].get_title()


def test_drawn_residues_are_those_of_the_fit():
    model, samples = fitted((32,), stages=3)
    axes = panels(figure_of_fit(model, samples))
    left = [axes[4 + stage].get_lines()[-1].get_ydata() for stage in range(3)]
    for residue, record in zip(left, model.history.stages, strict=True):
        assert np.sqrt(np.mean(residue**2)) == pytest.approx(record.rms_on_grid, rel=1e-6)
    drawn_fit = axes[1].get_lines()[-1].get_ydata()
    np.testing.assert_allclose(drawn_fit, model(model.grid), rtol=0, atol=1e-14)


def test_residue_image_is_in_physical_coordinates_with_colours_symmetric_about_zero():
    grid = Grid((8, 10), (0.0, 1.0), (4.0, 6.0), periodic=(True, False))
    samples = waves(Grid((8, 10), 0.0, 6.0))
    model = fit(samples, grid, stages=1, **OPTIONS)
    (image,) = panels(figure_of_fit(model, samples))[4].get_images()
    # Spacing 0.5 along the periodic x; 5/9 along y, whose ends are samples.
    np.testing.assert_allclose(image.get_extent(), [-0.25, 3.75, 1.0 - 5 / 18, 6.0 + 5 / 18], rtol=1e-14)
    low, high = image.get_clim()
    assert low == -high
    expected = (samples - model(grid)) / model.history.rms
    np.testing.assert_allclose(image.get_array(), expected.T, rtol=0, atol=1e-13)


def test_history_is_one_falling_curve_over_all_stages():
    model, samples = fitted((32,), stages=3)
    axes = panels(figure_of_fit(model, samples))[3]
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) == OPTIONS["steps"]]
    rms = [line for line in curves if line.get_alpha() is None]
    assert [(line.get_xdata()[0], line.get_xdata()[-1]) for line in rms] == [(1, 40), (41, 80), (81, 120)]
    for line, record in zip(rms, model.history.stages, strict=True):
        expected = record.rms_history * record.eps / model.history.rms
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    assert axes.get_xlim() == (0, 120)


@pytest.mark.parametrize("value", [0.0, -3.0])
@pytest.mark.parametrize("shape", [(8,), (8, 9), (8, 6, 7)], ids=["1d", "2d", "3d"])
def test_zero_and_constant_fields_are_drawn(shape, value):
    grid, samples = Grid(shape), np.full(shape, value)
    model = fit(samples, grid)
    figure = figure_of_fit(model, samples)
    figure.draw_without_rendering()
    assert len(panels(figure)) == 4 + 2 * len(model.stages)


def test_stages_that_take_no_steps_reach_machine_precision():
    model, samples = fitted((16,), stages=2, first_layer="fourier", n_features=9, hidden=())
    figure = figure_of_fit(model, samples)
    figure.draw_without_rendering()
    assert "machine epsilon" in [text.get_text() for text in panels(figure)[3].texts]


@pytest.mark.slow
def test_six_stages_are_laid_out():
    model, samples = fitted((8, 8), stages=6)
    figure = figure_of_fit(model, samples)
    figure.draw_without_rendering()
    assert len(panels(figure)) == 4 + 2 * 6


def test_samples_of_another_shape_are_refused():
    model, _ = fitted((16,), stages=1)
    with pytest.raises(DataError):
        figure_of_fit(model, np.zeros(17))


def test_long_lines_are_drawn_as_their_envelope():
    y = np.random.default_rng(0).normal(size=100_003)
    x = np.arange(y.size)
    thin_x, thin_y = drawing._envelope(x, y)
    assert thin_x.shape == thin_y.shape
    assert thin_y.size <= drawing.MOST_POINTS
    assert (thin_y.min(), thin_y.max()) == (y.min(), y.max())
    assert np.all(np.diff(thin_x) >= 0)


def test_spectrum_without_its_empty_bins():
    spectrum = EnergySpectrum(np.array([0.5, 1.5, 2.5, 3.5]), np.array([0.0, 1.0, 0.0, 1e-30]))
    (axes,) = figure_of_spectrum(spectrum, title="E").axes
    (line,) = axes.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [1.5, 3.5])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("wavenumber $k$", "$E(k)$")


def test_spectrum_of_nothing_says_so():
    (axes,) = figure_of_spectrum(EnergySpectrum(np.array([0.5, 1.5]), np.zeros(2))).axes
    assert [text.get_text() for text in axes.texts] == ["zero everywhere"]


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG\r\n"), (".pdf", b"%PDF-"), (".SVG", b"<?xml")])
def test_file_has_the_format_of_its_suffix(tmp_path, suffix, magic):
    path = tmp_path / f"figure{suffix}"
    save_figure(figure_of_spectrum(EnergySpectrum(np.array([0.5, 1.5]), np.array([1.0, 0.1]))), path)
    written = path.read_bytes()
    assert written.startswith(magic)
    assert len(written) > 3000


def test_whole_figure_is_written(tmp_path):
    model, samples = fitted((8, 8), stages=1)
    save_figure(figure_of_fit(model, samples), tmp_path / "fit.png")
    assert len((tmp_path / "fit.png").read_bytes()) > 30_000


def test_path_that_cannot_be_written_is_found_out_before(tmp_path):
    for bad in ("figure.bmp", "figure", ".png"):
        with pytest.raises(OutputError, match="unknown format"):
            check_figure_path(tmp_path / bad)
    with pytest.raises(OutputError, match="does not exist"):
        check_figure_path(tmp_path / "missing" / "figure.png")
    check_figure_path(tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_write_error_is_one_line(tmp_path, monkeypatch):
    figure = figure_of_spectrum(EnergySpectrum(np.array([0.5]), np.array([1.0])))

    def refuse(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        save_figure(figure, tmp_path / "figure.png")


def test_missing_matplotlib_is_one_line_that_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    model, samples = fitted((16,), stages=1)
    spectrum = model.history.spectrum
    for draw in (require_matplotlib, lambda: figure_of_fit(model, samples), lambda: figure_of_spectrum(spectrum)):
        with pytest.raises(ConfigError) as caught:
            draw()
        assert str(caught.value) == "figures need matplotlib: pip install 'simsnn-ref[plot]'"
        assert isinstance(caught.value, SimsnnError)


def test_import_does_not_import_matplotlib_nor_drawing_pyplot():
    code = (
        "import sys, numpy as np, simsnn_ref.report as p; from simsnn_ref.spectrum import EnergySpectrum;"
        "assert 'matplotlib' not in sys.modules;"
        "p.figure_of_spectrum(EnergySpectrum(np.ones(1), np.ones(1)));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
