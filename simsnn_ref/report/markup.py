"""HTML that is safe by construction: text is escaped unless an element made it."""

from html import escape

from simsnn_ref.report.tables import visible

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
    pairs = "".join(f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{pairs}>" if name in _VOID else f"<{name}{pairs}>{join(*parts)}</{name}>")


def _escaped(text: str) -> str:
    return "\n".join(escape(visible(line)) for line in text.split("\n"))
