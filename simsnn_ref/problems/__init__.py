"""What is fitted: the paper's turbulence snapshot and analytic targets, by name."""

from simsnn_ref.problems.registry import PROBLEMS, Problem, get_problem

__all__ = ["PROBLEMS", "Problem", "get_problem"]
