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
    kinds = get_args(kind) if isinstance(kind, UnionType) else kind if isinstance(kind, tuple) else (kind,)
    if value is None and (None in kinds or NoneType in kinds):
        return
    kinds = tuple(one for one in kinds if one not in (None, NoneType))
    if isinstance(kinds[0], list):
        if not isinstance(value, list):
            raise ModelFileError(f"{where} is not a list")
        for i, entry in enumerate(value):
            conform(entry, kinds[0][0], f"{where}[{i}]")
    elif isinstance(kinds[0], dict):
        if not isinstance(value, dict):
            raise ModelFileError(f"{where} is not an object")
        _conform_object(value, kinds[0], where)
    elif not any(_is_scalar(value, one) for one in kinds):
        raise ModelFileError(f"{where} is not {' or '.join(_NAMES[one] for one in kinds)}")


def _conform_object(value: dict[str, Any], kinds: dict[Any, Any], where: str) -> None:
    others = kinds.get(str, kinds.get(...))
    named = {name: kind for name, kind in kinds.items() if isinstance(name, str)}
    for name in named:
        if name not in value:
            raise ModelFileError(f"{where}.{name} is missing")
    for name, entry in value.items():
        kind = named.get(name, others)
        if kind is None:
            raise ModelFileError(f"{where}.{shown(name)} is not known to this version; update simsnn-ref")
        if not _is_unicode(name):
            raise ModelFileError(f"{where}: the name {shown(name)} is not Unicode")
        conform(entry, kind, f"{where}.{shown(name)}")


def _is_scalar(value: Any, kind: type) -> bool:
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
