"""Whether the values, gradients and Jacobian products of an installation are right, to the last digits.

What is checked by hand-written formulas is measured against routes that share no line with them: the definition of the
network and its loss, written out once more in long double with analytic operations only (`definition`), and

====================  ==============================================================================================
complex step          dL/dx = Im L(x + ih) / h, free of cancellation, h = 2^-200 (Squire & Trapp, SIAM Rev. 40, 1998)
adjoint identity      <J v, w> = <v, J^T w>
Taylor remainders     |L(x + hv) - L(x) - h <g, v>| ~ h^2, and with h^2/2 <v, Hv> taken off ~ h^3
mpmath                values and gradient of a small network in 50 digits
====================  ==============================================================================================

No step of any of them is a difference quotient, so that no tolerance for one hides a mistake. Update rules are taken
some steps far and compared with the same steps by dense matrices in long double (`simsnn_ref.verify.dense`).

For a code of one's own: `check_gradient` judges arrays by name against the complex steps of a function, `compare` any
arrays against others, and `require` turns what they say into an assertion, for a test.
"""

from simsnn_ref.verify.cases import Subject, definition, subjects
from simsnn_ref.verify.comparison import Check, compare, require
from simsnn_ref.verify.differentiation import (
    check_gradient,
    complex_step,
    complex_step_in_digits,
    complex_step_jacobian,
)
from simsnn_ref.verify.products import check_subject
from simsnn_ref.verify.suite import verify
from simsnn_ref.verify.updates import check_adam, check_lbfgs, check_path, check_spectral_weights, paths

__all__ = [
    "Check",
    "Subject",
    "check_adam",
    "check_gradient",
    "check_lbfgs",
    "check_path",
    "check_spectral_weights",
    "check_subject",
    "compare",
    "complex_step",
    "complex_step_in_digits",
    "complex_step_jacobian",
    "definition",
    "paths",
    "require",
    "subjects",
    "verify",
]
