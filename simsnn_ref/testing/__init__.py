r"""A suite that checks whether a backend does what the numerics rely on, the embedded backend or any plug-in.

As a function::

    results = check_backend(MyBackend())
    print(*[result for result in results if not result.passed], sep="\n")

With pytest, which this room does not import, as a test for each check::

    class TestMyBackend(BackendConformance):
        make_backend = MyBackend

A check compares with NumPy, in ulp or in multiples of eps that its docstring gives reasons for.
"""

from simsnn_ref.testing.expect import expect_ulp
from simsnn_ref.testing.suite import CHECKS, BackendConformance, CheckResult, check_backend, check_threads
from simsnn_ref.testing.training import make_objective

__all__ = [
    "CHECKS",
    "BackendConformance",
    "CheckResult",
    "check_backend",
    "check_threads",
    "expect_ulp",
    "make_objective",
]
