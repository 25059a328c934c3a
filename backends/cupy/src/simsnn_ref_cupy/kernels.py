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


def _with_fallback(kernel: Any, formula: Formula, function: Any) -> Any:
    """Return a function that calls the kernel for arrays of float64, and the core's own formula for others.

    Parameters
    ----------
    kernel : callable
    formula : Formula
        The formula of the kernel.
    function : callable
        The core's single-dispatch function; the formula's inputs are its first arguments.
    """
    plain = function.dispatch(object)

    def call(*arguments: Any) -> Any:
        if all(array.dtype == "float64" for array in arguments[: len(formula.inputs)]):
            return kernel(*formula.arguments(*arguments))
        return plain(*arguments)

    return call


def register(kind: type = cupy.ndarray) -> None:
    """Register the kernels in the core's functions, for arrays of type `kind`."""
    for formula, functions in (
        (SLOPE_TIMES, (tanh_vjp, tanh_jvp)),
        (ADAM_STEP, (adam_step,)),
        (COS_AND_SIN, (cos_and_sin,)),
    ):
        kernel = make_kernel(formula)
        for function in functions:
            function.register(kind, _with_fallback(kernel, formula, function))
