"""All checks together: as a function, and as a class of tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simsnn_ref.backend import Backend
from simsnn_ref.testing import arrays, mapping, processes, training, transforms
from simsnn_ref.testing.expect import expect_equal

__all__ = ["CHECKS", "BackendConformance", "CheckResult", "check_backend", "check_threads"]

CheckFunction: TypeAlias = Callable[[Backend], None]
"""Function that raises an AssertionError of one line if the backend does not pass."""

CHECKS: Mapping[str, CheckFunction] = (
    arrays.CHECKS | transforms.CHECKS | mapping.CHECKS | processes.CHECKS | training.CHECKS
)
"""The checks by name, from the protocol up: the first that fails is the one to look at."""


@dataclass(frozen=True)
class CheckResult:
    """Result of one check of a backend.

    Attributes
    ----------
    name : str
        Name of the check in `CHECKS`.
    problem : str
        What is wrong, in one line; empty if the check passed.
    """

    name: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether there is no problem."""
        return not self.problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem or 'ok'}"


def check_backend(backend: Backend, names: Sequence[str] = tuple(CHECKS)) -> list[CheckResult]:
    """Run the checks, each whether or not another fails. It takes some seconds, most of them for ``verify``.

    Parameters
    ----------
    backend : Backend
    names : sequence of str
        Names of checks in `CHECKS`; all of them by default.

    >>> from simsnn_ref.backend import NumpyBackend
    >>> [str(result) for result in check_backend(NumpyBackend(), ["members", "processes"])]
    ['members: ok', 'processes: ok']
    """
    return [CheckResult(name, _problem(CHECKS[name], backend)) for name in names]


def _problem(check: CheckFunction, backend: Backend) -> str:
    try:
        check(backend)
    except AssertionError as error:
        return _line(error) or "AssertionError"
    except Exception as error:
        return f"{type(error).__name__}: {_line(error)}"
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def check_threads(one: Backend, two: Backend) -> None:
    """Check a backend's promise that results do not depend on the number of threads.

    Parameters
    ----------
    one, two : Backend
        The backend with one thread and with two.

    Raises
    ------
    AssertionError
        If their results differ in a bit.
    """
    a, b = (mapping.work_in_blocks(backend, backend.map) for backend in (one, two))
    expect_equal("one thread and two", a, b)


class BackendConformance:
    """The checks as tests: pytest collects ``test_NAME`` for each of them from a subclass called ``Test...``.

    Attributes
    ----------
    make_backend : callable
        The backend's class, or a function that returns a backend. It is called without arguments, not even ``self``.
    """

    make_backend: Any = None


def _test(check: CheckFunction) -> Callable[[BackendConformance], None]:
    def test(self: BackendConformance) -> None:
        check(type(self).make_backend())

    test.__doc__ = check.__doc__
    return test


for _name, _check in CHECKS.items():
    setattr(BackendConformance, f"test_{_name}", _test(_check))
