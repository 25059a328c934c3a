"""What people give to `fit`: tensors, tuples, data sets, times, and functions that raise."""

import numpy as np
import pytest

from simsnn_ref import Box, DataError, Grid, fit, read_field, to_dataarray
from simsnn_ref.multistage.intake import take_in

FAST = {"stages": 1, "certify": False}
GRID = Grid((12, 10))
X, Y = np.meshgrid(*GRID.axes(), indexing="ij")
U = np.exp(np.sin(np.pi * X)) * np.cos(np.pi * Y)


class Tensor:
    """One of PyTorch that requires a gradient, on a GPU: NumPy cannot take it as it is."""

    def __init__(self, values, needs=("detach", "cpu")):
        self.values, self.needs = values, needs

    def _without(self, need):
        return Tensor(self.values, tuple(one for one in self.needs if one != need))

    def detach(self):
        return self._without("detach")

    def cpu(self):
        return self._without("cpu")

    def __array__(self, dtype=None, copy=None):
        if self.needs:
            raise RuntimeError(f"can't convert; use Tensor.{self.needs[0]}()\nfirst")
        return self.values


class OnDevice:
    """An array of CuPy."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")


def test_tensors():
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    model = fit(U, GRID, **FAST)
    assert np.array_equal(fit(Tensor(U), GRID, **FAST)(Tensor(points)), model(points))
    assert np.array_equal(model((Tensor(points[:5, 0]), points[:4, 1])), model((points[:5, 0], points[:4, 1])))
    values = points.sum(axis=1)
    assert np.array_equal(fit(Tensor(points), Tensor(values), **FAST)(points), fit(points, values, **FAST)(points))
    with pytest.raises(DataError, match=r"u: OnDevice cannot be made an array of NumPy \(Implicit conversion .* `.get"):
        fit(OnDevice(), GRID)
    with pytest.raises(DataError, match="points: OnDevice cannot be made an array"):
        model(OnDevice())


def test_lists_are_points_and_tuples_are_grids():
    model = fit(U, GRID, **FAST)
    points = [[0.1, 0.2], [-0.3, 0.4]]
    assert np.array_equal(model(points), model(np.asarray(points)))
    assert model(([0.1, 0.2], [-0.3, 0.4])).shape == (2, 2)
    rows = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2)).tolist()
    values = [x + y for x, y in rows]
    assert np.array_equal(fit(rows, values, **FAST)(rows), fit(np.asarray(rows), values, **FAST)(rows))
    assert np.array_equal(fit(tuple(map(tuple, rows)), values, **FAST)(rows), fit(rows, values, **FAST)(rows))


@pytest.mark.parametrize("periodic", [True, (False, True)])
def test_a_tuple_of_axes(periodic):
    grid = Grid((12, 10), (0.0, -3.0), (1.0, 5.0), periodic)
    model = fit(grid.axes(), U, periodic=periodic, **FAST)
    assert np.allclose(model.grid.lower + model.grid.upper, grid.lower + grid.upper, rtol=1e-15)
    assert np.array_equal(model(model.grid), fit(U, model.grid, **FAST)(model.grid))
    assert model.field.dims == ("x", "y")
    with pytest.raises(DataError, match="coordinate x is not uniform"):
        fit((np.arange(12.0) ** 2, np.arange(10.0)), U)


def test_axes_that_do_not_match():
    with pytest.raises(DataError, match=r"u: shape \(12, 10\) on axes of 12, 9 points"):
        fit((np.arange(12.0), np.arange(9.0)), U)


def test_shapes_that_are_no_field_say_what_may_be_meant():
    with pytest.raises(DataError, match=r"axis 1 has 1 points, needs at least 4; leave the axis out: reshape\(12\)"):
        fit(U[:, :1])
    with pytest.raises(DataError, match=r"axis 1 has 2 points, .*; coordinates go in as points of shape \(n, d\)"):
        fit(U[:, :2])


def test_functions_that_raise():
    def fails(points):
        raise ZeroDivisionError("division by\nzero")

    message = r"target: raised ZeroDivisionError \(division by zero\) when called with points of shape \(256, 1\)"
    with pytest.raises(DataError, match=message) as caught:
        fit(fails, Box(0.0, 1.0))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(DataError, match=r"target: raised TypeError .* missing 1 required positional argument: 'y'"):
        fit(lambda x, y: x + y, Grid((8, 8)))
    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, Grid((8, 8)))


def interrupted(points):
    raise KeyboardInterrupt


def test_a_dataset_names_its_variables():
    xr = pytest.importorskip("xarray")
    dataset = xr.Dataset({"psi": (("x", "y"), U), "omega": (("x", "y"), U)})
    for call in (fit, read_field):
        with pytest.raises(
            DataError, match=r"u: a Dataset of the variables psi, omega; give one of them, dataset\[NAME\]"
        ):
            call(dataset)


@pytest.mark.parametrize(
    ("start", "since"),
    [("2001-02-03", "2001-02-03 00:00:00"), ("2001-02-03T04:05:06.5", "2001-02-03 04:05:06.500000000")],
)
def test_times_count_from_their_first(start, since):
    xr = pytest.importorskip("xarray")
    times = np.datetime64(start, "ns") + np.arange(12) * np.timedelta64(6, "h")
    array = xr.DataArray(U, {"time": times, "y": np.arange(10.0)}, ("time", "y"), name="u")
    model = fit(array, periodic=True, **FAST)
    assert (model.grid.lower[0], model.grid.upper[0]) == (0.0, 3.0 * 86400.0)
    assert model.field.axes[0].attrs == {"units": f"seconds since {since}", "calendar": "proleptic_gregorian"}
    predicted = xr.decode_cf(to_dataarray(model(model.grid), model.grid, model.field).to_dataset())
    assert np.array_equal(predicted.time.values, times)
    xr.testing.assert_allclose(predicted.u.drop_attrs(), array.drop_attrs(), rtol=0.0, atol=1e-6)


def test_times_of_other_calendars_and_durations():
    xr = pytest.importorskip("xarray")
    durations = np.arange(12) * np.timedelta64(500, "ms")
    field = read_field(xr.DataArray(U, {"t": durations}, ("t", "y"))).info
    assert field.axes[0].attrs == {"units": "seconds"}
    assert np.array_equal(field.axes[0].values, 0.5 * np.arange(12))
    pytest.importorskip("cftime")
    times = xr.date_range("2000-01-01", periods=12, freq="MS", calendar="360_day", use_cftime=True)
    info = read_field(xr.DataArray(U, {"t": times}, ("t", "y"))).info
    assert info.axes[0].attrs == {"units": "seconds since 2000-01-01 00:00:00", "calendar": "360_day"}
    assert np.array_equal(info.axes[0].values, 30 * 86400.0 * np.arange(12))


LINE = np.linspace(-1.0, 1.0, 65)


@pytest.mark.parametrize(
    ("u", "periodic", "said"),
    [
        (np.exp(LINE), True, "axis 0 of the grid is periodic; but the samples do not go on across its seam"),
        (np.cos(np.pi * LINE), True, "axis 0 of the grid is periodic; but its last sample is the first once more"),
        (np.exp(3.0 * np.sin(np.pi * LINE[:-1:2])), False, "axis 0 of the grid is not periodic; but the samples go on"),
        (np.exp(LINE), False, ""),
        (np.cos(np.pi * LINE[:-1]), True, ""),
        (np.sign(LINE[:-1] - 0.1), True, ""),
        (np.random.default_rng(0).standard_normal(64), True, ""),
        (np.random.default_rng(0).standard_normal(64), False, ""),
    ],
)
def test_a_grid_is_contradicted_where_the_samples_are_clear(u, periodic, said):
    notes = take_in(u, Grid(len(u), periodic=periodic)).notes
    assert [note[: len(said)] for note in notes] == ([said] if said else [])


def test_a_function_contradicts_its_grid_too():
    notes = take_in(lambda x: np.exp(x[:, 0]), Grid((32, 16), periodic=True)).notes
    assert len(notes) == 1
    assert "the samples do not go on across its seam" in notes[0]
