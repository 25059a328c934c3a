"""Whether a value from JSON is of the kind that is expected."""

import math
from types import NoneType, UnionType
from typing import Any, get_args

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io.strict_json import shown

__all__ = ["conform"]

_NAMES = {str: "a string", bool: "true or false", int: "a whole number", float: "a number"}


def conform(value: Any, kind: Any, where: str) -> None:
    """Raise ModelFileError, which names the place, unless `value` is of `kind`.

    Parameters
    ----------
    kind : type, list, dict or tuple
        ``str``, ``bool``, ``int``, ``float`` (finite), ``object`` (anything); ``kind | None`` or (kind, None); [kind],
        a list; {str: kind}, an object with any names; {"a": kind, ...: object}, one with these names, and others too if
        the dots are there.
    where : str
        Name of the value.
    """
    if isinstance(kind, UnionType):
        kind = get_args(kind)
    if isinstance(kind, tuple):
        kind, none = kind
        assert none in (None, NoneType)
        if value is None:
            return
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise ModelFileError(f"{where} is not a list")
        for i, entry in enumerate(value):
            conform(entry, kind[0], f"{where}[{i}]")
    elif isinstance(kind, dict):
        if not isinstance(value, dict):
            raise ModelFileError(f"{where} is not an object")
        _conform_object(value, kind, where)
    elif not _is_scalar(value, kind):
        raise ModelFileError(f"{where} is not {_NAMES[kind]}")


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
        conform(name, str, f"a name of {where}")
        conform(entry, kind, f"{where}.{shown(name)}")


def _is_scalar(value: Any, kind: type) -> bool:
    if kind is str:
        # A lone surrogate could not be printed.
        return isinstance(value, str) and value.encode("utf-8", "replace").decode() == value
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return kind is object or type(value) is kind
