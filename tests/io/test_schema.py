"""`conform`: what JSON has to hold, and where it does not."""

import pytest

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io import conform

RIGHT = [
    ("x", str),
    (True, bool),
    (3, int),
    (3, float),
    (0.5, float),
    ([[], None], object),
    (None, str | None),
    ("x", str | None),
    (None, ([int], None)),
    ([1], ([int], None)),
    (2, str | float),
    ("x", str | float),
    ([], [int]),
    ([1, 2], [int]),
    ({}, {str: int}),
    ({"a": 1, "b": 2}, {str: int}),
    ({"a": 1}, {"a": int}),
    ({"a": 1, "b": "x"}, {"a": int, ...: object}),
    ({"a": [{"b": None}]}, {"a": [{"b": (str, None)}]}),
]

WRONG = [
    (1, str, "x is not a string"),
    ("\ud800", str, "x is not a string"),
    (1, bool, "x is not true or false"),
    (True, int, "x is not a whole number"),
    (1.0, int, "x is not a whole number"),
    (True, float, "x is not a number"),
    (float("inf"), float, "x is not a number"),
    (None, str, "x is not a string"),
    (1, str | None, "x is not a string"),
    ([], str | float, "x is not a string or a number"),
    (None, str | float, "x is not a string or a number"),
    ({}, [int], "x is not a list"),
    ([1, 2, "3"], [int], "x[2] is not a whole number"),
    (["x"], ([int], None), "x[0] is not a whole number"),
    ([], {str: int}, "x is not an object"),
    ({"a": 1, "b": "2"}, {str: int}, "x.b is not a whole number"),
    ({}, {"a": int}, "x.a is missing"),
    ({"a": 1, "b": 2}, {"a": int}, "x.b is not known to this version; update simsnn-ref"),
    ({"a": "1", "b": 2}, {"a": int, ...: object}, "x.a is not a whole number"),
    ({"a\n": 1}, {str: str}, "x.'a\\n' is not a string"),
    ({"\ud800": 1}, {str: int}, "x: the name '\\ud800' is not Unicode"),
    ({"a": [{"b": 1}]}, {"a": [{"b": str}]}, "x.a[0].b is not a string"),
]


@pytest.mark.parametrize(("value", "kind"), RIGHT)
def test_what_is_of_its_kind_passes(value, kind):
    conform(value, kind, "x")


@pytest.mark.parametrize(("value", "kind", "message"), WRONG)
def test_what_is_not_is_named_by_its_place(value, kind, message):
    with pytest.raises(ModelFileError) as caught:
        conform(value, kind, "x")
    assert str(caught.value) == message
