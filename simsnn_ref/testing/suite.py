"""All checks together, as a function and as a class of tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simsnn_ref.backend import Backend
from simsnn_ref.testing import arrays, mapping, training, transforms
from simsnn_ref.testing.expect import expect_equal

__all__ = ["CHECKS", "BackendConformance", "Result", "check_backend", "check_threads"]

Check: TypeAlias = Callable[[Backend], None]

CHECKS: Mapping[str, Check] = arrays.CHECKS | transforms.CHECKS | mapping.CHECKS | training.CHECKS
"""By name, from the protocol up: what fails first is the one to look at."""


@dataclass(frozen=True)
class Result:
    """What became of one check.

    Attributes
    ----------
    name : str
        Of `CHECKS`.
    problem : str
        One line; empty where it passed.
    """

    name: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether there was no problem."""
        return not self.problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem or 'ok'}"


def check_backend(backend: Backend, names: Sequence[str] = tuple(CHECKS)) -> list[Result]:
    """Run the checks, all of them whatever fails: some seconds, most of it for ``verify``.

    Parameters
    ----------
    backend : Backend
    names : sequence of str
        Some of `CHECKS`.
    """
    return [Result(name, _problem(CHECKS[name], backend)) for name in names]


def _problem(check: Check, backend: Backend) -> str:
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
    """The same bits from two instances of a backend, with one thread and with two, for one that promises it.

    Raises
    ------
    AssertionError
        If a bit differs.
    """
    a, b = (mapping.work_in_blocks(backend, backend.map) for backend in (one, two))
    expect_equal("one thread and two", a, b)


class BackendConformance:
    """The checks as tests: pytest collects ``test_NAME`` for each of them from a subclass called ``Test...``.

    Attributes
    ----------
    make_backend : callable
        Without arguments, not even ``self``: the backend's class, or a function.
    """

    make_backend: Any = None


def _test(check: Check) -> Callable[[BackendConformance], None]:
    def test(self: BackendConformance) -> None:
        check(type(self).make_backend())

    test.__doc__ = check.__doc__
    return test


for _name, _check in CHECKS.items():
    setattr(BackendConformance, f"test_{_name}", _test(_check))
