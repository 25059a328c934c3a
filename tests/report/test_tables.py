"""Tables of plain text with their legends, and the columns of the table of stages."""

import doctest

import numpy as np
import pytest

from simsnn_ref import Grid, fit
from simsnn_ref.experiments.lp import residues as lp_residues
from simsnn_ref.experiments.ntk import kernel as ntk_kernel
from simsnn_ref.report import legend, off_grid_meaning, stage_columns, stage_rows, table_with_legend, tables

OPTIONS = {"mode": "paper", "optimizer": "adam", "steps": 3, "stages": 1, "hidden": (4,), "n_features": 4}


@pytest.mark.parametrize("module", [tables, lp_residues, ntk_kernel], ids=lambda module: module.__name__)
def test_examples_of_docstrings(module):
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed


def test_columns_of_numbers_are_aligned_and_explained():
    columns = {"name": "the name", "RMS": "the error", "max": "the error", "why": "the reason"}
    text = table_with_legend(columns, [["a", "1.0e+00", "2", "short"], ["longer", "3", "4.5", "b"]])
    assert text.splitlines() == [
        "name        RMS  max  why",
        "------  -------  ---  -----",
        "a       1.0e+00    2  short",
        "longer        3  4.5  b",
        "",
        "name      the name",
        "RMS, max  the error",
        "why       the reason",
    ]


def test_equal_meanings_that_are_not_neighbours_stay_apart():
    assert legend({"a": "x", "b": "y", "c": "x"}) == [("a", "x"), ("b", "y"), ("c", "x")]


@pytest.mark.parametrize(
    ("periodic", "off_grid", "words"),
    [
        (True, "auto", "against their interpolant"),
        (False, "holdout", "held-out samples"),
        (False, "auto", "against their interpolant"),
        (False, "none", "not measured"),
    ],
)
def test_the_legend_of_stages_says_how_the_off_grid_error_was_measured(periodic, off_grid, words):
    grid = Grid((24,), periodic=periodic)
    model = fit(np.exp(np.sin(np.pi * grid.axes()[0])), grid, off_grid=off_grid, certify=False, **OPTIONS)
    columns = stage_columns(off_grid_meaning(model))
    assert words in columns["RMS off grid"]
    (row,) = stage_rows(model.history.stages, model.history)
    cells = dict(zip(columns, row, strict=True))
    record = model.history.stages[0]
    assert cells["stage"] == "1 si"
    assert cells["RMS on grid"] == f"{record.rms_on_grid:.2e}"
    between = model.history.error_between(record)
    assert cells["RMS expected"] == ("-" if between is None else f"{between:.2e}")
    assert cells["nonlinear"] == f"{record.nonlinear_share:.2e}"
    assert cells["RMS off grid"] == ("-" if words == "not measured" else f"{record.rms_off_grid:.2e}")
