"""The problems by name, each with its grid and its samples."""

import difflib
import inspect
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsnn_ref.backend import Array, Backend, NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.problems import analytic, turbulence
from simsnn_ref.spectrum import Box, Grid

__all__ = ["PROBLEMS", "Problem", "get_problem"]


@dataclass(frozen=True)
class Problem:
    """A function to fit, given either by a formula or by a simulation.

    Parameters
    ----------
    name, description : str
        Name by which it is chosen, and one line about it.
    default_size : int
        Number of points per axis if no other is given.
    box : Box
        Domain of the function, in its own units.
    periodic : tuple of d bools
        Whether the function is periodic on the box, per axis.
    target : function, optional
        Function of points, float64 of shape (n, d) in the box's units, that returns values, float64 of shape (n,). None
        if values are known on grids only.
    simulation : function, optional
        Function of the number of points per axis, and of options by keyword, `backend` among them, that returns an
        array of that backend on the grid.

    Raises
    ------
    ConfigError
        If both or neither of `target` and `simulation` are given.
    """

    name: str
    description: str
    default_size: int
    box: Box
    periodic: tuple[bool, ...]
    target: Callable[[np.ndarray], np.ndarray] | None = None
    simulation: Callable[..., Array] | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.simulation is None):
            raise ConfigError(f"problem {self.name!r}: expected either a target or a simulation")

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options of `samples`."""
        if self.simulation is None:
            return ()
        parameters = inspect.signature(self.simulation).parameters.values()
        return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)

    def grid(self, size: int | None = None) -> Grid:
        """Return the grid with `size` points per axis, `default_size` by default.

        Raises
        ------
        ConfigError
            If `size` is not an integer above 1.
        """
        size = self.default_size if size is None else size
        try:
            points = operator.index(size)
        except TypeError:
            raise ConfigError(f"size: expected an integer, got {size!r}") from None
        if points < 2:
            raise ConfigError(f"size: expected at least 2 points per axis, got {points}")
        return Grid((points,) * self.box.ndim, self.box.lower, self.box.upper, self.periodic)

    def samples(self, size: int | None = None, **options: Any) -> np.ndarray:
        """Return the target on ``grid(size)``, float64 of the grid's shape, on the host.

        Parameters
        ----------
        size : int, optional
            Number of points per axis.
        **options
            Options of the simulation; `options` has their names.

        Raises
        ------
        ConfigError
            If an option is out of range or unknown to this problem.

        >>> get_problem("ug").samples(5).shape
        (5, 5)
        """
        for option in options:
            if option not in self.options:
                takes = f"takes: {', '.join(self.options)}" if self.options else "takes no options"
                raise ConfigError(f"problem {self.name!r} has no option {option!r}; it {takes}")
        grid = self.grid(size)
        if self.target is not None:
            return self.target(grid.points()).reshape(grid.shape)
        assert self.simulation is not None
        backend: Backend = options.get("backend") or NumpyBackend()
        return backend.to_numpy(self.simulation(grid.shape[0], **{**options, "backend": backend}))


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem(
            name="turbulence",
            description="stream function of 2-D decaying turbulence at t = 1.25, Re = 2000, on [0, 2 pi)^2",
            default_size=512,
            box=Box((0.0, 0.0), (2.0 * math.pi, 2.0 * math.pi)),
            periodic=(True, True),
            simulation=turbulence.snapshot,
        ),
        Problem(
            name="ug",
            description="[sin(2x + 1) - 0.5 x] (1 - y^2) on [-1, 1]^2, not periodic",
            default_size=64,
            box=Box((-1.0, -1.0), (1.0, 1.0)),
            periodic=(False, False),
            target=analytic.ug,
        ),
        Problem(
            name="logcos",
            description="log(x + 2) cos(2x + x^3) on [-1, 1], not periodic",
            default_size=256,
            box=Box((-1.0,), (1.0,)),
            periodic=(False,),
            target=analytic.logcos,
        ),
        Problem(
            name="abc3d",
            description="component of an ABC flow and three harmonics on [0, 2 pi)^3, periodic",
            default_size=32,
            box=Box((0.0,) * 3, (2.0 * math.pi,) * 3),
            periodic=(True, True, True),
            target=analytic.abc3d,
        ),
    )
}
"""The problems by name."""


def get_problem(name: str) -> Problem:
    """Return the problem called `name`.

    Raises
    ------
    ConfigError
        If there is none; the message suggests the name that is nearest.
    """
    if name in PROBLEMS:
        return PROBLEMS[name]
    nearest = difflib.get_close_matches(str(name), PROBLEMS, n=1, cutoff=0.0)[0]
    raise ConfigError(f"unknown problem {name!r}, did you mean {nearest!r}? available: {', '.join(PROBLEMS)}")
