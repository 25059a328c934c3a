"""The formulas as kernels of CuPy, registered for its arrays where the core computes number by number.

They pay because such a formula does next to nothing with what it reads: the slope of tanh reads and writes an array ten
times in four operations and three times in one; Adam's step for a small tensor is one launch in place of thirteen.
"""

from typing import Any

import cupy

from simsnn_ref.network import cos_and_sin, tanh_jvp, tanh_vjp
from simsnn_ref.optimizers import adam_step
from simsnn_ref_cupy.formulas import ADAM_STEP, COS_AND_SIN, SLOPE_TIMES, Formula

__all__ = ["OPTIONS", "make_kernel", "register"]

OPTIONS = ("--fmad=false",)
"""Of NVRTC, for a formula that is exact: no product and sum in one rounding. Memory is what these kernels wait for."""


def make_kernel(formula: Formula) -> Any:
    """The formula as a `cupy.ElementwiseKernel`; compiled at its first use."""
    given = ", ".join(f"float64 {name}" for name in formula.inputs + formula.scalars)
    made = ", ".join(f"float64 {name}" for name in formula.outputs)
    return cupy.ElementwiseKernel(given, made, formula.body, formula.name, options=OPTIONS if formula.exact else ())


def _with_fallback(kernel: Any, formula: Any, n_arrays: int, drop: int | None = None) -> Any:
    """The kernel for float64; the core's own formula for anything else, as complex numbers."""
    plain = formula.dispatch(object)

    def call(*arguments: Any) -> Any:
        if all(array.dtype == "float64" for array in arguments[:n_arrays]):
            return kernel(*(argument for place, argument in enumerate(arguments) if place != drop))
        return plain(*arguments)

    return call


def register(kind: type = cupy.ndarray) -> None:
    """Have the core use the kernels for arrays of type `kind`."""
    slope_times = make_kernel(SLOPE_TIMES)
    for formula in (tanh_vjp, tanh_jvp):
        formula.register(kind, _with_fallback(slope_times, formula, 2))
    # The namespace among their arguments is for the formula alone.
    adam_step.register(kind, _with_fallback(make_kernel(ADAM_STEP), adam_step, 4, drop=4))
    cos_and_sin.register(kind, _with_fallback(make_kernel(COS_AND_SIN), cos_and_sin, 2, drop=2))
