"""What JSON from a file has to hold: one check, whose error names the entry, for every reader of this package."""

import math
from types import NoneType, UnionType
from typing import Any, get_args

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io.strict_json import shown

__all__ = ["conform"]

_NAMES = {str: "a string", bool: "true or false", int: "a whole number", float: "a number"}


def conform(value: Any, kind: Any, where: str) -> None:
    """Check that a value from JSON is of the kind that is expected.

    Parameters
    ----------
    kind : type, list, dict or tuple
        ``str`` (Unicode, which can be printed), ``bool``, ``int``, ``float`` (a finite number), ``object`` (anything);
        ``kind | None`` or (kind, None) for a kind or null; ``str | float`` for one of several scalars; [kind] for a
        list; {str: kind} for an object with any names; {"a": kind, ...: object} for an object with these names, and
        with others too if the dots are there.
    where : str
        Name of the value.

    Raises
    ------
    ModelFileError
        If it is of another kind; the message names the entry.

    Examples
    --------
    >>> conform({"shape": [3, "x"]}, {"shape": [int]}, "header")
    Traceback (most recent call last):
        ...
    simsnn_ref.errors.ModelFileError: header.shape[1] is not a whole number
    """
    fault = _fault(value, kind)
    if fault:
        raise ModelFileError(f"{where}{fault}")


def _fault(value: Any, kind: Any) -> str:
    """What is wrong, after the place below `value` where it is; an empty text if nothing is."""
    if isinstance(kind, type):
        return "" if _is_scalar(value, kind) else f" is not {_NAMES[kind]}"
    if isinstance(kind, list):
        return _list_fault(value, kind[0])
    if isinstance(kind, dict):
        return _object_fault(value, kind)
    return _fault_of_any(value, get_args(kind) if isinstance(kind, UnionType) else kind)


def _fault_of_any(value: Any, kinds: tuple[Any, ...]) -> str:
    """The same where several scalars, or one kind or null, will do."""
    if value is None and (None in kinds or NoneType in kinds):
        return ""
    if isinstance(kinds[0], list | dict):
        return _fault(value, kinds[0])
    if any(_is_scalar(value, one) for one in kinds):
        return ""
    return f" is not {' or '.join(_NAMES[one] for one in kinds if one in _NAMES)}"


def _list_fault(value: Any, kind: Any) -> str:
    if not isinstance(value, list):
        return " is not a list"
    for i, entry in enumerate(value):
        fault = _fault(entry, kind)
        if fault:
            return f"[{i}]{fault}"
    return ""


def _object_fault(value: Any, kinds: dict[Any, Any]) -> str:
    if not isinstance(value, dict):
        return " is not an object"
    for name in kinds:
        if name not in value and isinstance(name, str):
            return f".{name} is missing"
    others = kinds.get(str, kinds.get(...))
    for name, entry in value.items():
        kind = kinds.get(name, others)
        if kind is None:
            return f".{shown(name)} is not known to this version; update simsnn-ref"
        if not _is_unicode(name):
            return f": the name {shown(name)} is not Unicode"
        fault = _fault(entry, kind)
        if fault:
            return f".{shown(name)}{fault}"
    return ""


def _is_scalar(value: Any, kind: type | None) -> bool:
    if kind is str:
        return isinstance(value, str) and _is_unicode(value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return kind is object or type(value) is kind


def _is_unicode(text: str) -> bool:
    """Whether a text can be printed: JSON may hold half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
