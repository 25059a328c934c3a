"""Fields from and to files: the values, where they are, what they are called; and one line for what cannot be read."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import (
    Box,
    DataError,
    Grid,
    ModelFileError,
    OutputError,
    fit,
    load_model,
    read_field,
    read_scattered,
    to_dataarray,
    write_field,
)
from simsnn_ref.commands.main import main
from simsnn_ref.io import FieldInfo, follows, read_file, write_file
from simsnn_ref.io.field_info import plain_attributes
from simsnn_ref.multistage import certify_model

xr = pytest.importorskip("xarray")

EPS = float(np.finfo(np.float64).eps)
FAST = {"stages": 1, "certify": False}
OPTIONS = ["--stages", "1", "--no-certify", "--no-figure", "--quiet"]
WHOLE = [*OPTIONS, "--periodic", "true"]

TIMES = np.asarray([0.0, 0.5, 1.25, 2.0])
Y = 0.5 + 1.5 * np.arange(12) / 12
X = 2.0 * np.pi * np.arange(16) / 16
ATTRS = {"units": "m2 s-1", "long_name": "stream function", "level": [1.5, 2.0]}


def psi(t):
    return np.cos(4.0 * np.pi * Y[:, None] / 1.5 + t) * np.exp(np.sin(X))[None, :]


def run(**changes):
    """A run with two fields at four times."""
    values = np.asarray([psi(t) for t in TIMES])
    dataset = xr.Dataset(
        {"psi": (("time", "y", "x"), values, ATTRS), "omega": (("time", "y", "x"), -values)},
        {
            "time": ("time", TIMES, {"units": "s"}),
            "y": ("y", Y, {"units": "m"}),
            "x": ("x", X, {"units": "m", "long_name": "eastward"}),
        },
        {"title": "run 7"},
    )
    return dataset.assign_coords(**changes) if changes else dataset


def save(dataset, name):
    """In the format that the ending tells, .cdf being netCDF 3; by xarray, not by the code under test."""
    if name.endswith(".zarr"):
        dataset.to_zarr(name, zarr_format=2)
    else:
        dataset.to_netcdf(name, engine="scipy" if name.endswith(".cdf") else "h5netcdf")
    return name


def opened(name):
    """By xarray, loaded."""
    engine = "zarr" if str(name).endswith(".zarr") else "h5netcdf"
    with xr.open_dataset(name, engine=engine, decode_times=False) as dataset:
        return dataset.load()


def command(capsys, *argv):
    status = main([str(word) for word in argv])
    return status, *capsys.readouterr()


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model():
    return fit(run().psi.isel(time=2), periodic=True, **FAST)


FILES = ["run.nc", "run.cdf", "run.h5", "run.zarr"]
OUTPUTS = ["out.nc", "out.h5", "out.zarr"]


@pytest.mark.parametrize("name", FILES)
def test_a_field_of_a_run(name):
    values, grid, info, notes = read_field(save(run(), name), "psi", select={"time": 1.25}, periodic=True)
    assert np.array_equal(values, psi(1.25))
    assert grid.shape == (12, 16)
    assert grid.periodic == (True, True)
    # Twelve spacings from the eleven of the coordinate: three roundings.
    np.testing.assert_allclose(grid.lower + grid.upper, (0.5, 0.0, 2.0, 2.0 * np.pi), rtol=3 * EPS, atol=0.0)
    assert info.to_dict() == {
        "name": "psi",
        "axes": [
            {"name": "y", "attrs": {"units": "m"}},
            {"name": "x", "attrs": {"units": "m", "long_name": "eastward"}},
        ],
        "attrs": ATTRS,
        "scalars": [{"name": "time", "value": 1.25, "attrs": {"units": "s"}}],
        "dataset_attrs": {"title": "run 7"},
    }
    assert np.array_equal(info.axes[1].values, X)
    assert str(info) == "psi [m2 s-1] over y [m], x [m], time = 1.25 [s]"
    axes = ("y in [0.5, 2)", "x in [0, 6.28319)")
    assert notes == [f"{name}: coordinate {axis} is taken as periodic, as asked" for axis in axes]


def test_the_box_follows_from_what_the_ends_are():
    save(run(), "run.nc")
    chosen = {"var": "psi", "isel": {"time": -1}}
    grid = read_field("run.nc", **chosen, periodic=(False, True)).where
    assert grid.upper[0] == Y[-1]
    assert grid.periodic == (False, True)
    np.testing.assert_allclose(grid.axes()[0], Y, rtol=2 * EPS, atol=0.0)
    box = Box((0.0, 1.0), (3.0, 4.0))
    assert read_field("run.nc", **chosen, box=box).where.box == box


@pytest.mark.parametrize("output", OUTPUTS)
def test_predictions_are_called_as_the_input(capsys, output):
    save(run(), "run.nc")
    assert command(capsys, "fit", "run.nc", "--var", "psi", "--time", "1.25", *WHOLE, "-o", "m")[0] == 0
    for _ in range(2):  # the second time over what is there
        assert command(capsys, "predict", "m", "--grid", "12", "16", "--force", "-o", output)[0] == 0
    out, source, model = opened(output), run(), load_model("m")
    assert list(out.data_vars) == ["psi"]
    assert out.psi.dims == ("y", "x")
    assert plain_attributes(out.psi.attrs) == (ATTRS, [])
    assert np.array_equal(out.psi.values, model(model.grid))
    for name in ("x", "y"):
        assert np.array_equal(out[name].values, source[name].values)
        assert out[name].attrs == source[name].attrs
    assert (float(out.time), out.time.attrs) == (1.25, {"units": "s"})
    assert out.attrs["title"] == "run 7"
    assert out.attrs["simsnn_model"] == "m"
    assert f"numpy {np.__version__}" in out.attrs["simsnn_model_made_with"]
    # What is aligned by coordinates finds its partner: no point is lost, none is filled in.
    difference = out.psi - source.psi.sel(time=1.25)
    assert difference.shape == (12, 16)
    assert float(np.abs(difference).max()) < 1e-6


@pytest.mark.parametrize("output", OUTPUTS)
def test_derivatives_have_dimensions_and_units(capsys, model, output):
    model.save("m")
    command(capsys, "predict", "m", "--grid", "8", "--gradient", "-o", output)
    gradient = opened(output).psi_gradient
    grid = Grid((8, 8), model.grid.lower, model.grid.upper)
    assert gradient.dims == ("y", "x", "derivative")
    assert gradient.attrs == {"long_name": "gradient of stream function", "units": "(m2 s-1) (m)-1"}
    assert np.array_equal(gradient.sel(derivative="x").values, model.gradient(grid)[..., 1])
    assert np.array_equal(gradient.x.values, grid.axes()[1])
    assert command(capsys, "predict", "m", "--grid", "1", "--force", "-o", output)[0] == 0
    assert opened(output).psi.shape == (1, 1)
    command(capsys, "predict", "m", "--grid", "8", "--hessian", "--force", "-o", output)
    hessian = opened(output).psi_hessian
    assert hessian.attrs["units"] == "(m2 s-1) (m)-2"
    assert np.array_equal(hessian.sel(derivative_1="y", derivative_2="x").values, model.hessian(grid)[..., 0, 1])


def test_no_units_where_the_components_differ():
    values = np.zeros((4, 4, 2))
    source = run().psi.isel(time=0, y=slice(4), x=slice(4))
    source.x.attrs["units"] = "rad"
    grid, info = read_field(source)[1:3]
    assert to_dataarray(values, grid, info).attrs == {"long_name": "gradient of stream function"}


def test_npz_comes_back_as_it_was(capsys, model):
    model.save("m")
    command(capsys, "predict", "m", "--grid", "12", "16", "-o", "out.npz")
    with np.load("out.npz", allow_pickle=False) as members:
        assert np.array_equal(members["psi"], model(model.grid))
        assert np.array_equal(members["x"], X)
        assert json.loads(str(members["description"]))["attrs"] == ATTRS
    values, grid, info, _ = read_field("out.npz", periodic=True)
    assert np.array_equal(values, model(model.grid))
    assert grid == model.grid
    described = info.to_dict()
    assert {name: described[name] for name in ("name", "axes", "attrs", "scalars")} == {
        name: value for name, value in model.field.to_dict().items() if name != "dataset_attrs"
    }
    assert described["dataset_attrs"]["simsnn_model"] == "m"


def test_plain_npz():
    np.savez("two.npz", a=psi(0.0), b=psi(1.0))
    read = read_field("two.npz", "b", periodic=False)
    assert np.array_equal(read.values, psi(1.0))
    assert read.where == Grid((12, 16), periodic=False)
    assert read.info.name == "b"
    assert all("is taken as not periodic, as asked" in note for note in read.notes)
    np.savez("one.npz", psi(0.0))
    assert np.array_equal(read_field("one.npz").values, psi(0.0))
    np.savez("x.npz", x=psi(0.0))
    assert read_field("x.npz").info.name == "u"


def test_arrays_in_npz_may_be_of_any_type_and_compressed():
    other = {"tags": np.asarray(["a", "b"]), "rows": np.zeros(3, [("n", int)]), "when": np.zeros(2, "M8[s]")}
    constant = np.full((64, 64), 1.5, ">f4")
    np.savez_compressed("x.npz", u=constant, **other)
    assert np.array_equal(read_field("x.npz", "u").values, constant)


def test_an_array_of_xarray_is_fitted_by_its_coordinates(model):
    source = run().psi.isel(time=2)
    grid = read_field(source, periodic=True).where
    assert np.array_equal(model(grid), fit(psi(1.25), grid, **FAST)(grid))
    assert model.field.name == "psi"
    assert any("is taken as periodic, as asked" in note for note in model.history.notes)
    assert fit(source, periodic=False, **FAST).grid.upper == (Y[-1], X[-1])
    assert certify_model(model, source).agrees
    assert fit(source, Grid((12, 16)), **FAST).field is None
    out = to_dataarray(model(model.grid), model.grid, model.field)
    xr.testing.assert_allclose(out.drop_attrs(), source.drop_attrs(), rtol=0.0, atol=1e-6)


def test_through_the_installed_command(capsys):
    save(run(), "run.nc")

    def simsnn(*argv):
        words = [sys.executable, "-m", "simsnn_ref", *argv]
        return subprocess.run(words, capture_output=True, text=True, check=True)

    fitted = simsnn("fit", "run.nc", "--var", "psi", "--time", "1.25", "--no-figure", "--json", "--periodic", "true")
    assert "note: run.nc: coordinate y in [0.5, 2) is taken as periodic, as asked" in fitted.stderr
    assert json.loads(fitted.stdout)["problem"]["field"]["name"] == "psi"
    assert json.loads(fitted.stdout)["stages"][-1]["rms_on_grid"] < 1e-13
    simsnn("predict", "run.safetensors", "--grid", "24", "-o", "fine.nc")
    assert opened("fine.nc").psi.shape == (24, 24)
    assert "field: psi [m2 s-1] over y [m], x [m], time = 1.25 [s]\n" in command(capsys, "info", "run.safetensors")[1]
    assert json.loads(command(capsys, "info", "run.safetensors", "--json")[1])["field"]["attrs"] == ATTRS
    chosen = ["run.nc", "--var", "psi", "--isel", "time=2", "--json"]
    assert json.loads(command(capsys, "certify", "run.safetensors", *chosen)[1])["certified"]["agrees"]
    spectrum = json.loads(command(capsys, "spectrum", *chosen)[1])
    assert spectrum["problem"]["shape"] == [12, 16]
    assert spectrum["modes"][0]["index"][0] == 2


def test_float32_coordinates():
    read = read_field(save(run(x=("x", X.astype(np.float32))), "run.nc"), "psi", isel={"time": 0})
    assert np.array_equal(read.info.axes[1].values, X.astype(np.float32))
    # The last coordinate carries a rounding of float32, which the box takes over.
    assert read.where.upper[1] == pytest.approx(2.0 * np.pi, rel=float(np.finfo(np.float32).eps))
    model = fit(read.values, read.where, **FAST)
    write_field("out.nc", model(model.grid), model.grid, read.info)
    assert np.array_equal(opened("out.nc").x.values, X.astype(np.float32))


@pytest.mark.parametrize("kept", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_means_to_rounding(dtype, kept):
    """Also where what was rounded to float32 is kept in float64."""
    eps = float(np.finfo(dtype).eps)
    line = np.linspace(-3.0, 40.0, 57)
    assert follows(line.astype(dtype).astype(kept), line)
    for size, is_uniform in ((3.0, True), (5.0, False)):
        moved = line.copy()
        moved[20] += size * eps * 40.0
        moved = moved.astype(dtype)
        assert follows(moved, line) is is_uniform
        assert follows(moved.astype(np.float64), line) is is_uniform
    assert not follows(line[:-1], line)
    assert not follows(line[:1], line[:1])
    # Where rounding is as large as the spacing nothing follows a line.
    far = 2.0**23 + np.arange(5.0)
    assert not follows((far + np.asarray([0.0, 1.0, 0.0, 0.0, 0.0])).astype(np.float32), far)


@pytest.mark.parametrize("decimals", [2, 4, 6])
def test_uniform_means_to_the_last_decimal(decimals):
    line = np.linspace(0.0, 7.0, 43)
    rounded = np.round(line, decimals)
    assert follows(rounded, line)
    assert follows(rounded.astype(np.float32), line)
    # One unit may be half of one of the coordinate and half of one of the line; two are none.
    for units, is_uniform in ((0.4, True), (2.0, False)):
        moved = line.copy()
        moved[20] += units * 10.0**-decimals
        assert follows(np.round(moved, decimals), line) is is_uniform
    read = read_field(xr.DataArray(np.cos(line), {"x": np.round(line, 4)}, ("x",)), periodic=False)
    assert np.array_equal(to_dataarray(read.values, read.where, read.info).x, np.round(line, 4))


def test_decimals_that_are_as_coarse_as_the_spacing_explain_nothing():
    assert not follows(np.asarray([0.0, 0.3, 0.7, 1.0]), np.linspace(0.0, 1.0, 4))
    assert not follows(np.asarray([0.0, 1.0, 3.0, 4.0, 5.0]), np.linspace(0.0, 5.0, 5))


@pytest.mark.parametrize(
    ("coordinate", "upper"),
    [
        (np.arange(1440) * 0.25000000000000006, 360.0),
        (np.arange(432) * (360.0 / 432.0), 360.0),
        (np.round(np.arange(432) * (360.0 / 432.0), 4), 360.0),
        (np.round(np.arange(432) * (360.0 / 432.0), 4).astype(np.float32), 360.0),
        (np.arange(11) * 0.909, 11 * 0.909),
        (2.0 * np.pi * np.arange(16) / 16, 2.0 * np.pi),
    ],
)
def test_a_period_is_the_round_number_that_it_is_but_for_rounding(coordinate, upper):
    array = xr.DataArray(np.cos(coordinate), {"x": coordinate}, ("x",))
    found = read_field(array, periodic=True).where.upper[0]
    assert found == upper or (upper % 1.0 and found == pytest.approx(upper, rel=4 * EPS))


def test_a_descending_coordinate():
    descending = run().isel(y=slice(None, None, -1))
    read = read_field(save(descending, "run.nc"), "psi", isel={"time": 1})
    assert np.array_equal(read.values, psi(0.5))
    assert np.array_equal(read.info.axes[0].values, Y[::-1])
    note = "run.nc: coordinate y descends; the field is fitted in ascending order, predictions have that of the input"
    assert note in read.notes
    boxed = read_field("run.nc", "psi", isel={"time": 1}, box=Box((0.0, 0.0), (1.0, 1.0)))
    assert np.array_equal(boxed.values, psi(0.5))
    assert np.array_equal(boxed.info.axes[0].values, boxed.where.axes()[0][::-1])


@pytest.mark.parametrize("output", ["out.nc", "out.zarr", "out.npz", "out.npy"])
@pytest.mark.parametrize("box", [[], ["--box", "0", "1", "0", "1"]])
def test_predictions_descend_as_the_input_does(capsys, output, box):
    source = run().psi.isel(time=1, y=slice(None, None, -1))
    save(source.to_dataset(), "run.nc")
    assert command(capsys, "fit", "run.nc", *box, *WHOLE, "-o", "m")[0] == 0
    assert command(capsys, "predict", "m", "--grid", "12", "16", "-o", output)[0] == 0
    read = np.load(output) if output.endswith("npy") else None
    if output.endswith("npz"):
        read = np.load(output)["psi"]
    if read is None:
        read = opened(output).psi.values
        assert np.array_equal(opened(output).y.values, load_model("m").field.axes[0].values)
        if not box:
            xr.testing.assert_allclose(opened(output).psi.drop_attrs(), source.drop_attrs(), rtol=0.0, atol=1e-6)
    model = load_model("m")
    assert np.array_equal(read, model(model.grid)[::-1])
    command(capsys, "predict", "m", "--grid", "5", "7", "--gradient", "-o", f"slope{Path(output).suffix}")
    grid = Grid((5, 7), model.grid.lower, model.grid.upper)
    if output == "out.nc":
        slope = opened("slope.nc")
        assert np.array_equal(slope.psi_gradient.values, model.gradient(grid)[::-1])
        assert np.array_equal(slope.y.values, grid.axes()[0][::-1])
    assert np.array_equal(read_field(output).values, model(model.grid)[:: -1 if output.endswith("npy") else 1])


def test_dimensions_in_another_order_stay_there():
    read = read_field(save(run().transpose("x", "time", "y"), "run.nc"), "psi", select={"time": 0.5})
    assert np.array_equal(read.values, psi(0.5).T)
    assert read.info.dims == ("x", "y")


def test_one_entry_is_left_out():
    read = read_field(save(run().isel(time=[3]), "run.nc"), "psi")
    assert np.array_equal(read.values, psi(2.0))
    assert read.info.scalars[0].value == 2.0
    assert read.notes[0] == "run.nc: psi: dimension time has one entry and is left out"


def test_time_under_other_names_and_members_by_name():
    source = run().psi.expand_dims(member=["a", "b"])
    dataset = source.rename(time="ocean_time").to_dataset(name="psi")
    dataset.ocean_time.attrs["standard_name"] = "time"
    read = read_field(save(dataset, "run.nc"), select={"time": 0.5, "member": "b"})
    assert np.array_equal(read.values, psi(0.5))
    assert [one.value for one in read.info.scalars] == ["b", 0.5]
    save(source.rename(time="t").to_dataset(name="psi"), "t.nc")
    assert np.array_equal(read_field("t.nc", select={"time": 0.5}, isel={"member": 0}).values, psi(0.5))


def test_times_are_selected_to_rounding():
    times = np.cumsum(np.full(4, np.float32(0.1)), dtype=np.float32)
    save(run(time=("time", times)), "run.nc")
    assert np.array_equal(read_field("run.nc", "psi", select={"time": 0.3}).values, psi(1.25))
    with pytest.raises(DataError, match=r"time has no 0.3001; the nearest are 0.1, 0.2, 0.3, 0.4"):
        read_field("run.nc", "psi", select={"time": 0.3001})


def test_packed_integers():
    packing = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 1.0, "_FillValue": -32768}
    run().to_netcdf("run.nc", engine="h5netcdf", encoding={"psi": packing})
    read = read_field("run.nc", "psi", isel={"time": 0})
    # Half a step of the packing, and the rounding of what is unpacked.
    np.testing.assert_allclose(read.values, psi(0.0), rtol=0.0, atol=0.0005 + 1e-6)
    note = "run.nc: psi: packed in steps of 0.001: below half of that, 0.0005, nothing is signal"
    assert note in read.notes
    masked = run()
    masked.psi.values[0, 3, 2] = np.nan
    masked.to_netcdf("masked.nc", engine="h5netcdf", encoding={"psi": packing})
    with pytest.raises(DataError, match=r"masked.nc: psi: NaN or masked at index \[3, 2\] \(1 of 192 values"):
        read_field("masked.nc", "psi", isel={"time": 0}, gaps="error")
    filled = read_field("masked.nc", "psi", isel={"time": 0})
    assert np.isfinite(filled.values[3, 2])
    assert np.array_equal(np.delete(filled.values, 3 * 16 + 2), np.delete(read.values, 3 * 16 + 2))


def test_plain_hdf5_and_groups():
    import h5py

    with h5py.File("plain.h5", "w") as file:
        file["psi"] = psi(0.0)
        file["deeper/inside/omega"] = psi(1.0)
    read = read_field("plain.h5")
    assert np.array_equal(read.values, psi(0.0))
    assert read.where == Grid((12, 16))
    assert sum("does not exist; the box is [-1, 1] there" in note for note in read.notes) == 2
    assert np.array_equal(read_field("plain.h5", "deeper/inside/omega").values, psi(1.0))


def test_what_beside_the_field_is_none(capsys):
    """Bounds and climatology by their attributes, single numbers and texts; a file of nothing else names all of it."""
    others = {
        "y_bnds": (("y", "two"), np.zeros((12, 2))),
        "x_clim": (("x", "two"), np.zeros((16, 2))),
        "crs": ((), 1),
        "when": ((), "today"),
        "station": (("y",), [f"s{i}" for i in range(12)]),
    }
    dataset = run().isel(time=0, drop=True).drop_vars("omega").assign(others)
    dataset.y.attrs["bounds"], dataset.x.attrs["climatology"] = "y_bnds", "x_clim"
    assert read_field(save(dataset, "run.nc")).info.name == "psi"
    with pytest.raises(DataError, match="axis 1 has 2 points"):
        read_field("run.nc", "y_bnds")
    np.savez("run.npz", psi=psi(0.0), crs=1, when="today")
    assert read_field("run.npz").info.name == "psi"
    save(dataset.drop_vars("psi"), "none.nc")
    with pytest.raises(DataError, match=r"none.nc: 5 variables, y_bnds, x_clim, crs, when, station; name one"):
        read_field("none.nc")


def test_attributes_that_are_no_text_or_number_are_named():
    kept, dropped = plain_attributes(
        {"a": np.float32(1.5), "b": np.asarray([1, 2]), "c": np.nan, "d": True, "e": [1, "x"], "valid_min": 3, "f": "ü"}
    )
    assert kept == {"a": 1.5, "b": [1, 2], "f": "ü"}
    assert dropped == ["c", "d", "e"]
    source = run().psi.isel(time=0).assign_attrs(odd=np.inf)
    assert "u: attributes left out, neither text nor finite numbers: odd" in read_field(source.rename("u")).notes


def test_scattered_points(capsys):
    points = np.random.default_rng(0).uniform(0.0, 1.0, (80, 2))
    values = np.sin(3.0 * points[:, 0]) + points[:, 1]
    coords = {"x": ("obs", points[:, 0], {"units": "km"}), "y": ("obs", points[:, 1])}
    save(xr.Dataset({"t": ("obs", values, {"units": "K"})}, coords), "obs.nc")
    np.savez("obs.npz", t=values, x=points[:, 0], y=points[:, 1])
    for name in ("obs.nc", "obs.npz"):
        read = read_scattered(name, "t", ["x", "y"])
        assert np.array_equal(read.values, values)
        assert np.array_equal(read.where.points, points)
        assert command(capsys, "fit", name, "--coords", "x,y", *OPTIONS, "--force", "-o", "m")[0] == 0
    command(capsys, "fit", "obs.nc", "--coords", "x,y", *OPTIONS, "--force", "-o", "m")
    model = load_model("m")
    np.save("p.npy", points[:5])
    for output in (*OUTPUTS, "out.npz"):
        assert command(capsys, "predict", "m", "p.npy", "-o", output)[0] == 0
        again = read_scattered(output, None, ["x", "y"])
        assert np.array_equal(again.values, model(points[:5]))
        assert np.array_equal(again.where.points, points[:5])
        assert again.info.attrs == {"units": "K"}
        assert again.info.axes[0].attrs == {"units": "km"}
    command(capsys, "predict", "m", "--grid", "5", "-o", "grid.nc")
    assert opened("grid.nc").t.dims == ("x", "y")


def test_scattered_points_that_do_not_fit():
    np.savez("obs.npz", t=np.zeros(5), x=np.arange(5.0), y=np.arange(4.0), m=np.zeros((5, 2)))
    with pytest.raises(DataError, match=r"obs.npz: y has shape \(4,\), t has \(5,\)"):
        read_scattered("obs.npz", "t", ["x", "y"])
    with pytest.raises(DataError, match="no variable 'z' for a coordinate"):
        read_scattered("obs.npz", "t", ["x", "z"])
    with pytest.raises(DataError, match="x has shape"):
        read_scattered("obs.npz", "m", ["x"])
    with pytest.raises(DataError, match="has no variables to name"):
        read_scattered("obs.npy", None, ["x"])


@pytest.fixture(scope="module")
def folder_of_bad_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    with contextlib.chdir(folder):
        write_bad_files()
    return folder


def write_bad_files():
    save(run(), "run.nc")
    save(run(x=("x", X**1.1)), "curved.nc")
    save(run(x=("x", np.where(np.arange(16) == 3, X[3] + 1e-9, X))), "moved.nc")
    save(run(x=("x", np.where(np.arange(16) == 3, np.nan, X))), "hole.nc")
    save(run(x=("x", [f"s{i}" for i in range(16)])), "text.nc")
    save(run().expand_dims(level=2).drop_vars("omega"), "deep.nc")
    Path("cut.nc").write_bytes(Path("run.nc").read_bytes()[:3000])
    Path("foreign.nc").write_text("no netCDF at all")
    Path("folder.zarr").mkdir()
    np.savez("two.npz", a=np.zeros((4, 4)), b=np.zeros((4, 4)))
    np.savez("objects.npz", np.asarray([None] * 5))
    np.savez("lying.npz", a=np.zeros(5), description=np.asarray('{"name": "b"}'))
    Path("cut.npz").write_bytes(Path("two.npz").read_bytes()[:200])
    np.save("plain.npy", np.zeros((4, 4)))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run.nc"], "run.nc: 2 variables, psi, omega; name one with --var"),
        (["run.nc", "--var", "phi"], "run.nc: no variable 'phi'; it has psi, omega"),
        (["run.nc", "--var", "phi/psi"], "run.nc: cannot be read ("),
        (["run.nc", "--var", "psi", "--time", "1.3"], "time has no 1.3; the nearest are 0.0, 0.5, 1.25, 2.0"),
        (["run.nc", "--var", "psi", "--select", "time=noon"], "time = 'noon': expected a number"),
        (["run.nc", "--var", "psi", "--select", "z=1"], "no dimension 'z'; it has time, y, x"),
        (["run.nc", "--var", "psi", "--isel", "time=4"], "index 4 of dimension 'time' is not one of its 4"),
        (["run.nc", "--var", "psi", "--isel", "time=x"], "--isel time=x: 'x' is not a whole number"),
        (["run.nc", "--var", "psi", "--isel", "time"], "--isel time: give DIM=INDEX"),
        (["run.nc", "--var", "psi", "--isel", "time=1", "--time", "0.5"], "dimension 'time' is selected twice"),
        (["run.nc", "--var", "psi", "--time", "0", "--box", "0", "1"], "box: 2 axes need 4 numbers, got 2"),
        (["run.nc", "--var", "psi", "--time", "0", "--periodic", "true,false,true"], "periodic: 3 entries"),
        (["curved.nc", "--var", "psi", "--time", "0"], "curved.nc: coordinate x is not uniform: "),
        (["moved.nc", "--var", "psi", "--time", "0"], "moved.nc: coordinate x is not uniform: "),
        (["hole.nc", "--var", "psi", "--time", "0"], "hole.nc: coordinate x is not finite at index 3"),
        (["text.nc", "--var", "psi", "--time", "0"], "text.nc: coordinate x holds"),
        (["deep.nc"], "4 dimensions (level 2, time 4, y 12, x 16), a field has 1, 2 or 3"),
        (
            ["deep.nc", "--select", "level=0"],
            "dimension 'level' has no coordinate to select by; use --isel level=INDEX",
        ),
        (["cut.nc", "--var", "psi"], "cut.nc: cannot be read ("),
        (["foreign.nc"], "foreign.nc: not a netCDF or HDF5 file"),
        (["missing.nc"], "missing.nc: cannot be read: No such file"),
        (["missing.zarr"], "missing.zarr: cannot be read: no such folder"),
        (["folder.zarr"], "folder.zarr: "),
        (["two.npz"], "two.npz: 2 variables, a, b; name one with --var"),
        (["two.npz", "--var", "c"], "two.npz: no variable 'c'; it has a, b"),
        (["two.npz", "--var", "a", "--isel", "x=1"], "two.npz: 'x' cannot be selected"),
        (["objects.npz"], "objects.npz: arr_0: holds Python objects"),
        (["lying.npz"], "lying.npz: the member 'description' does not describe the others"),
        (["cut.npz"], "cut.npz: damaged, or holds no plain arrays"),
        (["missing.npz"], "missing.npz: cannot be read: No such file"),
        (["plain.npy", "--var", "a"], "plain.npy: holds one array without a name"),
        (["plain.npy", "--time", "1"], "plain.npy: 'time' cannot be selected"),
        (["plain.npy", "--coords", "x"], "plain.npy: has no variables to name"),
        (["plain.npy", "--values", "plain.npy", "--coords", "x"], "--values: takes no --coords"),
        (["--example", "ug", "--var", "psi"], "--var describes INPUT.npy"),
        (["--example", "ug", "--isel", "a=1"], "--isel describes INPUT.npy"),
    ],
)
def test_bad_input_is_one_line(capsys, monkeypatch, folder_of_bad_files, argv, message):
    monkeypatch.chdir(folder_of_bad_files)
    status, out, err = command(capsys, "fit", *argv, *OPTIONS)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


@pytest.mark.parametrize("package", ["xarray", "h5netcdf", "h5py", "zarr"])
def test_a_missing_package_is_said_in_one_line(capsys, monkeypatch, model, package):
    model.save("m")
    name = save(run(), "run.zarr" if package == "zarr" else "run.nc")
    monkeypatch.setitem(sys.modules, package, None)
    for argv in (["fit", name, "--var", "psi"], ["predict", "m", "--grid", "8", "-o", f"out{Path(name).suffix}"]):
        status, _, err = command(capsys, *argv)
        assert status == 2
        assert f"needs {package}; pip install 'simsnn-ref[io]'" in err
        assert len(err.splitlines()) == 1
    assert command(capsys, "predict", "m", "--grid", "8", "-o", "out.npz")[0] == 0


def test_outputs_that_cannot_be(capsys, model):
    model.save("m")
    Path("kept.zarr").mkdir()
    (Path("kept.zarr") / "thesis.tex").write_text("years of work")
    for output, message in (
        ("out.xyz", "the ending tells the format; use .npy, .npz, .nc, .h5 or .zarr"),
        ("no/out.nc", "folder no does not exist"),
        ("no/out.zarr", "folder no does not exist"),
        ("kept.zarr", "is a folder that is no Zarr store"),
    ):
        status, _, err = command(capsys, "predict", "m", "--grid", "8", "-o", output)
        assert status == 2
        assert message in err
    assert (Path("kept.zarr") / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("output", [*OUTPUTS, "out.npz", "out.npy"])
def test_a_failed_write_keeps_what_was_there(monkeypatch, output):
    grid = Grid(8)
    write_field(output, np.ones(8), grid)

    replace = Path.replace

    def fail(self, target):
        if target == Path(output):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match=f"{output}: cannot be written: No space left on device"):
        write_field(output, np.zeros(8), grid)
    assert np.array_equal(read_field(output).values, np.ones(8))
    assert [path.name for path in Path().iterdir()] == [output]


def test_values_and_places_have_to_match():
    for values, where in ((np.zeros(7), Grid(8)), (np.zeros((8, 2)), Grid(8)), (np.zeros((8, 1, 1, 1)), Grid(8))):
        with pytest.raises(DataError, match="values: shape"):
            write_field("out.npz", values, where)


def test_a_model_file_without_a_field_is_read(model):
    model.save("m")
    content, arrays = read_file("m")
    del content["field"]
    write_file("m", content, {name: array for name, array in arrays.items() if not name.startswith("field/")})
    assert load_model("m").field is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((), 3, "field is not an object"),
        ((), {}, "field.name is missing"),
        (("axes",), [], "field.axes has 0 entries for 2 dimensions"),
        (("axes", 0), "y", r"field.axes\[0\] is not an object"),
        (("axes", 1, "name"), 3, r"field.axes\[1\].name is not a string"),
        (("axes", 1, "name"), "psi", "two of its names are 'psi'"),
        (("axes", 1, "attrs"), None, r"field.axes\[1\].attrs is not an object"),
        (("axes", 1, "attrs", "units"), None, r"field.axes\[1\].attrs.units is neither"),
        (("name",), None, "field.name is not a string"),
        (("attrs", "units"), {"a": 1}, "field.attrs.units is neither"),
        (("scalars",), {}, "field.scalars is not a list"),
        (("scalars", 0, "value"), [1.0], r"field.scalars\[0\].value is not a string or a number"),
        (("dataset_attrs",), [], "field.dataset_attrs is not an object"),
        (("dataset_attrs", "title"), [], "field.dataset_attrs.title is neither"),
    ],
)
def test_a_model_file_with_a_wrong_field(model, path, value, message):
    model.save("m")
    content, arrays = read_file("m")
    place, keys = content, ("field", *path)
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write_file("m", content, arrays)
    with pytest.raises(ModelFileError, match=message):
        load_model("m")


def test_a_model_file_with_a_wrong_coordinate(model):
    model.save("m")
    content, arrays = read_file("m")
    for wrong in (np.zeros((2, 2)), np.arange(3), np.asarray([0.0, np.nan])):
        write_file("m", content, arrays | {"field/axis0": wrong})
        with pytest.raises(ModelFileError, match="tensor field/axis0 h"):
            load_model("m")


def test_a_field_comes_back_from_its_model_file(model):
    model.save("m")
    loaded = load_model("m").field
    assert isinstance(loaded, FieldInfo)
    assert loaded.to_dict() == model.field.to_dict()
    assert all(
        np.array_equal(ours.values, theirs.values) for ours, theirs in zip(loaded.axes, model.field.axes, strict=True)
    )
