"""Bad samples: each a typed error that names the culprit."""

import numpy as np
import pytest

from simsnn_ref import DataError, Grid, fit
from simsnn_ref.io import check_samples, load_samples, sample_function


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([[1.0, 2, 3, 4], [1, 2, np.nan, 4], [1, np.inf, 3, 4], [0, 0, 0, 0]]),
            r"Inf at index \[2, 1\] \(2 of",
        ),
        (np.array([1.0, -np.inf, 3, 4]), r"Inf at index \[1\]"),
        (np.ones(5) * 1j, "complex values"),
        (np.array([1, 2, 3, None]), "dtype object"),
        (np.array(["a"] * 5), "not real numbers"),
        (np.ones(5, dtype=bool), "dtype bool"),
        (np.array([1, 2, 3, 2**53 + 1]), r"integer at index \[3\] is beyond 2\^53"),
        (np.array([1, 2, 3, 2**64 - 1], dtype=np.uint64), r"integer at index \[3\]"),
        (np.float64(3.0), "0 dimensions"),
        (np.zeros((4,) * 4), "4 dimensions"),
        (np.zeros((8, 3)), "axis 1 has 3 points, needs at least 4"),
        ([[1.0, 2.0], [3.0]], "not a rectangular array"),
    ],
)
def test_bad_samples(values, message):
    with pytest.raises(DataError, match=message):
        check_samples(values)
    with pytest.raises(DataError, match=message):
        fit(values)


def test_float32_is_accepted_and_said():
    values, notes = check_samples(np.linspace(0, 1, 5, dtype=np.float32))
    assert values.dtype == np.float64
    assert notes == ["u is float32: below about 6e-08 of its size nothing is signal; it is computed in float64"]


def test_longdouble_overflow_is_inf():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is no wider than double here")
    with pytest.raises(DataError, match=r"Inf at index \[2\]"):
        check_samples(np.array([1, 2, np.longdouble("1e4000"), 4], dtype=np.longdouble))


def test_integers_are_exact():
    values, notes = check_samples(np.array([1, 2, 3, 2**53]))
    assert values[3] == 2.0**53
    assert notes == []


def test_files(tmp_path):
    good, objects, text = tmp_path / "good.npy", tmp_path / "objects.npy", tmp_path / "text.npy"
    np.save(good, np.arange(5.0))
    np.save(objects, np.array([None] * 5), allow_pickle=True)
    text.write_text("1 2 3")
    assert np.array_equal(load_samples(good), np.arange(5.0))
    with pytest.raises(DataError, match="never unpickled"):
        load_samples(objects)
    with pytest.raises(DataError, match=r"not a \.npy file"):
        load_samples(text)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load_samples(tmp_path / "missing.npy")
    raw = good.read_bytes()
    for keep in (8, 20, 100, len(raw) - 1):
        good.write_bytes(raw[:keep])
        with pytest.raises(DataError, match="truncated or damaged"):
            load_samples(good)


def test_functions():
    points = np.linspace(0.0, 1.0, 6)[:, None]
    assert np.array_equal(sample_function(lambda x: 2 * x[:, 0], points), 2 * points[:, 0])
    with pytest.raises(DataError, match="must return 6 real numbers"):
        sample_function(lambda x: x, points)
    with pytest.raises(DataError, match=r"not finite at x = \[0\.0\]"):
        sample_function(lambda x: np.where(x[:, 0] > 0, 1.0, np.nan), points)


def test_shape_must_match_the_grid():
    with pytest.raises(DataError, match=r"shape \(8,\) does not match the grid's \(9,\)"):
        fit(np.zeros(8), Grid(9))
