"""Tests of plug-ins: a backend that cannot run here skips with its own reason, or fails if it was asked for.

python -m pytest backends/cupy/tests --require-backend cupy
"""

import pytest

from simsnn_ref.backend import load_backend
from simsnn_ref.errors import BackendError

MARKER = "needs_backend"


def pytest_addoption(parser):
    """Add --require-backend."""
    parser.addoption(
        "--require-backend",
        action="append",
        default=[],
        metavar="NAME[:DEVICE]",
        help="tests that need this backend fail where it does not load, and are not skipped; may be given again",
    )


def pytest_configure(config):
    """Register the marker."""
    config.addinivalue_line("markers", f"{MARKER}(name): skip, or fail with --require-backend, unless it loads")


def pytest_runtest_setup(item):
    """Skip or fail."""
    for marker in item.iter_markers(MARKER):
        (name,) = marker.args
        try:
            load_backend(name)
        except BackendError as error:
            if name in item.config.getoption("--require-backend"):
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
