"""Tables of points in .csv files."""

from pathlib import Path

import numpy as np
import pytest

from simsnn_ref import DataError, load_model, read_field, read_scattered
from simsnn_ref.commands.main import main

OPTIONS = ["--stages", "1", "--no-certify", "--no-figure", "--quiet"]

POINTS = np.random.default_rng(0).uniform(0.0, 1.0, (60, 2))
VALUES = np.sin(3.0 * POINTS[:, 0]) + POINTS[:, 1]
TABLE = np.column_stack([POINTS, VALUES])


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(name, table, header="", separator=","):
    lines = [separator.join(repr(float(number)) for number in row) for row in table]
    Path(name).write_text("\n".join([header, *lines] if header else lines) + "\n")


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("header", [[], ["x", "y", "u"]])
def test_columns_are_coordinates_and_the_last_one_the_values(separator, header):
    save("data.csv", TABLE, separator.join(header), separator)
    read = read_scattered("data.csv")
    assert np.array_equal(read.values, VALUES)
    assert np.array_equal(read.where.points, POINTS)
    assert read.info.name == ("u" if header else "column3")
    assert read.info.dims == (("x", "y") if header else ("column1", "column2"))
    assert read.notes == []


def test_columns_by_name():
    save("data.csv", TABLE[:, [2, 1, 0]], "u,y,x")
    read = read_scattered("data.csv", "u", ["x", "y"])
    assert np.array_equal(read.values, VALUES)
    assert np.array_equal(read.where.points, POINTS)
    assert read_scattered("data.csv", None, ["y"]).info.name == "x"


def test_lines_and_fields_that_are_empty():
    """A mark of byte order, comments, empty lines; a point without a value is left out."""
    Path("data.csv").write_text('\ufeff# made by hand\n\nx,u\n0,1\n0.1,\n0.2,NA\n0.3, 4\n\n0.4,"5"\n0.5,nan\n0.6,7\n')
    read = read_scattered("data.csv")
    assert np.array_equal(read.where.points[:, 0], [0.0, 0.3, 0.4, 0.6])
    assert np.array_equal(read.values, [1.0, 4.0, 5.0, 7.0])
    assert read.notes == ["data.csv: u: 3 of 7 values are missing; their points are left out"]


def test_the_command(capsys):
    save("data.csv", TABLE, "x,y,u")
    for words in ([], ["--coords", "x,y", "--var", "u"], ["--coords", "x,y"]):
        assert main(["fit", "data.csv", *words, *OPTIONS, "-o", "m", "--force"]) == 0
        model = load_model("m")
        assert model.field.name == "u"
        assert np.max(np.abs(model(POINTS) - VALUES)) < 0.05
    assert main(["certify", "m", "data.csv"]) == 0
    assert "certified" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", [], "data.csv: holds no table"),
        ("1\n2\n3\n4\n5\n", [], "data.csv: columns column1: name 1 to 3 coordinates and the values"),
        ("1,2,3,4,5\n", [], "columns column1, column2, column3, column4, column5: name 1 to 3 coordinates"),
        ("x,u\n0,1\n1\n", [], "data.csv: line 3 has 1 fields, the first one 2"),
        ("x,u\n0,1\n1,two\n", [], "data.csv: line 3, u: 'two' is not a number"),
        ("x,x\n0,1\n", [], "data.csv: two columns are called 'x'"),
        (",x,u\n0,0,1\n", [], "data.csv: column 1 has no name, as the index that pandas writes"),
        ("x,u\n0,1\n", ["--coords", "z"], "data.csv: no column 'z'; it has x, u"),
        ("x,u\n0,1\n", ["--coords", "x,u"], "all columns are coordinates"),
        ("x,u\n0,1\n", ["--time", "3"], "scattered points no --select, --isel or --time"),
        ("x,u\n0,1\n1,2\n", [], "data.csv: u: axis 0 has 2 points, needs at least 4"),
    ],
)
def test_what_is_no_table_is_one_line(capsys, text, words, message):
    Path("data.csv").write_text(text)
    assert main(["fit", "data.csv", *words, *OPTIONS]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_table_elsewhere(capsys):
    save("data.csv", TABLE, "x,y,u")
    with pytest.raises(DataError, match="a table has values at points, not on a grid"):
        read_field("data.csv")
    assert main(["spectrum", "data.csv"]) == 2
    assert "scattered points have no Fourier modes of their own" in capsys.readouterr().err
    Path("data.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not text in UTF-8"):
        read_scattered("data.csv")
    with pytest.raises(DataError, match=r"no\.csv: cannot be read: No such file"):
        read_scattered("no.csv")
