"""Grids and boxes against exact rational arithmetic."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from conftest import EPS

from simsnn_ref.errors import DataError
from simsnn_ref.spectrum import Box, Grid

GRIDS = [
    Grid(1),
    Grid(7),
    Grid(8, periodic=False),
    Grid((6, 9), (0.0, -2.0), (2 * np.pi, 5.0)),
    Grid((5, 4), periodic=(True, False)),
    Grid((3, 4, 5), -0.3, 0.9, (False, True, False)),
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_points_are_correctly_rounded(grid):
    for axis, scaled in enumerate(grid.scaled_axes()):
        n, intervals = grid.shape[axis], grid.intervals[axis]
        assert intervals == n - (0 if grid.periodic[axis] else 1)
        assert scaled.tolist() == [float(Fraction(2 * i, intervals) - 1) for i in range(n)]
        lo, hi = Fraction(grid.lower[axis]), Fraction(grid.upper[axis])
        exact = np.array([float(lo + (hi - lo) * Fraction(i, intervals)) for i in range(n)])
        # Four roundings: hi - lo, the quotient, the product and the sum.
        assert np.max(np.abs(grid.axes()[axis] - exact)) <= 2 * EPS * max(abs(lo), abs(hi), hi - lo)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_points_are_in_c_order(grid):
    assert grid.size == np.prod(grid.shape)
    for points, axes in [(grid.points(), grid.axes()), (grid.scaled_points(), grid.scaled_axes())]:
        assert points.shape == (grid.size, grid.ndim)
        for row, index in enumerate(np.ndindex(*grid.shape)):
            assert points[row].tolist() == [axis[i] for axis, i in zip(axes, index, strict=True)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_box_maps_points_both_ways(grid):
    box = grid.box
    size = np.max(np.abs([box.lower, box.upper]))
    # Rounding of the physical points, magnified by 2 / length.
    bound = 4 * EPS * (1.0 + size / min(box.lengths))
    assert np.max(np.abs(box.to_scaled(grid.points()) - grid.scaled_points())) <= bound
    assert np.max(np.abs(box.to_physical(grid.scaled_points()) - grid.points())) <= 4 * EPS * size
    assert np.array_equal(box.to_scaled(np.array([box.lower, box.upper])), [[-1.0] * grid.ndim, [1.0] * grid.ndim])


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_refined_grid_holds_every_point(grid, factor):
    fine = grid.refined(factor)
    assert (fine.lower, fine.upper, fine.periodic) == (grid.lower, grid.upper, grid.periodic)
    for coarse_axis, fine_axis in zip(grid.scaled_axes(), fine.scaled_axes(), strict=True):
        assert np.array_equal(fine_axis[::factor], coarse_axis)
    for coarse_axis, fine_axis in zip(grid.axes(), fine.axes(), strict=True):
        assert np.array_equal(fine_axis[::factor], coarse_axis)


@pytest.mark.parametrize(("n", "periodic", "kept"), [(8, True, 4), (9, False, 5), (8, False, 4)])
def test_every_second_point(n, periodic, kept):
    grid = Grid((n, 6), (0.0, 1.0), (3.0, 4.0), (periodic, True))
    coarse = grid.every_second()
    assert coarse.shape == (kept, 3)
    for axis in range(2):
        assert np.max(np.abs(coarse.axes()[axis] - grid.axes()[axis][::2])) <= 8 * EPS
    assert coarse.upper[0] == (3.0 if periodic else grid.axes()[0][2 * (kept - 1)])


def test_period_of_the_transform():
    # Periodic: one cycle over 2. With both ends included: over 2N/(N-1), one spacing more than the box.
    periodic, closed = Grid((5, 12)), Grid((5, 12), periodic=False)
    assert periodic.wavenumber_units == (np.pi, np.pi)
    for unit, n in zip(closed.wavenumber_units, closed.shape, strict=True):
        spacing = 2.0 / (n - 1)
        assert unit * n * spacing == pytest.approx(2.0 * np.pi, rel=4 * EPS)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_origin_phases_have_no_error_that_grows_with_the_wavenumber(grid):
    rng = np.random.default_rng(0)
    indices = np.concatenate([rng.integers(-(10**6), 10**6, (20, grid.ndim)), np.zeros((1, grid.ndim), dtype=int)])
    phases = grid.origin_phases(indices)
    assert phases.shape == (21,)
    assert np.all((phases >= 0.0) & (phases < 2.0 * np.pi))
    with mpmath.workdps(40):
        for m, phase in zip(indices.tolist(), phases.tolist(), strict=True):
            cycles = (Fraction(i, n) for i, n in zip(grid.intervals, grid.shape, strict=True))
            turns = -sum(Fraction(m_i) * cycle / 2 for m_i, cycle in zip(m, cycles, strict=True)) % 1
            exact = 2 * mpmath.pi * turns.numerator / turns.denominator
            # Up to three turns are added before the last reduction; 2 pi carries one rounding more.
            difference = abs(mpmath.mpf(phase) - exact)
            assert min(difference, 2 * mpmath.pi - difference) <= 24 * EPS


def test_scalars_and_arrays_are_taken():
    grid = Grid(np.array([4, 5]), lower=0, upper=np.array([1, 2]))
    assert grid == Grid((4, 5), (0.0, 0.0), (1.0, 2.0), (True, True))
    assert all(type(value) is float for value in grid.lower + grid.upper)
    assert all(type(n) is int for n in grid.shape)
    assert hash(grid) == hash(Grid((4, 5), 0.0, (1.0, 2.0)))
    assert Box(0, 1) == Box((0.0,), (1.0,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2, 2, 2, 2),), "1, 2 or 3 dimensions are supported, got 4"),
        (((),), "got 0"),
        ((0,), "axis 0 has 0 points, needs at least 1"),
        (((4, 1), -1.0, 1.0, (True, False)), "axis 1 has 1 points, needs at least 2"),
        (((4, 4, 4), (0.0, 0.0)), "lower has 2 entries for 3 dimensions"),
        (((4, 4), 0.0, (1.0, 0.0)), "axis 1 needs finite bounds with lower < upper, got \\[0.0, 0.0\\]"),
        ((4, 0.0, np.inf), "axis 0 needs finite bounds"),
        ((4, -1e308, 1e308), "axis 0 needs finite bounds"),
    ],
)
def test_grids_that_make_no_sense(arguments, message):
    with pytest.raises(DataError, match=message):
        Grid(*arguments)


def test_a_shape_must_be_made_of_integers():
    with pytest.raises(DataError, match=r"whole numbers of points, got 4\.5"):
        Grid(4.5)


def test_box_needs_as_many_upper_as_lower_bounds():
    with pytest.raises(DataError, match="1 lower bounds but 2 upper bounds"):
        Box((0.0,), (1.0, 2.0))
