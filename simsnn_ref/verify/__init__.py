"""Whether the values, gradients and Jacobian products of an installation are right, to the last digits.

Hand-written formulas are measured against independent evaluations, which share no line with them. These begin with the
network and its loss, written out once more in long double with analytic operations only
(`simsnn_ref.network.evaluate_network`, `simsnn_ref.verify.cases.loss_of`), and go on by

====================  ==============================================================================================
complex step          dL/dx = Im L(x + ih) / h, free of cancellation, h = 2^-200 (Squire & Trapp, SIAM Rev. 40, 1998)
adjoint identity      <J v, w> = <v, J^T w>
Taylor remainders     |L(x + hv) - L(x) - h <g, v>| ~ h^2, and with h^2/2 <v, Hv> taken off ~ h^3
mpmath                values and gradient of a small network in 50 digits
====================  ==============================================================================================

None of them takes a difference quotient, so that no tolerance for one hides a mistake. Update rules are taken some
steps far and compared with the same steps by dense matrices in long double (`simsnn_ref.verify.dense`).

For a code of one's own: `check_gradient` compares arrays by name with the complex steps of a function, `compare` any
arrays with others, and `require` turns comparisons into an assertion, for a test.
"""

from simsnn_ref.verify.cases import Subject, subjects
from simsnn_ref.verify.comparison import Comparison, compare, require
from simsnn_ref.verify.differentiation import (
    check_gradient,
    complex_step,
    complex_step_in_digits,
    complex_step_jacobian,
)
from simsnn_ref.verify.products import check_subject
from simsnn_ref.verify.suite import verify
from simsnn_ref.verify.updates import check_adam, check_lbfgs, check_spectral_weights, check_trajectory, trajectories

__all__ = [
    "Comparison",
    "Subject",
    "check_adam",
    "check_gradient",
    "check_lbfgs",
    "check_spectral_weights",
    "check_subject",
    "check_trajectory",
    "compare",
    "complex_step",
    "complex_step_in_digits",
    "complex_step_jacobian",
    "require",
    "subjects",
    "trajectories",
    "verify",
]
