"""Text on a stream that cannot carry all of it, such as a Windows pipe in cp1252."""

from __future__ import annotations

import codecs
from typing import Any, Final

_HANDLER: Final = "cdesk.ascii"
_ASCII: Final = {
    "→": "->",
    "…": "...",
    "–": "-",
    "—": "-",
    "’": "'",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
}


def is_narrow(stream: Any) -> bool:
    """Whether the stream's encoding lacks characters."""
    try:
        name = codecs.lookup(stream.encoding).name
    except (AttributeError, LookupError, TypeError):
        return False
    return not name.startswith("utf")


def make_printable(stream: Any) -> None:
    """Let the stream print what its encoding lacks: the nearest ASCII, or an escape."""
    if is_narrow(stream) and hasattr(stream, "reconfigure"):
        codecs.register_error(_HANDLER, _nearest)
        stream.reconfigure(errors=_HANDLER)


def escaped(text: str) -> str:
    """JSON in ASCII alone: the same document."""
    return "".join(one if one.isascii() else _escape(one) for one in text)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(one) or _escape(one) for one in lacking), error.end


def _escape(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
