"""HTML that is safe by construction: text is escaped unless an element made it."""

from html import escape

__all__ = ["Html", "element", "join"]

_VOID = frozenset(("img", "meta"))


class Html(str):
    """Markup; any other `str` is text."""

    __slots__ = ()


def join(*parts: str) -> Html:
    """Parts one after the other, the text among them escaped and its lines kept."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts))


def element(name: str, /, *parts: str, **attributes: str) -> Html:
    """``<name attributes>parts</name>``; an attribute's name ends in ``_`` where Python needs it to."""
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{told}>" if name in _VOID else f"<{name}{told}>{join(*parts)}</{name}>")


def _escaped(text: str) -> str:
    # What is not printable may be no character of HTML, or turn the direction of the text around it.
    return "\n".join(escape("".join(c if c.isprintable() else "\ufffd" for c in line)) for line in text.split("\n"))
