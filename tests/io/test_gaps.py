"""Missing values on a grid: the smoothest continuation, the samples to the bit, and what is said."""

import doctest
import importlib
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from simsnn_ref import ConfigError, DataError, Grid, fit, load_model, read_field
from simsnn_ref.commands.main import main
from simsnn_ref.io.gaps import EDGE, LARGEST_DIRECT, LOWEST, fill_gaps, order_of
from simsnn_ref.multistage import certify_model

EPS = float(np.finfo(np.float64).eps)
FAST = {"stages": 1, "certify": False}

GRID = Grid((24, 20), 0.0, 2.0 * np.pi)
X, Y = np.meshgrid(*GRID.axes(), indexing="ij")
U = np.exp(np.sin(X)) * np.cos(Y)
MISSING = (X - 3.0) ** 2 + (Y - 3.0) ** 2 < 1.0
MASKED = np.ma.masked_array(np.where(MISSING, 1e20, U), MISSING)
NOTE = (
    f"{np.count_nonzero(MISSING)} of 480 values are missing; their gaps are filled by the smoothest continuation of the"
    " others, so that predictions there are interpolation (--gaps error refuses gaps)"
)

EXAMPLES = ["backend.host_array", "io.coordinates", "io.gaps", "spectrum.scattered_points"]


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples(module):
    found = doctest.testmod(importlib.import_module(f"simsnn_ref.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


SHAPES = [(40,), (24, 30), (10, 12, 14)]
PERIODIC = [False, True]


def mesh(shape):
    return np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")


def holes(shape, share=0.3, seed=0):
    """Blobs that touch the edges, and single points."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    waves = sum(np.abs(m) for m in np.meshgrid(*(np.fft.fftfreq(n, 1.0 / n) for n in shape), indexing="ij"))
    smooth = np.fft.ifftn(np.fft.fftn(noise) / (1.0 + waves) ** 2).real
    return smooth > np.quantile(smooth, 1.0 - share)


def roughness(values, periodic, order):
    """Sum of all squared differences of an order, by slices and not by the matrices under test."""
    total = 0.0
    for axes in itertools.product(range(values.ndim), repeat=order):
        part = values
        for axis in axes:
            closed = np.concatenate([part, np.take(part, [0], axis=axis)], axis=axis) if periodic[axis] else part
            part = np.diff(closed, axis=axis)
        total += float(np.sum(part**2))
    return total


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize(("noise", "order"), [(0.0, 5), (1.0, 2)])
def test_the_continuation_is_the_smoothest(shape, periodic, noise, order):
    """Any change of the filled values makes it rougher: of a plate where samples are rough, else of the edges too."""
    missing = holes(shape)
    smooth = np.cos(sum(0.3 * x for x in mesh(shape)))
    values = np.where(missing, np.nan, smooth + noise * np.random.default_rng(2).standard_normal(shape))
    axes = (periodic, *[False] * (len(shape) - 1))
    assert order_of(values) == order
    filled = fill_gaps(values, axes)
    assert np.array_equal(filled[~missing], values[~missing])

    def energy(field):
        edges = EDGE ** (2 * (order - LOWEST)) * roughness(field, axes, order) if order > LOWEST else 0.0
        return roughness(field, axes, LOWEST) + edges

    rng = np.random.default_rng(1)
    for _ in range(3):
        # At the minimum the energy has no slope: a change adds its own energy alone. What is left is rounding, and the
        # tension of 1e-8, which is not part of this energy.
        change = np.where(missing, rng.standard_normal(shape), 0.0)
        sides = [energy(filled + sign * change) - energy(filled) for sign in (1.0, -1.0)]
        assert min(sides) > 0.0
        assert sides[0] == pytest.approx(sides[1], rel=1e-6)


def test_the_order_follows_the_samples(monkeypatch):
    """White noise grows with the order, and waves of 45 points shrink."""
    x, y = mesh((60, 90))
    u = np.exp(np.sin(2.0 * np.pi * x / 60.0)) * np.cos(4.0 * np.pi * y / 90.0)
    hole = (x - 30.0) ** 2 + (y - 40.0) ** 2 < 16.0
    noise = np.random.default_rng(0).standard_normal(u.shape)
    errors = []
    for level, order in ((0.0, 5), (1e-4, 4), (1e-3, 3), (1e-2, 2)):
        values = np.where(hole, np.nan, u + level * noise)
        assert order_of(values) == order
        errors.append(float(np.max(np.abs(fill_gaps(values, [True, True]) - u)[hole])))
    # A hole 8 points wide in waves of 45: 1e-6 without noise, and of noise no more than ten times as much as there is.
    assert errors[0] < 1e-5
    assert errors[1] < 1e-3
    assert errors[2] < 1e-2
    assert errors[3] < 1e-1
    # Four points have no fourth differences; and 45 unknowns of order 5 are too many where 999 are the limit.
    smooth = np.where(hole, np.nan, u)
    assert order_of(smooth[28:32]) == 3
    monkeypatch.setitem(LARGEST_DIRECT, 2, 999.0)
    assert order_of(smooth) == 4


def test_rounding_does_not_fill_a_wide_gap():
    """In one of a thousand points the fifth differences are rounding alone, and would carry it through the gap."""
    x = np.linspace(0.0, 1.0, 20_000)
    u = np.sin(13.0 * x) + 0.3 * np.cos(20.0 * x)
    values = np.where(np.abs(x - 0.4) < 0.025, np.nan, u)
    np.testing.assert_allclose(fill_gaps(values, [False]), u, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize("shape", [*SHAPES, (32, 32, 40)])
def test_planes_are_met_at_the_edges_too(shape):
    plane = 1.0 + sum((i + 1.0) * x for i, x in enumerate(mesh(shape)))
    filled = fill_gaps(np.where(holes(shape), np.nan, plane), [False] * len(shape))
    # The tension bends a plane by 1e-8 times the square of a gap of ten points, times its slope; the iteration in three
    # dimensions ends at 1e-9.
    np.testing.assert_allclose(filled, plane, rtol=0.0, atol=1e-4 * float(np.max(plane)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [0.0, -273.15, 1e300, 1e-300])
def test_constants_are_filled_to_the_bit(shape, value):
    assert np.array_equal(fill_gaps(np.where(holes(shape), np.nan, value), [True] * len(shape)), np.full(shape, value))


@pytest.mark.parametrize("exponent", [-990, -500, 500, 990])
def test_the_scale_does_not_matter_where_it_is_a_power_of_two(exponent):
    values = np.where(MISSING, np.nan, U)
    scaled = fill_gaps(np.ldexp(values, exponent), [True, True])
    assert np.array_equal(scaled, np.ldexp(fill_gaps(values, [True, True]), exponent))
    with pytest.raises(DataError, match="leave the range of float64; scale the"):
        fit(np.ldexp(values, 1020), GRID)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_period_has_no_edge(shape):
    """Moved round by half a period the gaps are filled with the same values."""
    waves = np.cos(sum(2.0 * np.pi * x / n for x, n in zip(mesh(shape), shape, strict=True)))
    values, half = np.where(holes(shape), np.nan, waves), [n // 2 for n in shape]
    axes = tuple(range(len(shape)))
    moved = fill_gaps(np.roll(values, half, axes), [True] * len(shape))
    # Condition of the equations, the fourth power of the width of a gap, in eps; in three dimensions the iteration.
    tolerance = 1e-9 if len(shape) < 3 else 1e-6
    np.testing.assert_allclose(moved, np.roll(fill_gaps(values, [True] * len(shape)), half, axes), atol=tolerance)


def test_smooth_fields_are_continued_closely():
    """By the tenth power of the width of the gap in wavelengths: two points wide in waves of sixty."""
    x, y = mesh((60, 60))
    u = np.cos(2.0 * np.pi * x / 60.0) * np.sin(2.0 * np.pi * y / 60.0)
    missing = (x % 10 < 2) & (y % 10 < 2)
    error = np.abs(fill_gaps(np.where(missing, np.nan, u), [True, True]) - u)
    assert float(np.max(error)) < 10.0 * (2.0 * np.pi / 60.0) ** 10


def test_one_line_of_samples_is_enough():
    u = np.full((12, 9), np.nan)
    u[3] = np.arange(9.0)
    filled = fill_gaps(u, [False, False])
    assert np.all(np.isfinite(filled))
    np.testing.assert_allclose(filled, np.broadcast_to(np.arange(9.0), (12, 9)), atol=1e-3)


def test_a_mask_is_a_gap():
    model = fit(MASKED, GRID, stages=4)
    assert model.history.certified["agrees"]
    assert model.history.notes[0] == f"u: {NOTE}"
    error = np.abs(model(GRID) - U)[~MISSING]
    # The samples that there are, to rounding of what float64 evaluates.
    assert float(np.max(error)) < 64 * EPS * float(np.max(np.abs(U)))
    nan = np.where(MISSING, np.nan, U)
    assert np.array_equal(fit(nan, GRID, **FAST)(GRID), fit(MASKED, GRID, **FAST)(GRID))
    assert certify_model(fit(nan, GRID, **FAST), nan, GRID).agrees


def test_what_stands_under_a_mask_may_be_anything():
    whole = np.rint(100.0 * U).astype(np.int64)
    hidden = np.ma.masked_array(np.where(MISSING, 2**62, whole), MISSING)
    hidden_inf = np.ma.masked_array(np.where(MISSING, np.inf, U), MISSING)
    assert np.all(np.isfinite(fit(hidden, GRID, **FAST)(GRID)))
    assert np.array_equal(fit(hidden_inf, GRID, **FAST)(GRID), fit(MASKED, GRID, **FAST)(GRID))


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        (MASKED, {"gaps": "error"}, DataError, "u: NaN or masked at index"),
        (MASKED, {"gaps": "no"}, ConfigError, "gaps = 'no': choose one of fit, error"),
        (np.where(MISSING, np.inf, U), {}, DataError, "u: Inf at index"),
        (np.full((8, 8), np.nan), {}, DataError, "64 of 64 values are missing; a fit needs at least 4"),
        (np.ma.masked_all((8, 8)), {}, DataError, "64 of 64 values are missing; a fit needs at least 4"),
    ],
)
def test_what_is_no_gap_stays_an_error(values, options, error, message):
    with pytest.raises(error, match=message):
        fit(values, **options)


def test_the_sea_in_a_file_with_land(tmp_path, monkeypatch, capsys):
    """Fill values, latitudes from north to south, bounds and a grid mapping beside it; certify and report too."""
    xr = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    monkeypatch.chdir(tmp_path)
    lat, lon = np.linspace(87.5, -87.5, 24), 9.0 + 18.0 * np.arange(20)
    bounds = np.stack([lon - 9.0, lon + 9.0], axis=1)
    dataset = xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), np.where(MISSING, np.nan, U)[None], {"grid_mapping": "crs"}),
            "lat_bnds": (("lat", "nv"), np.stack([lat + 3.5, lat - 3.5], axis=1)),
            "lon_bnds": (("lon", "nv"), bounds),
            "crs": ((), 0),
            "station": (("length",), np.asarray(list("buoy"), "S1")),
        },
        {"time": [3.0], "lat": ("lat", lat, {"bounds": "lat_bnds"}), "lon": ("lon", lon, {"bounds": "lon_bnds"})},
    )
    dataset.to_netcdf("sst.nc", engine="h5netcdf", encoding={"sst": {"_FillValue": 1e20}})

    data = ["sst.nc", "--periodic", "false,true"]
    words = [sys.executable, "-m", "simsnn_ref", "fit", *data, "--stages", "1", "--no-figure", "--json"]
    fitted = subprocess.run(words, capture_output=True, text=True, check=True)
    assert f"note: sst.nc: sst: {NOTE}\n" in fitted.stderr
    assert f"sst.nc: sst: {NOTE}" in json.loads(fitted.stdout)["notes"]
    assert main(["certify", "sst.safetensors", *data]) == 0
    assert main(["report", "sst.safetensors", *data]) == 0
    assert main(["predict", "sst.safetensors", "--grid", "24", "20", "-o", "again.nc"]) == 0
    with xr.open_dataset("again.nc", engine="h5netcdf") as again:
        model = load_model("sst.safetensors")
        assert np.array_equal(again.lat, lat)
        assert np.array_equal(again.sst.values, model(model.grid)[::-1])
    capsys.readouterr()
    assert main(["fit", *data, "--gaps", "error", "-o", "other"]) == 2
    refused = capsys.readouterr().err
    assert "sst.nc: sst: NaN or masked at index" in refused
    assert refused.count("\n") == 1
    in_memory = read_field(dataset.sst, periodic=(False, True))
    assert np.array_equal(in_memory.values, read_field("sst.nc", periodic=(False, True)).values)


@pytest.mark.parametrize("whole_lines", [True, False])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_gap_at_the_seam_says_nothing_of_it(tmp_path, whole_lines, repeats):
    """Filled one way or the other it would say what was taken when it was filled."""
    n = 48
    x, y = mesh((n, 40))
    turn = 2.0 * np.pi / (n if repeats else n + 17.0)
    u = np.exp(np.sin(turn * x)) * np.cos(0.1 * y)
    gap = (np.abs(x - n / 2) > n / 2 - 5) & (y < 25)
    if not whole_lines:
        gap |= (np.abs(x - 20.0) < 2.0) & (y >= 25)
    np.save(tmp_path / "u.npy", np.where(gap, np.nan, u))
    read = read_field(tmp_path / "u.npy")
    assert read.where.periodic[0] is repeats
