"""JSON of unknown origin: no name twice, no number out of range, and no memory beyond what it should take."""

import json
import math
from typing import Any

from simsnn_ref.errors import ModelFileError

__all__ = ["parse_json", "parsed_bytes", "shown"]

_LONGEST_INTEGER = 20
_LONGEST_NAME = 100

_BYTES_PER_TOKEN = {b"{": 160, b"[": 96, b",": 160, b'"': 48}
"""Bytes of memory, in CPython, of what each character begins: a dict, a list, a number, and by two quotes a string."""


def shown(name: object) -> str:
    """A name from a file for one line of an error: itself if it is short and printable, else its repr, shortened.

    >>> print(shown("W1"), shown(""))
    W1 ''
    """
    text = str(name)
    if len(text) > _LONGEST_NAME:
        return f"{text[:_LONGEST_NAME]!r}..."
    return text if text.isprintable() and text else repr(text)


def parsed_bytes(raw: bytes | bytearray) -> int:
    """An upper bound of the bytes that `parse_json` takes beside `raw`, and again for JSON that is held in a string.

    One character beyond ASCII makes each of a string take four bytes.
    """
    width = 1 if raw.isascii() and b"\\u" not in raw else 4
    return 3 * width * len(raw) + sum(size * raw.count(token) for token, size in _BYTES_PER_TOKEN.items())


def parse_json(text: str, where: str) -> Any:
    """The value that a JSON text holds, whose numbers are finite and fit in 64 bits.

    Raises
    ------
    ModelFileError
        If it is not JSON, a name is in an object twice, or a number is out of range; the message begins with `where`.
    """

    def integer(digits: str) -> int:
        if len(digits) > _LONGEST_INTEGER or not -(2**63) <= int(digits) < 2**63:
            raise ModelFileError(f"{where}: the number {shown(digits)} does not fit in 64 bits")
        return int(digits)

    def number(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ModelFileError(f"{where}: the number {shown(digits)} is out of range")
        return value

    def constant(name: str) -> float:
        raise ModelFileError(f"{where}: {name} is no number of JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ModelFileError(f"{where}: {shown(name)} is there twice")
            found[name] = value
        return found

    try:
        return json.loads(
            text, parse_int=integer, parse_float=number, parse_constant=constant, object_pairs_hook=unique
        )
    except RecursionError:
        raise ModelFileError(f"{where}: nested too deeply") from None
    except ModelFileError:
        raise
    except ValueError as error:
        raise ModelFileError(f"{where}: not JSON ({error})") from None
