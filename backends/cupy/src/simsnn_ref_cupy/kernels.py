"""The formulas as kernels of CuPy, registered for its arrays in the core's elementwise functions.

Such a formula computes little with the numbers it reads, and memory decides its time: the slope of tanh reads or writes
arrays ten times in four operations and three times in one kernel. Adam's step of a small tensor is one launch instead
of thirteen. Passes and launches are counted; no time has been measured on a GPU yet.
"""

from typing import Any

import cupy

from simsnn_ref.network import cos_and_sin, tanh_jvp, tanh_vjp
from simsnn_ref.optimizers import adam_step
from simsnn_ref_cupy.formulas import ADAM_STEP, COS_AND_SIN, SLOPE_TIMES, Formula

__all__ = ["OPTIONS", "make_kernel", "register"]

OPTIONS = ("--fmad=false",)
"""Options of NVRTC for an exact formula: no product and sum in one rounding, which memory-bound kernels do not need."""


def make_kernel(formula: Formula) -> Any:
    """Return the formula as a `cupy.ElementwiseKernel`, which is compiled at its first use."""
    given = ", ".join(f"float64 {name}" for name in formula.inputs + formula.scalars)
    made = ", ".join(f"float64 {name}" for name in formula.outputs)
    return cupy.ElementwiseKernel(given, made, formula.body, formula.name, options=OPTIONS if formula.exact else ())


def _with_fallback(kernel: Any, formula: Any, n_arrays: int, drop: int | None = None) -> Any:
    """Return a function that calls the kernel for arrays of float64, and the core's own formula for others.

    Parameters
    ----------
    kernel : callable
    formula : callable
        The core's single-dispatch function.
    n_arrays : int
        Number of arrays among its arguments; they come first.
    drop : int, optional
        Position of the argument that the kernel does not take.
    """
    plain = formula.dispatch(object)

    def call(*arguments: Any) -> Any:
        if all(array.dtype == "float64" for array in arguments[:n_arrays]):
            return kernel(*(argument for place, argument in enumerate(arguments) if place != drop))
        return plain(*arguments)

    return call


def register(kind: type = cupy.ndarray) -> None:
    """Register the kernels in the core's functions, for arrays of type `kind`."""
    slope_times = make_kernel(SLOPE_TIMES)
    for formula in (tanh_vjp, tanh_jvp):
        formula.register(kind, _with_fallback(slope_times, formula, 2))
    # A kernel does not take the namespace that is among the arguments.
    adam_step.register(kind, _with_fallback(make_kernel(ADAM_STEP), adam_step, 4, drop=4))
    cos_and_sin.register(kind, _with_fallback(make_kernel(COS_AND_SIN), cos_and_sin, 2, drop=2))
