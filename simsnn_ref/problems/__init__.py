"""Problems to fit, by name: the paper's turbulence snapshot, by direct numerical simulation, and analytic targets.

A problem is a function or a simulation, with its box and its default grid.
"""

from simsnn_ref.problems import turbulence
from simsnn_ref.problems.registry import PROBLEMS, Problem, get_problem
from simsnn_ref.problems.turbulence import SPECTRA, energy, enstrophy, vorticity

__all__ = ["PROBLEMS", "SPECTRA", "Problem", "energy", "enstrophy", "get_problem", "turbulence", "vorticity"]
