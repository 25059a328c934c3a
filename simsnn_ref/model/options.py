"""What an option of a fit is: its default, its meaning, what it may be, and the check of a value against that."""

import contextlib
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, get_args, get_origin

from simsnn_ref.errors import ConfigError

__all__ = [
    "ABOVE_0",
    "AUTO",
    "DECAY",
    "SHARE",
    "Interval",
    "Option",
    "OptionGroup",
    "at_least",
    "nearest",
    "option",
    "options_of",
    "shown",
]

AUTO = "auto"
"""The word for None in files and flags."""

_INTEGER_LIMIT = 2**63
"""Larger integers are not kept in files."""


@dataclass(frozen=True)
class Interval:
    """Where a number has to be, in words and as a test; `name` in the words is that of the option."""

    text: str
    contains: Callable[[float], bool]


def at_least(least: float) -> Interval:
    """Numbers from `least` on."""
    return Interval(f"a finite value of at least {least}", lambda x: x >= least)


ABOVE_0 = Interval("a finite value above 0", lambda x: x > 0.0)
SHARE = Interval("0 < {name} <= 1", lambda x: 0.0 < x <= 1.0)
DECAY = Interval("0 <= {name} < 1", lambda x: 0.0 <= x < 1.0)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a fit.

    Attributes
    ----------
    name : str
        Unique among all options: the keyword, the flag on the command line (with - for _), the key in model files.
    group, attribute : str
        ``config.group.attribute``; without a group, ``config.attribute``.
    type : type
        int, float, bool or str, or a tuple of such; with ``| None`` where the fit can choose by itself.
    default : object
    meaning : str
    auto : str
        What None stands for.
    choices : tuple of str
        The texts it may be; any if there are none.
    interval : Interval, optional
        Where a number, or each one in a tuple, has to be.
    mode : str
        The mode that has a use for it; both if empty.
    by_mode : mapping of str to object, optional
        What None stands for in each mode, where that alone decides; `auto` says so.
    per_stage : bool
        Whether a tuple has an entry for each stage, and so at least one. The last one serves all further stages.
    """

    name: str
    group: str
    attribute: str
    type: Any
    default: Any
    meaning: str
    auto: str = ""
    choices: tuple[str, ...] = ()
    interval: Interval | None = None
    mode: str = ""
    by_mode: Mapping[str, Any] | None = None
    per_stage: bool = False

    @property
    def path(self) -> str:
        """Where `FitConfig` has it."""
        return f"{self.group}.{self.attribute}" if self.group else self.attribute

    @property
    def is_tuple(self) -> bool:
        return get_origin(_without_none(self.type)) is tuple

    @property
    def entry_type(self) -> Any:
        """The type of an entry of a tuple, or of the value itself; with ``| None`` where None is allowed there."""
        return get_args(_without_none(self.type))[0] if self.is_tuple else self.type

    @property
    def kind(self) -> Any:
        """int, float, bool or str: `entry_type` without None."""
        return _without_none(self.entry_type)

    @property
    def help(self) -> str:
        """The meaning, with the mode that it belongs to, and that of None."""
        mode = f"{self.mode}: " if self.mode else ""
        per_stage = ", per stage" if self.per_stage else ""
        return f"{mode}{self.meaning}{per_stage}{f'; auto: {self.auto}' if self.auto else ''}"

    def checked(self, value: Any) -> Any:
        """The value in the option's own type; a single one will do for a tuple of one, and "auto" for None.

        Raises
        ------
        ConfigError
            If that is not possible without loss, or the value is not one of the choices or out of range.
        """
        if _is_auto(value) and NoneType in get_args(self.type):
            return None
        if not self.is_tuple:
            return self._in_range(self._converted(value))
        entries = value if isinstance(value, list | tuple) else (value,)
        if self.per_stage and not entries:
            raise ConfigError(f"{self.name}: needs at least one entry{self._or_none}")
        return self._in_range(tuple(self._converted(entry) for entry in entries))

    def _converted(self, entry: Any) -> Any:
        if _is_auto(entry) and NoneType in get_args(self.entry_type):
            return None
        if self.kind in (bool, str) and isinstance(entry, self.kind):
            if self.choices and entry not in self.choices:
                close = nearest(entry, self.choices)
                hint = f" (did you mean {close!r}?)" if close else ""
                raise ConfigError(f"{self.name} = {entry!r}: choose one of {', '.join(self.choices)}{hint}")
            return entry
        if self.kind in (int, float) and isinstance(entry, int | float) and not isinstance(entry, bool):
            with contextlib.suppress(OverflowError, ValueError):
                converted = self.kind(entry)
                if converted == entry and (self.kind is float or abs(converted) < _INTEGER_LIMIT):
                    return converted
        expected = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}[self.kind]
        raise ConfigError(f"{self.name} = {entry!r}: expected {expected}{self._or_none}")

    def _in_range(self, value: Any) -> Any:
        entries = [entry for entry in (value if self.is_tuple else (value,)) if entry is not None]
        if self.interval and not all(math.isfinite(entry) and self.interval.contains(entry) for entry in entries):
            needs = f"{'every entry ' if self.is_tuple else ''}needs {self.interval.text.format(name=self.name)}"
            raise ConfigError(f"{self.name} = {value}: {needs}{self._or_none}")
        return value

    @property
    def _or_none(self) -> str:
        return ", or None, in files and flags auto" if self.auto else ""


class OptionGroup:
    """Base of a frozen dataclass of options: all of them are checked where one is made."""

    def __post_init__(self) -> None:
        for each in options_of(type(self)):
            object.__setattr__(self, each.attribute, each.checked(getattr(self, each.attribute)))


def option(default: Any, meaning: str, *, by_mode: Mapping[str, Any] | None = None, **rules: Any) -> Any:
    """Declare an option in an `OptionGroup`; `rules` are further attributes of `Option`."""
    if by_mode:
        words = [
            f"{value if isinstance(value, str) else f'{value:g}'} in mode {mode}" for mode, value in by_mode.items()
        ]
        rules |= {"by_mode": by_mode, "auto": ", ".join(words)}
    return field(default=default, metadata={"option": {"meaning": meaning, **rules}})


def options_of(group_class: Any, group: str = "") -> tuple[Option, ...]:
    """The options that an `OptionGroup` declares, in their order; `group` is its name in `FitConfig`."""
    return tuple(
        Option(
            **{"name": item.name} | item.metadata["option"],
            group=group,
            attribute=item.name,
            type=item.type,
            default=item.default,
        )
        for item in fields(group_class)
        if "option" in item.metadata
    )


def nearest(name: object, names: Iterable[str]) -> str:
    """The one of `names` that is most like `name`; "" if none is."""
    return next(iter(difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.5)), "")


def shown(value: Any) -> str:
    """A value as it is written on the command line: ``auto`` for None, entries between commas."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    return AUTO if value is None else str(value)


def _is_auto(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value == AUTO)


def _without_none(annotation: Any) -> Any:
    """The type in ``type | None``; another one as it is."""
    if NoneType not in get_args(annotation):
        return annotation
    return next(kind for kind in get_args(annotation) if kind is not NoneType)
